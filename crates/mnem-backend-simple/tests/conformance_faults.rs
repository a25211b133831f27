//! The laws about media that fail and power cuts, and all others, on a file system in memory.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use mnem_backend_simple::{
    OpenOptions,
    medium::{Contents, Entries, FileSystem, Lock, LockMode, Metadata, NewFile, SyncError, WholeSync},
};
use mnem_store_traits::conformance::{Fault, Fixture, FixtureError, Handles, Profile};

use crate::support::memory_fs::MemoryFs;

/// What a test requires of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Sync,
}

/// A disk and its power supply. Clones share it.
#[derive(Clone, Debug)]
struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct State {
    fs: MemoryFs,
    fault: Option<Fault>,
    has_no_locks: bool,
    /// Changes until the power fails.
    power: Option<u64>,
    /// Changes until the power fails, for the next mount.
    power_of_next: Option<u64>,
    /// Number of power cuts so far: mounts of an earlier time are dead.
    outages: u64,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// The disk as a file system, with the power on.
    fn mount(&self) -> Mount {
        let mut state = self.state();
        if state.power.take().is_some() {
            state.fs = state.fs.after_power_cut();
            state.outages += 1;
        }
        state.power = state.power_of_next.take();
        Mount { fs: state.fs.clone(), disk: self.clone(), outage: state.outages }
    }
}

#[derive(Clone, Debug)]
struct Mount {
    fs: MemoryFs,
    disk: Disk,
    outage: u64,
}

#[derive(Debug)]
struct Whole {
    whole: Box<dyn WholeSync>,
    mount: Mount,
}

#[derive(Debug)]
struct File {
    file: Box<dyn NewFile>,
    mount: Mount,
}

impl Mount {
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

    fn read(&self) -> io::Result<&MemoryFs> {
        self.state(Call::Read).map(|_| &self.fs)
    }

    fn change(&self, call: Call) -> io::Result<&MemoryFs> {
        let mut state = self.state(call)?;
        if let Some(left) = &mut state.power {
            *left -= 1;
        }
        while call == Call::Sync && state.fault == Some(Fault::SyncsWait) {
            state = self.disk.0.1.wait(state).unwrap();
        }
        Ok(&self.fs)
    }
}

impl NewFile for File {
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.mount.change(Call::Write)?;
        self.file.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.mount.change(Call::Sync)?;
        self.file.sync()
    }
}

impl WholeSync for Whole {
    fn sync(&mut self) -> io::Result<()> {
        self.mount.change(Call::Sync)?;
        self.whole.sync()
    }
}

impl FileSystem for Mount {
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.read()?.resolve(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.read()?.metadata(path)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        self.read()?.read(path, bytes_max)
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        self.read()?.list(path)
    }

    /// To make a folder that is there changes nothing, so it fails only as a read does.
    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        if self.read()?.metadata(path)?.is_some() {
            return self.fs.create_folder(path);
        }
        self.change(Call::Write)?.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = self.change(Call::Write)?.create_file(path)?;
        Ok(Box::new(File { file, mount: self.clone() }))
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        self.change(Call::Sync)?.sync_file(path)
    }

    fn sync_folder(&self, path: &Path) -> Result<(), SyncError> {
        self.change(Call::Sync)?.sync_folder(path)
    }

    fn whole(&self, folder: &Path) -> Option<Box<dyn WholeSync>> {
        let whole = self.read().ok()?.whole(folder)?;
        Some(Box::new(Whole { whole, mount: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Call::Write)?.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.change(Call::Write)?.link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.change(Call::Write)?.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<bool> {
        self.change(Call::Write)?.remove_folder(path)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        if self.state(Call::Read)?.has_no_locks {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.fs.lock(path, mode)
    }
}

/// The number of new blocks from which a batch syncs the whole file system.
struct Simple {
    name: &'static str,
    whole_sync_from: usize,
}

const BY_FILE: Simple = Simple { name: "simple on a file system that fails", whole_sync_from: usize::MAX };
const WHOLE: Simple = Simple { name: "simple that syncs a file system that fails", whole_sync_from: 1 };

impl Fixture for Simple {
    type Place = Disk;

    fn name(&self) -> &str {
        self.name
    }

    fn create(&self) -> Result<Disk, FixtureError> {
        let state = State {
            fs: MemoryFs::new(),
            fault: None,
            has_no_locks: false,
            power: None,
            power_of_next: None,
            outages: 0,
        };
        Ok(Disk(Arc::new((Mutex::new(state), Condvar::new()))))
    }

    fn open(&self, disk: &Disk) -> Result<Handles, FixtureError> {
        let options = OpenOptions::new().create(true).whole_sync_from(self.whole_sync_from);
        Ok(Handles::from(Arc::new(options.open_on(Arc::new(disk.mount()), "/store")?)))
    }

    /// Laws that fail every operation of every write take twenty seconds of a core in a debug build, and tests share
    /// the cores.
    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_secs(300)
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::Faults, Profile::Crash, Profile::Locks]
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

    fn set_locks(&self, disk: &Disk, has_locks: bool) -> Result<(), FixtureError> {
        disk.state().has_no_locks = !has_locks;
        Ok(())
    }

    fn cut_power_while_opening(&self, disk: &Disk, operations: u64) -> Result<(), FixtureError> {
        disk.state().power_of_next = Some(operations);
        Ok(())
    }
}

mnem_store_traits::conformance_tests!(
    simple,
    BY_FILE,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, Faults, Crash, Locks,
        PutsSurvivePower, HeadsSurvivePower, AtomicHeads,
    ],
);
mnem_store_traits::conformance_tests!(
    whole_syncs,
    WHOLE,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, Faults, Crash, Locks,
        PutsSurvivePower, HeadsSurvivePower, AtomicHeads,
    ],
);
