//! Counts and sizes of a store.

use std::{fs, path::PathBuf};

/// The contents of a store and its size on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of all blocks, without keys and the overhead of the backend.
    pub block_bytes: u64,
    /// Number of op heads.
    pub heads: u64,
    /// Side tables that hold at least one key, ascending by name.
    pub tables: Vec<TableInfo>,
    /// Length of the store's files, in bytes.
    pub file_bytes: u64,
    /// Space of the files on the medium in bytes, as `du` counts it. Equal to `file_bytes` if the system does not
    /// report it.
    pub allocated_bytes: u64,
    /// Bytes of the files that are free for new blocks, as far as the backend knows.
    pub free_bytes: u64,
    /// Further counts of the backend, in the order in which a program shows them.
    pub details: Vec<Detail>,
}

/// A count that only this backend has, such as the entries of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Its name in `snake_case`, unique among the details of the store.
    pub name: &'static str,
    /// The count.
    pub count: u64,
}

/// The contents of a side table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of its keys and values.
    pub bytes: u64,
}

/// The result of compacting a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// Length of the store's files before, in bytes.
    pub before_bytes: u64,
    /// Their length now, in bytes.
    pub after_bytes: u64,
    /// Of `after_bytes`, the bytes of unused files that are kept for other readers a little longer. A later call returns
    /// them.
    pub pending_bytes: u64,
    /// The reason, if there was nothing to do.
    pub nothing_to_do: Option<&'static str>,
}

impl Reclaimed {
    /// The lengths of the files before and after.
    pub fn new(before_bytes: u64, after_bytes: u64) -> Self {
        Self { before_bytes, after_bytes, pending_bytes: 0, nothing_to_do: None }
    }

    /// There was nothing to do, for this reason.
    pub fn nothing(file_bytes: u64, why: &'static str) -> Self {
        Self { nothing_to_do: Some(why), ..Self::new(file_bytes, file_bytes) }
    }
}

/// An entry among a store's files that does not belong to the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Its path.
    pub path: PathBuf,
    /// Whether a killed writer left it. The next handle that opens the store for writing removes it.
    pub unfinished: bool,
}

/// The space of a file on its medium, in bytes.
pub fn allocated_bytes(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        metadata.blocks() * 512
    }
    #[cfg(not(unix))]
    metadata.len()
}

/// Device and inode number of a file or folder, equal for all its names and for no other file; `None` if the system
/// does not report them.
pub type FileIdentity = Option<(u64, u64)>;

/// The identity of the file or folder with this metadata.
pub fn identity(metadata: &fs::Metadata) -> FileIdentity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}
