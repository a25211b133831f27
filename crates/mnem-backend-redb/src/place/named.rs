//! A file whose name becomes durable with its first change.

use std::{
    fmt, io,
    ops::Bound,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, StorageBackend};

use crate::{OpenOptions, engine::medium::Medium, error::At};

use super::{Place, sync_name};

/// A file whose name is made durable before the file is changed or synced for the first time: its maker may have been
/// killed before it did so.
pub(crate) struct NamedFile {
    medium: Medium,
    place: Arc<dyn Place>,
    path: PathBuf,
    options: OpenOptions,
    named: AtomicBool,
}

impl NamedFile {
    pub(crate) fn new(medium: Medium, place: Arc<dyn Place>, at: At<'_>, options: &OpenOptions) -> Self {
        let (path, options) = (at.path.to_owned(), options.clone());
        Self { medium, place, path, options, named: AtomicBool::new(false) }
    }

    fn name(&self) -> io::Result<()> {
        if !self.named.load(Ordering::Acquire) {
            let at = At { path: &self.path, operation: "open" };
            sync_name(&*self.place, at, &self.options).map_err(io::Error::other)?;
            self.named.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl fmt::Debug for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.medium.fmt(f)
    }
}

impl StorageBackend for NamedFile {
    fn len(&self) -> io::Result<u64> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.medium.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.name()?;
        self.medium.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.name()?;
        self.medium.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.name()?;
        self.medium.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.medium.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.query_lock_range(start, end)
    }
}
