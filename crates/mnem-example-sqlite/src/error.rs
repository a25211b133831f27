//! What SQLite's errors are called in the contract.

use std::path::Path;

use mnem_store_traits::{Cause, Outcome, StoreError};
use rusqlite::ErrorCode;

/// The name that messages give this backend.
pub(crate) const BACKEND: &str = "sqlite";

/// A call that failed, and changed nothing: a transaction that does not reach its end is rolled back.
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

/// A failure of the file system, as SQLite would tell it.
pub(crate) fn io_error(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// A transaction whose end failed: its log may hold all of it, and whoever opens the store next may find it there.
pub(crate) fn commit_failed(path: &Path, operation: &str, error: rusqlite::Error) -> StoreError {
    StoreError::Backend {
        backend: BACKEND,
        operation: format!("commit {operation} to {}", path.display()),
        outcome: Outcome::Unknown,
        source: Cause::new(error),
    }
}

/// Something in the database that this backend did not write.
pub(crate) fn damaged(what: String, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Damaged { component: BACKEND.into(), what, source: Cause::new(error) }
}
