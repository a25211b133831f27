//! Every limit of this crate, in one place.

use std::time::Duration;

/// Largest block, in bytes: 64 MiB.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// From this length on a segment takes no further commit, in bytes: 256 MiB.
pub(crate) const SEGMENT_BYTES: u32 = 256 * 1024 * 1024;

/// Most bytes of one commit, so that it lies in one segment, whose offsets have 32 bits: 4 GiB less 16 MiB.
pub(crate) const COMMIT_BYTES_MAX: u64 = (1 << 32) - (1 << 24);

/// Longest commit record, in bytes: 64 MiB. What claims to be a longer one is a block, so that no file makes its reader hold more.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most bytes that one call may bring into a record, so that those of a group fit: 32 MiB, or 390,000 heads.
pub(crate) const WORK_RECORD_BYTES_MAX: u64 = RECORD_BYTES_MAX / 2;

/// Blocks that one commit deletes, at most: a call that deletes more makes several.
pub(crate) const DELETES_MAX: usize = 10_000;

/// Highest number of a segment: a place has 20 bits for it.
pub(crate) const SEGMENT_NUMBER_MAX: u32 = (1 << 20) - 1;

/// Bytes that are handed to one write, at least, unless a commit has fewer: 1 MiB.
pub(crate) const WRITE_BYTES: usize = 1024 * 1024;

/// Bytes that a walk over a segment reads at once: 1 MiB.
pub(crate) const WINDOW_BYTES: usize = 1024 * 1024;

/// The search for a later record hashes at most so many bytes for each byte of the tail.
pub(crate) const HASHED_PER_BYTE: u64 = 4;

/// Commits of other threads that are landed with one sync: as many as bring these bytes, 16 MiB.
pub(crate) const GROUP_BYTES: u64 = 16 * 1024 * 1024;

/// Entries of the newest part of the index that are kept in memory alone, 65,536, and bytes of the log that they may stand in, 16 MiB: so
/// much is read again when a store is opened.
pub(crate) const TABLE_ENTRIES: usize = 65_536;
pub(crate) const TAIL_BYTES: u64 = 16 * 1024 * 1024;

/// Commits wait for the thread that writes runs when the table that is to follow the one being written has so many times those bounds.
pub(crate) const BEHIND: usize = 4;

/// Entries of a merge between two looks at what else there is to do.
pub(crate) const ENTRIES_BETWEEN: u64 = 4096;

/// Bytes of a run that are written before they are synced, so that the sync of a commit never waits for many: 4 MiB.
pub(crate) const UNSYNCED_BYTES: u64 = 4 * 1024 * 1024;

/// Closing writes the newest part as a run only if it has one so many-th of those bounds.
pub(crate) const CLOSING_SHARE: usize = 16;

/// Parts of the index of about the same size that are merged into one.
pub(crate) const FAN_IN: u64 = 4;

/// Bytes of index pages that a handle keeps in memory, unless told otherwise: 64 MiB, enough for 4 million blocks.
pub(crate) const INDEX_MEMORY: usize = 64 * 1024 * 1024;

/// How often a reader reads the manifest again when the files that it names are gone.
pub(crate) const MANIFEST_READS: usize = 16;

/// Longest file of rows, in bytes: 4 GiB.
pub(crate) const ROWS_BYTES_MAX: u64 = 1 << 32;

/// Longest `format` and `manifest`, in bytes: 4 KiB and 256 MiB.
pub(crate) const FORMAT_BYTES_MAX: u64 = 4096;
pub(crate) const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of blocks and values of one commit of a compaction, at least, unless the segment ends: 16 MiB.
pub(crate) const COPIED_BYTES: u64 = 16 * 1024 * 1024;

/// A compaction writes its index in at most about so many runs, each of which is an open file.
pub(crate) const COPIED_RUNS: u64 = 64;

/// Commits that a compaction leaves alone if they are all that it could make fewer of, and the share of the log that their records take up
/// to there: one so many-th.
pub(crate) const COMMITS_LEFT: u64 = 64;
pub(crate) const RECORDS_SHARE: u64 = 16;

/// How long opening waits for the lock of a writer, unless told otherwise, and how often it looks.
pub(crate) const LOCK_WAIT: Duration = Duration::ZERO;
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(5);
