//! Finds blocks and heads in the raw pages of a file, without following its trees.
//!
//! A page may begin at every multiple of 4 KiB in the file, whatever the header says and even without one. A page of
//! blocks names them by their CIDs, so each block can be verified by itself and is otherwise skipped. redb never
//! overwrites pages in use and does not clear unused ones, so some rows may belong to an earlier commit.

mod leaf;
mod scan;
#[cfg(test)]
mod tests;
mod window;

use std::{fs::File, path::Path, thread, time::Instant};

use mnem_store_traits::{
    Outcome, StoreError,
    driver::{Entry, RawScan},
};

use self::scan::Scan;
use crate::{
    OpenOptions,
    error::{At, BACKEND},
    limits::{LOCK_PAUSE, next_pause},
    open::{file_medium, lock_as_reader},
};

/// Begins a scan of the file at `path`, under the lock of a reader. Returns `None` if there is no file.
pub(crate) fn scan(path: &Path, options: &OpenOptions) -> Result<Option<Box<dyn RawScan>>, StoreError> {
    let at = At { path, operation: "scan" };
    let failed = |error| at.failed(Outcome::NotApplied, error);
    if !matches!(Entry::at(path, BACKEND)?, Entry::File(_)) {
        return Ok(None);
    }
    let medium = file_medium(at, File::open(path).map_err(failed)?, options)?;
    let deadline = Instant::now().checked_add(options.lock_wait);
    let mut pause = LOCK_PAUSE.0;
    while let Err(error) = lock_as_reader(at, &*medium) {
        if !matches!(error, StoreError::Locked { .. }) || deadline.is_some_and(|at| at <= Instant::now()) {
            return Err(error);
        }
        thread::sleep(pause);
        pause = next_pause(pause);
    }
    let len = medium.len().map_err(failed)?;
    Ok(Some(Box::new(Scan::new(path.to_owned(), medium, len))))
}
