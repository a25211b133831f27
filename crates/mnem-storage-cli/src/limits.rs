//! Every limit of the program, in one place.

/// Largest block that any backend takes, in bytes: 64 MiB. The store's own limit counts, where it is less.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Largest block that `import` takes unless told otherwise, in bytes: 16 MiB.
pub(crate) const IMPORT_BLOCK_BYTES_MAX: u64 = mnem_storage::car::BLOCK_BYTES_MAX;

/// Fewest characters that a CID may be cut short to. The first seven are the same in most CIDs.
pub(crate) const SHORT_CID_CHARS_MIN: usize = 8;

/// CIDs that are named where one that was cut short may mean each of them, at most.
pub(crate) const CANDIDATES_LISTED_MAX: usize = 5;

/// Longest line of a file of vectors or labels, in bytes: 16 MiB.
pub(crate) const JSON_LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Size above which some readers of archives refuse blocks, in bytes: 2 MiB.
pub(crate) const COMMON_BLOCK_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Blocks of unknown hash functions that `import` names in its text, at most.
pub(crate) const UNCHECKED_SHOWN_MAX: usize = 10;
