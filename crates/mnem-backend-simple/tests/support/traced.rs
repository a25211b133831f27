//! A file system that records its calls, and fails or skips them on demand.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use mnem_backend_simple::medium::{
    Contents, Entries, FileSystem, Lock, LockMode, Metadata, NewFile, SyncError, WholeSync,
};

#[derive(Clone, Debug)]
enum Act {
    Fail(io::ErrorKind),
    /// Reports success and does nothing. A listing is empty.
    Forget,
    /// Fails, but only after a call with this prefix was made since.
    FailAfter(String),
    /// Runs, but only after a call with this prefix was made since.
    MakeAfter(String),
    /// Runs after this event.
    MakeBehind(Meanwhile),
}

/// What others do before a call runs.
#[derive(Clone)]
struct Meanwhile(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[derive(Debug)]
struct Plan {
    /// A prefix of the recorded call.
    call: String,
    /// Matching calls to let pass first.
    pass: usize,
    once: bool,
    act: Act,
}

#[derive(Debug, Default)]
struct State {
    root: PathBuf,
    calls: Vec<String>,
    plans: Vec<Plan>,
}

#[derive(Clone, Debug)]
pub(crate) struct Traced {
    inner: Arc<dyn FileSystem>,
    state: Arc<Mutex<State>>,
    called: Arc<Condvar>,
}

#[derive(Debug)]
struct TracedFile {
    inner: Box<dyn NewFile>,
    name: String,
    fs: Traced,
}

#[derive(Debug)]
struct TracedWhole {
    inner: Box<dyn WholeSync>,
    fs: Traced,
}

#[derive(Debug)]
struct TracedLock {
    _inner: Box<dyn Lock>,
    name: String,
    fs: Traced,
}

/// Far longer than any wait of a successful test.
const PATIENCE: Duration = Duration::from_secs(60);

const READS: [&str; 4] = ["resolve", "metadata", "read", "list"];

impl Traced {
    /// Names are recorded relative to `root`; an unfinished file is called `tmp/*`.
    pub(crate) fn new(inner: Arc<dyn FileSystem>, root: &Path) -> Self {
        let state = State { root: root.to_owned(), ..State::default() };
        Self { inner, state: Arc::new(Mutex::new(state)), called: Arc::default() }
    }

    /// Fails only the call with the prefix `call` that follows `pass` others.
    pub(crate) fn fail(&self, call: &str, pass: usize) {
        self.plan(call, pass, true, Act::Fail(io::ErrorKind::Other));
    }

    /// Fails every call with the prefix `call`.
    pub(crate) fn fail_always(&self, call: &str, kind: io::ErrorKind) {
        self.plan(call, 0, false, Act::Fail(kind));
    }

    /// Fails a call with the prefix `call`, once another one with the prefix `other` was made, before or after it.
    pub(crate) fn fail_after(&self, call: &str, other: &str) {
        self.plan(call, 0, true, Act::FailAfter(other.to_owned()));
    }

    /// Delays a call with the prefix `call` until another one with the prefix `other` was made, before or after it.
    pub(crate) fn make_after(&self, call: &str, other: &str) {
        self.plan(call, 0, true, Act::MakeAfter(other.to_owned()));
    }

    /// Runs `work` before the call with the prefix `call` that follows `pass` others.
    pub(crate) fn meanwhile_after(&self, call: &str, pass: usize, work: impl Fn() + Send + Sync + 'static) {
        self.plan(call, pass, true, Act::MakeBehind(Meanwhile(Arc::new(work))));
    }

    /// Runs `work` before the next call with the prefix `call`.
    pub(crate) fn meanwhile(&self, call: &str, work: impl Fn() + Send + Sync + 'static) {
        self.plan(call, 0, true, Act::MakeBehind(Meanwhile(Arc::new(work))));
    }

    /// Waits for a call with the prefix `call`, made since the record was last taken.
    pub(crate) fn wait_for(&self, call: &str) {
        drop(self.once_called(self.state.lock().unwrap(), call));
    }

    fn once_called<'a>(&self, state: MutexGuard<'a, State>, call: &str) -> MutexGuard<'a, State> {
        let made = |state: &mut State| state.calls.iter().any(|made| made.starts_with(call));
        let (state, waited) = self.called.wait_timeout_while(state, PATIENCE, |state| !made(state)).unwrap();
        if waited.timed_out() {
            drop(state);
            panic!("nobody calls {call:?}");
        }
        state
    }

    /// Skips the call with the prefix `call` that follows `pass` others: it does nothing and reports success.
    pub(crate) fn forget(&self, call: &str, pass: usize) {
        self.plan(call, pass, true, Act::Forget);
    }

    fn plan(&self, call: &str, pass: usize, once: bool, act: Act) {
        self.state.lock().unwrap().plans.push(Plan { call: call.to_owned(), pass, once, act });
    }

    pub(crate) fn no_more_plans(&self) {
        self.state.lock().unwrap().plans.clear();
    }

    /// Whether every one-time plan was used.
    pub(crate) fn all_plans_used(&self) -> bool {
        self.state.lock().unwrap().plans.iter().all(|plan| !plan.once)
    }

    /// The calls since the last time, without those that only read.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.state.lock().unwrap().calls);
        calls.into_iter().filter(|call| !READS.iter().any(|read| call.starts_with(read))).collect()
    }

    fn name(&self, path: &Path) -> String {
        let state = self.state.lock().unwrap();
        let Ok(inside) = path.strip_prefix(&state.root) else { return "..".to_owned() };
        let name = inside.to_str().unwrap();
        match name.strip_prefix("tmp/") {
            Some(file) if file != ".lock" => "tmp/*".to_owned(),
            _ if name.is_empty() => ".".to_owned(),
            _ => name.to_owned(),
        }
    }

    /// Records the call. `Ok(false)`: it must be skipped.
    fn call(&self, call: String) -> io::Result<bool> {
        let mut state = self.state.lock().unwrap();
        state.calls.push(call.clone());
        self.called.notify_all();
        let mut decided = None;
        state.plans.retain_mut(|plan| {
            if decided.is_some() || !call.starts_with(&plan.call) {
                return true;
            }
            if plan.pass > 0 {
                plan.pass -= 1;
                return true;
            }
            decided = Some(plan.act.clone());
            !plan.once
        });
        match decided {
            None => Ok(true),
            Some(Act::Forget) => Ok(false),
            Some(Act::Fail(kind)) => Err(io::Error::new(kind, "planted")),
            Some(Act::FailAfter(other)) => {
                drop(self.once_called(state, &other));
                Err(io::Error::other("planted"))
            }
            Some(Act::MakeAfter(other)) => {
                drop(self.once_called(state, &other));
                Ok(true)
            }
            Some(Act::MakeBehind(Meanwhile(work))) => {
                drop(state);
                work();
                Ok(true)
            }
        }
    }
}

