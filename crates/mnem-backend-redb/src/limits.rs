//! The limits of this backend, in one place.

use std::time::Duration;

/// Largest block accepted, in bytes: 64 MiB. redb would accept 3 GiB, but a block is read and hashed whole.
pub const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Default limit of redb's page cache, in bytes: 1 GiB.
pub const CACHE_BYTES_DEFAULT: usize = 1024 * 1024 * 1024;

/// Attempts of a creator to lock its own new file, which another creator may have open for a moment.
pub(crate) const HOLD_TRIES: usize = 1000;

/// Times that the file may appear or disappear while a path is being opened.
pub(crate) const RACES_MAX: usize = 16;

/// Prefix of the names of unfinished stores. It does not contain the store's name, which may already have the maximum
/// length of a name.
pub(crate) const TEMPORARY_PREFIX: &str = ".mnem-redb-new-";

/// Default permissions of a new file.
pub(crate) const MODE_DEFAULT: u32 = 0o600;

/// Symbolic links followed to a file, at most: the limit of Linux.
pub(crate) const LINKS_MAX: usize = 40;

/// Names that a listing fetches in one short transaction.
pub(crate) const PAGE_NAMES: usize = 1000;

/// Default timeout of a write or an open in [`Sharing::MultiWriter`](mnem_store_traits::driver::Sharing::MultiWriter):
/// 30 s. In this mode processes take turns, so with no timeout ordinary writes would fail.
pub const TURN_WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// First and longest pause between two attempts to take a lock.
pub(crate) const LOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The pause before the next attempt: twice the last one, up to the maximum.
pub(crate) fn next_pause(pause: Duration) -> Duration {
    LOCK_PAUSE.1.min(pause * 2)
}

/// Bytes of rows in one group commit, at most, so that a small write does not wait for many large ones.
pub(crate) const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Callers that share a transaction, at most.
pub(crate) const GROUP_CHANGES_MAX: usize = 1024;

/// Unreadable places that a listing of a damaged file skips, at most. Each may cost some hundred lookups and, if redb
/// panics, some leaked memory.
pub(crate) const LENIENT_BREAKS_MAX: usize = 10_000;

/// Rows for which a cursor pays: opening one copies the page that it begins in. Measured: with a cursor for each single
/// row an insertion takes twice as long as without, with one for a million rows half as long.
pub(crate) const CURSOR_ROWS_MIN: usize = 8;

/// Rows that a removal of many keys reads ahead, to count how many neighbouring rows go.
pub(crate) const REMOVE_SCAN_ROWS: usize = 256;

/// Bytes of rows after which the read-ahead ends. A large row has pages of its own, and removing it without a scan is
/// as fast.
pub(crate) const REMOVE_SCAN_BYTES_MAX: usize = 1 << 20;

/// Rows that must go for a scan to pay. Measured: looking up and removing a row takes as long as scanning 30 rows or
/// more.
pub(crate) const REMOVE_SCAN_KEYS_MIN: usize = 16;

/// Rows removed one by one between two read-aheads, at most.
pub(crate) const REMOVE_LOOKS_SKIPPED_MAX: usize = 64;

/// Bytes of rows that one sweep reads, and then some: 32 MiB. The caller bounds it by their number, which says little if
/// their sizes differ.
pub(crate) const SWEEP_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Rows, and bytes of rows, that a sweep looks ahead over before it removes the dead ones. They should be in the cache
/// when they are read again, even if it is small.
pub(crate) const SWEEP_STRETCH_ROWS: usize = 2048;
pub(crate) const SWEEP_STRETCH_BYTES: u64 = 512 * 1024;

/// Ascending lookups before a cursor is opened; and the most that the next attempt waits for, if attempts keep failing.
pub(crate) const NEARBY_LOOKUPS_MIN: usize = 16;
pub(crate) const NEARBY_LOOKUPS_MAX: usize = 4096;

/// Rows that a cursor passes over to find a key. Measured: passing that many takes about as long as a lookup.
pub(crate) const NEARBY_ROWS: usize = 16;

/// The largest row, in bytes, that stays in memory between two lookups because of an open cursor.
pub(crate) const NEARBY_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Verified blocks that a handle remembers under [`Verify::OncePerHandle`](crate::Verify::OncePerHandle), at most: a
/// million, in 8 MiB.
pub(crate) const VERIFIED_BLOCKS: usize = 1 << 20;

/// The cache of a scan that verifies each page once.
pub(crate) const VERIFY_CACHE_BYTES: usize = 1 << 20;

/// Bytes that a scan of raw pages reads at once: 1 MiB.
pub(crate) const RAW_WINDOW_BYTES: usize = 1 << 20;

/// The first bytes of a leaf that hold all its keys. redb splits a leaf that is larger than a page and has more than
/// one row, so a leaf holds at most one large value and less than two pages of small rows.
pub(crate) const RAW_KEYS_BYTES_MAX: usize = 8 * 1024;

/// Bytes that a scan hashes in vain for each byte scanned, at most, plus one block of the largest size. A damaged file
/// has few places that name large blocks which are missing; a malicious one may have one on each page.
pub(crate) const RAW_FAILED_FACTOR: u64 = 4;
