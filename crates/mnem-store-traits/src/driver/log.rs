//! The entries of a store's log.

use std::fmt;

use crate::{Cid, StoreError};

/// The result of [`ManagedStore::log`](super::ManagedStore::log): entries, the newest first, or the error that ended
/// the listing.
pub type LogIter<'a> = Box<dyn Iterator<Item = Result<LogEntry, StoreError>> + 'a>;

/// An entry of a store's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its number. The first entry of a store has the number 0.
    pub number: u64,
    /// When it was written by the clock of the writer, in milliseconds since 1970. `None` if that is not known.
    pub written_ms: Option<u64>,
    /// What it is.
    pub kind: LogKind,
    /// Blocks that it added, or moved if it is a [compaction](LogKind::Compaction).
    pub blocks: u64,
    /// Bytes of these blocks. `None` if the log no longer has this number.
    pub block_bytes: Option<u64>,
    /// Blocks that it deleted.
    pub deleted: u64,
    /// Rows of side tables that it wrote, removed or moved. `None` if the log no longer has this number.
    pub rows: Option<u64>,
    /// The heads after it, ascending.
    pub heads: Vec<Cid>,
}

/// What an entry of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogKind {
    /// A commit: what one call wrote, or several at once.
    Commit,
    /// It moved blocks and rows, and changed no content.
    Compaction,
    /// The remainder of an entry whose blocks and rows have all been deleted or moved since.
    Compacted,
}

impl LogKind {
    /// Its name in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Compaction => "compaction",
            Self::Compacted => "compacted",
        }
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl LogEntry {
    /// An entry that changed nothing, for a backend to fill in.
    pub fn new(number: u64, kind: LogKind) -> Self {
        Self { number, written_ms: None, kind, blocks: 0, block_bytes: None, deleted: 0, rows: None, heads: Vec::new() }
    }
}
