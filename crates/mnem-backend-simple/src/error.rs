//! Maps failures of the file system to errors of the store.

use std::{error::Error, path::Path};

use mnem_store_traits::{Cause, Outcome, StoreError, driver::Location};

/// The name of this backend in errors.
pub(crate) const BACKEND: &str = "simple";

/// A failure that changed no head and no table. `verb` and `path` describe the failed operation.
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

/// A part of the store is not as it must be.
pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> StoreError {
    StoreError::Damaged { component: BACKEND.into(), what: path.display().to_string(), source: Cause::new(why.into()) }
}

/// There is no store at `path`.
pub(crate) fn not_a_store(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::NotAStore { location: path.into(), reason: reason.into() }
}

/// `create_new` was set, and a store exists.
pub(crate) fn already_there(path: &Path) -> StoreError {
    let reason = format!("{} is already a {BACKEND} store", Location::from(path));
    StoreError::InvalidArgument { operation: "open", reason }
}

/// The same failure, where the call may have taken effect, entirely or in part.
pub(crate) fn may_be_applied(error: StoreError) -> StoreError {
    match error {
        StoreError::Backend { backend, operation, source, .. } => {
            StoreError::Backend { backend, operation, outcome: Outcome::Unknown, source }
        }
        other => other,
    }
}
