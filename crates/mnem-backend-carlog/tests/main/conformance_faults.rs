//! The laws about failing media, power cuts and missing locks, and all others, on the disk of the suite.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_backend_carlog::{
    OpenOptions,
    files::{File, Files, Lock},
};
use mnem_store_traits::{
    conformance::{DiskLock, Fixture, FixtureError, Handles, MemoryDisk, Mount, Profile},
    driver::{Entry, FileIdentity},
};

/// The path of the store. The disk holds its files, and an empty one of this name that stands for its folder.
const ROOT: &str = "/store";

#[derive(Clone)]
struct Disk(Mount);

struct DiskFile {
    mount: Mount,
    name: String,
}

#[derive(Debug)]
struct Locked(#[expect(dead_code, reason = "dropping it releases the lock")] DiskLock);

impl Lock for Locked {}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl File for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let found = self.mount.read_at(&self.name, small(offset), buffer.len())?;
        buffer.get_mut(..found.len()).unwrap_or_default().copy_from_slice(&found);
        Ok(found.len())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.mount.write(&self.name, small(offset), bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.mount.set_len(&self.name, small(bytes))
    }

    fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.mount.len(&self.name)? as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.mount.sync()
    }
}

impl Disk {
    fn has(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.names()?.contains(&name(path)))
    }

    fn file(&self, path: &Path) -> Arc<dyn File> {
        Arc::new(DiskFile { mount: self.0.clone(), name: name(path) })
    }
}

impl Files for Disk {
    fn look(&self, path: &Path) -> io::Result<Entry> {
        let names = self.0.names()?;
        let inside = names.iter().any(|other| Path::new(other).parent() == Some(path));
        Ok(match (inside, names.contains(&name(path))) {
            (true, _) => Entry::Folder,
            (false, true) => Entry::EmptyFolder,
            (false, false) => Entry::Absent,
        })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn identity(&self, _: &Path) -> io::Result<FileIdentity> {
        Ok(None)
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Option<Arc<dyn File>>> {
        Ok(self.has(path)?.then(|| self.file(path)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        if self.has(path)? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.0.write(&name(path), 0, &[])?;
        Ok(self.file(path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        if self.has(path)? {
            return Ok(false);
        }
        self.0.write(&name(path), 0, &[])?;
        Ok(true)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(&name(from), &name(to))
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        let was_there = self.has(path)?;
        if was_there {
            self.0.remove(&name(path))?;
        }
        Ok(was_there)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let paths = self.0.names()?.into_iter().map(PathBuf::from);
        Ok(paths.filter(|other| other.parent() == Some(path)).collect())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.0.sync()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Ok(self.0.try_lock(&name(path))?.map(|lock| Box::new(Locked(lock)) as Box<dyn Lock>))
    }
}

struct Carlog;

impl Fixture for Carlog {
    type Place = MemoryDisk;

    fn name(&self) -> &str {
        "carlog on a disk that fails"
    }

    fn create(&self) -> Result<MemoryDisk, FixtureError> {
        Ok(MemoryDisk::new())
    }

    fn open(&self, disk: &MemoryDisk) -> Result<Handles, FixtureError> {
        let options = OpenOptions::new().create(true).index_thread(false);
        Ok(Handles::from(Arc::new(options.open_on(Arc::new(Disk(disk.mount())), ROOT)?)))
    }

    /// Laws that fail every operation of every write take long in a debug build, and tests share the cores.
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
    carlog,
    Carlog,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, Faults, Crash, Locks,
        PutsSurvivePower, CumulativeDurability, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
