//! Every limit of this crate, in one place.

use std::time::Duration;

/// Largest block, in bytes: 64 MiB.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Length from which a segment takes no further commit, in bytes: 256 MiB.
pub(crate) const SEGMENT_BYTES: u32 = 256 * 1024 * 1024;

/// Maximum length of a commit in bytes: 4 GiB less 16 MiB. A commit must lie in one segment, whose offsets have 32
/// bits.
pub(crate) const COMMIT_BYTES_MAX: u64 = (1 << 32) - (1 << 24);

/// Maximum length of a commit record in bytes: 64 MiB. A longer block is never a record, so no file can make a reader
/// buffer more.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Maximum number of bytes that one call may add to a record, so that the record of a group fits: 32 MiB, or 390,000
/// heads.
pub(crate) const WORK_RECORD_BYTES_MAX: u64 = RECORD_BYTES_MAX / 2;

/// Maximum number of blocks that one commit deletes. A call that deletes more makes several commits.
pub(crate) const DELETES_MAX: usize = 10_000;

/// Number of segments that a handle has open at once, besides the one that it writes to: 128, or 32 GiB. Systems allow
/// a process 256 open files or more, and each run of the index is one too.
pub(crate) const OPEN_SEGMENTS: usize = 128;

/// Highest number of a segment, because a place has 20 bits for it.
pub(crate) const SEGMENT_NUMBER_MAX: u32 = (1 << 20) - 1;

/// Minimum length of one write in bytes, unless a commit is shorter: 1 MiB.
pub(crate) const WRITE_BYTES: usize = 1024 * 1024;

/// Number of bytes of a segment that are read at once: 1 MiB.
pub(crate) const WINDOW_BYTES: usize = 1024 * 1024;

/// Number of bytes of the log that a listing reads at once: 256 KiB. It holds the names in them too.
pub(crate) const LISTED_BYTES: usize = 256 * 1024;

/// The search for a later record hashes at most this many bytes for each byte of the tail.
pub(crate) const HASHED_PER_BYTE: u64 = 4;

/// Number of bytes from which a group commit takes no further calls: 16 MiB.
pub(crate) const GROUP_BYTES: u64 = 16 * 1024 * 1024;

/// The newest part of the index is written as a run when it has more than 65,536 entries, or when the log has grown by
/// more than 16 MiB. An opening after a kill reads at most about this much again.
pub(crate) const TABLE_ENTRIES: usize = 65_536;
pub(crate) const TAIL_BYTES: u64 = 16 * 1024 * 1024;

/// Commits wait for the index thread when the table that follows the one being written exceeds those bounds by this
/// factor.
pub(crate) const BEHIND: usize = 4;

/// Number of entries of a merge after which other pending work is checked.
pub(crate) const ENTRIES_BETWEEN: u64 = 4096;

/// Number of rows that are encoded at once, while no row can be written.
pub(crate) const ROWS_BETWEEN: usize = 4096;

/// Number of bytes of a run after which they are synced, so that the sync of a commit never waits for many: 4 MiB.
pub(crate) const UNSYNCED_BYTES: u64 = 4 * 1024 * 1024;

/// A close writes the newest part as a run only if it has at least this fraction of those bounds: one sixteenth.
pub(crate) const CLOSING_SHARE: usize = 16;

/// Number of runs of about the same size that are merged into one.
pub(crate) const FAN_IN: u64 = 4;

/// Bytes of index pages that a handle keeps in memory by default: 64 MiB, enough for 4 million blocks.
pub(crate) const INDEX_MEMORY: usize = 64 * 1024 * 1024;

/// How often a reader reads the manifest again if the files that it names are gone.
pub(crate) const MANIFEST_READS: usize = 16;

/// Longest file of rows, in bytes: 4 GiB.
pub(crate) const ROWS_BYTES_MAX: u64 = 1 << 32;

/// Maximum length of `format` and of `manifest` in bytes: 4 KiB and 256 MiB.
pub(crate) const FORMAT_BYTES_MAX: u64 = 4096;
pub(crate) const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Minimum length of a commit of a compaction, in bytes of blocks and values, unless the segment ends: 16 MiB.
pub(crate) const COPIED_BYTES: u64 = 16 * 1024 * 1024;

/// Approximate maximum number of runs that a compaction writes, because each one is an open file.
pub(crate) const COPIED_RUNS: u64 = 64;

/// If a compaction could only reduce the number of commits, it does nothing up to this number of commits, and up to
/// this share of the log in their records: one in so many bytes.
pub(crate) const COMMITS_LEFT: u64 = 64;
pub(crate) const RECORDS_SHARE: u64 = 16;

/// How long an opening waits for a writer's lock by default, and how often it tries.
pub(crate) const LOCK_WAIT: Duration = Duration::ZERO;
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A scan of damaged segments hashes at most this many bytes in vain for each byte that it scans, and one block.
pub(crate) const RAW_FAILED_FACTOR: u64 = 4;

/// Number of bytes that such a scan searches at once for the next section: 64 KiB.
pub(crate) const RAW_SEARCH_BYTES: usize = 64 * 1024;

/// Maximum number of values of side tables in a segment that such a scan tells from blocks.
pub(crate) const RAW_VALUES_MAX: usize = 1_000_000;

/// Such a scan remembers the heads of the newest commits, up to this many.
pub(crate) const RAW_HEADS_MAX: usize = 100_000;
