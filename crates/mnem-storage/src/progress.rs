//! How far a long call has come.

/// What a long call has done so far. Handed to its callback after each block or row, in the calling thread: do little there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done now. Stages come in the order of the variants; the counts begin again with each.
    pub stage: Stage,
    /// Blocks dealt with in this stage (rows, in [`Stage::Tables`]).
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
    /// Reading, checking or writing blocks.
    #[default]
    Blocks,
    /// Reading or writing rows of side tables.
    Tables,
    /// Comparing the copy with its source.
    Proof,
}

impl Stage {
    /// A word for people: `structure`, `blocks`, `tables`, `proof`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Blocks => "blocks",
            Self::Tables => "tables",
            Self::Proof => "proof",
        }
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
