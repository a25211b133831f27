//! The log store keeps every law, on a disk that fails, loses writes and is damaged: ten lines of fixture.

use std::{any::Any, io, sync::Arc};

use mnem_example_sqlite::log::{LogStore, Medium};
use mnem_store_traits::conformance::{Fixture, FixtureError, Handles, MemoryDisk, Mount, Profile};

/// The suite's disk as the medium of the store.
#[derive(Debug)]
struct OnMount(Mount);

impl Medium for OnMount {
    fn log_len(&self) -> io::Result<usize> {
        self.0.len("log")
    }
    fn read(&self, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        self.0.read_at("log", offset, len)
    }
    fn write(&self, offset: usize, data: &[u8]) -> io::Result<()> {
        self.0.write("log", offset, data)
    }
    fn truncate(&self, len: usize) -> io::Result<()> {
        self.0.set_len("log", len)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn try_lock(&self) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        Ok(self.0.try_lock("lock")?.map(|lock| Box::new(lock) as _))
    }
}

struct Log;

impl Fixture for Log {
    type Place = MemoryDisk;

    fn name(&self) -> &str {
        "a log"
    }
    fn create(&self) -> Result<MemoryDisk, FixtureError> {
        Ok(MemoryDisk::new())
    }
    fn open(&self, disk: &MemoryDisk) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(LogStore::open(OnMount(disk.mount()))?)))
    }
    fn disk<'a>(&self, disk: &'a MemoryDisk) -> Option<&'a MemoryDisk> {
        Some(disk)
    }
    /// Laws that fail every operation of every write take twenty seconds of a core in a debug build, and tests share
    /// the cores.
    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_secs(300)
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::Damage, Profile::Faults, Profile::Crash, Profile::Locks]
    }
}

mnem_store_traits::conformance_tests!(
    log,
    Log,
    has: [
        Blocks,
        Heads,
        Store,
        Limits,
        Persistence,
        Damage,
        Faults,
        Crash,
        Locks,
        PutsSurvivePower,
        AtomicPutMany,
        AtomicCommit,
        HeadsSurvivePower,
        AtomicHeads,
    ],
);
