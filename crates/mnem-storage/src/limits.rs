//! Every limit of this crate, in one place.

// The codec does not depend on the store, so its limit must equal that of every store.
const _: () = assert!(mnem_car::BLOCK_BYTES_MAX == mnem_store_traits::limits::BLOCK_BYTES_EVERY_BACKEND);

/// Default size of the batch in which an import sorts blocks before it writes them, in bytes: 192 MiB. Two batches are
/// held. A large batch pays: rows that are sorted together are stored together.
pub(crate) const IMPORT_BATCH_BYTES_DEFAULT: u64 = 192 * 1024 * 1024;

/// Approximate memory for a block of a batch besides its bytes: its CID in the batch, in the set of those seen, and in
/// the store's own list.
pub(crate) const BLOCK_BYTES_EXTRA: u64 = 384;

/// Approximate memory for a block that waits to be stored, besides its bytes.
pub(crate) const RUN_BLOCK_BYTES_EXTRA: u64 = 160;

/// The most bytes that an import writes in one durable call.
pub(crate) const IMPORT_COMMIT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The most bytes that an adoption gathers in memory and writes in one durable call. Two such parts are held.
pub(crate) const ADOPT_COMMIT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The most bytes that an import or a copy writes in its first durable call, before it has measured one.
pub(crate) const PACE_BYTES_FIRST: u64 = 4 * 1024 * 1024;

/// The most bytes that an import or a copy writes in one durable call if the store is slow.
pub(crate) const PACE_BYTES_MIN: u64 = 256 * 1024;

/// The most bytes that a copy holds in memory and writes in one durable call.
pub(crate) const COPY_BATCH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most blocks or rows that a copy writes in one durable call.
pub(crate) const COPY_BATCH_ITEMS_MAX: usize = 8192;

/// The most CIDs that are taken from a listing before their blocks are read.
pub(crate) const LISTED_AHEAD_MAX: usize = 64;

/// The most blocks whose presence in the target a copy asks for together. Over a network, a question takes a request.
pub(crate) const COPY_ASKED_BLOCKS_MAX: usize = 8192;

/// The most blocks that a copy reads together.
pub(crate) const COPY_LOOKUP_BLOCKS_MAX: usize = 64;

/// The most bytes of these blocks, not counting the last one.
pub(crate) const COPY_LOOKUP_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The most blocks of unknown hash functions that the report of a copy or an import names.
pub(crate) const UNCHECKED_LISTED_MAX: usize = 10_000;

/// The most absent blocks that a report or an error names.
pub(crate) const MISSING_LISTED_MAX: usize = 10_000;

/// The most indexes with an unreachable root that the report of a collection names.
pub(crate) const DEAD_INDEXES_LISTED_MAX: usize = 10_000;

/// The blocks that a collection removes in its first durable call, and in later ones if the store is slow.
pub(crate) const COLLECT_BATCH_BLOCKS_MIN: usize = 64;

/// The most blocks that a collection removes in one durable call.
pub(crate) const COLLECT_BATCH_BLOCKS_MAX: usize = 8192;

/// The blocks of a part of the listing. A collection sweeps at least one part in a durable call, and remembers the last
/// CID of each.
pub(crate) const COLLECT_PART_BLOCKS: usize = 256;

/// The most blocks that a collection sweeps in one durable call, dead or not.
pub(crate) const COLLECT_SWEEP_BLOCKS_MAX: usize = 65_536;

/// The most blocks that wait to be followed in a collection, unless single blocks have very many links: 18 MiB of CIDs.
pub(crate) const COLLECT_WAITING_BLOCKS_MAX: usize = 1 << 19;

/// The most CIDs of written blocks that a copy remembers, to tell them from blocks that the target held before. Each
/// takes about 100 bytes.
pub(crate) const COPY_WRITTEN_KNOWN_MAX: usize = 10_000;

/// The most passes of a copy whose source is collected meanwhile.
pub(crate) const COPY_PASSES_MAX: u32 = 10;

/// The most blocks that a salvage lists because raw pages name them but do not hold them.
pub(crate) const RAW_LOST_MAX: usize = 10_000;

/// The most CIDs of heads from raw pages that a salvage remembers: about 10 MiB.
pub(crate) const RAW_HEADS_MAX: usize = 100_000;

/// How often a listing may break off before the rest comes from a scan of the raw files, if the backend has one.
pub(crate) const RAW_LISTING_BREAKS_MAX: usize = 16;
