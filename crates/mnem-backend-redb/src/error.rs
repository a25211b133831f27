//! Maps redb's errors to those of the contract, and contains its panics.

use std::{any::Any, io, path::Path};

use mnem_store_traits::{
    Cause, Outcome, StoreError,
    driver::{self, Location, PlaceLacks},
};

use crate::engine::header::{FORMAT, Length, later_format};

/// The name of this backend in errors.
pub(crate) const BACKEND: &str = "redb";

/// A file in a format of redb that this build does not read.
fn unsupported(version: u8) -> StoreError {
    StoreError::UnsupportedFormat {
        found: format!("redb file format {version}"),
        supported: format!("redb file format {FORMAT}"),
    }
}

/// Where an error happened: the path of the file and the operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) path: &'a Path,
    pub(crate) operation: &'static str,
}

impl At<'_> {
    /// Maps an error of redb from before anything was written, or from before anything became visible.
    pub(crate) fn redb(&self, error: impl Into<redb::Error>) -> StoreError {
        self.redb_with(error, Outcome::NotApplied)
    }

    /// Maps an error of redb, with the outcome of the call.
    pub(crate) fn redb_with(&self, error: impl Into<redb::Error>, outcome: Outcome) -> StoreError {
        match error.into() {
            redb::Error::Corrupted(message) => self.damaged(message),
            redb::Error::Io(error) if is_damage(&error) => self.damaged(error),
            redb::Error::Io(error) if error.get_ref().is_some_and(|error| error.is::<PlaceLacks>()) => {
                match error.into_inner() {
                    Some(no_locks) => self.not_lockable(no_locks),
                    None => self.not_lockable(PlaceLacks::Locks { can_do_without: true, source: None }),
                }
            }
            // The exclusive mode does not need it: it locks the whole file.
            redb::Error::Unsupported => self.not_lockable(PlaceLacks::RangeLocks),
            redb::Error::Io(error) => self.failed(outcome, error),
            redb::Error::DatabaseClosed => StoreError::Closed { backend: BACKEND, operation: self.operation },
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch | redb::Error::WouldBlock => {
                StoreError::Locked { location: self.path.into() }
            }
            redb::Error::RepairAborted => StoreError::NeedsRecovery { location: self.path.into() },
            redb::Error::UpgradeRequired(version) => unsupported(version),
            error @ (redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_)) => self.damaged(error),
            error => self.failed(outcome, error),
        }
    }

    /// The structure of the file is wrong.
    pub(crate) fn damaged(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Damaged {
            component: BACKEND.into(),
            what: self.path.display().to_string(),
            source: Cause::new(source),
        }
    }

    /// The error of an open that found damage, with what the header and the length of the file say about it.
    pub(crate) fn with_header(&self, medium: &dyn redb::StorageBackend, error: StoreError) -> StoreError {
        let StoreError::Damaged { source, .. } = &error else { return error };
        if let Some(version) = later_format(medium) {
            return unsupported(version);
        }
        match Length::of(medium).ok().and_then(|length| length.explain(Some(source.clone()))) {
            Some(source) => {
                StoreError::Damaged { component: BACKEND.into(), what: self.path.display().to_string(), source }
            }
            None => error,
        }
    }

    /// A row of the file is wrong.
    pub(crate) fn damaged_row(
        &self,
        table: &str,
        key: &[u8],
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let what = format!("{}, table {table}, key {}", self.path.display(), Hex(key));
        StoreError::Damaged { component: BACKEND.into(), what, source: Cause::new(source) }
    }

    /// The medium or redb failed.
    pub(crate) fn failed(
        &self,
        outcome: Outcome,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let operation = format!("{} {}", self.operation, self.path.display());
        StoreError::Backend { backend: BACKEND, operation, outcome, source: Cause::new(source) }
    }

    /// The file system cannot lock the file.
    pub(crate) fn not_lockable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        At { path: self.path, operation: "lock" }.failed(Outcome::NotApplied, source)
    }

    /// The path holds something other than a store.
    pub(crate) fn not_a_store(&self, reason: impl Into<String>) -> StoreError {
        StoreError::NotAStore { location: self.path.into(), reason: reason.into() }
    }

    /// `create_new` was set, and a store exists.
    pub(crate) fn already_there(&self) -> StoreError {
        let reason = format!("{} is already a {BACKEND} store", Location::from(self.path));
        StoreError::InvalidArgument { operation: "open", reason }
    }

    /// redb panicked.
    pub(crate) fn panicked(&self, panic: Panic) -> StoreError {
        self.damaged(panic)
    }
}

/// Whether redb refuses because an earlier call of the medium failed. That failure was reported when it happened.
pub(crate) fn is_latched(error: &StoreError) -> bool {
    matches!(error, StoreError::Backend { source, .. }
        if matches!(source.downcast_ref::<redb::Error>(), Some(redb::Error::PreviousIo | redb::Error::LockPoisoned(_))))
}

/// Whether the error means damage rather than a failed medium: the file is shorter than its header says, or redb does
/// not recognise it.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

/// A contained panic of redb. redb panics on files that another program altered; the checks on open are the first line
/// of defence. The text names the line of redb that panicked, for a log.
#[derive(Debug)]
pub(crate) struct Panic;

impl std::fmt::Display for Panic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(BROKEN_PAGES)
    }
}

impl std::error::Error for Panic {}

/// The error for a panic of redb.
pub(crate) const BROKEN_PAGES: &str = "its pages are inconsistent";

/// Runs code that calls redb and returns a panic as an error. After a panic the caller must leak the redb objects
/// involved: dropping them may panic again.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    driver::contain(f).map_err(|payload| {
        tracing::debug!(message = message(&*payload), "redb panicked");
        Panic
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// Bytes as lower-case hexadecimal.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
