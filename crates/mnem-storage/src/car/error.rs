//! The errors of imports and exports.

use std::{fmt, io};

use mnem_car::{CarError, CarFault};
use mnem_store_traits::{Cid, ErrorKind, StoreError};

use crate::{
    StoreCause,
    grouped::{Blocks, Grouped},
    reach::{Absent, CodecOf},
};

/// The blocks of an archive that a failed import left in the store. They are skipped when it is run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Sections that were read and are in the store.
    pub blocks: u64,
    /// The number of them that the store did not hold before.
    pub new: u64,
    /// The number of them that could not be verified:
    /// [`ImportOptions::keep_unknown_hashes`](super::ImportOptions::keep_unknown_hashes).
    pub unchecked: u64,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, new, unchecked } = *self;
        let noun = if blocks == 1 { "block" } else { "blocks" };
        let (blocks, new) = (Grouped(blocks), Grouped(new));
        match unchecked {
            0 => write!(f, "{blocks} verified {noun} in the store, {new} new"),
            _ => write!(f, "{blocks} {noun} in the store, {new} new, {} unverified", Grouped(unchecked)),
        }
    }
}

/// The reason why an import ended early. Unless the variant says otherwise, the heads are unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The archive is faulty.
    #[error("import stopped at byte {} ({kept}; the heads are unchanged)", source.offset())]
    Archive {
        /// The fault and its place: a [`CarError::Fault`].
        source: CarError,
        /// The blocks that are in the store.
        kept: Kept,
    },
    /// A block does not match its CID, or this build cannot check it.
    #[error(
        "import stopped at byte {offset}, in the section at byte {section_offset} ({kept}; the heads are unchanged)"
    )]
    Block {
        /// The offset of the section of the block.
        section_offset: u64,
        /// The offset of the bytes of the block; if they cannot be checked, that of its CID.
        offset: u64,
        /// The blocks that are in the store.
        kept: Kept,
        /// [`StoreError::CidMismatch`] or [`StoreError::UnsupportedHash`].
        source: StoreCause,
    },
    /// The input could not be read.
    #[error("cannot read the archive after byte {offset} ({kept}; the heads are unchanged)")]
    Read {
        /// The number of bytes read.
        offset: u64,
        /// The blocks that are in the store.
        kept: Kept,
        /// The failure.
        source: io::Error,
    },
    /// The store failed or refused.
    #[error("cannot store the blocks before byte {offset} ({kept}; the heads are unchanged)")]
    Store {
        /// The number of bytes of the archive read.
        offset: u64,
        /// The blocks that are in the store, as far as is known.
        kept: Kept,
        /// The failure.
        source: StoreCause,
    },
    /// The system could not start the thread for the commits. Nothing was stored.
    #[error("cannot start a thread for the commits (clone3)")]
    Thread {
        /// The failure.
        source: io::Error,
    },
    /// The callback stopped the import.
    #[error("the import stopped after byte {offset} ({kept}; the heads are unchanged)")]
    Stopped {
        /// The number of bytes of the archive read.
        offset: u64,
        /// The blocks that are in the store: every block that was read.
        kept: Kept,
    },
    /// Some roots that should become heads have no block, neither in the archive nor in the store.
    #[error(
        "{} has no block in the archive or the store, so it cannot become a head ({kept}; the heads are unchanged)",
        Roots(roots)
    )]
    MissingRoots {
        /// The roots without a block; never empty.
        roots: Vec<Cid>,
        /// The blocks that are in the store: every block of the archive.
        kept: Kept,
    },
    /// Every block was stored, but some blocks that the roots reach are neither in the archive nor in the store.
    #[error("{} ({kept}; the heads are unchanged)", Incomplete(missing, *missing_count))]
    Incomplete {
        /// The first 10,000 absent blocks, in the order of a walk from the roots; never empty.
        missing: Vec<Absent>,
        /// The number of absent blocks.
        missing_count: u64,
        /// The blocks that are in the store: every block of the archive.
        kept: Kept,
    },
    /// Every block was stored, but the links from the roots could not all be followed: a block is damaged, or not valid
    /// in its codec, or the store failed.
    #[error("cannot check whether the graph below the roots is complete ({kept}; the heads are unchanged)")]
    Unfollowed {
        /// The blocks that are in the store: every block of the archive.
        kept: Kept,
        /// The failure.
        source: StoreCause,
    },
    /// Every block was stored, but the commit that makes the roots heads failed. It makes all of them heads or none:
    /// the outcome of `source` says whether it may have been applied.
    #[error("cannot make {} ({kept})", Heads(root, *roots))]
    Heads {
        /// The first root that was not a head before.
        root: Box<Cid>,
        /// The number of roots that were not heads before.
        roots: u64,
        /// The blocks that are in the store: every block of the archive.
        kept: Kept,
        /// The failure.
        source: StoreCause,
    },
}

