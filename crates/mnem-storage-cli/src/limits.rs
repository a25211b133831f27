//! Every limit of the program, in one place.

/// Largest block that any backend takes, in bytes: 64 MiB. The store's own limit counts, where it is less.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Largest block that `import` takes unless told otherwise, in bytes: 16 MiB.
pub(crate) const IMPORT_BLOCK_BYTES_MAX: u64 = mnem_storage::car::BLOCK_BYTES_MAX;

/// Extensions of archives and packed files, under which no store is made unless its backend is named.
pub(crate) const ARCHIVE_EXTENSIONS: [&str; 8] = ["car", "zip", "tar", "gz", "tgz", "zst", "xz", "7z"];

/// Fewest characters that a CID may be cut short to. The first seven are the same in most CIDs.
pub(crate) const SHORT_CID_CHARS_MIN: usize = 8;

/// Longest line that may hold a CID, in bytes.
pub(crate) const CID_LINE_BYTES_MAX: u64 = 4096;

/// Blocks that `rm` removes in one durable call, at most: as many as take a moment.
pub(crate) const REMOVED_TOGETHER_MAX: usize = 65_536;

/// Blocks that `rm` removes in one durable call where the store is slow, and in the first.
pub(crate) const REMOVED_TOGETHER_MIN: usize = 64;

/// How often `heads rm` reads the heads again when others change them meanwhile.
pub(crate) const HEADS_TRIES_MAX: u32 = 100;

/// Bytes of a block that `show` writes as text.
pub(crate) const PREVIEW_TEXT_BYTES: usize = 4096;

/// Bytes of a block that `show` writes in hexadecimal.
pub(crate) const PREVIEW_HEX_BYTES: usize = 256;

/// CIDs that are named where one that was cut short may mean each of them, at most.
pub(crate) const CANDIDATES_LISTED_MAX: usize = 5;

/// Longest line of a file of vectors or labels, in bytes: 16 MiB.
pub(crate) const JSON_LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Size above which some readers of archives refuse blocks, in bytes: 2 MiB.
pub(crate) const COMMON_BLOCK_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Absent blocks that a note names; `--json` lists more.
pub(crate) const MISSING_NAMED_MAX: usize = 3;

/// Absent blocks that an error names.
pub(crate) const MISSING_LISTED_MAX: usize = 10;

/// Files that a process must be allowed to have open, at least: enough for every command but `conformance`, which opens many stores.
#[cfg(unix)]
pub(crate) const OPEN_FILES_MIN: u32 = 16;

/// Memory that a limit must leave to a command, in bytes: 128 MiB. Enough for blocks of up to 16 MiB, but for what grows with the number of blocks
/// or with a file of vectors.
pub(crate) const MEMORY_BYTES_MIN: u64 = 128 * 1024 * 1024;

/// The same for `copy`, which holds a batch in two stores: 192 MiB.
pub(crate) const COPY_MEMORY_BYTES_MIN: u64 = 192 * 1024 * 1024;

/// Address space that the C library reserves for the allocations of two threads, in bytes. Much of it is never used.
#[cfg(unix)]
pub(crate) const THREADS_ADDRESS_BYTES: u64 = 2 * 64 * 1024 * 1024;

/// Under a limit of memory, this part of it is for the cache of a store.
pub(crate) const CACHE_SHARE: u64 = 8;

/// Under a limit of memory, this part of it is for the blocks of one commit of an import. Two of them are held at once.
pub(crate) const IMPORT_BATCH_SHARE: u64 = 16;

/// Cache of a store unless told otherwise, in bytes: 64 MiB. The system caches the file too, so a larger one mostly holds pages twice.
pub(crate) const CACHE_BYTES_USUAL: usize = 64 * 1024 * 1024;

/// Cache of a store of which each part is read once, in bytes: 8 MiB.
pub(crate) const LISTING_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Blocks of unknown hash functions that `import` names in its text, at most.
pub(crate) const UNCHECKED_SHOWN_MAX: usize = 10;

/// How many temporary names are tried while all of them are taken.
pub(crate) const TEMPORARY_NAMES_MAX: usize = 1000;
