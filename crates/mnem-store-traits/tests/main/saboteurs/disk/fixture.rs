//! The fixture for stores on this disk, with all hooks.

use std::sync::{Arc, Mutex, atomic::Ordering};

use mnem_store_traits::{
    Bytes, Cid, StoreError,
    conformance::{Fault, Fixture, FixtureError, Handles, Profile, obey},
};

use super::{Disk, DiskStore, Flaw, Handle, Value, block_key, change, lock};

/// Stores with this flaw, each on a disk of its own.
#[derive(Clone)]
pub(crate) struct OnDisk(pub(crate) Flaw);

impl OnDisk {
    pub(crate) fn handle(disk: &Arc<Disk>) -> Result<DiskStore, StoreError> {
        let (outage, (closed, poisoned, poisoned_by)) = (disk.recover()?, Default::default());
        let (writes, writes_now) = Default::default();
        let seen = Mutex::new(lock(&disk.visible).clone());
        let disk = Arc::clone(disk);
        Ok(DiskStore(Arc::new(Handle { disk, outage, closed, poisoned, poisoned_by, seen, writes, writes_now })))
    }
}

impl Fixture for OnDisk {
    type Place = Arc<Disk>;

    fn name(&self) -> &str {
        "a disk in memory"
    }

    fn create(&self) -> Result<Arc<Disk>, FixtureError> {
        Ok(Arc::new(Disk::new(self.0)))
    }

    fn open(&self, disk: &Arc<Disk>) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(Self::handle(disk)?)))
    }

    fn profiles(&self) -> &[Profile] {
        use Profile::{Crash, Damage, Faults, Locks, Persistence, SecondHandle, SecondProcess};
        &[Persistence, SecondHandle, SecondProcess, Damage, Faults, Crash, Locks]
    }

    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_secs(match self.0 {
            Flaw::ReadersWaitForSyncs | Flaw::HeadReadersWaitForSyncs => 1,
            Flaw::SizeWaitsForSyncs | Flaw::WaitsForItsKey | Flaw::LongRequestsWait | Flaw::HeadsWaitForOthers => 8,
            _ => 60,
        })
    }

    fn obey_in_second_process(&self, disk: &Arc<Disk>, script: &str) -> Result<String, FixtureError> {
        let other = match self.0 {
            Flaw::SecondProcessIsBlind => Arc::new(Disk::new(Flaw::None)),
            _ => Arc::clone(disk),
        };
        let before = Handle::heads_of(&lock(&disk.visible));
        let answer = obey(&self.open(&other)?, script);
        if self.0 == Flaw::SecondProcessKeepsItsOwnHeads {
            // Waits for the changes of the first process, and then writes the heads that it read before.
            let begin = std::time::Instant::now();
            while disk.updates.load(Ordering::SeqCst) < 24 && begin.elapsed().as_secs() < 1 {
                std::thread::yield_now();
            }
            change(&mut lock(&disk.visible), &Handle::heads_row(&before));
        }
        Ok(answer)
    }

    fn damage(&self, disk: &Arc<Disk>, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let damaged = (block_key(cid), Some(Value::Row(Bytes::copy_from_slice(data))));
        let mut medium = lock(&disk.medium);
        change(&mut medium.now, &damaged);
        change(&mut medium.synced, &damaged);
        Ok(())
    }

    fn set_fault(&self, disk: &Arc<Disk>, fault: Option<Fault>) -> Result<(), FixtureError> {
        lock(&disk.medium).fault = fault;
        disk.released.notify_all();
        Ok(())
    }

    fn cut_power_after(&self, disk: &Arc<Disk>, operations: u64) -> Result<(), FixtureError> {
        lock(&disk.medium).power = Some(operations);
        Ok(())
    }

    fn cut_power_while_opening(&self, disk: &Arc<Disk>, operations: u64) -> Result<(), FixtureError> {
        lock(&disk.medium).power_of_next = Some(operations);
        Ok(())
    }

    fn set_locks(&self, disk: &Arc<Disk>, has_locks: bool) -> Result<(), FixtureError> {
        lock(&disk.medium).has_no_locks = !has_locks;
        Ok(())
    }
}
