//! Maps SQLite's errors to those of the contract.

use std::path::Path;

use mnem_store_traits::{Cause, Outcome, StoreError};
use rusqlite::ErrorCode;

/// The name of this backend in messages.
pub(crate) const BACKEND: &str = "sqlite";

/// The error of a call that failed and changed nothing: an incomplete transaction is rolled back.
pub(crate) fn failed(path: &Path, operation: &str, error: rusqlite::Error) -> StoreError {
    let operation = format!("{operation} in {}", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { location: path.into() },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(operation, error),
        _ => {
            StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::NotApplied, source: Cause::new(error) }
        }
    }
}

/// Wraps an error of the file system as SQLite would report it.
pub(crate) fn io_error(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// The error of a transaction whose commit failed. The log may contain all of it, so the next open may find it applied.
pub(crate) fn commit_failed(path: &Path, operation: &str, error: rusqlite::Error) -> StoreError {
    StoreError::Backend {
        backend: BACKEND,
        operation: format!("commit {operation} to {}", path.display()),
        outcome: Outcome::Unknown,
        source: Cause::new(error),
    }
}

/// The database contains something that this backend did not write.
pub(crate) fn damaged(what: String, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Damaged { component: BACKEND.into(), what, source: Cause::new(error) }
}
