//! A file whose name becomes durable with its first change.

use std::{
    fmt,
    fs::File,
    io,
    ops::Bound,
    path::{self, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use mnem_store_traits::StoreError;
use redb::{BackendError, StorageBackend};

use crate::{engine::medium::Medium, error::At};

use super::{Place, folder_error, folder_of, remove_abandoned, resolve_links};

/// A file whose name is made durable before the file is first changed or synced, because its creator may have been
/// killed before it did so.
///
/// The folder is opened together with the file. So later changes to its path have no effect, and a folder that cannot
/// be opened is reported at once, not in the middle of a write.
pub(crate) struct NamedFile {
    medium: Medium,
    place: Arc<dyn Place>,
    folder: PathBuf,
    /// `None`: the name is durable.
    opened: Mutex<Option<File>>,
    named: AtomicBool,
}

impl NamedFile {
    pub(crate) fn new(medium: Medium, place: Arc<dyn Place>, at: At<'_>) -> Result<Self, StoreError> {
        let folder = folder_of(&resolve_links(at.path));
        let opened = match File::open(&folder) {
            Ok(opened) => Some(opened),
            // As in `sync_name`. Only Unix can open folders.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied || cfg!(not(unix)) => None,
            Err(error) => return Err(folder_error(&folder, error)),
        };
        let folder = path::absolute(&folder).unwrap_or(folder);
        Ok(Self { medium, place, folder, named: AtomicBool::new(opened.is_none()), opened: Mutex::new(opened) })
    }

    fn name(&self) -> io::Result<()> {
        if self.named.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = opened.as_ref() {
            remove_abandoned(&self.folder);
            self.place.sync_opened(folder).map_err(|error| io::Error::other(folder_error(&self.folder, error)))?;
        }
        *opened = None;
        self.named.store(true, Ordering::Release);
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
