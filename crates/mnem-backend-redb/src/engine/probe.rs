//! Finds out what is at a path.

use std::{fs::File, io::Read as _};

use mnem_store_traits::{Outcome, StoreError, driver::Entry};

use crate::error::At;

/// The first bytes of every redb file.
pub(crate) const REDB_MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// `ERROR_LOCK_VIOLATION`.
const WINDOWS_LOCK_VIOLATION: i32 = 33;

/// What is at a path.
pub(crate) enum PathState {
    Nothing,
    /// An empty file.
    Empty,
    RedbFile,
    /// Something else, and advice what to do about it.
    Other(String),
}

pub(crate) fn probe(at: At<'_>) -> Result<PathState, StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    match Entry::look(at.path).map_err(failed)? {
        Entry::Absent => return Ok(PathState::Nothing),
        Entry::EmptyFolder | Entry::Folder => {
            return Ok(PathState::Other(
                "it is a folder, but a redb store is a single file; give the path of a file".into(),
            ));
        }
        Entry::File(_) => {}
        Entry::Other(what) => return Ok(PathState::Other(format!("{what}; give another path"))),
        _ => return Ok(PathState::Other("it is not a file; give another path".into())),
    }
    let mut begin = Vec::new();
    let file = File::open(at.path).map_err(failed)?;
    match file.take(REDB_MAGIC.len() as u64).read_to_end(&mut begin) {
        // Where locks are mandatory, a locked file cannot even be read.
        Err(error) if cfg!(windows) && error.raw_os_error() == Some(WINDOWS_LOCK_VIOLATION) => {
            return Err(StoreError::Locked { location: at.path.into() });
        }
        read => read.map_err(failed)?,
    };
    Ok(if begin == REDB_MAGIC {
        PathState::RedbFile
    } else if begin.is_empty() {
        PathState::Empty
    } else if REDB_MAGIC.starts_with(&begin) {
        let bytes = begin.len();
        PathState::Other(format!(
            "the file was not written by redb, or it is truncated to {bytes} bytes; give another path"
        ))
    } else {
        PathState::Other("the file was not written by redb; give another path".into())
    })
}
