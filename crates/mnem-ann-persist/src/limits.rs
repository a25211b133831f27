//! Every number of format 2, in one place.

/// Ids in one page of ids, but for the last: 8,000 bytes, which with key and header fit two database pages of 4 KiB.
pub(crate) const PAGE_IDS: usize = 500;

/// Largest chunk of edges, in bytes: with key and header it fits a run of 64 KiB of a database that rounds up to powers of two.
pub(crate) const CHUNK_BYTES_MAX: usize = 65_200;

/// Rows that are written with one call, at most: about 8 MiB.
pub(crate) const ROWS_AT_ONCE: usize = 128;

/// Keys that are removed with one call, at most.
pub(crate) const DELETES_AT_ONCE: usize = 4096;
