//! Every limit of this backend, in one place.

use std::time::Duration;

/// Largest block taken, in bytes: 64 MiB. redb itself would take 3 GiB; a block is read and hashed whole.
pub const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Memory that redb may use as its cache unless told otherwise, in bytes: 1 GiB.
pub const CACHE_BYTES_DEFAULT: usize = 1024 * 1024 * 1024;

/// How often a maker tries to lock its own new file, which another may look at for a moment.
pub(crate) const HOLD_TRIES: usize = 1000;

/// How often the path may change between a file and nothing while it is being opened.
pub(crate) const RACES_MAX: usize = 16;

/// How the names of unfinished stores begin. Not with the name of the store, which may be as long as names can be.
pub(crate) const TEMPORARY_PREFIX: &str = ".mnem-redb-new-";

/// The permissions of a new file unless told otherwise.
pub(crate) const MODE_DEFAULT: u32 = 0o600;

/// Symbolic links that lead to a file, at most: as many as Linux follows.
pub(crate) const LINKS_MAX: usize = 40;

/// Names that a listing fetches in one short transaction.
pub(crate) const PAGE_NAMES: usize = 1000;

/// How long a write or an open in [`Sharing::MultiWriter`](mnem_store_traits::driver::Sharing::MultiWriter) waits for its turn unless told otherwise: 30 s.
/// There, waiting is how processes share the file, so not to wait would make ordinary writes fail.
pub const TURN_WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// First and longest pause between two attempts to get a lock.
pub(crate) const LOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How long to wait before the next attempt: twice as long each time.
pub(crate) fn next_pause(pause: Duration) -> Duration {
    LOCK_PAUSE.1.min(pause * 2)
}

/// Bytes of rows that callers who commit at the same time put into one transaction, at most: a small write is not to wait for many large ones.
pub(crate) const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Callers that share a transaction, at most.
pub(crate) const GROUP_CHANGES_MAX: usize = 1024;

/// Places where the listing of a damaged file breaks off and goes on behind, at most. Each of them may take some hundred look-ups and, where redb
/// panics, some memory.
pub(crate) const LENIENT_BREAKS_MAX: usize = 10_000;

/// Rows for which opening a cursor pays: it copies the page that it begins in. Measured: a cursor for each single row takes twice as long as
/// plain insertion, one for a million rows half as long.
pub(crate) const CURSOR_ROWS_MIN: usize = 8;

/// Rows that a removal of many looks at, to learn how many of those that lie together go.
pub(crate) const REMOVE_SCAN_ROWS: usize = 256;

/// Bytes of rows after which it ends: a row of many bytes has a page of its own, and is removed as fast without a scan.
pub(crate) const REMOVE_SCAN_BYTES_MAX: usize = 1 << 20;

/// How many of them have to go for a scan to pay. Measured: to look up and remove a row takes as long as to scan 30 rows or more.
pub(crate) const REMOVE_SCAN_KEYS_MIN: usize = 16;

/// Rows that are removed one by one between two such looks, at most.
pub(crate) const REMOVE_LOOKS_SKIPPED_MAX: usize = 64;

/// Look-ups in ascending order after which rows are looked for near the last one, and how many the next attempt waits for at most, while such
/// attempts fail.
pub(crate) const NEARBY_LOOKUPS_MIN: usize = 16;
pub(crate) const NEARBY_LOOKUPS_MAX: usize = 4096;

/// How many rows are near. Measured: to pass that many takes about as long as a look-up.
pub(crate) const NEARBY_ROWS: usize = 16;

/// The largest row that is kept in memory between two look-ups because it is near.
pub(crate) const NEARBY_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Blocks that a handle remembers to have found, at most, so that asking for them again is no look-up: in 4 MiB, taken when the first is asked for.
pub(crate) const PRESENT_BLOCKS: usize = 1 << 16;

/// Blocks that a handle under [`Verify::OncePerHandle`](crate::Verify::OncePerHandle) remembers to have verified, at most: a million, in 8 MiB.
pub(crate) const VERIFIED_BLOCKS: usize = 1 << 20;

/// Bytes of a file that a scan of its raw pages reads at once: 1 MiB.
pub(crate) const RAW_WINDOW_BYTES: usize = 1 << 20;

/// In how many of its first bytes a leaf has all its keys. A leaf is split once it is larger than a page and has more than one row, so
/// that at most one large value and less than two pages of small rows are left together.
pub(crate) const RAW_KEYS_BYTES_MAX: usize = 8 * 1024;

/// How many bytes a scan hashes in vain for each byte that it has looked at, at most; beside one block of the largest size. A damaged
/// file has few places that name large blocks which are not there; a malicious one may have one on each page.
pub(crate) const RAW_FAILED_FACTOR: u64 = 4;
