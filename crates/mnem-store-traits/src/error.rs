//! The error type of the contract, its kinds, and the outcome of a failed call.

use std::{error::Error, fmt, ops::Deref, sync::Arc};

use cid::Cid;

use crate::driver::Location;

use crate::hashes::Unsupported;

/// The cause of a [`StoreError`], shared so that every caller of a failed group commit gets it.
///
/// Dereferences to the error itself, so `cause.downcast_ref::<std::io::Error>()` works.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync + 'static>);

impl Cause {
    /// Wraps any error, or a message (`Cause::new("text")`).
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Prints like the error itself.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Deref for Cause {
    type Target = dyn Error + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// The effect of a call that returned an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Heads and side tables are as they were before the call. Blocks of the call may remain if the method says so.
    NotApplied,
    /// The call may or may not have taken effect. Check after reopening the store.
    Unknown,
}

/// How to try again after a failed call. A retry loop branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// Repeat the same call later: the store was locked, or the medium was interrupted. Nothing was applied.
    SameCall,
    /// Read the heads again and build a new call on them. Nothing was applied.
    ReadHeads,
    /// Reopen the store and check whether the call took effect: this handle does not know.
    Reopen,
}

/// The damaged part: the store of a backend, or the content of one of its side tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Component {
    /// The store's own structure, with the name of its backend.
    Store(&'static str),
    /// The rows of a side table, which only its owner understands, with the name of the table.
    SideTable(&'static str),
}

/// A store, by the name of its backend.
impl From<&'static str> for Component {
    fn from(backend: &'static str) -> Self {
        Self::Store(backend)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(backend) => write!(f, "{backend} store"),
            Self::SideTable(name) => write!(f, "side table {name}"),
        }
    }
}

