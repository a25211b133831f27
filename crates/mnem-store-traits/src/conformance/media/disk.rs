//! An in-memory disk, for backends that can run on anything that has files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use cid::Cid;

use super::super::{Fault, random::Rng};

type Files = BTreeMap<String, Vec<u8>>;

/// An in-memory disk that can fail, lose unsynced changes, and be damaged. It implements all hooks of the profiles
/// faults, crash, damage and locks.
///
/// To use it, let the backend do all its input and output through a [`Mount`], one for each opening. In the
/// [`Fixture`](crate::conformance::Fixture), use the disk as the place and return it from
/// [`disk`](crate::conformance::Fixture::disk); the default hooks do the rest. Clones share the same disk.
///
/// ```
/// use mnem_store_traits::conformance::{Fault, MemoryDisk};
///
/// let disk = MemoryDisk::new(); // in `create`
/// let mount = disk.mount(); // in `open`
/// mount.write("log", 0, b"synced")?;
/// mount.sync()?;
/// mount.write("log", 6, b", and not synced")?;
/// disk.cut_power_after(0);
/// assert!(mount.read("log").is_err());
/// let mount = disk.mount();
/// assert_eq!(mount.read("log")?.unwrap_or_default(), b"synced");
/// disk.set_fault(Some(Fault::Reads));
/// assert!(mount.read("log").is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # What a power cut leaves
///
/// [`cut_power_after(0)`](Self::cut_power_after) loses every unsynced change. A cut after more operations does one of
/// the following, and chooses the same one in every run:
///
/// - It loses every unsynced change.
/// - It keeps the creation, length and renaming of files, but loses the bytes written.
/// - It keeps some changes and loses others; the last one may be kept in part.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    latency: Duration,
}

#[derive(Default)]
struct State {
    now: Files,
    synced: Files,
    /// The changes since the last sync.
    unsynced: Vec<Change>,
    locked: BTreeSet<String>,
    /// The location of the bytes of damaged blocks.
    damaged: BTreeMap<Cid, Vec<(String, Range<usize>)>>,
    has_no_locks: bool,
    fault: Option<Fault>,
    /// The number of changes until the power goes off.
    power: Option<u64>,
    /// The number of changes so far, and the number of changes after which the power was cut.
    spent: u64,
    cut_after: u64,
    /// The number of changes of the next mount until the power goes off.
    power_of_next: Option<u64>,
    /// How often the power went off. A mount from before the last outage is dead.
    outages: u64,
}

/// Which unsynced changes a power cut loses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    All,
    /// Written bytes, but not the creation and length of files.
    Bytes,
    Some,
}

