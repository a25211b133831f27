//! What became of an import or export that failed.

use std::{fmt, io};

use mnem_car::{CarError, CarFault};
use mnem_store_traits::{Cid, ErrorKind, StoreError};

use crate::{
    StoreCause,
    grouped::Grouped,
    reach::{Absent, CodecOf},
};

/// The blocks of an archive that a failed import left in the store: skipped when it is run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Sections read and in the store.
    pub blocks: u64,
    /// How many of them the store did not hold before.
    pub new: u64,
    /// How many of them could not be verified:
    /// [`ImportOptions::keep_unknown_hashes`](super::ImportOptions::keep_unknown_hashes).
    pub unchecked: u64,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, new, unchecked } = *self;
        let are = if blocks == 1 { "block is" } else { "blocks are" };
        let (blocks, new) = (Grouped(blocks), Grouped(new));
        match unchecked {
            0 => write!(f, "{blocks} verified {are} in the store, {new} of them new"),
            _ => write!(f, "{blocks} {are} in the store, {new} of them new and {} not verified", Grouped(unchecked)),
        }
    }
}

/// Why an import ended before the end. Unless the variant says otherwise the heads are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The archive is faulty.
    #[error("import stopped at byte {} ({kept}; the heads are unchanged)", source.offset())]
    Archive {
        /// What is wrong, and where: a [`CarError::Fault`].
        source: CarError,
        /// What is in the store all the same.
        kept: Kept,
    },
    /// A block is not what its CID names, or this build cannot check it.
    #[error(
        "import stopped at byte {offset}, in the section at byte {section_offset} ({kept}; the heads are unchanged)"
    )]
    Block {
        /// Where the section of the block begins.
        section_offset: u64,
        /// Where the bytes of the block begin; where they cannot be checked, its CID.
        offset: u64,
        /// What is in the store all the same.
        kept: Kept,
        /// [`StoreError::CidMismatch`] or [`StoreError::UnsupportedHash`].
        source: StoreCause,
    },
    /// The input could not be read.
    #[error("cannot read the archive after byte {offset} ({kept}; the heads are unchanged)")]
    Read {
        /// How far it was read, in bytes.
        offset: u64,
        /// What is in the store all the same.
        kept: Kept,
        /// The failure.
        source: io::Error,
    },
    /// The store failed or refused.
    #[error("cannot store the blocks before byte {offset} ({kept}; the heads are unchanged)")]
    Store {
        /// How far the archive was read, in bytes.
        offset: u64,
        /// What is in the store all the same, as far as is known.
        kept: Kept,
        /// The failure.
        source: StoreCause,
    },
    /// The system started no thread for the commits. Nothing was stored.
    #[error("cannot start a thread (clone3) that stores the blocks")]
    Thread {
        /// The failure.
        source: io::Error,
    },
    /// The callback for progress asked for the end.
    #[error("the import was stopped after byte {offset} ({kept}; the heads are unchanged)")]
    Stopped {
        /// How far the archive was read, in bytes.
        offset: u64,
        /// What is in the store: every block that was read.
        kept: Kept,
    },
    /// The roots were to become heads, and some have no block: neither in the archive nor in the store.
    #[error(
        "{} has no block in the archive or the store, so it cannot become a head ({kept}; the heads are unchanged)",
        Roots(roots)
    )]
    MissingRoots {
        /// The roots without a block; never empty.
        roots: Vec<Cid>,
        /// What is in the store all the same: every block of the archive.
        kept: Kept,
    },
    /// Every block was stored, and blocks that the roots reach are neither in the archive nor in the store.
    #[error("{} ({kept}; the heads are unchanged)", Incomplete(missing, *missing_count))]
    Incomplete {
        /// The first 10,000 absent blocks, in the order of a walk from the roots; never empty.
        missing: Vec<Absent>,
        /// How many there are.
        missing_count: u64,
        /// What is in the store: every block of the archive.
        kept: Kept,
    },
    /// Every block was stored, and then the links from the roots could not be followed to their ends: a block is
    /// damaged, or not valid in its codec, or the store failed.
    #[error("cannot tell whether the graph below the roots is complete ({kept}; the heads are unchanged)")]
    Unfollowed {
        /// What is in the store: every block of the archive.
        kept: Kept,
        /// The failure.
        source: StoreCause,
    },
    /// Every block was stored, and then the commit that makes the roots heads failed. It makes all of them heads or
    /// none: the outcome of `source` says whether it may have landed.
    #[error("cannot make {} ({kept})", Heads(root, *roots))]
    Heads {
        /// The first root that was no head before.
        root: Box<Cid>,
        /// How many roots were no heads before.
        roots: u64,
        /// What is in the store: every block of the archive.
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
            1 => write!(f, "a block that the roots reach is missing: {cid}, which {linked_from} links to"),
            count => {
                write!(f, "{count} blocks that the roots reach are missing, first {cid}, which {linked_from} links to")
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

/// The cause class of an [`ImportError`], to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// The input is no CAR archive at all.
    NotCar,
    /// A CAR version that is not read here.
    UnsupportedVersion,
    /// The archive breaks the format.
    Malformed,
    /// The archive ends too early: fetch the rest and run the import again.
    CutOff,
    /// A block is larger than allowed: a larger limit may help.
    BlockTooLarge,
    /// A block's bytes are not what its CID names.
    WrongBytes,
    /// A block's hash cannot be computed by this build.
    UnsupportedHash,
    /// The input could not be read.
    Read,
    /// The system started no thread.
    Thread,
    /// A root that was to become a head has no block.
    MissingRoots,
    /// Blocks that the roots reach are absent.
    Incomplete,
    /// The caller stopped it.
    Stopped,
    /// The store failed or refused: look at the kind of the [`StoreError`].
    Store(ErrorKind),
}

impl ImportError {
    /// What went wrong, to branch on.
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

    /// What is in the store all the same.
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

    /// Where in the archive the import stopped, in bytes; `None` when all of it had been read.
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

    /// The store's error, where it was the store that failed.
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

/// Why an export ended before the end. What was written by then is an incomplete archive: throw it away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A block that the archive must hold is missing, damaged, or not valid in its codec.
    #[error("cannot export{}: the archive would be incomplete ({} blocks written)", Block(cid, linked_from), Grouped(*blocks))]
    Block {
        /// The block.
        cid: Box<Cid>,
        /// A block that links to it; `None` for a root.
        linked_from: Option<Box<Cid>>,
        /// Blocks written before it.
        blocks: u64,
        /// What is the matter with it.
        source: StoreCause,
    },
    /// A block may link to others, and links of its codec are not followed: the archive might lack blocks, and nobody
    /// could tell. [`ExportOptions::opaque_leaves`](super::ExportOptions::opaque_leaves) exports such blocks all the
    /// same.
    #[error(
        "cannot export block {cid}: it may link to other blocks, and links of its codec, {}, are not followed ({} blocks written)",
        CodecOf(cid),
        Grouped(*blocks)
    )]
    Opaque {
        /// The block.
        cid: Box<Cid>,
        /// Blocks written before it.
        blocks: u64,
    },
    /// The store failed.
    #[error("cannot read the store ({} blocks written)", Grouped(*blocks))]
    Store {
        /// Blocks written before.
        blocks: u64,
        /// The failure.
        source: StoreCause,
    },
    /// The archive could not be written.
    #[error("cannot write the archive after byte {offset}")]
    Write {
        /// Bytes handed to the output before the failure; some of them may not have arrived.
        offset: u64,
        /// The failure. A pipe that was closed at the other end is [`io::ErrorKind::BrokenPipe`].
        source: io::Error,
    },
    /// The callback for progress asked for the end.
    #[error("the export was stopped ({} blocks written)", Grouped(*blocks))]
    Stopped {
        /// Blocks written before.
        blocks: u64,
    },
    /// More roots than are read again. Nothing was written.
    #[error("{roots} roots are more than the {roots_max} that an archive may name")]
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
            Some(parent) => write!(f, " block {}, which {parent} links to", self.0),
            None => write!(f, " root {}", self.0),
        }
    }
}

