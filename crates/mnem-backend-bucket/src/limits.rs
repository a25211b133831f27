//! Every limit of this crate, in one place.

use std::time::Duration;

/// Largest block, in bytes: 16 MiB.
pub(crate) const BLOCK_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most bytes of blocks and values that one commit brings: 1 GiB. A commit is one request.
pub(crate) const COMMIT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Most blocks, rows, deletions, requirements and heads of one commit together.
pub(crate) const COMMIT_ITEMS_MAX: usize = 1 << 18;

/// Blocks that one entry deletes, at most: a call that deletes more makes several.
pub(crate) const DELETES_MAX: usize = 50_000;

/// Commits of other threads that share one entry: as many as bring these bytes, 16 MiB, and up to so many items.
pub(crate) const GROUP_BYTES: u64 = 16 * 1024 * 1024;
pub(crate) const GROUP_ITEMS: usize = 1 << 16;

/// Entries up to this size are fetched whole and cached, in bytes: 1 MiB. Of longer ones, each read fetches its part.
pub(crate) const WHOLE_BYTES: u64 = 1024 * 1024;

/// Longest record, with the header before it, in bytes: 256 MiB.
pub(crate) const RECORD_END_MAX: u64 = 256 * 1024 * 1024;

/// Longest format object that is read, in bytes.
pub(crate) const FORMAT_BYTES_MAX: u64 = 4096;

/// Bytes of entries that a handle keeps in memory, unless told otherwise: 64 MiB.
pub(crate) const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Log entries that are requested at once, at most, when many are to be read.
pub(crate) const WINDOW: u64 = 16;

/// Blocks of `get_many` whose entries are fetched together.
pub(crate) const READ_TOGETHER: usize = 64;

/// Attempts of a read before it fails. A medium that loses every third answer takes several.
pub(crate) const READ_ATTEMPTS: u32 = 10;

/// First pause between two attempts; it doubles up to `PAUSE_GROWTH` times that.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
pub(crate) const PAUSE_GROWTH: u32 = 40;

/// The same for a first look at a place, whose failure is told within seconds.
pub(crate) const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// How long a read is repeated.
pub(crate) const READ_GIVE_UP: Duration = Duration::from_secs(15);

/// How often the HTTP client itself repeats a request, and how long it waits for a connection. Its own limit for a
/// request is out of the way of ours.
#[cfg(feature = "services")]
pub(crate) const CLIENT_RETRIES: usize = 2;
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

/// Longest wait after a lost slot, in units of the duration of the last write.
pub(crate) const JITTER_MAX: u32 = 8;

/// The lease of a new store, unless told otherwise, and the longest one.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(3600);
