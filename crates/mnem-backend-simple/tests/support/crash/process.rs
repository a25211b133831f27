//! A process that uses the file system: it can be killed at any call, any of its calls can fail, and a break can be
//! planted in it.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use mnem_backend_simple::medium::{
    Contents, Entries, FileSystem, Lock, LockMode, Metadata, NewFile, SyncError, WholeSync,
};

use mnem_crash_tests::{Act, Kill};

use super::{
    ROOT,
    breaks::{Detour, Then},
};
use crate::support::memory_fs::{Id, MemoryFs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Look,
    Read,
    List,
    CreateFolder,
    CreateFile,
    Write,
    /// A sync of a file that this process just created.
    SyncNew,
    SyncFile,
    SyncFolder,
    SyncAll,
    Rename,
    Link,
    Remove,
    Lock,
}

impl Verb {
    fn changes(self) -> bool {
        !matches!(self, Self::Look | Self::Read | Self::List)
    }

    pub(crate) fn syncs(self) -> bool {
        matches!(self, Self::SyncNew | Self::SyncFile | Self::SyncFolder | Self::SyncAll)
    }
}

/// The role of a path in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The parent of the store's folder.
    Parent,
    Root,
    Format,
    Heads,
    Mark,
    /// A lock file.
    Locks,
    Tmp,
    Unfinished,
    Objects,
    Shard,
    Block,
    Tables,
    Table,
    Row,
}

impl Place {
    fn of(path: &Path) -> Self {
        let Some(inside) = path.to_str().unwrap().strip_prefix(ROOT) else { return Self::Parent };
        let mut parts = inside.split('/').skip(1);
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Self::Root,
            (Some("objects"), None, _) => Self::Objects,
            (Some("objects"), Some(_), None) => Self::Shard,
            (Some("objects"), Some(_), Some(_)) => Self::Block,
            (Some("tables"), None, _) => Self::Tables,
            (Some("tables"), Some(_), None) => Self::Table,
            (Some("tables"), Some(_), Some(_)) => Self::Row,
            (Some("tmp"), None, _) => Self::Tmp,
            (Some("tmp"), Some(".lock"), _) | (Some("lock"), ..) => Self::Locks,
            (Some("tmp"), Some(_), _) => Self::Unfinished,
            (Some("op_heads"), ..) => Self::Heads,
            (Some("format"), ..) => Self::Format,
            (Some("unsynced"), ..) => Self::Mark,
            other => panic!("the store has no such path: {other:?}"),
        }
    }

    /// The role that an unfinished file will have.
    fn of_content(data: &[u8]) -> Self {
        let holds = |text: &[u8]| data.windows(text.len()).any(|part| part == text);
        match data {
            _ if data.starts_with(b"mnem-backend-simple ") => Self::Format,
            _ if data.starts_with(b"written without waiting") => Self::Mark,
            _ if data.starts_with(b"row ") => Self::Row,
            _ if data.len() < 4096 && holds(b"sha256 ") => Self::Heads,
            _ => Self::Block,
        }
    }
}

/// The task that the process performs for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Open,
    Put,
    Commit,
    ChangeHeads,
    Delete,
    WriteRows,
}

/// A call, as a break sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) task: Task,
    pub(crate) verb: Verb,
    /// The role of the path; of an unfinished file, the role that it will have.
    pub(crate) place: Place,
    pub(crate) path: &'a Path,
    /// Earlier calls of the same task: renames and links by their targets.
    pub(crate) before: &'a [(Verb, Place, PathBuf)],
}

impl Call<'_> {
    pub(crate) fn is(&self, verb: Verb, place: Place) -> bool {
        self.verb == verb && self.place == place
    }

    /// Whether the same task made this call before.
    pub(crate) fn after(&self, verb: Verb, place: Place) -> bool {
        self.before.iter().any(|(v, p, _)| (*v, *p) == (verb, place))
    }

    /// How often the same task made this call before.
    pub(crate) fn times(&self, verb: Verb) -> usize {
        self.before.iter().filter(|(before, ..)| *before == verb).count()
    }

    /// Whether the same task gave something a name in this folder before.
    pub(crate) fn after_naming_in_it(&self) -> bool {
        let names = self.before.iter().filter(|(verb, ..)| matches!(verb, Verb::Rename | Verb::Link));
        names.into_iter().any(|(_, _, path)| path.parent() == Some(self.path))
    }
}

