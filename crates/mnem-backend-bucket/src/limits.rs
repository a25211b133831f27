//! Every limit of this crate, in one place.

use std::time::Duration;

/// Largest block, in bytes: 64 MiB.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Blocks and values of a commit that stand in its entry, in bytes: 256 KiB. More go into packs.
pub(crate) const INLINE_BYTES: u64 = 256 * 1024;

/// Length of a pack, in bytes: 16 MiB, or as long as a single block takes.
pub(crate) const PACK_BYTES: u64 = 16 * 1024 * 1024;

/// What one entry of a compaction moves, at most: 128 MiB, or one object; it is in memory until it has landed.
pub(crate) const MOVED_BYTES: u64 = 128 * 1024 * 1024;
pub(crate) const MOVED_ITEMS: u64 = 1 << 17;

/// The default time for which a compaction keeps unused objects: an hour.
pub(crate) const GRACE: Duration = Duration::from_secs(3600);

/// How old a pack must be that no entry names before a compaction drops it: its upload may still go on.
pub(crate) const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Packs that are uploaded at once.
pub(crate) const UPLOADS: usize = 8;

/// Most bytes of blocks and values that one commit brings: 1 GiB.
pub(crate) const COMMIT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Most blocks, rows, deletions, requirements and heads of one commit together.
pub(crate) const COMMIT_ITEMS_MAX: usize = 1 << 18;

/// Blocks that one entry deletes, at most: a call that deletes more makes several.
pub(crate) const DELETES_MAX: usize = 50_000;

/// Commits of other threads that share one entry: as many as bring these bytes, 16 MiB, and up to so many items.
pub(crate) const GROUP_BYTES: u64 = 16 * 1024 * 1024;
pub(crate) const GROUP_ITEMS: usize = 1 << 16;

/// Objects up to this size are fetched whole and cached, in bytes: 1 MiB. Of longer ones, windows are.
pub(crate) const WHOLE_BYTES: u64 = 1024 * 1024;

/// The windows of long objects, in bytes: 256 KiB, and how many of them one request fetches at most.
pub(crate) const WINDOW_BYTES: u64 = 256 * 1024;
pub(crate) const WINDOWS_MAX: u64 = 16;

/// The most unrequested windows between two requested ones that are fetched along with them.
pub(crate) const WINDOWS_BETWEEN: u64 = 4;

/// Blocks above this size are fetched by themselves and not cached, in bytes: 1 MiB.
pub(crate) const CACHED_BYTES_MAX: u64 = 1024 * 1024;

/// Blocks below this size are copied out of the window they stand in, so that keeping one does not keep the window.
pub(crate) const COPIED_BYTES: u64 = 64 * 1024;

/// A checkpoint is written after so many entries, or after as many as add 4 MiB to it.
pub(crate) const CHECKPOINT_ENTRIES: u64 = 64;
pub(crate) const CHECKPOINT_UNSUMMED: u64 = 4 * 1024 * 1024;

/// Highest number of an entry. No log gets there, and counting on from it never overflows.
pub(crate) const NUMBER_MAX: u64 = 1 << 63;

/// Longest checkpoint, in bytes: 1 GiB.
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Checkpoints of no use that opening passes over before it reads the whole log.
pub(crate) const CHECKPOINTS_TRIED: u32 = 8;

/// Longest record, with the header before it, in bytes: 256 MiB.
pub(crate) const RECORD_END_MAX: u64 = 256 * 1024 * 1024;

/// Longest format object that is read, in bytes.
pub(crate) const FORMAT_BYTES_MAX: u64 = 4096;

/// Bytes of entries that a handle keeps in memory, unless told otherwise: 64 MiB.
pub(crate) const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Log entries that are requested at once, at most, when many are to be read.
pub(crate) const WINDOW: u64 = 16;

/// Blocks of `get_many` that are fetched together, at most, and the windows that they take.
pub(crate) const READ_TOGETHER: usize = 1024;
pub(crate) const WINDOWS_TOGETHER: usize = 64;

/// Attempts of a read before it fails. A medium that loses every third answer takes several.
pub(crate) const READ_ATTEMPTS: u32 = 10;

/// First pause between two attempts; it doubles up to `PAUSE_GROWTH` times that.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
pub(crate) const PAUSE_GROWTH: u32 = 40;

/// The same for probing a place, which must fail within seconds.
pub(crate) const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// How long a read is repeated.
pub(crate) const READ_GIVE_UP: Duration = Duration::from_secs(15);

/// How long the HTTP client waits for a connection. Its own limit for a request is out of the way of ours.
#[cfg(feature = "services")]
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
#[cfg(feature = "services")]
pub(crate) const LONGEST_REQUEST: Duration = Duration::from_secs(3600);

/// How long a request may take: so long, and for each MiB that it carries so much longer.
pub(crate) const REQUEST: Duration = Duration::from_secs(10);
pub(crate) const REQUEST_PER_MIB: Duration = Duration::from_secs(1);

/// How long a write is repeated before its outcome is reported as unknown, and how often at least.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(60);
pub(crate) const WRITE_ATTEMPTS_MIN: u32 = 4;

/// How long a commit competes with other writers before it fails. Each time it loses, another commit has landed.
pub(crate) const CONTENTION: Duration = Duration::from_secs(300);

/// Slots that the writer that has lost one reads at once: that one, and those after it.
pub(crate) const LOST_WINDOW: u64 = 2;

/// Longest wait after a lost slot, in units of the duration of the last write, and in any case.
pub(crate) const JITTER_MAX: u32 = 8;
pub(crate) const LOSER_WAITS_MAX: Duration = Duration::from_secs(5);

/// The lease of a new store, unless told otherwise, and the longest one.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(3600);