/// The cause class of an [`ExportError`], to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportErrorKind {
    /// A reachable block is not in the store.
    MissingBlock,
    /// A reachable block is damaged or not valid in its codec.
    DamagedBlock,
    /// A reachable block may link to others, and links of its codec are not followed.
    OpaqueBlock,
    /// The store failed: look at the kind of the [`StoreError`].
    Store(ErrorKind),
    /// The output failed.
    Write,
    /// The reader at the other end of the output went away: no failure of ours.
    BrokenPipe,
    /// Too many roots.
    TooManyRoots,
    /// The caller stopped it.
    Stopped,
}

impl ExportError {
    /// What went wrong, to branch on.
    pub fn kind(&self) -> ExportErrorKind {
        match self {
            Self::Block { source, .. } if source.kind() == ErrorKind::MissingBlock => ExportErrorKind::MissingBlock,
            Self::Block { .. } => ExportErrorKind::DamagedBlock,
            Self::Opaque { .. } => ExportErrorKind::OpaqueBlock,
            Self::Store { source, .. } => ExportErrorKind::Store(source.kind()),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => ExportErrorKind::BrokenPipe,
            Self::Write { .. } => ExportErrorKind::Write,
            Self::TooManyRoots { .. } => ExportErrorKind::TooManyRoots,
            Self::Stopped { .. } => ExportErrorKind::Stopped,
        }
    }

    /// The store's error, where there is one.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Block { source, .. } | Self::Store { source, .. } => Some(source),
            _ => None,
        }
    }
}
