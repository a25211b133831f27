//! A file system in memory that keeps, at a power cut, exactly what was synced: the least that any file system keeps.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use mnem_backend_simple::medium::{
    Contents, Entries, Entry, FileSystem, Kind, Lock, LockMode, Metadata, NewFile, SyncError, WholeSync,
};

type Id = usize;

/// What is there, and what would be after a power cut.
#[derive(Debug, Clone)]
enum Node {
    File { now: Vec<u8>, synced: Vec<u8> },
    Folder { now: BTreeMap<OsString, Id>, synced: BTreeMap<OsString, Id> },
}

impl Node {
    fn file() -> Self {
        Self::File { now: Vec::new(), synced: Vec::new() }
    }

    fn folder() -> Self {
        Self::Folder { now: BTreeMap::new(), synced: BTreeMap::new() }
    }
}

#[derive(Debug, Default)]
struct State {
    /// The first one is the root. Nothing is ever freed.
    nodes: Vec<Node>,
    locks: HashMap<Id, (LockMode, usize)>,
}

#[derive(Clone, Debug)]
pub(crate) struct MemoryFs {
    state: Arc<Mutex<State>>,
}

impl MemoryFs {
    pub(crate) fn new() -> Self {
        let state = State { nodes: vec![Node::folder()], locks: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// With this folder, and those above it.
    pub(crate) fn with_folder(path: &Path) -> Self {
        let fs = Self::new();
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev().skip(1) {
            fs.create_folder(folder).unwrap();
        }
        fs
    }

    /// The file system after a power cut now. This one goes on as if nothing had happened.
    pub(crate) fn after_power_cut(&self) -> Self {
        let mut nodes = self.state().nodes.clone();
        for node in &mut nodes {
            match node {
                Node::File { now, synced } => now.clone_from(synced),
                Node::Folder { now, synced } => now.clone_from(synced),
            }
        }
        Self { state: Arc::new(Mutex::new(State { nodes, locks: HashMap::new() })) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn find(&self, path: &Path) -> io::Result<Option<Id>> {
        let mut id = 0;
        for name in path.strip_prefix("/").unwrap() {
            match &self.nodes[id] {
                Node::File { .. } => return Err(io::ErrorKind::NotADirectory.into()),
                Node::Folder { now, .. } => match now.get(name) {
                    Some(inner) => id = *inner,
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(id))
    }

    fn must_find(&self, path: &Path) -> io::Result<Id> {
        self.find(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn entries(&mut self, folder: &Path) -> io::Result<&mut BTreeMap<OsString, Id>> {
        let id = self.must_find(folder)?;
        match &mut self.nodes[id] {
            Node::Folder { now, .. } => Ok(now),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// `false`: the name is taken.
    fn add(&mut self, path: &Path, node: Node) -> io::Result<bool> {
        if self.find(path)?.is_some() {
            return Ok(false);
        }
        let id = self.nodes.len();
        self.entries(path.parent().unwrap())?.insert(path.file_name().unwrap().to_owned(), id);
        self.nodes.push(node);
        Ok(true)
    }

    fn remove(&mut self, path: &Path) -> io::Result<Option<Id>> {
        Ok(self.entries(path.parent().unwrap())?.remove(path.file_name().unwrap()))
    }

    fn sync(&mut self, id: Id) {
        match &mut self.nodes[id] {
            Node::File { now, synced } => synced.clone_from(now),
            Node::Folder { now, synced } => synced.clone_from(now),
        }
    }

    fn kind(&self, id: Id) -> Kind {
        match &self.nodes[id] {
            Node::File { .. } => Kind::File,
            Node::Folder { .. } => Kind::Folder,
        }
    }
}

#[derive(Debug)]
struct MemoryFile {
    fs: MemoryFs,
    id: Id,
}

#[derive(Debug)]
struct MemoryLock {
    fs: MemoryFs,
    id: Id,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.fs.state();
        if let Some((_, holders)) = state.locks.get_mut(&self.id) {
            *holders -= 1;
            if *holders == 0 {
                state.locks.remove(&self.id);
            }
        }
    }
}

impl NewFile for MemoryFile {
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.fs.state().nodes[self.id] {
            Node::File { now, .. } => now.extend_from_slice(data),
            Node::Folder { .. } => unreachable!("a new file is a file"),
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fs.state().sync(self.id);
        Ok(())
    }
}

impl WholeSync for MemoryFs {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        (0..state.nodes.len()).for_each(|id| state.sync(id));
        Ok(())
    }
}

impl FileSystem for MemoryFs {
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        Ok(self.state().find(path)?.map(|_| path.to_owned()))
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let state = self.state();
        Ok(state.find(path)?.map(|id| match &state.nodes[id] {
            Node::File { now, .. } => Metadata { kind: Kind::File, file_bytes: now.len() as u64 },
            Node::Folder { .. } => Metadata { kind: Kind::Folder, file_bytes: 0 },
        }))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        let state = self.state();
        Ok(match state.find(path)?.map(|id| &state.nodes[id]) {
            None => Contents::Absent,
            Some(Node::Folder { .. }) => Contents::NotAFile,
            Some(Node::File { now, .. }) if now.len() as u64 > bytes_max => Contents::TooLong(now.len() as u64),
            Some(Node::File { now, .. }) => Contents::Bytes(now.clone()),
        })
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        let mut state = self.state();
        if state.find(path)?.is_none() {
            return Ok(None);
        }
        let names = state.entries(path)?.clone();
        let entries: Vec<_> = names.into_iter().map(|(name, id)| Ok(Entry { name, kind: state.kind(id) })).collect();
        Ok(Some(Box::new(entries.into_iter())))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        self.state().add(path, Node::folder())
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.state();
        if !state.add(path, Node::file())? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.must_find(path)?;
        drop(state);
        Ok(Box::new(MemoryFile { fs: self.clone(), id }))
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        let mut state = self.state();
        let id = state.must_find(path)?;
        state.sync(id);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> Result<(), SyncError> {
        self.sync_file(path)
    }

    fn whole(&self, _folder: &Path) -> Option<Box<dyn WholeSync>> {
        Some(Box::new(self.clone()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.entries(to.parent().unwrap())?;
        let id = state.remove(from)?.ok_or(io::ErrorKind::NotFound)?;
        state.entries(to.parent().unwrap())?.insert(to.file_name().unwrap().to_owned(), id);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let mut state = self.state();
        let id = state.must_find(from)?;
        if state.find(to)?.is_some() {
            return Ok(false);
        }
        state.entries(to.parent().unwrap())?.insert(to.file_name().unwrap().to_owned(), id);
        Ok(true)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().remove(path)?.is_some())
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.state();
        state.add(path, Node::file())?;
        let id = state.must_find(path)?;
        match state.locks.get_mut(&id) {
            None => {
                state.locks.insert(id, (mode, 1));
            }
            Some((LockMode::Shared, holders)) if mode == LockMode::Shared => *holders += 1,
            Some(_) => return Ok(None),
        }
        drop(state);
        Ok(Some(Box::new(MemoryLock { fs: self.clone(), id })))
    }
}
