//! Every number of format 2, in one place.

/// Ids in one page of ids, but for the last: 8,000 bytes, which with key and header fit two database pages of 4 KiB.
pub(crate) const PAGE_IDS: usize = 500;

/// Largest chunk of edges, in bytes: with key and header it fits a run of 64 KiB of a database that rounds up to powers of two.
pub(crate) const CHUNK_BYTES_MAX: usize = 65_200;

/// Rows that are written with one call, at most: about 8 MiB.
pub(crate) const ROWS_AT_ONCE: usize = 128;

/// Chunks of an index that is loaded without a second thread, at most: some 60,000 edges, which take some milliseconds.
pub(crate) const CHUNKS_IN_ONE_THREAD: usize = 8;

/// Chunks that are read and wait to be compared with the CID, at most: some 300 KiB each.
pub(crate) const CHUNKS_WAITING: usize = 4;

/// Keys that are removed with one call, at most.
pub(crate) const DELETES_AT_ONCE: usize = 4096;
