//! What a store says of itself beyond its content.

use std::{fs, path::PathBuf};

/// What a store holds and what it takes on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of all blocks, without keys and without what the backend adds.
    pub block_bytes: u64,
    /// Op heads.
    pub heads: u64,
    /// Side tables that hold at least one key, ascending by name.
    pub tables: Vec<TableInfo>,
    /// Length of the store's files, in bytes.
    pub file_bytes: u64,
    /// What the files take on the medium, in bytes, as `du` counts it; equal to `file_bytes` where the system does not tell.
    pub allocated_bytes: u64,
    /// Bytes of the files that are free for new blocks, as far as the backend can tell.
    pub free_bytes: u64,
}

/// What a side table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of its keys and values.
    pub bytes: u64,
}

/// What compacting a store came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// Length of the store's files before, in bytes.
    pub before_bytes: u64,
    /// Their length now, in bytes.
    pub after_bytes: u64,
    /// Why there was nothing to do, if so.
    pub nothing_to_do: Option<&'static str>,
}

impl Reclaimed {
    /// The files had this length before, and have that now.
    pub fn new(before_bytes: u64, after_bytes: u64) -> Self {
        Self { before_bytes, after_bytes, nothing_to_do: None }
    }

    /// Nothing is to be gained, and why.
    pub fn nothing(file_bytes: u64, why: &'static str) -> Self {
        Self { before_bytes: file_bytes, after_bytes: file_bytes, nothing_to_do: Some(why) }
    }
}

/// An entry among a store's files that is not the store's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Its path.
    pub path: PathBuf,
    /// Whether a writer that was killed left it: the next handle that opens the store for writing removes it.
    pub unfinished: bool,
}

/// What a file takes on its medium, in bytes.
pub fn allocated_bytes(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        metadata.blocks() * 512
    }
    #[cfg(not(unix))]
    metadata.len()
}

/// Device and number of a file or folder, which all its names lead to and no other has; `None` where the system does not tell.
pub type FileIdentity = Option<(u64, u64)>;

/// The identity of what the metadata was read of.
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
