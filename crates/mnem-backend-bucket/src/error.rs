//! From failures of the object store to the store's error.

use mnem_store_traits::{Cause, Outcome, StoreError};

use crate::engine::objects::Objects;

/// The name of this backend in errors.
pub(crate) const BACKEND: &str = "bucket";

/// A failure to `verb` the object `name`, and what became of the call.
pub(crate) fn failed(
    objects: &Objects,
    verb: &'static str,
    name: &str,
    outcome: Outcome,
    source: object_store::Error,
) -> StoreError {
    let operation = format!("{verb} {name} in {}", objects.location());
    StoreError::Backend { backend: BACKEND, operation, outcome, source: Cause::new(source) }
}

/// It is not known what became of a write of the object `name`.
pub(crate) fn unknown(objects: &Objects, verb: &'static str, name: &str, source: Cause) -> StoreError {
    let operation = format!("{verb} {name} in {}", objects.location());
    StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::Unknown, source }
}

/// The object `name` is not as it must be.
pub(crate) fn damaged(objects: &Objects, name: &str, why: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        component: BACKEND.into(),
        what: format!("{name} in {}", objects.location()),
        source: Cause::new(why.into()),
    }
}

/// There is no store.
pub(crate) fn not_a_store(objects: &Objects, reason: impl Into<String>) -> StoreError {
    StoreError::NotAStore { location: objects.location().clone(), reason: reason.into() }
}

/// Something that this process needs is not to be had.
pub(crate) fn unavailable(operation: &str, source: std::io::Error) -> StoreError {
    StoreError::Backend {
        backend: BACKEND,
        operation: operation.to_owned(),
        outcome: Outcome::NotApplied,
        source: Cause::new(source),
    }
}