/// The ways in which a store can refuse or fail.
///
/// `Display` states the problem. The cause is in [`source`](Error::source) and is not repeated. Branch on
/// [`kind`](Self::kind), not on text.
///
/// [`retry`](Self::retry) says how to try again:
///
/// ```
/// use mnem_store_traits::{MemoryStore, OpHeadsStore, RAW, Retry, Store, StoreError, WriteBatch, cid_of};
///
/// /// Puts a block and makes it the only head, whatever the heads are by then. A program that keeps history merges
/// /// them here.
/// fn publish(store: &dyn Store, data: &'static [u8]) -> Result<(), StoreError> {
///     let new = cid_of(RAW, data);
///     loop {
///         let mut batch = WriteBatch::new();
///         batch.put(new, data.into()).swap(store.heads()?, new);
///         match store.commit(&batch) {
///             // The heads are read again.
///             Err(error) if error.retry() == Some(Retry::ReadHeads) => continue,
///             done => return done,
///         }
///     }
/// }
///
/// let store = MemoryStore::new();
/// publish(&store, b"one")?;
/// publish(&store, b"two")?;
/// assert_eq!(store.heads()?, [cid_of(RAW, b"two")]);
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The bytes do not hash to the CID under which they were put. Nothing was stored.
    #[error("bytes do not match the CID {cid}: they hash to {actual}")]
    CidMismatch {
        /// The CID the caller named.
        cid: Cid,
        /// The CID that the bytes have, from [`HashCheck::Mismatch`](crate::backend::HashCheck::Mismatch). Never `cid`.
        actual: Box<Cid>,
    },
    /// The stored bytes of this block do not match its CID. Heal it with `delete`, then `put`.
    #[error("block {cid} in the {backend} store is damaged: its bytes do not match its CID")]
    Corrupt {
        /// The backend.
        backend: &'static str,
        /// The damaged block.
        cid: Cid,
    },
    /// This build cannot compute the hash function of the CID, so it cannot check the bytes. Nothing was stored.
    #[error("cannot check {cid}: {}", Unsupported { code: *code, digest_bytes: *digest_bytes })]
    UnsupportedHash {
        /// The CID whose bytes cannot be checked.
        cid: Cid,
        /// Multihash code.
        code: u64,
        /// Length of the digest in the CID, in bytes.
        digest_bytes: u8,
    },
    /// The block is larger than the store accepts. Nothing was stored.
    #[error("block {cid} has {block_bytes} bytes, above the limit of {block_bytes_max} bytes of this store")]
    BlockTooLarge {
        /// The block that was refused.
        cid: Cid,
        /// Its size.
        block_bytes: u64,
        /// The store's limit, [`Capabilities::block_bytes_max`](crate::Capabilities::block_bytes_max).
        block_bytes_max: u64,
    },
    /// A required or linked block is absent.
    #[error("block {cid} is missing{}", LinkedFrom(linked_from))]
    MissingBlock {
        /// The absent block.
        cid: Cid,
        /// The block that links to it, if known.
        linked_from: Option<Box<Cid>>,
    },
    /// The block's bytes match its CID, but are not valid in its codec, so its links cannot be read.
    #[error("block {cid} is not valid {}", crate::links::CodecText(cid.codec()))]
    Malformed {
        /// The invalid block.
        cid: Cid,
        /// The error of the decoder.
        source: Cause,
    },
    /// `swap` found other heads than expected. The heads are unchanged.
    #[error("heads changed: found {} head{}", actual.len(), if actual.len() == 1 { "" } else { "s" })]
    HeadsMoved {
        /// The heads found, ascending.
        actual: Vec<Cid>,
    },
    /// Another process or handle holds the store. Close it there, set a lock timeout (`lock_wait`), or open every
    /// handle in a shared mode if the backend has one.
    #[error("store {location} is locked by another process or handle")]
    Locked {
        /// The store.
        location: Location,
    },
    /// There is no store at the location.
    #[error("no store at {location}: {reason}")]
    NotAStore {
        /// The place that was searched.
        location: Location,
        /// What is there instead.
        reason: String,
    },
    /// The store was not closed cleanly, and this handle may not repair it. Open it for writing once.
    #[error("store {location} was not closed cleanly and needs recovery")]
    NeedsRecovery {
        /// The store.
        location: Location,
    },
    /// This build does not know the format of the store. It was left untouched.
    #[error("store format {found} is not supported (this build reads {supported})")]
    UnsupportedFormat {
        /// The format found.
        found: String,
        /// The formats this build reads.
        supported: String,
    },
    /// The handle was opened read-only.
    #[error("{backend} store is open read-only: cannot {operation}")]
    ReadOnly {
        /// The backend.
        backend: &'static str,
        /// The refused operation.
        operation: &'static str,
    },
    /// This backend, or this build of it, does not support the operation.
    #[error("{operation} is not supported: {reason}")]
    Unsupported {
        /// The requested operation.
        operation: String,
        /// The reason. Names the missing Cargo feature if that is the reason.
        reason: String,
    },
    /// An argument is outside the contract. Nothing was done.
    #[error("{operation}: {reason}")]
    InvalidArgument {
        /// The method that refused.
        operation: &'static str,
        /// Which argument, and which values are allowed.
        reason: String,
    },
    /// An earlier write failed, and this handle does not know what is on the disk. Reopen the store.
    #[error("{backend} store refuses writes after a failed write: close and reopen it")]
    Poisoned {
        /// The backend.
        backend: &'static str,
        /// The failure that poisoned the handle.
        source: Cause,
    },
    /// The handle was closed.
    #[error("{backend} store is closed: cannot {operation}")]
    Closed {
        /// The backend.
        backend: &'static str,
        /// The refused operation.
        operation: &'static str,
    },
    /// The store's own structure, or the content of a side table, is damaged. `mnem-store verify` finds the place.
    #[error("{component} is damaged: {what}")]
    Damaged {
        /// The store, or a side table.
        component: Component,
        /// The damaged part, with its path or key.
        what: String,
        /// The problem found.
        source: Cause,
    },
    /// The medium, the file system or the database below failed.
    #[error("{backend} store failed to {operation}")]
    Backend {
        /// The backend.
        backend: &'static str,
        /// The operation that failed, with path or key if known.
        operation: String,
        /// The effect of the call.
        outcome: Outcome,
        /// The failure.
        source: Cause,
    },
}

