//! A file system in memory that records nodes, names, writes and syncs, so that every state after a power cut can be
//! derived.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use mnem_backend_simple::medium::{
    Contents, Entries, Entry, FileId, FileSystem, Kind, Lock, LockMode, Metadata, NewFile, SyncError, WholeSync,
};
use mnem_store_traits::Bytes;

use super::disk::Disk;

/// Identifies a file or folder, whatever its name.
pub(crate) type Id = usize;

/// The content of an [`Id`]. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(Bytes),
    Folder(Arc<BTreeMap<OsString, Id>>),
}

/// One change, in the order of the calls.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A node was created, with the next id.
    Made(Node),
    /// Bytes were appended to a file.
    Written(Id, Bytes),
    /// Names were added or removed, all in one step.
    Named(Vec<Name>),
    Synced(Id),
    SyncedAll,
}

/// A name in a folder, and the node that it stands for from now on.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) folder: Id,
    pub(crate) name: OsString,
    pub(crate) inner: Option<Id>,
}

#[derive(Debug, Default)]
struct State {
    /// The first one is the root. Nodes are never freed.
    nodes: Vec<Node>,
    /// The nodes when recording began, all durable.
    first: Vec<Node>,
    events: Vec<Event>,
    locks: HashMap<Id, (LockMode, usize)>,
}

#[derive(Clone, Debug)]
pub(crate) struct MemoryFs {
    state: Arc<Mutex<State>>,
}

impl MemoryFs {
    pub(crate) fn new() -> Self {
        Self::of(vec![Node::Folder(Arc::default())])
    }