/// A delayed call.
#[derive(Debug)]
enum Work {
    Sync(Id),
    SyncAll,
    Rename(PathBuf, PathBuf),
}

/// A failure of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Calls of this kind that succeed first.
    pub(crate) pass: usize,
    pub(crate) verb: Verb,
    /// The error number of the system.
    pub(crate) errno: i32,
    /// A write first writes half of its data.
    pub(crate) short: bool,
}

#[derive(Debug)]
struct State {
    task: Task,
    before: Vec<(Verb, Place, PathBuf)>,
    contents: HashMap<PathBuf, Place>,
    kill: Option<Kill>,
    is_dead: bool,
    fault: Option<Fault>,
    faults_met: usize,
    put_off: Vec<(Then, Work)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    fs: MemoryFs,
    planted: Option<Detour>,
    /// Nothing is planted and no process is killed: calls go straight to the file system.
    plain: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct ProcessFile {
    inner: Box<dyn NewFile>,
    path: PathBuf,
    process: Process,
}

impl Process {
    pub(crate) fn new(fs: &MemoryFs, planted: Option<Detour>, plain: bool) -> Self {
        let state = State {
            task: Task::Open,
            before: Vec::new(),
            contents: HashMap::new(),
            kill: None,
            is_dead: false,
            fault: None,
            faults_met: 0,
            put_off: Vec::new(),
        };
        Self { fs: fs.clone(), planted, plain, state: Arc::new(Mutex::new(state)) }
    }

    /// Makes one call fail.
    pub(crate) fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// How many calls have failed as requested.
    pub(crate) fn faults_met(&self) -> usize {
        self.state().faults_met
    }

