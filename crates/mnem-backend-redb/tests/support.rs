//! Stores in temporary folders, blocks, and a medium that fails on demand.

use std::{
    fmt, io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use mnem_backend_redb::{OpenOptions, RedbStore};
use mnem_store_traits::{Bytes, Cid, ErrorKind, RAW, StoreError, cid_of};
use redb::{BackendError, StorageBackend};

/// A temporary folder, and a path in it where nothing exists yet.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("test.redb");
    Place { folder, path }
}

pub(crate) fn create(path: &Path) -> RedbStore {
    OpenOptions::new().create(true).open(path).expect("create the store")
}

pub(crate) fn open(path: &Path) -> RedbStore {
    OpenOptions::new().open(path).expect("open the store")
}

pub(crate) fn block(n: u64) -> (Cid, Bytes) {
    let data = Bytes::from(format!("block {n}"));
    (cid_of(RAW, &data), data)
}

/// A block of this many bytes.
pub(crate) fn large_block(n: u64, bytes: usize) -> (Cid, Bytes) {
    let mut state = n;
    let data: Vec<u8> = (0..bytes).map(|_| (next(&mut state) >> 32) as u8).collect();
    let data = Bytes::from(data);
    (cid_of(RAW, &data), data)
}

/// splitmix64.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[track_caller]
pub(crate) fn kind_of<T>(result: Result<T, StoreError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.kind(),
    }
}

/// The kind of call of a [`FakeMedium`] that should fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    Sync,
    SetLen,
}

const CALLS: [Call; 4] = [Call::Read, Call::Write, Call::Sync, Call::SetLen];

/// Bytes in memory behind a medium that counts its calls and fails one on demand. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct FakeMedium(Arc<Fake>);

/// A change that redb made to a medium.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

impl Change {
    /// Applies the change to other bytes.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            Self::SetLen(len) => bytes.resize(*len, 0),
            Self::Sync => {}
        }
    }
}

#[derive(Default)]
struct Fake {
    bytes: Mutex<Vec<u8>>,
    changes: Mutex<Vec<Change>>,
    counts: [AtomicU64; 4],
    /// Calls of each kind until one fails; negative: never.
    fuses: [Fuse; 4],
    closed: AtomicU64,
    /// Another process holds the exclusive lock for good.
    occupied: AtomicBool,
    /// An event that runs elsewhere just before the next read, or the next lock.
    before_read: Mutex<Option<Event>>,
    before_lock: Mutex<Option<Event>>,
    /// An event that runs elsewhere during every sync.
    at_sync: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

type Event = Box<dyn FnOnce() + Send>;

/// Runs a pending event, with no lock held.
fn happen(event: &Mutex<Option<Event>>) {
    let event = event.lock().expect("no panic under the lock").take();
    if let Some(event) = event {
        event();
    }
}

struct Fuse(AtomicI64);

impl Default for Fuse {
    fn default() -> Self {
        Self(AtomicI64::new(-1))
    }
}

impl FakeMedium {
    /// Makes the `n`-th call from now on (from 0) of this kind fail, once.
    pub(crate) fn fail(&self, call: Call, n: i64) {
        self.0.fuses[call as usize].0.store(n, Ordering::SeqCst);
    }

    /// Whether the requested failure has happened.
    pub(crate) fn has_fired(&self, call: Call) -> bool {
        self.0.fuses[call as usize].0.load(Ordering::SeqCst) < 0
    }

    pub(crate) fn count(&self, call: Call) -> u64 {
        self.0.counts[call as usize].load(Ordering::SeqCst)
    }

    /// Makes another process take every exclusive lock and keep it.
    pub(crate) fn occupy(&self) {
        self.0.occupied.store(true, Ordering::SeqCst);
    }

    /// Runs an event elsewhere just before the next read.
    pub(crate) fn before_read(&self, event: impl FnOnce() + Send + 'static) {
        *self.0.before_read.lock().expect("no panic under the lock") = Some(Box::new(event));
    }

    /// Runs an event elsewhere just before the next lock is tried.
    pub(crate) fn before_lock(&self, event: impl FnOnce() + Send + 'static) {
        *self.0.before_lock.lock().expect("no panic under the lock") = Some(Box::new(event));
    }

    /// Runs an event elsewhere during every sync.
    pub(crate) fn at_sync(&self, event: impl Fn() + Send + Sync + 'static) {
        *self.0.at_sync.lock().expect("no panic under the lock") = Some(Arc::new(event));
    }

    /// How often the medium was closed.
    pub(crate) fn closed(&self) -> u64 {
        self.0.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.bytes.lock().expect("no panic under the lock").clone()
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let medium = Self::default();
        *medium.0.bytes.lock().expect("no panic under the lock") = bytes;
        medium
    }

    pub(crate) fn options() -> OpenOptions {
        OpenOptions::new().create(true)
    }

    /// Every change since the medium was made.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.0.changes.lock().expect("no panic under the lock").clone()
    }

    fn change(&self, change: Change) {
        let mut bytes = self.0.bytes.lock().expect("no panic under the lock");
        change.apply(&mut bytes);
        self.0.changes.lock().expect("no panic under the lock").push(change);
    }

    fn called(&self, call: Call) -> io::Result<()> {
        self.0.counts[call as usize].fetch_add(1, Ordering::SeqCst);
        let left = self.0.fuses[call as usize].0.fetch_sub(1, Ordering::SeqCst);
        if left == 0 { Err(io::Error::other(format!("planted failure of {call:?}"))) } else { Ok(()) }
    }
}

impl fmt::Debug for FakeMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeMedium").field("calls", &CALLS.map(|call| (call, self.count(call)))).finish()
    }
}

impl StorageBackend for FakeMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes_len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        happen(&self.0.before_read);
        self.called(Call::Read)?;
        let bytes = self.0.bytes.lock().expect("no panic under the lock");
        let offset = usize::try_from(offset).expect("small");
        let found = bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.called(Call::SetLen)?;
        self.change(Change::SetLen(usize::try_from(len).expect("small")));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let event = self.0.at_sync.lock().expect("no panic under the lock").clone();
        if let Some(event) = event {
            event();
        }
        self.called(Call::Sync)?;
        self.change(Change::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.called(Call::Write)?;
        self.change(Change::Write(usize::try_from(offset).expect("small"), data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        happen(&self.0.before_lock);
        Ok(!self.0.occupied.load(Ordering::SeqCst))
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        happen(&self.0.before_lock);
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

impl FakeMedium {
    fn bytes_len(&self) -> u64 {
        self.0.bytes.lock().expect("no panic under the lock").len() as u64
    }
}