/// Whether the failure is temporary, so that a retry may succeed.
fn is_passing(cause: &Cause) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(Interrupted | TimedOut | WouldBlock))
}

/// An error and all its causes, on one line.
pub(crate) struct InFull<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for InFull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut below = self.0.source();
        while let Some(cause) = below {
            write!(f, ": {cause}")?;
            below = cause.source();
        }
        Ok(())
    }
}

struct LinkedFrom<'a>(&'a Option<Box<Cid>>);

impl fmt::Display for LinkedFrom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(parent) => write!(f, " (linked from {parent})"),
            None => Ok(()),
        }
    }
}

/// The kind of a [`StoreError`], to branch on. One for each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each kind is documented at the variant of StoreError with its name")]
pub enum ErrorKind {
    CidMismatch,
    Corrupt,
    UnsupportedHash,
    BlockTooLarge,
    MissingBlock,
    Malformed,
    HeadsMoved,
    Locked,
    NotAStore,
    NeedsRecovery,
    UnsupportedFormat,
    ReadOnly,
    Unsupported,
    InvalidArgument,
    Poisoned,
    Closed,
    Damaged,
    Backend,
}

/// In words: "heads moved". The [`StoreError`] says what happened to which store.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CidMismatch => "bytes do not match the CID",
            Self::Corrupt => "damaged block",
            Self::UnsupportedHash => "unsupported hash function",
            Self::BlockTooLarge => "block too large",
            Self::MissingBlock => "missing block",
            Self::Malformed => "malformed block",
            Self::HeadsMoved => "heads moved",
            Self::Locked => "store locked",
            Self::NotAStore => "no store",
            Self::NeedsRecovery => "recovery needed",
            Self::UnsupportedFormat => "unsupported format",
            Self::ReadOnly => "opened read-only",
            Self::Unsupported => "unsupported operation",
            Self::InvalidArgument => "invalid argument",
            Self::Poisoned => "handle poisoned",
            Self::Closed => "handle closed",
            Self::Damaged => "damaged store",
            Self::Backend => "backend failure",
        })
    }
}

impl ErrorKind {
    /// The name of the kind in snake case, such as `heads_moved`. Stable, for JSON, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CidMismatch => "cid_mismatch",
            Self::Corrupt => "corrupt",
            Self::UnsupportedHash => "unsupported_hash",
            Self::BlockTooLarge => "block_too_large",
            Self::MissingBlock => "missing_block",
            Self::Malformed => "malformed",
            Self::HeadsMoved => "heads_moved",
            Self::Locked => "locked",
            Self::NotAStore => "not_a_store",
            Self::NeedsRecovery => "needs_recovery",
            Self::UnsupportedFormat => "unsupported_format",
            Self::ReadOnly => "read_only",
            Self::Unsupported => "unsupported",
            Self::InvalidArgument => "invalid_argument",
            Self::Poisoned => "poisoned",
            Self::Closed => "closed",
            Self::Damaged => "damaged",
            Self::Backend => "backend",
        }
    }
}

