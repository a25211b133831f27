//! One look at a path, for drivers whose stores are files or folders.

use std::{fs, io, path::Path};

use crate::{Cause, Outcome, StoreError};

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Nothing.
    Absent,
    /// A folder without any entry.
    EmptyFolder,
    /// A folder.
    Folder,
    /// A regular file of so many bytes.
    File(u64),
    /// Something in which there is never a store; says what.
    Other(&'static str),
}

impl Entry {
    /// Looks at `path`, following symbolic links. `driver`: what the error calls the one that looks.
    ///
    /// # Errors
    /// [`StoreError::Backend`]: the file system failed.
    pub fn at(path: &Path, driver: &'static str) -> Result<Self, StoreError> {
        let failed = |error| unreadable(driver, path, error);
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(match fs::symlink_metadata(path) {
                    Ok(_) => Self::Other("it is a symbolic link to nothing"),
                    Err(_) => Self::Absent,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Ok(Self::Other("a part of the path is a file, not a folder"));
            }
            Err(error) => return Err(failed(error)),
        };
        if found.is_file() {
            return Ok(Self::File(found.len()));
        }
        if !found.is_dir() {
            return Ok(Self::Other("it is neither a file nor a folder"));
        }
        match fs::read_dir(path).map_err(failed)?.next() {
            None => Ok(Self::EmptyFolder),
            Some(entry) => entry.map(|_| Self::Folder).map_err(failed),
        }
    }
}

/// The error of a look at a path that failed.
pub(crate) fn unreadable(driver: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Backend {
        backend: driver,
        operation: format!("look at {}", path.display()),
        outcome: Outcome::NotApplied,
        source: Cause::new(error),
    }
}