impl Traced {
    /// Permission is checked before anything is synced.
    fn sync_call(&self, call: String) -> Result<bool, SyncError> {
        self.call(call).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => SyncError::NotOpened(error),
            _ => SyncError::Failed(error),
        })
    }
}

impl FileSystem for Traced {
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.call(format!("resolve {}", self.name(path)))?;
        self.inner.resolve(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.call(format!("metadata {}", self.name(path)))?;
        self.inner.metadata(path)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        self.call(format!("read {}", self.name(path)))?;
        self.inner.read(path, bytes_max)
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        if self.call(format!("list {}", self.name(path)))? {
            self.inner.list(path)
        } else {
            Ok(Some(Box::new(std::iter::empty())))
        }
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        self.call(format!("create folder {}", self.name(path)))?;
        self.inner.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let name = self.name(path);
        self.call(format!("create file {name}"))?;
        Ok(Box::new(TracedFile { inner: self.inner.create_file(path)?, name, fs: self.clone() }))
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        if self.sync_call(format!("sync file {}", self.name(path)))? { self.inner.sync_file(path) } else { Ok(()) }
    }

    fn sync_folder(&self, path: &Path) -> Result<(), SyncError> {
        if self.sync_call(format!("sync folder {}", self.name(path)))? { self.inner.sync_folder(path) } else { Ok(()) }
    }

    fn whole(&self, folder: &Path) -> Option<Box<dyn WholeSync>> {
        self.call(format!("open everything of {}", self.name(folder))).ok()?;
        Some(Box::new(TracedWhole { inner: self.inner.whole(folder)?, fs: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(format!("rename {} {}", self.name(from), self.name(to)))?;
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.call(format!("link {} {}", self.name(from), self.name(to)))?;
        self.inner.link(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.call(format!("rename new {} {}", self.name(from), self.name(to)))?;
        self.inner.rename_new(from, to)
    }

    fn replaces_in_one_step(&self, folder: &Path) -> bool {
        self.inner.replaces_in_one_step(folder)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.call(format!("remove {}", self.name(path)))?;
        self.inner.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<bool> {
        self.call(format!("remove folder {}", self.name(path)))?;
        self.inner.remove_folder(path)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        let name = self.name(path);
        self.call(format!("lock {name} {mode:?}"))?;
        let Some(inner) = self.inner.lock(path, mode)? else { return Ok(None) };
        Ok(Some(Box::new(TracedLock { _inner: inner, name, fs: self.clone() })))
    }
}

impl NewFile for TracedFile {
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.fs.call(format!("write {}", self.name))?;
        self.inner.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.fs.call(format!("sync {}", self.name))? { self.inner.sync() } else { Ok(()) }
    }
}

impl WholeSync for TracedWhole {
    fn sync(&mut self) -> io::Result<()> {
        if self.fs.call("sync everything".into())? { self.inner.sync() } else { Ok(()) }
    }
}

impl Lock for TracedLock {}

impl Drop for TracedLock {
    fn drop(&mut self) {
        let _ = self.fs.call(format!("unlock {}", self.name));
    }
}
