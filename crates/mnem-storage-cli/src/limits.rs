//! All limits of the program.

/// The largest block of any backend, in bytes: 64 MiB. A store may have a lower limit.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The default of `import --max-block`, in bytes: 16 MiB.
pub(crate) const IMPORT_BLOCK_BYTES_MAX: u64 = mnem_storage::car::BLOCK_BYTES_MAX;

/// Extensions of archives and compressed files. A store gets such a name only if `--backend` is given.
pub(crate) const ARCHIVE_EXTENSIONS: [&str; 8] = ["car", "zip", "tar", "gz", "tgz", "zst", "xz", "7z"];

/// The shortest CID prefix, in characters. The first seven are the same in most CIDs.
pub(crate) const SHORT_CID_CHARS_MIN: usize = 8;

/// The longest line in a list of CIDs, in bytes.
pub(crate) const CID_LINE_BYTES_MAX: u64 = 4096;

/// The most blocks that `rm` removes in one durable call.
pub(crate) const REMOVED_TOGETHER_MAX: usize = 65_536;

/// The fewest blocks that `rm` removes in one durable call: the size of the first batch, and that of a slow store.
pub(crate) const REMOVED_TOGETHER_MIN: usize = 64;

/// How many times `heads rm` retries when other processes change the heads.
pub(crate) const HEADS_TRIES_MAX: u32 = 100;

/// How many bytes of a block `show` prints as text.
pub(crate) const PREVIEW_TEXT_BYTES: usize = 4096;

/// How many bytes of a block `show` prints in hexadecimal.
pub(crate) const PREVIEW_HEX_BYTES: usize = 256;

/// How many candidates the error for an ambiguous prefix lists.
pub(crate) const CANDIDATES_LISTED_MAX: usize = 5;

/// The longest line in a file of vectors or labels, in bytes: 16 MiB.
pub(crate) const JSON_LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The block size above which some other CAR readers refuse an archive, in bytes: 2 MiB.
pub(crate) const COMMON_BLOCK_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// How many missing blocks a note names; `--json` lists more.
pub(crate) const MISSING_NAMED_MAX: usize = 3;

/// How many missing blocks an error names.
pub(crate) const MISSING_LISTED_MAX: usize = 10;

/// The open-file limit that every command can work with, except `conformance`, which opens many stores.
#[cfg(unix)]
pub(crate) const OPEN_FILES_MIN: u32 = 16;

/// The memory that a command needs under a memory limit, in bytes: 128 MiB. Enough for blocks of up to 16 MiB; tables
/// that grow with the number of blocks, or with a file of vectors, come on top.
pub(crate) const MEMORY_BYTES_MIN: u64 = 128 * 1024 * 1024;

/// The same for `copy`, which holds a batch in two stores: 192 MiB.
pub(crate) const COPY_MEMORY_BYTES_MIN: u64 = 192 * 1024 * 1024;

/// The address space that the C library reserves for the allocator arenas of two threads, in bytes.
#[cfg(unix)]
pub(crate) const THREADS_ADDRESS_BYTES: u64 = 2 * 64 * 1024 * 1024;

/// Under a memory limit, the cache of a store gets one part in this many.
pub(crate) const CACHE_SHARE: u64 = 8;

/// Under a memory limit, one commit of an import gets one part in this many. Two commits are in memory at a time.
pub(crate) const IMPORT_BATCH_SHARE: u64 = 16;

/// The default cache of a store, in bytes: 64 MiB. The system caches the file too, so a larger cache mostly holds pages
/// twice.
pub(crate) const CACHE_BYTES_USUAL: usize = 64 * 1024 * 1024;

/// The default cache of a store that is read, in bytes: 8 MiB. A scan reads each page once, and a walk in an order that
/// a larger cache hardly helps. Measured with 1,000,000 blocks: with 64 MiB, no command that reads is faster.
pub(crate) const READING_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// The default cache of a collection, in bytes: 2 MiB. It reads all pages several times, each time nearly in order.
/// Measured with 1,000,000 blocks: 15 % less processor time than with 8 MiB, because fewer pages pass through the cache.
pub(crate) const COLLECTING_CACHE_BYTES: usize = 2 * 1024 * 1024;

/// How many unverified blocks the text of `import` lists.
pub(crate) const UNCHECKED_SHOWN_MAX: usize = 10;

/// How many temporary names to try if the names are taken.
pub(crate) const TEMPORARY_NAMES_MAX: usize = 1000;
