//! Why a copy ends before the end.

use mnem_store_traits::{Cid, ErrorKind, StoreError};

use crate::{StoreCause, grouped::Grouped, progress, reach::CodecOf};

/// Why a copy ended before the end, and which of the two stores was at fault. Of a fault it says what the store's error says.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source could not be read.
    #[error(transparent)]
    Source(StoreCause),
    /// The target refused or failed, or is damaged.
    #[error(transparent)]
    Target(StoreCause),
    /// The target does not hold what was written to it, perhaps because somebody else writes to it.
    #[error("the target does not hold what was copied: {what}")]
    Differs {
        /// The first difference.
        what: String,
    },
    /// A block of the source may link to others, and links of its codec are not followed: the copy might lack blocks,
    /// and nobody could tell. Only [`copy_reachable`](crate::copy_reachable) follows links.
    #[error(
        "the heads reach block {cid}: it may link to other blocks, and links of its codec, {}, are not followed",
        CodecOf(cid)
    )]
    Opaque {
        /// The block.
        cid: Box<Cid>,
    },
    /// The callback for progress asked for the end. The heads of the target are as they were, unless the copy was being proved by then.
    #[error(
        "the copy was stopped: {} blocks were copied or found in the target, {} of them new",
        Grouped(*blocks),
        Grouped(*new)
    )]
    Stopped {
        /// Blocks of the source that were written, or found in the target.
        blocks: u64,
        /// How many of them were written.
        new: u64,
    },
}

impl CopyError {
    /// The error of the store at fault, where one is.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Source(error) | Self::Target(error) => Some(error),
            Self::Differs { .. } | Self::Opaque { .. } | Self::Stopped { .. } => None,
        }
    }

    /// The kind of the store's error, to branch on; `None` where no store is at fault.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.store_error().map(StoreError::kind)
    }
}

/// Says whose error it is.
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

/// Why a copy ended early.
pub(crate) type Ended = progress::Ended<CopyError>;

impl From<CopyError> for Ended {
    fn from(error: CopyError) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn differs(what: String) -> CopyError {
    CopyError::Differs { what }
}