    /// A file system with these nodes, all durable; the first one is the root.
    pub(crate) fn of(nodes: Vec<Node>) -> Self {
        let state = State { first: nodes.clone(), nodes, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A file system with this folder and its ancestors.
    pub(crate) fn with_folder(path: &Path) -> Self {
        let fs = Self::new();
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev().skip(1) {
            fs.create_folder(folder).unwrap();
        }
        fs
    }

    /// A copy in which everything is durable and nothing is recorded.
    pub(crate) fn settled(&self) -> Self {
        Self::of(self.state().nodes.clone())
    }

    /// The node at a path.
    pub(crate) fn id(&self, path: &Path) -> io::Result<Id> {
        self.state().must_find(path)
    }

    pub(crate) fn sync_id(&self, id: Id) {
        self.state().events.push(Event::Synced(id));
    }

    pub(crate) fn sync_all(&self) {
        self.state().events.push(Event::SyncedAll);
    }

    /// The number of recorded changes so far.
    pub(crate) fn recorded(&self) -> usize {
        self.state().events.len()
    }

    /// The disk when recording began, and the changes since.
    pub(crate) fn recording(&self) -> (Disk, Vec<Event>) {
        let state = self.state();
        (Disk::of(state.first.clone()), state.events.clone())
    }

    /// The file system after a power cut now that leaves exactly the synced state: the least that any file system
    /// keeps. This one continues as if nothing had happened.
    pub(crate) fn after_power_cut(&self) -> Self {
        let (mut disk, events) = self.recording();
        events.iter().for_each(|event| disk.apply(event));
        Self::of(disk.synced().to_vec())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn find(&self, path: &Path) -> io::Result<Option<Id>> {
        let mut id = 0;
        // Much faster than the path components of the standard library, and half of the cost of a state.
        for name in path.to_str().unwrap().split('/').skip(1).filter(|name| !name.is_empty()) {
            match &self.nodes[id] {
                Node::File(_) => return Err(io::ErrorKind::NotADirectory.into()),
                Node::Folder(names) => match names.get(OsStr::new(name)) {
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

    fn name(&self, path: &Path, inner: Option<Id>) -> io::Result<Name> {
        let folder = self.must_find(path.parent().unwrap())?;
        match &self.nodes[folder] {
            Node::Folder(_) => Ok(Name { folder, name: path.file_name().unwrap().to_owned(), inner }),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn rename(&mut self, names: Vec<Name>) {
        names.iter().for_each(|name| apply_name(&mut self.nodes, name));
        self.events.push(Event::Named(names));
    }

    /// Returns `false` if the name is taken.
    fn add(&mut self, path: &Path, node: Node) -> io::Result<bool> {
        if self.find(path)?.is_some() {
            return Ok(false);
        }
        let name = self.name(path, Some(self.nodes.len()))?;
        self.nodes.push(node.clone());
        self.events.push(Event::Made(node));
        self.rename(vec![name]);
        Ok(true)
    }

    fn kind(&self, id: Id) -> Kind {
        match &self.nodes[id] {
            Node::File(_) => Kind::File,
            Node::Folder(_) => Kind::Folder,
        }
    }
}

pub(crate) fn apply_name(nodes: &mut [Node], Name { folder, name, inner }: &Name) {
    let Node::Folder(names) = &mut nodes[*folder] else { unreachable!("names lie in folders") };
    match inner {
        Some(id) => Arc::make_mut(names).insert(name.clone(), *id),
        None => Arc::make_mut(names).remove(name),
    };
}

/// Ids are never reused, so an id identifies a file without a clock.
fn file_id(id: Id) -> FileId {
    FileId { number: id as u64, changed_nanos: 0 }
}

/// The bytes of a file with more appended.
pub(crate) fn joined(bytes: &Bytes, more: &Bytes) -> Bytes {
    if bytes.is_empty() { more.clone() } else { [&bytes[..], &more[..]].concat().into() }
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
        let mut state = self.fs.state();
        let more = Bytes::copy_from_slice(data);
        match &mut state.nodes[self.id] {
            Node::File(bytes) => *bytes = joined(bytes, &more),
            Node::Folder(_) => unreachable!("a new file is a file"),
        }
        state.events.push(Event::Written(self.id, more));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fs.state().events.push(Event::Synced(self.id));
        Ok(())
    }
}

impl WholeSync for MemoryFs {
    fn sync(&mut self) -> io::Result<()> {
        self.state().events.push(Event::SyncedAll);
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
            Node::File(bytes) => Metadata {
                kind: Kind::File,
                file_bytes: bytes.len() as u64,
                allocated_bytes: bytes.len() as u64,
                file_id: Some(file_id(id)),
            },
            Node::Folder(_) => {
                Metadata { kind: Kind::Folder, file_bytes: 0, allocated_bytes: 0, file_id: Some(file_id(id)) }
            }
        }))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        let state = self.state();
        Ok(match state.find(path)?.map(|id| &state.nodes[id]) {
            None => Contents::Absent,
            Some(Node::Folder(_)) => Contents::NotAFile,
            Some(Node::File(bytes)) if bytes.len() as u64 > bytes_max => Contents::TooLong(bytes.len() as u64),
            Some(Node::File(bytes)) => Contents::Bytes(bytes.to_vec()),
        })
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        let state = self.state();
        let Some(id) = state.find(path)? else { return Ok(None) };
        let Node::Folder(names) = &state.nodes[id] else { return Err(io::ErrorKind::NotADirectory.into()) };
        let entry = |(name, id): (&OsString, &Id)| Ok(Entry { name: name.clone(), kind: state.kind(*id) });
        let entries: Vec<_> = names.iter().map(entry).collect();
        Ok(Some(Box::new(entries.into_iter())))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        self.state().add(path, Node::Folder(Arc::default()))
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.state();
        if !state.add(path, Node::File(Bytes::new()))? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.must_find(path)?;
        drop(state);
        Ok(Box::new(MemoryFile { fs: self.clone(), id }))
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        let mut state = self.state();
        let id = state.must_find(path)?;
        state.events.push(Event::Synced(id));
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
        let id = state.must_find(from)?;
        let names = vec![state.name(to, Some(id))?, state.name(from, None)?];
        state.rename(names);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let mut state = self.state();
        let id = state.must_find(from)?;
        if state.find(to)?.is_some() {
            return Ok(false);
        }
        let name = state.name(to, Some(id))?;
        state.rename(vec![name]);
        Ok(true)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.state();
        if state.find(path)?.is_none() {
            return Ok(false);
        }
        let name = state.name(path, None)?;
        state.rename(vec![name]);
        Ok(true)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let mut state = self.state();
        let id = state.must_find(from)?;
        if state.find(to)?.is_some() {
            return Ok(false);
        }
        let names = vec![state.name(to, Some(id))?, state.name(from, None)?];
        state.rename(names);
        Ok(true)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<bool> {
        let id = self.state().find(path)?;
        match id.map(|id| self.state().nodes[id].clone()) {
            Some(Node::Folder(names)) if !names.is_empty() => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            _ => self.remove_file(path),
        }
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.state();
        state.add(path, Node::File(Bytes::new()))?;
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
