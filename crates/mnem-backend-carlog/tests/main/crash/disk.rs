//! An in-memory disk that records every change of files, of names in the store's folder, and of its parent folder.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mnem_backend_carlog::files::{File, Files, Lock};
use mnem_crash_tests::{Act, Kill, Medium};
use mnem_store_traits::driver::{Entry, FileIdentity};

use super::survivors::{Cuts, Image};

/// The path of the store.
pub(crate) const ROOT: &str = "/disk/store";

/// A change of the disk. Files are identified by numbers, because a name may move from one file to another.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Made(usize),
    Write(usize, u64, Arc<[u8]>),
    SetLen(usize, u64),
    Sync(usize),
    /// One atomic change of names: each name and the file that it refers to from now on.
    Names(Vec<(PathBuf, Option<usize>)>),
    SyncNames,
    /// The entry of the store's folder in its parent was created.
    MadeFolder,
    SyncParent,
    /// A sync failed. Every process sees the unsynced changes of this file, but they never reach the disk.
    LostWrites(usize),
    /// The same, for the names in the store's folder.
    LostNames,
}

/// Syncs that the disk reports as done without doing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// All syncs of files.
    Files,
    /// All syncs of the store's folder.
    Folder,
    /// All syncs of the parent folder.
    Parent,
    /// All syncs of segments except the first of each.
    LaterCommits,
    /// The syncs of segments during a compaction.
    NewLog,
    /// The sync of the new manifest during a compaction.
    NewManifest,
    /// The syncs of the store's folder during a compaction.
    Switch,
}

/// The disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    start: Image,
    files: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
    has_folder: bool,
    log: Vec<Event>,
    lie: Option<Lie>,
    /// Whether a compaction is in progress.
    compacts: bool,
    /// Which sync of a call [`Kill::BeforeDurable`] precedes.
    kill_at_sync: usize,
    /// The process that holds the lock, if any.
    locked: Option<usize>,
    processes: usize,
    dead: Vec<usize>,
}

impl Disk {
    pub(crate) fn of(image: Image, lie: Option<Lie>) -> Self {
        let Image { files, names, has_folder } = image.clone();
        Self(Arc::new(Mutex::new(State { start: image, files, names, has_folder, lie, ..State::default() })))
    }

    pub(crate) fn kill_at_sync(self, sync: usize) -> Self {
        self.state().kill_at_sync = sync;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Medium for Disk {
    type Image = Image;
    type Process = Process;
    type Cuts = Cuts;

    fn entries(&self) -> usize {
        self.state().log.len()
    }

    fn process(&self) -> Process {
        let mut state = self.state();
        state.processes += 1;
        Process { disk: self.clone(), number: state.processes, plan: Arc::default() }
    }

    fn cuts(&self) -> Cuts {
        let state = self.state();
        Cuts::new(state.start.clone(), state.log.clone())
    }
}

/// The disk as seen by one process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    disk: Disk,
    number: usize,
    plan: Arc<Mutex<Plan>>,
}

/// The planned failures of a process, and the number of its calls.
#[derive(Debug, Default)]
struct Plan {
    /// Calls of any kind, so far.
    calls: usize,
    /// The number of the call that must fail.
    fail_at: Option<usize>,
    /// The call that has failed.
    failed: Option<(Call, PathBuf)>,
    kill: Option<Kill>,
    /// Changes and syncs since the kill was planned.
    changes: usize,
    syncs: usize,
}

/// The kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Change,
    Sync,
}

impl mnem_crash_tests::Process for Process {
    fn begin(&self, act: &Act, kill: Option<Kill>) {
        self.disk.state().compacts = matches!(act, Act::Tend(_));
        self.kill_during(kill);
    }

    fn kill(&self) {
        let mut state = self.disk.state();
        state.kill(self.number);
    }

    fn is_dead(&self) -> bool {
        self.disk.state().dead.contains(&self.number)
    }
}

impl State {
    fn kill(&mut self, process: usize) {
        self.dead.push(process);
        if self.locked == Some(process) {
            self.locked = None;
        }
    }
}

impl Process {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process during one of its next calls.
    pub(crate) fn kill_during(&self, kill: Option<Kill>) {
        let mut plan = self.plan();
        (plan.kill, plan.changes, plan.syncs) = (kill, 0, 0);
    }

    /// Makes the call with this number (from 0) fail.
    pub(crate) fn fail_at(&self, call: usize) {
        self.plan().fail_at = Some(call);
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.plan().calls
    }

    /// The call that failed, and its path.
    pub(crate) fn failed(&self) -> Option<(Call, PathBuf)> {
        self.plan().failed.clone()
    }

    /// Counts a call. Returns `true` if it must fail.
    fn enter(&self, call: Call, path: &Path) -> io::Result<(MutexGuard<'_, State>, bool)> {
        let (mut state, mut plan) = (self.disk.state(), self.plan());
        let is_killed = match plan.kill {
            Some(Kill::After(changes)) => call != Call::Read && plan.changes == changes,
            Some(Kill::BeforeDurable) => call == Call::Sync && plan.syncs == state.kill_at_sync,
            None => false,
        };
        if is_killed {
            state.kill(self.number);
        }
        if state.dead.contains(&self.number) {
            return Err(io::Error::other("the process is dead"));
        }
        let fails = plan.fail_at == Some(plan.calls);
        if fails {
            plan.failed = Some((call, path.to_owned()));
        }
        plan.calls += 1;
        plan.changes += usize::from(call != Call::Read);
        plan.syncs += usize::from(call == Call::Sync);
        Ok((state, fails))
    }

