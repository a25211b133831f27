//! Features that the location of a store lacks.

use std::io;

/// A feature that the location of a store lacks. This is the cause of the
/// [`StoreError::Backend`](crate::StoreError::Backend) with which a driver refuses the location, so that a program can
/// name the option that makes the feature unnecessary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceLacks {
    /// File locks. [`without_locks`](super::OpenOptions::without_locks) helps if the driver `can_do_without`.
    #[error(
        "its file system has no locks (fcntl, flock), so two processes could write at the same time and destroy the store: \
         mount it with locks, such as `-o flock`, or move the store"
    )]
    Locks {
        /// Whether the driver can open the store without locks if this is requested.
        can_do_without: bool,
        /// The error of the file system, if any.
        source: Option<io::Error>,
    },
    /// Locks on parts of a file, which a shared mode needs.
    #[error(
        "its file system has no byte-range locks (fcntl), which the shared modes need: \
         open the store in the exclusive mode, or move it"
    )]
    RangeLocks,
    /// Syncing a folder. [`durability`](super::OpenOptions::durability) below `Power` does without it.
    #[error(
        "its file system cannot sync folders (fsync), so a power cut could lose new files: \
         move the store, or open it with less durability"
    )]
    FolderSync {
        /// The error of the file system.
        source: io::Error,
    },
}