#[derive(Clone)]
enum Change {
    Write(String, usize, Vec<u8>),
    SetLen(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Change {
    fn apply(&self, files: &mut Files) {
        match self {
            Self::Write(name, offset, data) => {
                let file = files.entry(name.clone()).or_default();
                file.resize(file.len().max(offset + data.len()), 0);
                file[*offset..offset + data.len()].copy_from_slice(data);
            }
            Self::SetLen(name, len) => files.entry(name.clone()).or_default().resize(*len, 0),
            Self::Rename(from, to) => {
                if let Some(file) = files.remove(from) {
                    files.insert(to.clone(), file);
                }
            }
            Self::Remove(name) => drop(files.remove(name)),
        }
    }

    /// The first half of a write that was in progress.
    fn torn(self) -> Self {
        match self {
            Self::Write(name, offset, mut data) => {
                data.truncate(data.len() / 2);
                Self::Write(name, offset, data)
            }
            whole => whole,
        }
    }
}

impl State {
    /// Applies a power cut.
    fn lose(&mut self) {
        let mut luck = Rng::new(self.unsynced.len() as u64 + self.outages + self.spent);
        let loss = if self.cut_after == 0 { Loss::All } else { [Loss::All, Loss::Bytes, Loss::Some][luck.below(3)] };
        let last = self.unsynced.len().checked_sub(1);
        let mut files = std::mem::take(&mut self.synced);
        for (i, change) in self.unsynced.drain(..).enumerate() {
            let chance = match loss {
                Loss::All => continue,
                Loss::Bytes => 0,
                Loss::Some => luck.below(3),
            };
            match (chance, change) {
                // A file may exist before its bytes do.
                (0, Change::Write(name, ..)) => drop(files.entry(name).or_default()),
                (0, _) if loss == Loss::Some => {}
                (1, change) if Some(i) == last => change.torn().apply(&mut files),
                (_, change) => change.apply(&mut files),
            }
        }
        self.now.clone_from(&files);
        self.synced = files;
        self.locked.clear();
        self.outages += 1;
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk with this latency for each call.
    pub fn with_latency(latency: Duration) -> Self {
        Self(Arc::new(Shared { latency, ..Shared::default() }))
    }

    /// Opens the disk, and restores the power.
    pub fn mount(&self) -> Mount {
        let mut state = self.state();
        if state.power.take().is_some() {
            state.lose();
        }
        state.power = state.power_of_next.take();
        state.cut_after = state.power.unwrap_or(state.cut_after);
        Mount { disk: self.clone(), outage: state.outages }
    }

    /// Makes the disk fail in this way from now on; `None` repairs it.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
        self.0.changed.notify_all();
    }

    /// Cuts the power after this many more writes and syncs. The next mount restores it.
    pub fn cut_power_after(&self, operations: u64) {
        let mut state = self.state();
        (state.power, state.cut_after) = (Some(operations), operations);
    }

    /// Cuts the power after this many writes and syncs of the next mount.
    pub fn cut_power_while_opening(&self, operations: u64) {
        self.state().power_of_next = Some(operations);
    }

    /// Enables or disables locks. While they are disabled, [`Mount::try_lock`] fails with
    /// [`Unsupported`](io::ErrorKind::Unsupported), like `ENOSYS` from a file system.
    pub fn set_locks(&self, has_locks: bool) {
        self.state().has_no_locks = !has_locks;
    }

    /// Overwrites the bytes of a block, as a stray program would: with as much of `new` as fits, then zeros. `old` is
    /// the current bytes, or `None` if the block was damaged before. Returns whether the bytes were found.
    pub(crate) fn damage(&self, cid: &Cid, old: Option<&[u8]>, new: &[u8]) -> bool {
        let mut state = self.state();
        if let Some(old) = old.filter(|old| !old.is_empty()) {
            let find = |(name, file): (&String, &Vec<u8>)| {
                let at = file.windows(old.len()).position(|part| part == old)?;
                Some((name.clone(), at..at + old.len()))
            };
            let places = state.now.iter().filter_map(find).collect();
            state.damaged.insert(*cid, places);
        }
        let State { now, synced, damaged, .. } = &mut *state;
        let places = damaged.get(cid).map(Vec::as_slice).unwrap_or_default();
        for (name, place) in places {
            for block in [now.get_mut(name), synced.get_mut(name)].into_iter().flatten() {
                let block = block.get_mut(place.clone()).unwrap_or_default();
                // The file keeps its length. Bytes of another length must differ from the old ones nevertheless.
                let is_resized = block.len() != new.len();
                for (i, byte) in block.iter_mut().enumerate() {
                    *byte = new.get(i).copied().unwrap_or(0) ^ u8::from(is_resized && i == 0);
                }
            }
        }
        !places.is_empty()
    }

    // Nothing panics under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryDisk")
            .field("files", &state.now.len())
            .field("fault", &state.fault)
            .finish_non_exhaustive()
    }
}

/// A [`MemoryDisk`] as one opening sees it. Its calls are like those of a file system, but take file names instead of
/// file handles.
#[derive(Clone, Debug)]
pub struct Mount {
    disk: MemoryDisk,
    outage: u64,
}

/// A lock on a file; dropping it unlocks the file.
#[derive(Debug)]
pub struct DiskLock {
    mount: Mount,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Sync,
}

impl Mount {
    /// The bytes of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state(Call::Read)?.now.get(name).cloned())
    }

