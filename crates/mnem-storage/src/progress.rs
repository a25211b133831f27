//! How far a long call has come, and whether it is to go on.

use std::ops::ControlFlow;

/// What a long call has done so far. Handed to its callback after each block or row, in the calling thread: do little there.
///
/// [`ControlFlow::Break`] from the callback ends the call between two blocks, with an error that is called `Stopped` and says what was kept. A single long
/// step, as a commit or the check of a file's structure, is not interrupted. Whoever does not want to know hands over [`unwatched`].
///
/// ```
/// use std::{ops::ControlFlow, time::{Duration, Instant}};
///
/// use mnem_storage::{MemoryStore, VerifyError, VerifyOptions, verify};
///
/// let end = Instant::now() + Duration::from_secs(60);
/// let verified = verify(&MemoryStore::new(), &VerifyOptions::new(), &mut |_| {
///     if Instant::now() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
/// });
/// match verified {
///     Err(VerifyError::Stopped(report)) => println!("{} blocks in a minute, and no end", report.blocks),
///     other => assert_eq!(other?.fault_count, 0),
/// }
/// # Ok::<(), VerifyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done now. Stages come in the order of the variants, unless a copy or a salvage goes back to an earlier one; the counts begin again with each.
    pub stage: Stage,
    /// Blocks dealt with in this stage (rows in [`Stage::Tables`], indexes in [`Stage::Indexes`]).
    pub blocks: u64,
    /// How many there will be, where that is known.
    pub total_blocks: Option<u64>,
    /// Bytes dealt with in this stage: of the archive for import and export, else of blocks or rows.
    pub bytes: u64,
    /// How many there will be, where that is known.
    pub total_bytes: Option<u64>,
}

/// The part of a long call that is running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Checking the structure of the store's own files. Reported once, when it begins.
    Structure,
    /// Counting the blocks, where that was asked for.
    Counting,
    /// Reading, checking or writing blocks.
    #[default]
    Blocks,
    /// Looking through the raw files of a damaged store. The bytes are those of the files.
    Raw,
    /// Following the links from the roots of an import, where that was asked for, from those of a collection, or of a
    /// damaged store whose raw files were looked through.
    Links,
    /// Looking for blocks that nothing reaches, and removing them.
    Sweep,
    /// Reading or writing rows of side tables.
    Tables,
    /// Checking indexes of k-NN edges.
    Indexes,
    /// Comparing the copy with its source.
    Proof,
}

impl Stage {
    /// A word for people: `structure`, `counting`, `blocks`, `raw`, `links`, `sweep`, `tables`, `indexes`, `proof`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Counting => "counting",
            Self::Blocks => "blocks",
            Self::Raw => "raw",
            Self::Links => "links",
            Self::Sweep => "sweep",
            Self::Tables => "tables",
            Self::Indexes => "indexes",
            Self::Proof => "proof",
        }
    }
}

/// A callback that looks at nothing and stops nothing: `&mut unwatched`.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The callback of a long call: what it has done so far, and whether it is to go on. [`unwatched`] is the one that does
/// nothing.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Nothing more is to be done: the callback returned [`ControlFlow::Break`], or whoever takes the results has failed.
#[derive(Debug)]
pub(crate) struct Cancelled;

impl Cancelled {
    /// What the callback returned, for `?`.
    pub(crate) fn check(flow: ControlFlow<()>) -> Result<(), Self> {
        if flow.is_break() { Err(Self) } else { Ok(()) }
    }
}

/// Why a long call ended early.
#[derive(Debug)]
pub(crate) enum Ended<E> {
    Failed(E),
    Cancelled,
}

impl<E> From<Cancelled> for Ended<E> {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl Progress {
    /// The beginning of `stage`.
    pub(crate) fn of(stage: Stage) -> Self {
        Self { stage, ..Self::default() }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.blocks += 1;
        self.bytes += bytes;
    }
}
