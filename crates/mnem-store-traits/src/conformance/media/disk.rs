//! A disk in memory, for backends that can be put on anything that has files.

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

/// A disk in memory that fails, forgets what was not synced, and can be damaged: all hooks of the profiles faults,
/// crash, damage and locks.
///
/// Clones share it. A backend does all of its input and output through a [`Mount`], one for each opening. A
/// [`Fixture`](crate::conformance::Fixture) whose place is the disk returns it from
/// [`disk`](crate::conformance::Fixture::disk), and has these profiles without a further line:
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
/// A power cut right after the last operation ([`cut_power_after(0)`](Self::cut_power_after)) leaves nothing that was
/// not synced. A later one leaves nothing of it, or the files that were created, cut and renamed and none of their
/// bytes, or some changes and not others, and of the last one perhaps a part; the same ones in every run.
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
    /// What was done since the last sync.
    unsynced: Vec<Change>,
    locked: BTreeSet<String>,
    /// Where the bytes of damaged blocks are.
    damaged: BTreeMap<Cid, Vec<(String, Range<usize>)>>,
    has_no_locks: bool,
    fault: Option<Fault>,
    /// Changes until the power goes off.
    power: Option<u64>,
    /// How many changes there were in all, and until the power went off.
    spent: u64,
    cut_after: u64,
    /// Changes of the next mount until the power goes off.
    power_of_next: Option<u64>,
    /// How often the power was off: a mount of an earlier time is dead.
    outages: u64,
}

/// What a power cut takes of the changes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    All,
    /// What was written, and not which files there are and how long they were made.
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

    /// The first half of a write that was under way.
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
    /// What a power cut leaves.
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
                // A file may be there before its bytes are.
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

    /// An empty disk each of whose calls takes so long.
    pub fn with_latency(latency: Duration) -> Self {
        Self(Arc::new(Shared { latency, ..Shared::default() }))
    }

    /// The disk for one opening, with the power on.
    pub fn mount(&self) -> Mount {
        let mut state = self.state();
        if state.power.take().is_some() {
            state.lose();
        }
        state.power = state.power_of_next.take();
        state.cut_after = state.power.unwrap_or(state.cut_after);
        Mount { disk: self.clone(), outage: state.outages }
    }

    /// Fails like this from now on; `None`: no more.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
        self.0.changed.notify_all();
    }

    /// The power goes off after so many more writes and syncs. The next mount finds it on again.
    pub fn cut_power_after(&self, operations: u64) {
        let mut state = self.state();
        (state.power, state.cut_after) = (Some(operations), operations);
    }

    /// The power goes off after so many writes and syncs of the next mount.
    pub fn cut_power_while_opening(&self, operations: u64) {
        self.state().power_of_next = Some(operations);
    }

    /// Whether the disk has locks. Without, [`Mount::try_lock`] fails with [`Unsupported`](io::ErrorKind::Unsupported),
    /// as a file system's `ENOSYS`.
    pub fn set_locks(&self, has_locks: bool) {
        self.state().has_no_locks = !has_locks;
    }

    /// Writes `new` over the bytes of a block, as a stray program would: as much of it as fits, and zeros for the rest.
    /// `old`: the bytes, unless they were overwritten before. Returns whether they were found.
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
                // A file keeps its length: bytes of another length must differ all the same.
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

/// A [`MemoryDisk`] as one opening sees it. Its calls are those of a file system, with names of files in place of
/// handles.
#[derive(Clone, Debug)]
pub struct Mount {
    disk: MemoryDisk,
    outage: u64,
}

/// A lock of a file, until it is dropped.
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

    /// The length of a file, in bytes; 0 if there is no such file.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn len(&self, name: &str) -> io::Result<usize> {
        Ok(self.state(Call::Read)?.now.get(name).map_or(0, Vec::len))
    }

    /// Up to `len` bytes of a file, from `offset` on; fewer where it ends, or is not there.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn read_at(&self, name: &str, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        let state = self.state(Call::Read)?;
        let file = state.now.get(name).map(Vec::as_slice).unwrap_or_default();
        let end = offset.saturating_add(len).min(file.len());
        Ok(file.get(offset..end).unwrap_or_default().to_vec())
    }

    /// The names of all files, ascending.
    ///
    /// # Errors
    /// The power is off, or reads fail.
    pub fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state(Call::Read)?.now.keys().cloned().collect())
    }

    /// Writes into a file, which is created and grows as needed.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was written.
    pub fn write(&self, name: &str, offset: usize, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(name.to_owned(), offset, data.to_vec()))
    }

    /// Cuts a file, or lengthens it with zeros.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was changed.
    pub fn set_len(&self, name: &str, len: usize) -> io::Result<()> {
        self.change(Change::SetLen(name.to_owned(), len))
    }

    /// Renames a file, over another if there is one.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was changed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// The power is off, or writes fail. Nothing was changed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.change(Change::Remove(name.to_owned()))
    }

    /// Makes all changes so far durable, of every file.
    ///
    /// # Errors
    /// The power is off, or syncs fail. Nothing was made durable.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.state(Call::Sync)?;
        state.spend();
        // Changes that come while a sync waits are not its own.
        let mine = state.unsynced.len();
        while state.fault == Some(Fault::SyncsWait) {
            state = self.disk.0.changed.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        let State { synced, unsynced, .. } = &mut *state;
        unsynced.drain(..mine.min(unsynced.len())).for_each(|change| change.apply(synced));
        Ok(())
    }

    /// Locks a file, which need not be there; `None` if it is locked by another.
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
    /// One operation that changes the medium.
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
        // A lock of the time before a power cut is gone already.
        if state.outages == self.mount.outage {
            state.locked.remove(&self.name);
        }
    }
}
