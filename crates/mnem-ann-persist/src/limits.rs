//! The limits of format 2, in one place.

/// Ids per page of ids, except the last: 8,000 bytes, which with key and header fit two database pages of 4 KiB.
pub(crate) const PAGE_IDS: usize = 500;

/// Largest chunk of edges, in bytes. With key and header it fits a run of 64 KiB in a database that rounds up to powers
/// of two.
pub(crate) const CHUNK_BYTES_MAX: usize = 65_200;

/// Rows that one call writes, at most.
pub(crate) const ROWS_AT_ONCE: usize = 4096;

/// Bytes of rows that one call writes, at most. Each call is synced, and its rows are in memory until then.
pub(crate) const ROW_BYTES_AT_ONCE: usize = 16 * 1024 * 1024;

/// Chunks of an index that is loaded without a second thread, at most: some 60,000 edges, which take a few
/// milliseconds.
pub(crate) const CHUNKS_IN_ONE_THREAD: usize = 8;

/// Chunks that were read and wait for the comparison with the CID, at most.
pub(crate) const CHUNKS_WAITING: usize = 16;

/// Keys that one call removes, at most.
pub(crate) const DELETES_AT_ONCE: usize = 4096;

/// Groups of lanes per row up to which the error of a sum in 32 bits is proportionally small: 2^18, two million
/// numbers.
pub(crate) const LANE_GROUPS_MAX: usize = 1 << 18;
