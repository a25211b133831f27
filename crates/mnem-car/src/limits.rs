//! The limits of this crate, in one place.

/// Longest header that is read, in bytes: 32 MiB, as in other readers. [`ROOTS_MAX`] roots of any length fit into it.
pub const HEADER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The largest block that every store of this family accepts, in bytes: 16 MiB. Each [`Reader`](crate::Reader) has a
/// limit of its own.
pub const BLOCK_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Maximum number of roots in a header: 262,144, which take 25 MiB of memory.
pub const ROOTS_MAX: usize = 1 << 18;

/// Maximum number of hash functions, and of digest widths, in the index of a CARv2. A section that is read as an index
/// has far more, from the bytes of its CID.
pub(crate) const INDEX_TABLES_MAX: u32 = 4096;

/// Longest entry of the index of a CARv2: a digest, of a CID of up to 2 KiB, and an offset of 8 bytes.
pub(crate) const INDEX_ENTRY_BYTES_MAX: usize = 2048 + 8;
