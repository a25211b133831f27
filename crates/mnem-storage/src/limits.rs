//! Every limit of this crate, in one place.

// The codec knows no store: what it calls the largest block is what every store takes.
const _: () = assert!(mnem_car::BLOCK_BYTES_MAX == mnem_store_traits::limits::BLOCK_BYTES_EVERY_BACKEND);

/// Memory for the blocks of an import that are sorted together unless told otherwise, in bytes: 192 MiB. Twice as much
/// is held. Large runs pay: rows that are sorted together lie together.
pub(crate) const IMPORT_BATCH_BYTES_DEFAULT: u64 = 192 * 1024 * 1024;

/// What a block of a batch takes up in memory besides its bytes, roughly: its CID in the batch, in the set of those
/// seen, and in the store's own list.
pub(crate) const BLOCK_BYTES_EXTRA: u64 = 384;

/// What a block takes up in memory besides its bytes while it waits to be stored, roughly.
pub(crate) const RUN_BLOCK_BYTES_EXTRA: u64 = 160;

/// Bytes that an import writes in one durable call, at most.
pub(crate) const IMPORT_COMMIT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes that an import or a copy writes in its first durable call, before anything was measured.
pub(crate) const PACE_BYTES_FIRST: u64 = 4 * 1024 * 1024;

/// Bytes that they write in one where the store is slow.
pub(crate) const PACE_BYTES_MIN: u64 = 256 * 1024;

/// Bytes that a copy holds in memory and writes in one durable call, at most.
pub(crate) const COPY_BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Blocks or rows that a copy writes in one durable call, at most.
pub(crate) const COPY_BATCH_ITEMS_MAX: usize = 8192;

/// CIDs that are taken out of a listing before their blocks are read, at most.
pub(crate) const LISTED_AHEAD_MAX: usize = 64;

/// Blocks that a copy reads together, at most.
pub(crate) const COPY_LOOKUP_BLOCKS_MAX: usize = 64;

/// Bytes of these blocks, at most, but for the last one.
pub(crate) const COPY_LOOKUP_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Blocks of unknown hash functions that the report of a copy or an import names, at most.
pub(crate) const UNCHECKED_LISTED_MAX: usize = 10_000;

/// Absent blocks that a report or an error names, at most.
pub(crate) const MISSING_LISTED_MAX: usize = 10_000;

/// Blocks that a collection removes in its first durable call, and in those after it where the store is slow.
pub(crate) const COLLECT_BATCH_BLOCKS_MIN: usize = 64;

/// Blocks that a collection removes in one durable call, at most.
pub(crate) const COLLECT_BATCH_BLOCKS_MAX: usize = 8192;

/// Blocks that wait to be followed in a collection, as a rule: 18 MiB of their CIDs.
pub(crate) const COLLECT_WAITING_BLOCKS_MAX: usize = 1 << 19;

/// How often a copy begins again, while its source is collected.
pub(crate) const COPY_PASSES_MAX: u32 = 10;

/// Blocks that raw files name and do not hold which a salvage lists, at most.
pub(crate) const RAW_LOST_MAX: usize = 10_000;

/// CIDs of heads that a salvage remembers out of raw files, at most: about 10 MiB.
pub(crate) const RAW_HEADS_MAX: usize = 100_000;

/// How often a listing may break off before the raw files give the rest, where they are searched.
pub(crate) const RAW_LISTING_BREAKS_MAX: usize = 16;
