//! Converts failures of the file system into store errors.

use std::{error::Error, path::Path};

use mnem_store_traits::{Cause, Outcome, StoreError};

/// The name of this backend in errors.
pub(crate) const BACKEND: &str = "carlog";

/// A failure that changed nothing. `verb` and `path` describe the attempted operation.
pub(crate) fn at<E: Into<Box<dyn Error + Send + Sync>>>(
    verb: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> StoreError {
    failed(verb, path, Outcome::NotApplied)
}

/// A failure of the file system, with the outcome of the call.
pub(crate) fn failed<E: Into<Box<dyn Error + Send + Sync>>>(
    verb: &'static str,
    path: &Path,
    outcome: Outcome,
) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Backend {
        backend: BACKEND,
        operation: format!("{verb} {}", path.display()),
        outcome,
        source: Cause::new(source),
    }
}

/// A file of the store is not as the store wrote it.
pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> StoreError {
    StoreError::Damaged { component: BACKEND.into(), what: path.display().to_string(), source: Cause::new(why.into()) }
}

/// There is no store at `path`.
pub(crate) fn not_a_store(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::NotAStore { location: path.into(), reason: reason.into() }
}

/// There is already a store where a new one should be created.
pub(crate) fn already_there(path: &Path) -> StoreError {
    let reason = format!("{} is already a {BACKEND} store", path.display());
    StoreError::InvalidArgument { operation: "open", reason }
}
