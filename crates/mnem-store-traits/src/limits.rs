//! Every limit of the contract, in one place.

/// Every backend accepts blocks of up to this many bytes: 16 MiB.
pub const BLOCK_BYTES_EVERY_BACKEND: u64 = 16 * 1024 * 1024;

/// Longest name of a side table, in bytes. Names match `[a-z0-9_]{1,32}`.
pub const TABLE_NAME_BYTES_MAX: usize = 32;

/// Longest key in a side table, in bytes. Keys have at least one.
pub const TABLE_KEY_BYTES_MAX: usize = 100;

/// Largest value in a side table that every backend accepts, in bytes: 16 MiB.
pub const TABLE_VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes to hash from which another thread pays: starting one costs about as much as hashing 100 KiB.
pub(crate) const PARALLEL_BYTES_MIN: usize = 1024 * 1024;

/// Blocks that are read ahead and kept, at most.
pub(crate) const FETCH_AHEAD_BLOCKS_MAX: usize = 128;

/// Bytes of blocks that are read ahead and kept, at most, plus one block.
pub(crate) const FETCH_AHEAD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The depth to which nested lists and maps are followed in a block.
pub(crate) const NESTING_MAX: usize = 128;

/// Longest text of a link in DAG-JSON that is read, in bytes: more than any CID takes, even if each of its characters
/// is written as an escape. A CID has up to 64 bytes of digest after four numbers of up to 9 bytes.
pub(crate) const LINK_TEXT_BYTES_MAX: usize = 6 * 256;
