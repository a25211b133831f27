//! The errors of a copy.

use mnem_store_traits::{Cid, ErrorKind, StoreError};

use crate::{StoreCause, grouped::Grouped, progress, reach::CodecOf};

/// The reason why a copy ended early, with the store at fault. Prints like the store's error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source could not be read.
    #[error(transparent)]
    Source(StoreCause),
    /// The target refused or failed, or is damaged.
    #[error(transparent)]
    Target(StoreCause),
    /// The target does not hold what was written to it, perhaps because another program writes to it.
    #[error("the copy is incomplete: {what}")]
    Differs {
        /// The first difference.
        what: String,
    },
    /// A block of the source may link to others, and links of its codec are not followed, so the copy might lack blocks
    /// without a sign. Only [`copy_reachable`](crate::copy_reachable) follows links.
    #[error(
        "the heads reach block {cid}, which may link to other blocks, but its codec {} is not followed",
        CodecOf(cid)
    )]
    Opaque {
        /// The block.
        cid: Box<Cid>,
    },
    /// The callback stopped the copy. The heads of the target are unchanged, unless the proof had already begun.
    #[error(
        "the copy stopped: {} blocks of the source are in the target, {} of them new",
        Grouped(*blocks),
        Grouped(*new)
    )]
    Stopped {
        /// Blocks of the source that were written or already present in the target.
        blocks: u64,
        /// The number of them that were written.
        new: u64,
    },
}

impl CopyError {
    /// The error of the store at fault, if any.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Source(error) | Self::Target(error) => Some(error),
            Self::Differs { .. } | Self::Opaque { .. } | Self::Stopped { .. } => None,
        }
    }

    /// The kind of the store's error, to branch on; `None` if no store is at fault.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.store_error().map(StoreError::kind)
    }
}

/// Assigns an error to the source or the target.
pub(crate) trait OfAStore<T> {
    fn of_source(self) -> Result<T, CopyError>;
    fn of_target(self) -> Result<T, CopyError>;
}

impl<T> OfAStore<T> for Result<T, StoreError> {
    fn of_source(self) -> Result<T, CopyError> {
        self.map_err(|error| CopyError::Source(error.into()))
    }

    fn of_target(self) -> Result<T, CopyError> {
        self.map_err(|error| CopyError::Target(error.into()))
    }
}

/// The reason why a copy ended early.
pub(crate) type Ended = progress::Ended<CopyError>;

impl From<CopyError> for Ended {
    fn from(error: CopyError) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn differs(what: String) -> CopyError {
    CopyError::Differs { what }
}
