//! The laws about media that fail and power cuts, and all others, on a medium in memory.

use std::{
    fmt, io,
    ops::Bound,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use ::redb::{BackendError, StorageBackend};
use mnem_backend_redb::OpenOptions;
use mnem_store_traits::conformance::{Fault, Fixture, FixtureError, Handles, Profile};

use crate::support::{Change, next};

/// What is asked of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Sync,
}

/// A disk, and the power that it runs on. Clones share it.
#[derive(Clone, Default)]
struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    now: Vec<u8>,
    /// What was synced, and what was done since.
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    fault: Option<Fault>,
    /// Changes until the power goes off.
    power: Option<u64>,
    /// How often the power was off: a medium of an earlier time is dead.
    outages: u64,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("no panic under the lock")
    }

    /// The disk as a medium, with the power on.
    fn plug_in(&self) -> Medium {
        let mut state = self.state();
        if state.power.take().is_some() {
            // Of what was not synced, some is there.
            let mut bytes = std::mem::take(&mut state.synced);
            let mut luck = state.unsynced.len() as u64;
            for change in state.unsynced.drain(..) {
                if next(&mut luck).is_multiple_of(2) {
                    change.apply(&mut bytes);
                }
            }
            state.now.clone_from(&bytes);
            state.synced = bytes;
            state.outages += 1;
        }
        Medium { disk: self.clone(), outage: state.outages }
    }
}

struct Medium {
    disk: Disk,
    outage: u64,
}

impl Medium {
    fn state(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
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

    fn change(&self, call: Call, change: Change) -> io::Result<()> {
        let mut state = self.state(call)?;
        if let Some(left) = &mut state.power {
            *left -= 1;
        }
        change.apply(&mut state.now);
        if !matches!(change, Change::Sync) {
            state.unsynced.push(change);
            return Ok(());
        }
        while state.fault == Some(Fault::SyncsWait) {
            state = self.disk.0.1.wait(state).expect("no panic under the lock");
        }
        let State { synced, unsynced, .. } = &mut *state;
        unsynced.drain(..).for_each(|change| change.apply(synced));
        Ok(())
    }
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Medium")
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state(Call::Read)?.now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state(Call::Read)?;
        let offset = usize::try_from(offset).expect("small");
        let found = state.now.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Call::Write, Change::SetLen(usize::try_from(len).expect("small")))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Call::Sync, Change::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Call::Write, Change::Write(usize::try_from(offset).expect("small"), data.to_vec()))
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
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
    type Place = Disk;

    fn name(&self) -> &str {
        "redb on a medium that fails"
    }

    fn create(&self) -> Result<Disk, FixtureError> {
        Ok(Disk::default())
    }

    fn open(&self, disk: &Disk) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(OpenOptions::new().create(true).open_medium(disk.plug_in(), "disk")?)))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::Faults, Profile::Crash]
    }

    fn set_fault(&self, disk: &Disk, fault: Option<Fault>) -> Result<(), FixtureError> {
        disk.state().fault = fault;
        disk.0.1.notify_all();
        Ok(())
    }

    fn cut_power_after(&self, disk: &Disk, operations: u64) -> Result<(), FixtureError> {
        disk.state().power = Some(operations);
        Ok(())
    }
}

mnem_store_traits::conformance_tests!(
    redb,
    Redb,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, Faults, Crash,
        PutsSurvivePower, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
