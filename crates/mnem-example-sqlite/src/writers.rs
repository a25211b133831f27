//! The lock of the writers. In SQLite, writers take turns; an exclusive handle must be the only writer for as long as
//! it is open.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::StoreError;

use crate::{
    error::{failed, io_error},
    tables::PAUSE,
};

/// The lock that every writing handle holds while it is open, shared or exclusive. It is on a file of its own, because
/// closing any descriptor of the database would release the locks that SQLite has on it.
#[derive(Debug)]
pub(crate) struct WritersLock(#[expect(dead_code, reason = "held: dropping it gives up the lock")] File);

impl WritersLock {
    /// Takes the lock, retrying until `wait` is over.
    ///
    /// # Errors
    /// [`StoreError::Locked`]: for longer than `wait`, another handle excludes this one, or writes although this one is
    /// exclusive.
    pub(crate) fn take(store: &Path, alone: bool, wait: Duration) -> Result<Self, StoreError> {
        let path = beside(store);
        let failed = |error: io::Error| failed(&path, "lock", io_error(error));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let begin = Instant::now();
        loop {
            match if alone { file.try_lock() } else { file.try_lock_shared() } {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if begin.elapsed() < wait => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { location: store.into() }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

/// The path of the lock file, named like SQLite's own files beside a database.
fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push("-writers");
    name.into()
}
