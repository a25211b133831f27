//! The laws about failing media and power cuts, and all others, on the disk of the suite.

use std::{fmt, io, ops::Bound, sync::Arc};

use ::redb::{BackendError, StorageBackend};
use mnem_backend_redb::OpenOptions;
use mnem_store_traits::conformance::{Fixture, FixtureError, Handles, MemoryDisk, Mount, Profile};

const FILE: &str = "store";

struct Medium(Mount);

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Medium")
    }
}

impl Medium {
    /// Whether there are locks. Each handle excludes only others of the same time, and a law has one at a time.
    fn lock(&self) -> Result<(), BackendError> {
        match self.0.try_lock(FILE) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(BackendError::Unsupported),
            tried => Ok(tried.map(drop)?),
        }
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len(FILE)? as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let found = self.0.read_at(FILE, small(offset), out.len())?;
        out.get_mut(..found.len()).unwrap_or_default().copy_from_slice(&found);
        if found.len() == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(FILE, small(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(FILE, small(offset), data)
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        self.lock().map(|()| true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        self.lock().map(|()| true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

struct Redb;

impl Fixture for Redb {
    type Place = MemoryDisk;

    fn name(&self) -> &str {
        "redb on a medium that fails"
    }

    fn create(&self) -> Result<MemoryDisk, FixtureError> {
        Ok(MemoryDisk::new())
    }

    fn open(&self, disk: &MemoryDisk) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(OpenOptions::new().create(true).open_medium(Medium(disk.mount()), "disk")?)))
    }

    /// Laws that fail every operation of every write take twenty seconds of a core in a debug build, and tests share
    /// the cores.
    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_secs(300)
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::Faults, Profile::Crash, Profile::Locks]
    }

    fn disk<'a>(&self, place: &'a MemoryDisk) -> Option<&'a MemoryDisk> {
        Some(place)
    }
}

mnem_store_traits::conformance_tests!(
    redb,
    Redb,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, Faults, Crash, Locks,
        PutsSurvivePower, CumulativeDurability, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
