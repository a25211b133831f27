//! File locks on a file system that may not have them: the refusal, and the substitute if the caller permits one.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use mnem_store_traits::driver::PlaceLacks;
use redb::{BackendError, StorageBackend};

use crate::engine::medium::Medium;

/// The error number for missing locks that has no [`io::ErrorKind`] of its own: Linux's `ENOLCK`, from NFS without a
/// lock manager.
const ENOLCK: i32 = 37;

/// If a lock call failed because there are no locks, returns its error.
fn lacking(error: BackendError) -> Result<Option<io::Error>, BackendError> {
    match error {
        BackendError::Unsupported => Ok(None),
        BackendError::Io(error)
            if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
                || (cfg!(unix) && error.raw_os_error() == Some(ENOLCK)) =>
        {
            Ok(Some(error))
        }
        error => Err(error),
    }
}

/// Whether these bounds cover the whole file. For a smaller range, redb itself falls back to the whole file.
fn is_whole(start: Bound<u64>, end: Bound<u64>) -> bool {
    matches!(start, Bound::Unbounded | Bound::Included(0)) && end == Bound::Unbounded
}

/// The result of a lock call as redb must see it. For the whole file, redb treats "unsupported" as granted, so this
/// turns it into a failure.
pub(crate) fn insist<T>(tried: Result<T, BackendError>, start: Bound<u64>, end: Bound<u64>) -> Result<T, BackendError> {
    tried.or_else(|error| {
        let source = lacking(error)?;
        if is_whole(start, end) {
            return Err(BackendError::Io(io::Error::other(PlaceLacks::Locks { can_do_without: true, source })));
        }
        Err(BackendError::Unsupported)
    })
}

/// A medium that may have no locks. If it has none, handles of this process still exclude each other.
#[derive(Debug)]
pub(crate) struct WithoutLocks {
    medium: Medium,
    file: Option<FileId>,
    held: Mutex<Option<Mode>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Shared,
    Exclusive,
}

/// The identity of a file, whatever its names.
pub(crate) type FileId = (u64, u64);

#[cfg(unix)]
pub(crate) fn file_id(file: &File) -> io::Result<Option<FileId>> {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().map(|metadata| Some((metadata.dev(), metadata.ino())))
}

/// On this system every file system has locks.
#[cfg(not(unix))]
pub(crate) fn file_id(_: &File) -> io::Result<Option<FileId>> {
    Ok(None)
}

/// The files that handles of this process hold without locks: one writer, or a number of readers.
static HELD: Mutex<BTreeMap<FileId, (Mode, usize)>> = Mutex::new(BTreeMap::new());

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WithoutLocks {
    pub(crate) fn new(medium: Medium, file: Option<FileId>) -> Self {
        Self { medium, file, held: Mutex::new(None) }
    }

    /// Falls back to the lock of this process, for the whole file.
    fn or_held_here(
        &self,
        tried: Result<bool, BackendError>,
        (start, end): (Bound<u64>, Bound<u64>),
        mode: Mode,
    ) -> Result<bool, BackendError> {
        tried.or_else(|error| {
            lacking(error)?;
            if is_whole(start, end) { Ok(self.hold(mode)) } else { Err(BackendError::Unsupported) }
        })
    }

    fn hold(&self, mode: Mode) -> bool {
        let mut held = guard(&self.held);
        if held.is_some() {
            return *held == Some(mode);
        }
        if let Some(file) = self.file {
            let mut all = guard(&HELD);
            match all.get_mut(&file) {
                Some((Mode::Shared, readers)) if mode == Mode::Shared => *readers += 1,
                Some(_) => return false,
                None => {
                    all.insert(file, (mode, 1));
                }
            }
        }
        *held = Some(mode);
        true
    }

    fn let_go(&self) -> bool {
        let held = guard(&self.held).take();
        if let (Some(_), Some(file)) = (held, self.file) {
            let mut all = guard(&HELD);
            match all.get_mut(&file) {
                Some((_, holders)) if *holders > 1 => *holders -= 1,
                _ => {
                    all.remove(&file);
                }
            }
        }
        held.is_some()
    }
}

impl Drop for WithoutLocks {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl StorageBackend for WithoutLocks {
    fn len(&self) -> io::Result<u64> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.medium.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.medium.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.medium.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.medium.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.let_go();
        self.medium.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.or_held_here(self.medium.try_lock_range(start, end), (start, end), Mode::Exclusive)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.or_held_here(self.medium.try_lock_shared_range(start, end), (start, end), Mode::Shared)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.medium.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        if is_whole(start, end) && self.let_go() { Ok(()) } else { self.medium.unlock_range(start, end) }
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.medium.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::backends::InMemoryBackend;

    use super::*;

    const WHOLE: (Bound<u64>, Bound<u64>) = (Bound::Unbounded, Bound::Unbounded);

    /// A handle on a file that has no locks.
    fn handle(file: FileId) -> WithoutLocks {
        WithoutLocks::new(Arc::new(InMemoryBackend::new()), Some(file))
    }

    fn locks(handle: &WithoutLocks, mode: Mode) -> bool {
        let locked = match mode {
            Mode::Exclusive => handle.try_lock_range(WHOLE.0, WHOLE.1),
            Mode::Shared => handle.try_lock_shared_range(WHOLE.0, WHOLE.1),
        };
        locked.expect("an answer")
    }

    #[test]
    fn handles_of_one_process_exclude_each_other_without_locks() {
        let file = (u64::MAX, 1);
        let (one, other, elsewhere) = (handle(file), handle(file), handle((u64::MAX, 2)));
        assert!(locks(&one, Mode::Exclusive));
        assert!(!locks(&other, Mode::Exclusive) && !locks(&other, Mode::Shared));
        assert!(locks(&elsewhere, Mode::Exclusive));
        one.close().expect("close");
        let third = handle(file);
        assert!(locks(&other, Mode::Shared) && locks(&third, Mode::Shared));
        assert!(!locks(&one, Mode::Exclusive));
        drop(other);
        assert!(!locks(&one, Mode::Exclusive), "a reader is left");
        drop(third);
        assert!(locks(&one, Mode::Exclusive));
    }
}
