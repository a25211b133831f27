//! What the place of a store cannot give.

use std::io;

/// What the place of a store lacks: the cause of the [`StoreError::Backend`](crate::StoreError::Backend) with which a driver refuses it, so that a program can
/// offer the option that does without.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceLacks {
    /// File locks. [`without_locks`](super::OpenOptions::without_locks) helps where the driver `can_do_without`.
    #[error(
        "its file system has no locks (fcntl, flock), so two processes could write at once and destroy the store: \
         mount it with locks, for instance `-o flock`, or put the store elsewhere"
    )]
    Locks {
        /// Whether the driver opens the store without locks if asked to.
        can_do_without: bool,
        /// What the file system said, if anything.
        source: Option<io::Error>,
    },
    /// Locks on parts of a file, which a shared mode needs.
    #[error(
        "its file system has no locks on parts of a file (fcntl), which the shared modes need: \
         open the store in the exclusive mode, or put it elsewhere"
    )]
    RangeLocks,
    /// The sync of a folder. [`durability`](super::OpenOptions::durability) below `Power` does without.
    #[error(
        "its file system cannot sync folders (fsync), so a power cut could take new names away: \
         put the store elsewhere, or open it with less durability"
    )]
    FolderSync {
        /// What the file system said.
        source: io::Error,
    },
}