struct Incomplete<'a>(&'a [Absent], u64);

impl fmt::Display for Incomplete<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Absent { cid, linked_from }) = self.0.first() else { return f.write_str("blocks are missing") };
        match self.1 {
            1 => write!(f, "a block that the roots reach is missing: {cid} (linked from {linked_from})"),
            count => {
                write!(
                    f,
                    "{count} blocks that the roots reach are missing; the first is {cid} (linked from {linked_from})"
                )
            }
        }
    }
}

struct Heads<'a>(&'a Cid, u64);

impl fmt::Display for Heads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 | 1 => write!(f, "root {} a head", self.0),
            roots => write!(f, "root {} and {} more heads", self.0, roots - 1),
        }
    }
}

struct Roots<'a>(&'a [Cid]);

impl fmt::Display for Roots<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("a root"),
            [root] => write!(f, "root {root}"),
            [root, more @ ..] => write!(f, "root {root} (and {} more)", more.len()),
        }
    }
}

/// The kind of an [`ImportError`], to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// The input is not a CAR archive.
    NotCar,
    /// A CAR version that this build does not read.
    UnsupportedVersion,
    /// The archive violates the format.
    Malformed,
    /// The archive is truncated: fetch the rest and run the import again.
    CutOff,
    /// A block is larger than allowed. A larger limit may help.
    BlockTooLarge,
    /// A block does not match its CID.
    WrongBytes,
    /// This build cannot compute the hash of a block.
    UnsupportedHash,
    /// The input could not be read.
    Read,
    /// The system could not start a thread.
    Thread,
    /// A root that should become a head has no block.
    MissingRoots,
    /// Blocks that the roots reach are absent.
    Incomplete,
    /// The callback stopped it.
    Stopped,
    /// The store failed or refused, with the kind of the [`StoreError`].
    Store(ErrorKind),
}

impl ImportError {
    /// The kind, to branch on.
    pub fn kind(&self) -> ImportErrorKind {
        match self {
            Self::Archive { source, .. } => source.fault().map_or(ImportErrorKind::Read, kind_of_fault),
            Self::Block { source, .. } if source.kind() == ErrorKind::CidMismatch => ImportErrorKind::WrongBytes,
            Self::Block { .. } => ImportErrorKind::UnsupportedHash,
            Self::Read { .. } => ImportErrorKind::Read,
            Self::Thread { .. } => ImportErrorKind::Thread,
            Self::MissingRoots { .. } => ImportErrorKind::MissingRoots,
            Self::Incomplete { .. } => ImportErrorKind::Incomplete,
            Self::Stopped { .. } => ImportErrorKind::Stopped,
            Self::Store { source, .. } | Self::Heads { source, .. } | Self::Unfollowed { source, .. } => {
                ImportErrorKind::Store(source.kind())
            }
        }
    }

    /// The blocks that are in the store.
    pub fn kept(&self) -> Kept {
        match self {
            Self::Archive { kept, .. }
            | Self::Block { kept, .. }
            | Self::Read { kept, .. }
            | Self::Store { kept, .. }
            | Self::Stopped { kept, .. }
            | Self::MissingRoots { kept, .. }
            | Self::Incomplete { kept, .. }
            | Self::Unfollowed { kept, .. }
            | Self::Heads { kept, .. } => *kept,
            Self::Thread { .. } => Kept::default(),
        }
    }

    /// The place in the archive where the import stopped, in bytes; `None` if all of it had been read.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Archive { source, .. } => Some(source.offset()),
            Self::Block { offset, .. }
            | Self::Read { offset, .. }
            | Self::Store { offset, .. }
            | Self::Stopped { offset, .. } => Some(*offset),
            Self::Thread { .. }
            | Self::MissingRoots { .. }
            | Self::Incomplete { .. }
            | Self::Unfollowed { .. }
            | Self::Heads { .. } => None,
        }
    }

    /// The store's error, if the store failed.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store { source, .. } | Self::Heads { source, .. } | Self::Unfollowed { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn kind_of_fault(fault: &CarFault) -> ImportErrorKind {
    match fault {
        CarFault::Empty | CarFault::NotCar { .. } | CarFault::OtherFormat { .. } | CarFault::HeaderTooLarge { .. } => {
            ImportErrorKind::NotCar
        }
        CarFault::UnsupportedVersion { .. } => ImportErrorKind::UnsupportedVersion,
        CarFault::CutOff { .. } => ImportErrorKind::CutOff,
        CarFault::BlockTooLarge { .. } => ImportErrorKind::BlockTooLarge,
        _ => ImportErrorKind::Malformed,
    }
}