    /// The state, for a call that either fails as a whole or takes effect.
    fn alive(&self, call: Call, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        match self.enter(call, path)? {
            (state, false) => Ok(state),
            (_, true) => Err(broken()),
        }
    }

    fn handle(&self, file: usize, path: &Path) -> Arc<dyn File> {
        let is_segment = path.extension().is_some_and(|extension| extension == "car");
        Arc::new(Open { process: self.clone(), file, path: path.to_owned(), is_segment })
    }
}

/// The error of a failing call.
fn broken() -> io::Error {
    io::Error::other("the disk failed")
}

impl Files for Process {
    fn look(&self, path: &Path) -> io::Result<Entry> {
        let state = self.alive(Call::Read, path)?;
        Ok(match (state.has_folder, state.names.is_empty()) {
            (false, _) => Entry::Absent,
            (true, true) => Entry::EmptyFolder,
            (true, false) => Entry::Folder,
        })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn identity(&self, _: &Path) -> io::Result<FileIdentity> {
        Ok(None)
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Option<Arc<dyn File>>> {
        let file = self.alive(Call::Read, path)?.names.get(path).copied();
        Ok(file.map(|file| self.handle(file, path)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.alive(Call::Change, path)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Vec::new());
        state.names.insert(path.to_owned(), file);
        state.log.push(Event::Made(file));
        state.log.push(Event::Names(vec![(path.to_owned(), Some(file))]));
        drop(state);
        Ok(self.handle(file, path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.alive(Call::Change, path)?;
        let is_new = !state.has_folder;
        if is_new {
            state.has_folder = true;
            state.log.push(Event::MadeFolder);
        }
        Ok(is_new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive(Call::Change, to)?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.log.push(Event::Names(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.alive(Call::Change, path)?;
        let was_there = state.names.remove(path).is_some();
        if was_there {
            state.log.push(Event::Names(vec![(path.to_owned(), None)]));
        }
        Ok(was_there)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.alive(Call::Read, path)?.names.keys().cloned().collect())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let (mut state, fails) = self.enter(Call::Sync, path)?;
        if path == Path::new(ROOT) {
            let is_left_out = state.lie == Some(Lie::Folder) || (state.compacts && state.lie == Some(Lie::Switch));
            if !is_left_out {
                state.log.push(if fails { Event::LostNames } else { Event::SyncNames });
            }
        } else if state.lie != Some(Lie::Parent) && !fails {
            // After a failed sync, a later one may or may not make the entry durable. Here it does.
            state.log.push(Event::SyncParent);
        }
        if fails { Err(broken()) } else { Ok(()) }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.alive(Call::Read, path)?;
        if state.locked.is_some() {
            return Ok(None);
        }
        state.locked = Some(self.number);
        Ok(Some(Box::new(Held(self.clone()))))
    }
}

#[derive(Debug)]
struct Held(Process);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.0.disk.state();
        if state.locked == Some(self.0.number) {
            state.locked = None;
        }
    }
}

#[derive(Debug)]
struct Open {
    process: Process,
    file: usize,
    path: PathBuf,
    is_segment: bool,
}

impl File for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.process.alive(Call::Read, &self.path)?;
        let bytes = state.files[self.file].get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, fails) = self.process.enter(Call::Change, &self.path)?;
        // A failed write leaves its first half.
        let bytes = if fails { &bytes[..bytes.len() / 2] } else { bytes };
        write(&mut state.files[self.file], offset, bytes);
        state.log.push(Event::Write(self.file, offset, bytes.into()));
        if fails { Err(broken()) } else { Ok(()) }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.process.alive(Call::Change, &self.path)?;
        state.files[self.file].resize(bytes as usize, 0);
        state.log.push(Event::SetLen(self.file, bytes));
        Ok(())
    }

    fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.process.alive(Call::Read, &self.path)?.files[self.file].len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, fails) = self.process.enter(Call::Sync, &self.path)?;
        let is_left_out = match state.lie {
            Some(Lie::Files) => true,
            Some(Lie::NewLog) => self.is_segment && state.compacts,
            Some(Lie::NewManifest) => self.path.ends_with("manifest.new") && state.compacts,
            Some(Lie::LaterCommits) => self.is_segment && state.files[self.file].len() > 1000,
            _ => false,
        };
        if fails {
            state.log.push(Event::LostWrites(self.file));
            return Err(broken());
        }
        if !is_left_out {
            state.log.push(Event::Sync(self.file));
        }
        Ok(())
    }
}

/// Writes into a file, which is extended with zeros if necessary.
pub(crate) fn write(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    file.resize(file.len().max(end), 0);
    file[start..end].copy_from_slice(bytes);
}
