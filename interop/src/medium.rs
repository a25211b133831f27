//! A file under redb that counts syncs and bytes.

use std::{
    fs::File,
    io,
    ops::Bound,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{BackendError, StorageBackend};

/// What was asked of a medium so far.
#[derive(Debug, Default)]
pub struct Counts {
    syncs: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    /// Syncs, and bytes written.
    pub fn now(&self) -> (u64, u64) {
        (self.syncs.load(Ordering::SeqCst), self.bytes.load(Ordering::SeqCst))
    }
}

/// A file that nobody else uses: locks are granted, and closing it changes nothing.
#[derive(Clone, Debug)]
pub struct Counted {
    file: Arc<File>,
    counts: Arc<Counts>,
}

impl Counted {
    /// A new file.
    ///
    /// # Errors
    /// The file system's; a file that is there already.
    pub fn create(path: &Path) -> io::Result<(Self, Arc<Counts>)> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let counts = Arc::new(Counts::default());
        Ok((Self { file: Arc::new(file), counts: Arc::clone(&counts) }, counts))
    }
}

impl StorageBackend for Counted {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.counts.bytes.fetch_add(data.len() as u64, Ordering::SeqCst);
        self.file.write_all_at(data, offset)
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