/// The reason why an export ended early. The output is an incomplete archive: discard it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A block that the archive must hold is missing, damaged, or not valid in its codec.
    #[error("cannot export{}: the archive would be incomplete ({} written)", Block(cid, linked_from), Blocks(*blocks))]
    Block {
        /// The block.
        cid: Box<Cid>,
        /// A block that links to it; `None` for a root.
        linked_from: Option<Box<Cid>>,
        /// Blocks written before it.
        blocks: u64,
        /// The problem with it.
        source: StoreCause,
    },
    /// A block may link to others, and links of its codec are not followed, so the archive might lack blocks without a
    /// sign. [`ExportOptions::opaque_leaves`](super::ExportOptions::opaque_leaves) exports such blocks.
    #[error(
        "cannot export block {cid}: it may link to other blocks, but its codec {} is not followed ({} written)",
        CodecOf(cid),
        Blocks(*blocks)
    )]
    Opaque {
        /// The block.
        cid: Box<Cid>,
        /// Blocks written before it.
        blocks: u64,
    },
    /// The codec or the hash function of a CID has more than 63 bits. Multiformats does not allow that, and no import
    /// accepts an archive with such a CID.
    #[error(
        "cannot export block {cid}: its codec or hash function has more than 63 bits, which no archive may have ({} written)",
        Blocks(*blocks)
    )]
    InvalidCid {
        /// The block.
        cid: Box<Cid>,
        /// Blocks written before it.
        blocks: u64,
    },
    /// The store failed.
    #[error("cannot read the store ({} written)", Blocks(*blocks))]
    Store {
        /// Blocks written before.
        blocks: u64,
        /// The failure.
        source: StoreCause,
    },
    /// The archive could not be written.
    #[error("cannot write the archive after byte {offset}")]
    Write {
        /// The number of bytes passed to the output before the failure; some may not have arrived.
        offset: u64,
        /// The failure. [`io::ErrorKind::BrokenPipe`] if the reader closed the pipe.
        source: io::Error,
    },
    /// The callback stopped the export.
    #[error("the export stopped ({} written)", Blocks(*blocks))]
    Stopped {
        /// Blocks written before.
        blocks: u64,
    },
    /// There are more roots than an import reads. Nothing was written.
    #[error("{roots} roots exceed the limit of {roots_max} per archive")]
    TooManyRoots {
        /// How many roots there are.
        roots: usize,
        /// [`ROOTS_MAX`](super::ROOTS_MAX).
        roots_max: usize,
    },
}

struct Block<'a>(&'a Cid, &'a Option<Box<Cid>>);

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(parent) => write!(f, " block {} (linked from {parent})", self.0),
            None => write!(f, " root {}", self.0),
        }
    }
}

/// The kind of an [`ExportError`], to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportErrorKind {
    /// A reachable block is not in the store.
    MissingBlock,
    /// A reachable block is damaged or not valid in its codec.
    DamagedBlock,
    /// A reachable block may link to others, and links of its codec are not followed.
    OpaqueBlock,
    /// The CID of a reachable block is one that no archive can hold.
    InvalidCid,
    /// The store failed, with the kind of the [`StoreError`].
    Store(ErrorKind),
    /// The output failed.
    Write,
    /// The reader of the output closed the pipe. This is not a failure of the export.
    BrokenPipe,
    /// Too many roots.
    TooManyRoots,
    /// The callback stopped it.
    Stopped,
}

impl ExportError {
    /// The kind, to branch on.
    pub fn kind(&self) -> ExportErrorKind {
        match self {
            Self::Block { source, .. } if source.kind() == ErrorKind::MissingBlock => ExportErrorKind::MissingBlock,
            Self::Block { .. } => ExportErrorKind::DamagedBlock,
            Self::Opaque { .. } => ExportErrorKind::OpaqueBlock,
            Self::InvalidCid { .. } => ExportErrorKind::InvalidCid,
            Self::Store { source, .. } => ExportErrorKind::Store(source.kind()),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => ExportErrorKind::BrokenPipe,
            Self::Write { .. } => ExportErrorKind::Write,
            Self::TooManyRoots { .. } => ExportErrorKind::TooManyRoots,
            Self::Stopped { .. } => ExportErrorKind::Stopped,
        }
    }

    /// The store's error, if any.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Block { source, .. } | Self::Store { source, .. } => Some(source),
            _ => None,
        }
    }
}