    /// The length of a file in bytes, or 0 if there is no such file.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn len(&self, name: &str) -> io::Result<usize> {
        Ok(self.state(Call::Read)?.now.get(name).map_or(0, Vec::len))
    }

    /// Up to `len` bytes of a file, starting at `offset`. Shorter at the end of the file, and empty if there is no such
    /// file.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn read_at(&self, name: &str, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        let state = self.state(Call::Read)?;
        let file = state.now.get(name).map(Vec::as_slice).unwrap_or_default();
        let end = offset.saturating_add(len).min(file.len());
        Ok(file.get(offset..end).unwrap_or_default().to_vec())
    }

    /// The names of all files, in ascending order.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state(Call::Read)?.now.keys().cloned().collect())
    }

    /// Writes into a file, which is created and extended as needed.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was written.
    pub fn write(&self, name: &str, offset: usize, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(name.to_owned(), offset, data.to_vec()))
    }

    /// Truncates a file, or extends it with zeros.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was changed.
    pub fn set_len(&self, name: &str, len: usize) -> io::Result<()> {
        self.change(Change::SetLen(name.to_owned(), len))
    }

    /// Renames a file, replacing any file with the new name.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was changed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    /// Removes a file if it exists.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was changed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.change(Change::Remove(name.to_owned()))
    }

    /// Makes all changes so far durable, in all files.
    ///
    /// # Errors
    /// The power is off, or syncs fail. Nothing was made durable.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.state(Call::Sync)?;
        state.spend();
        // A waiting sync does not cover changes that arrive while it waits.
        let mine = state.unsynced.len();
        while state.fault == Some(Fault::SyncsWait) {
            state = self.disk.0.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        let State { synced, unsynced, .. } = &mut *state;
        unsynced.drain(..mine.min(unsynced.len())).for_each(|change| change.apply(synced));
        Ok(())
    }

    /// Locks a file, which need not exist. Returns `None` if the file is already locked.
    ///
    /// # Errors
    /// The power is off, reads fail, or the disk has no locks.
    pub fn try_lock(&self, name: &str) -> io::Result<Option<DiskLock>> {
        let mut state = self.state(Call::Read)?;
        if state.has_no_locks {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let free = state.locked.insert(name.to_owned());
        Ok(free.then(|| DiskLock { mount: self.clone(), name: name.to_owned() }))
    }

    fn state(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        if !self.disk.0.latency.is_zero() {
            thread::sleep(self.disk.0.latency);
        }
        let mut state = self.disk.state();
        if state.outages != self.outage || state.power == Some(0) {
            return Err(io::Error::other("the power is off"));
        }
        let left = match (&mut state.fault, call) {
            (Some(Fault::Reads), Call::Read) => &mut 0,
            (Some(Fault::ReadsAfter(left)), Call::Read)
            | (Some(Fault::WritesAfter(left)), Call::Write)
            | (Some(Fault::SyncsAfter(left)), Call::Sync) => left,
            _ => return Ok(state),
        };
        if *left == 0 {
            return Err(io::Error::other(format!("planted failure of a {call:?}")));
        }
        *left -= 1;
        Ok(state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state(Call::Write)?;
        state.spend();
        change.apply(&mut state.now);
        state.unsynced.push(change);
        Ok(())
    }
}

impl State {
    /// Counts one operation that changes the medium.
    fn spend(&mut self) {
        self.spent += 1;
        if let Some(left) = &mut self.power {
            *left -= 1;
        }
    }
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        let mut state = self.mount.disk.state();
        // A power cut has already released locks from before it.
        if state.outages == self.mount.outage {
            state.locked.remove(&self.name);
        }
    }
}