    fn catch_up(&self, due: impl Fn(&Then) -> bool) {
        let mut state = self.state();
        let (now, later) = std::mem::take(&mut state.put_off).into_iter().partition(|(then, _)| due(then));
        state.put_off = later;
        let dead = state.is_dead;
        drop(state);
        let now: Vec<(Then, Work)> = now;
        for (_, work) in now.into_iter().filter(|_| !dead) {
            match work {
                Work::Sync(id) => self.fs.sync_id(id),
                Work::SyncAll => self.fs.sync_all(),
                Work::Rename(from, to) => self.fs.rename(&from, &to).unwrap(),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Makes a call, unless the process is dead, the call must fail, or a break replaces it.
    fn call<T, E: From<io::Error>>(
        &self,
        verb: Verb,
        path: &Path,
        work: impl FnOnce() -> Option<Work>,
        make: impl FnOnce() -> Result<T, E>,
        pretend: impl FnOnce() -> T,
    ) -> Result<T, E> {
        if self.plain {
            return make();
        }
        let mut guard = self.state();
        let state = &mut *guard;
        if verb.changes() {
            let names = |(verb, ..): &(Verb, Place, PathBuf)| matches!(verb, Verb::Rename | Verb::Link);
            match &mut state.kill {
                Some(Kill::After(0)) => state.is_dead = true,
                Some(Kill::After(left)) => *left -= 1,
                Some(Kill::BeforeDurable) => {
                    let syncs_names = matches!(verb, Verb::SyncFolder | Verb::SyncAll);
                    state.is_dead |= syncs_names && state.before.iter().any(names);
                }
                None => {}
            }
            if state.is_dead {
                return Err(io::Error::other("killed").into());
            }
        }
        if let Some(fault) = state.fault.as_mut().filter(|fault| fault.verb == verb) {
            if fault.pass == 0 {
                let errno = fault.errno;
                state.fault = None;
                state.faults_met += 1;
                return Err(io::Error::from_raw_os_error(errno).into());
            }
            fault.pass -= 1;
        }
        let place = match Place::of(path) {
            Place::Unfinished => state.contents.get(path).copied().unwrap_or(Place::Unfinished),
            place => place,
        };
        let call = Call { task: state.task, verb, place, path, before: &state.before };
        let then = self.planted.filter(|planted| (planted.at)(&call)).map(|planted| planted.then);
        let due = state.put_off.iter().any(|(then, _)| matches!(then, Then::After(is) if is(&call)));
        if let Some(then) = then
            && !matches!(then, Then::Never)
        {
            state.put_off.extend(work().map(|work| (then, work)));
        }
        if verb.changes() {
            state.before.push((verb, place, path.to_owned()));
        }
        drop(guard);
        let done = if then.is_some() { Ok(pretend()) } else { make() };
        if due {
            self.catch_up(|then| matches!(then, Then::After(_)));
        }
        done
    }

    fn sync(&self, verb: Verb, path: &Path) -> Result<(), SyncError> {
        let id = self.fs.id(path).map_err(SyncError::NotOpened)?;
        let make = || {
            self.fs.sync_id(id);
            Ok(())
        };
        self.call(verb, path, || Some(Work::Sync(id)), make, || ())
    }

    fn plain<T>(&self, verb: Verb, path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.call(verb, path, || None, make, || unreachable!("no break takes the place of such a call"))
    }
}

impl mnem_crash_tests::Process for Process {
    fn begin(&self, act: &Act, kill: Option<Kill>) {
        let mut state = self.state();
        (state.task, state.kill) = (Task::of(act), kill);
        state.before.clear();
    }

    fn kill(&self) {
        self.state().is_dead = true;
    }

    fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    fn before_acknowledging(&self) {
        self.catch_up(|then| !matches!(then, Then::Acknowledged));
    }

    fn acknowledged(&self) {
        self.catch_up(|_| true);
    }
}

impl Task {
    fn of(act: &Act) -> Self {
        match act {
            Act::Open { .. } | Act::Close | Act::Kill | Act::Tend(_) => Self::Open,
            Act::Put(_) | Act::PutMany(_) => Self::Put,
            Act::Commit { .. } => Self::Commit,
            Act::ChangeHeads(_) => Self::ChangeHeads,
            Act::Delete(_) | Act::DeleteMany(_) | Act::Sweep(_) => Self::Delete,
            Act::Rows { .. } => Self::WriteRows,
        }
    }
}

impl FileSystem for Process {
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.plain(Verb::Look, path, || self.fs.resolve(path))
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.plain(Verb::Look, path, || self.fs.metadata(path))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        self.plain(Verb::Read, path, || self.fs.read(path, bytes_max))
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        self.plain(Verb::List, path, || self.fs.list(path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        self.plain(Verb::CreateFolder, path, || self.fs.create_folder(path))
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let inner = self.plain(Verb::CreateFile, path, || self.fs.create_file(path))?;
        Ok(Box::new(ProcessFile { inner, path: path.to_owned(), process: self.clone() }))
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        self.sync(Verb::SyncFile, path)
    }

    fn sync_folder(&self, path: &Path) -> Result<(), SyncError> {
        self.sync(Verb::SyncFolder, path)
    }

    fn whole(&self, _folder: &Path) -> Option<Box<dyn WholeSync>> {
        Some(Box::new(self.clone()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(Detour { at, then: Then::AfterRemoving }) = self.planted {
            let state = self.state();
            let call =
                Call { task: state.task, verb: Verb::Rename, place: Place::of(to), path: to, before: &state.before };
            if at(&call) {
                drop(state);
                self.fs.remove_file(to)?;
                return self.fs.rename(from, to);
            }
        }
        let work = || Some(Work::Rename(from.to_owned(), to.to_owned()));
        self.call(Verb::Rename, to, work, || self.fs.rename(from, to), || ())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.plain(Verb::Link, to, || self.fs.link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.plain(Verb::Remove, path, || self.fs.remove_file(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<bool> {
        self.plain(Verb::Remove, path, || self.fs.remove_folder(path))
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        self.plain(Verb::Lock, path, || self.fs.lock(path, mode))
    }
}

impl NewFile for ProcessFile {
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        let short =
            self.process.state().fault.is_some_and(|fault| fault.short && fault.verb == Verb::Write && fault.pass == 0);
        if short {
            self.inner.write_all(&data[..data.len() / 2])?;
        }
        self.process.state().contents.insert(self.path.clone(), Place::of_content(data));
        self.process.clone().plain(Verb::Write, &self.path, || self.inner.write_all(data))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.process.sync(Verb::SyncNew, &self.path).map_err(|error| match error {
            SyncError::NotOpened(error) | SyncError::Failed(error) => error,
        })
    }
}

impl WholeSync for Process {
    fn sync(&mut self) -> io::Result<()> {
        let make = || {
            self.fs.sync_all();
            Ok(())
        };
        self.call(Verb::SyncAll, Path::new(ROOT), || Some(Work::SyncAll), make, || ())
    }
}
