//! Every limit of this crate, in one place.

/// Longest header that is read, in bytes: 32 MiB, as in other readers. [`ROOTS_MAX`] roots of any length fit into it.
pub const HEADER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Largest block that is read unless the caller says otherwise, in bytes: 16 MiB.
pub const BLOCK_BYTES_MAX: u64 = mnem_store_traits::limits::BLOCK_BYTES_EVERY_BACKEND;

/// Most roots that a header may name: 262,144, which take 25 MiB of memory.
pub const ROOTS_MAX: usize = 1 << 18;

/// Hash functions, and widths of digests, in the index of a CARv2, at most. A section that is read as an index has far
/// more, from the bytes of its CID.
pub(crate) const INDEX_TABLES_MAX: u32 = 4096;

/// Longest entry of the index of a CARv2: a digest, of a CID of up to 2 KiB, and an offset of 8 bytes.
pub(crate) const INDEX_ENTRY_BYTES_MAX: usize = 2048 + 8;

/// Memory for the blocks of one commit of an import unless told otherwise, in bytes: 192 MiB. Two of them are held at once. Large commits
/// pay: rows that are sorted together lie together.
pub(crate) const IMPORT_BATCH_BYTES_DEFAULT: u64 = 192 * 1024 * 1024;

/// Bytes that a copy holds in memory and writes in one durable call.
pub(crate) const COPY_BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Blocks or rows that a copy writes in one durable call, at most.
pub(crate) const COPY_BATCH_ITEMS_MAX: usize = 8192;

/// Blocks of unknown hash functions that the report of a copy or an import names, at most.
pub(crate) const UNCHECKED_LISTED_MAX: usize = 10_000;

/// Absent blocks that a report or an error names, at most.
pub(crate) const MISSING_LISTED_MAX: usize = 10_000;
