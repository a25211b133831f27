//! From failures of the object store to the store's error.

use std::{error::Error as _, time::Duration};

use mnem_store_traits::{Cause, Outcome, StoreError, driver::ServiceFault};
use object_store::Error;

use crate::engine::objects::Objects;

/// The name of this backend in errors.
pub(crate) const BACKEND: &str = "bucket";

/// The service did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct NoAnswer(pub(crate) Duration);

/// A failure to `verb` the object `name`, and what became of the call.
pub(crate) fn failed(objects: &Objects, verb: &'static str, name: &str, outcome: Outcome, source: Error) -> StoreError {
    let operation = format!("{verb} {name} in {}", objects.location());
    StoreError::Backend { backend: BACKEND, operation, outcome, source: cause(objects, source) }
}

/// The cause of an error, typed by what a program can do about it. An error of a file system is passed on unchanged.
fn cause(objects: &Objects, error: Error) -> Cause {
    if objects.location().to_local_path().is_some() {
        return Cause::new(error);
    }
    let fault = match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ServiceFault::Denied { source: Cause::new(error) }
        }
        Error::NotFound { .. } => ServiceFault::NoBucket { source: Cause::new(error) },
        error => return told(error),
    };
    Cause::new(fault)
}

/// What the connection tells about a failure.
#[cfg(feature = "services")]
fn told(error: Error) -> Cause {
    use crate::answers::Means;
    let means = answer(&error).and_then(|answer| answer.means);
    let (is_refusal, is_unreachable) = (is_undecodable(&error), is_unreachable(&error));
    let source = Cause::new(error);
    match means {
        Some(Means::NoBucket) => Cause::new(ServiceFault::NoBucket { source }),
        Some(Means::Denied) => Cause::new(ServiceFault::Denied { source }),
        Some(Means::Refused) => Cause::new(ServiceFault::Refused { source }),
        None if is_refusal => Cause::new(ServiceFault::Refused { source }),
        None if is_unreachable => Cause::new(ServiceFault::Unreachable { source }),
        None => source,
    }
}

#[cfg(not(feature = "services"))]
fn told(error: Error) -> Cause {
    Cause::new(error)
}

/// Whether the service would refuse the request again.
#[cfg(feature = "services")]
pub(crate) fn is_refusal(error: &Error) -> bool {
    answer(error).is_some_and(|answer| answer.means.is_some())
}

#[cfg(not(feature = "services"))]
pub(crate) fn is_refusal(_: &Error) -> bool {
    false
}

/// Whether an answer cannot be decoded, as the next one could not. It does not say what became of a write.
#[cfg(feature = "services")]
pub(crate) fn is_undecodable(error: &Error) -> bool {
    matches!(http_kind(error), Some(object_store::client::HttpErrorKind::Decode))
}

#[cfg(not(feature = "services"))]
pub(crate) fn is_undecodable(_: &Error) -> bool {
    false
}

/// Whether the file system refuses, and would refuse again: it lacks a permission, space, or hard links.
pub(crate) fn is_refusal_of_folder(error: &Error) -> bool {
    use std::io::ErrorKind as Kind;
    let Error::Generic { store: "LocalFileSystem", .. } = error else { return false };
    let kind = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    kind.is_some_and(|kind| {
        matches!(
            kind,
            Kind::PermissionDenied
                | Kind::ReadOnlyFilesystem
                | Kind::StorageFull
                | Kind::QuotaExceeded
                | Kind::FileTooLarge
                | Kind::NotADirectory
                | Kind::Unsupported
        )
    })
}

#[cfg(feature = "services")]
fn is_unreachable(error: &Error) -> bool {
    use object_store::client::HttpErrorKind;
    matches!(http_kind(error), Some(HttpErrorKind::Connect | HttpErrorKind::Timeout))
        || causes(error).any(|cause| cause.is::<NoAnswer>())
}

#[cfg(feature = "services")]
fn answer(error: &Error) -> Option<&crate::answers::Answer> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

#[cfg(feature = "services")]
fn http_kind(error: &Error) -> Option<object_store::client::HttpErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<object_store::client::HttpError>()).map(|error| error.kind())
}

fn causes<'a>(error: &'a Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error: &&'a (dyn std::error::Error + 'static)| (*error).source())
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
