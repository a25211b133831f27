//! Progress of a long call, and stopping it.

use std::ops::ControlFlow;

/// The progress of a long call. Passed to its callback after each block or row, in the calling thread: do little there.
///
/// If the callback returns [`ControlFlow::Break`], the call ends between two blocks, with an error `Stopped` that says
/// what was kept. A single long step, such as a commit or the check of a file's structure, is not interrupted. Pass
/// [`unwatched`] if you need no callback.
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
    /// The current stage. Stages come in the order of the variants, unless a copy or a salvage returns to an earlier
    /// one. The counts start again with each stage.
    pub stage: Stage,
    /// Blocks processed in this stage (rows in [`Stage::Tables`], indexes in [`Stage::Indexes`]).
    pub blocks: u64,
    /// The total number, if known.
    pub total_blocks: Option<u64>,
    /// Bytes processed in this stage: of the archive for import and export, otherwise of blocks or rows.
    pub bytes: u64,
    /// The total number, if known.
    pub total_bytes: Option<u64>,
}

/// The current stage of a long call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Checking the structure of the store's own files. Reported once, at its beginning.
    Structure,
    /// Counting the blocks, if requested.
    Counting,
    /// Reading, checking or writing blocks.
    #[default]
    Blocks,
    /// Scanning the raw files of a damaged store. The bytes are those of the files.
    Raw,
    /// Following links: from the roots of an import if requested, from those of a collection, or from those of a
    /// damaged store whose raw files were scanned.
    Links,
    /// Finding unreachable blocks and removing them.
    Sweep,
    /// Reading or writing rows of side tables.
    Tables,
    /// Checking indexes of nearest neighbours.
    Indexes,
    /// Comparing the copy with its source.
    Proof,
}

impl Stage {
    /// The name of the stage: `structure`, `counting`, `blocks`, `raw`, `links`, `sweep`, `tables`, `indexes`, `proof`.
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

/// A callback that does nothing and stops nothing: `&mut unwatched`.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The callback of a long call: receives the progress and decides whether the call continues. [`unwatched`] does
/// nothing.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// The call ends: the callback returned [`ControlFlow::Break`], or the receiver of the results has failed.
#[derive(Debug)]
pub(crate) struct Cancelled;

impl Cancelled {
    /// Converts the result of the callback, for `?`.
    pub(crate) fn check(flow: ControlFlow<()>) -> Result<(), Self> {
        if flow.is_break() { Err(Self) } else { Ok(()) }
    }
}

/// The reason why a long call ended early.
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