impl StoreError {
    /// The kind, to branch on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::CidMismatch { .. } => ErrorKind::CidMismatch,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::UnsupportedHash { .. } => ErrorKind::UnsupportedHash,
            Self::BlockTooLarge { .. } => ErrorKind::BlockTooLarge,
            Self::MissingBlock { .. } => ErrorKind::MissingBlock,
            Self::Malformed { .. } => ErrorKind::Malformed,
            Self::HeadsMoved { .. } => ErrorKind::HeadsMoved,
            Self::Locked { .. } => ErrorKind::Locked,
            Self::NotAStore { .. } => ErrorKind::NotAStore,
            Self::NeedsRecovery { .. } => ErrorKind::NeedsRecovery,
            Self::UnsupportedFormat { .. } => ErrorKind::UnsupportedFormat,
            Self::ReadOnly { .. } => ErrorKind::ReadOnly,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::InvalidArgument { .. } => ErrorKind::InvalidArgument,
            Self::Poisoned { .. } => ErrorKind::Poisoned,
            Self::Closed { .. } => ErrorKind::Closed,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Backend { .. } => ErrorKind::Backend,
        }
    }

    /// The error and, after colons, every cause below it: for a log or a one-line report.
    ///
    /// ```
    /// use mnem_store_traits::{Cause, StoreError};
    ///
    /// let source = Cause::new("its checksum is another");
    /// let error = StoreError::Damaged { component: "redb".into(), what: "a.redb".into(), source };
    /// assert_eq!(error.in_full().to_string(), "redb store is damaged: a.redb: its checksum is another");
    /// ```
    pub fn in_full(&self) -> impl fmt::Display + '_ {
        InFull(self)
    }

    /// The effect of the call. Only a failure of the medium can leave it unknown.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Backend { outcome, .. } => *outcome,
            _ => Outcome::NotApplied,
        }
    }

    /// How the call may still succeed. `None`: a retry fails in the same way, until the caller or the operator changes
    /// something else.
    pub fn retry(&self) -> Option<Retry> {
        match self {
            Self::Locked { .. } => Some(Retry::SameCall),
            Self::HeadsMoved { .. } => Some(Retry::ReadHeads),
            Self::Poisoned { .. } | Self::Backend { outcome: Outcome::Unknown, .. } => Some(Retry::Reopen),
            Self::Backend { source, .. } if is_passing(source) => Some(Retry::SameCall),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_and_not_repeated() {
        let error = StoreError::Backend {
            backend: "test",
            operation: "sync objects".into(),
            outcome: Outcome::Unknown,
            source: Cause::new(std::io::Error::other("the disk said no")),
        };
        assert_eq!(error.to_string(), "test store failed to sync objects");
        let source = error.source().expect("a source");
        assert_eq!(source.to_string(), "the disk said no");
        assert!(source.downcast_ref::<std::io::Error>().is_some());
        assert_eq!(error.in_full().to_string(), "test store failed to sync objects: the disk said no");
        assert_eq!(error.clone().outcome(), Outcome::Unknown);
    }

    #[test]
    fn what_a_second_try_takes() {
        use std::io::{Error, ErrorKind};
        let backend = |outcome, source: Cause| StoreError::Backend {
            backend: "test",
            operation: "write".into(),
            outcome,
            source,
        };
        let passing = || Cause::new(Error::from(ErrorKind::Interrupted));
        let lasting = || Cause::new(Error::from(ErrorKind::StorageFull));
        let table = [
            (StoreError::Locked { location: "a".into() }, Some(Retry::SameCall)),
            (StoreError::HeadsMoved { actual: vec![] }, Some(Retry::ReadHeads)),
            (StoreError::Poisoned { backend: "test", source: passing() }, Some(Retry::Reopen)),
            (backend(Outcome::Unknown, passing()), Some(Retry::Reopen)),
            (backend(Outcome::Unknown, lasting()), Some(Retry::Reopen)),
            (backend(Outcome::NotApplied, passing()), Some(Retry::SameCall)),
            (backend(Outcome::NotApplied, lasting()), None),
            (StoreError::Closed { backend: "test", operation: "get" }, None),
            (StoreError::NeedsRecovery { location: "a".into() }, None),
        ];
        for (error, retry) in table {
            assert_eq!(error.retry(), retry, "{error:?}");
            assert!(retry != Some(Retry::SameCall) || error.outcome() == Outcome::NotApplied, "{error:?}");
        }
    }

    #[test]
    fn a_cause_prints_what_it_wraps() {
        let cause = Cause::new(std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(cause.to_string(), std::io::Error::from(std::io::ErrorKind::NotFound).to_string());
        assert_ne!(cause.to_string(), format!("{cause:?}"));
    }

    #[test]
    fn errors_stay_small_enough_to_return_by_value() {
        assert!(size_of::<StoreError>() <= 128, "{}", size_of::<StoreError>());
    }
}
