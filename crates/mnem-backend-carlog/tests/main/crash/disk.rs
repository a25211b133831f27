//! A folder in memory that writes down whatever is done to it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mnem_backend_carlog::files::{File, Files, Lock};
use mnem_crash_tests::Medium;
use mnem_store_traits::driver::{Entry, FileIdentity};

use super::survivors::{Cuts, Image};

/// Something done to the folder. Files are told by numbers: a name may go from one to another.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Made(usize),
    Write(usize, u64, Arc<[u8]>),
    SetLen(usize, u64),
    Sync(usize),
    /// One change of names, in one step: each name and the file that it leads to from now on.
    Names(Vec<(PathBuf, Option<usize>)>),
    SyncFolder,
}

/// Syncs that the disk says it did, and did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// All syncs of files.
    Files,
    /// All syncs of the folder.
    Folder,
    /// All syncs of segments but the first ones.
    LaterCommits,
}

/// Clones share everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    start: Image,
    files: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
    log: Vec<Event>,
    lie: Option<Lie>,
    /// The process that holds the lock.
    locked: Option<usize>,
    processes: usize,
    dead: Vec<usize>,
}

impl Disk {
    pub(crate) fn of(image: Image, lie: Option<Lie>) -> Self {
        let (files, names) = (image.files.clone(), image.names.clone());
        Self(Arc::new(Mutex::new(State { start: image, files, names, lie, ..State::default() })))
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
        Process { disk: self.clone(), number: state.processes }
    }

    fn cuts(&self) -> Cuts {
        let state = self.state();
        Cuts::new(state.start.clone(), state.log.clone())
    }
}

/// The disk as one process has it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    disk: Disk,
    number: usize,
}

impl mnem_crash_tests::Process for Process {
    fn kill(&self) {
        let mut state = self.disk.state();
        state.dead.push(self.number);
        if state.locked == Some(self.number) {
            state.locked = None;
        }
    }

    fn is_dead(&self) -> bool {
        self.disk.state().dead.contains(&self.number)
    }
}

impl Process {
    /// The state, for a process that lives.
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.dead.contains(&self.number) { Err(io::Error::other("the process is dead")) } else { Ok(state) }
    }

    fn handle(&self, file: usize, path: &Path) -> Arc<dyn File> {
        let is_segment = path.extension().is_some_and(|extension| extension == "car");
        Arc::new(Open { process: self.clone(), file, is_segment })
    }
}

impl Files for Process {
    fn look(&self, _: &Path) -> io::Result<Entry> {
        Ok(if self.alive()?.names.is_empty() { Entry::EmptyFolder } else { Entry::Folder })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn identity(&self, _: &Path) -> io::Result<FileIdentity> {
        Ok(None)
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Option<Arc<dyn File>>> {
        let file = self.alive()?.names.get(path).copied();
        Ok(file.map(|file| self.handle(file, path)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.alive()?;
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

    fn create_folder(&self, _: &Path) -> io::Result<bool> {
        Ok(false)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.log.push(Event::Names(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.alive()?;
        let was_there = state.names.remove(path).is_some();
        if was_there {
            state.log.push(Event::Names(vec![(path.to_owned(), None)]));
        }
        Ok(was_there)
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.alive()?.names.keys().cloned().collect())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if state.lie != Some(Lie::Folder) {
            state.log.push(Event::SyncFolder);
        }
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.alive()?;
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
    is_segment: bool,
}

impl File for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.process.alive()?;
        let bytes = state.files[self.file].get(offset as usize..).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.process.alive()?;
        write(&mut state.files[self.file], offset, bytes);
        state.log.push(Event::Write(self.file, offset, bytes.into()));
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.process.alive()?;
        state.files[self.file].resize(bytes as usize, 0);
        state.log.push(Event::SetLen(self.file, bytes));
        Ok(())
    }

    fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.process.alive()?.files[self.file].len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.process.alive()?;
        let is_left_out = match state.lie {
            Some(Lie::Files) => true,
            Some(Lie::LaterCommits) => self.is_segment && state.files[self.file].len() > 1000,
            _ => false,
        };
        if !is_left_out {
            state.log.push(Event::Sync(self.file));
        }
        Ok(())
    }
}

/// Writes into a file, which grows by zeros up to there.
pub(crate) fn write(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    file.resize(file.len().max(end), 0);
    file[start..end].copy_from_slice(bytes);
}
