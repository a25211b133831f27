//! Inspecting a path, for drivers whose stores are files or folders.

use std::{fs, io, path::Path};

use crate::{Cause, Outcome, StoreError};

/// The kind of entry at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Nothing.
    Absent,
    /// An empty folder.
    EmptyFolder,
    /// A folder that is not empty, or that may not be listed.
    Folder,
    /// A regular file, with its length in bytes.
    File(u64),
    /// Something else, which never holds a store, with a description.
    Other(&'static str),
}

impl Entry {
    /// Inspects `path`, following symbolic links. `driver` is the name for the error.
    ///
    /// # Errors
    /// [`StoreError::Backend`]: the file system failed.
    pub fn at(path: &Path, driver: &'static str) -> Result<Self, StoreError> {
        Self::look(path).map_err(|error| unreadable(driver, path, error))
    }

    /// As [`at`](Self::at), for a driver with its own error type.
    ///
    /// # Errors
    /// The file system failed.
    pub fn look(path: &Path) -> io::Result<Self> {
        match Self::seen(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Absent),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Ok(Self::Other("a part of the path is a file, not a folder"))
            }
            seen => seen,
        }
    }

    fn seen(path: &Path) -> io::Result<Self> {
        let mut found = fs::symlink_metadata(path)?;
        // Only an entry that was seen to be a symbolic link can dangle. An entry that another process has created since
        // the first call is none.
        if found.is_symlink() {
            found = match fs::metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self::Other("it is a dangling symbolic link"));
                }
                found => found?,
            };
        }
        if found.is_file() {
            return Ok(Self::File(found.len()));
        }
        if !found.is_dir() {
            return Ok(Self::Other("it is neither a file nor a folder"));
        }
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(Self::EmptyFolder),
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
            _ => Ok(Self::Folder),
        }
    }
}

/// The error of a failed inspection.
pub(crate) fn unreadable(driver: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Backend {
        backend: driver,
        operation: format!("inspect {}", path.display()),
        outcome: Outcome::NotApplied,
        source: Cause::new(error),
    }
}
