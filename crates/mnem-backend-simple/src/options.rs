//! How to open a store.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{Durability, StoreError};

use crate::{
    SimpleStore,
    engine::medium::{FileSystem, StdFileSystem},
    open,
};

/// How to open a store.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("store");
/// use mnem_backend_simple::OpenOptions;
///
/// let store = OpenOptions::new().create(true).open(&path)?;
/// drop(store);
/// let store = OpenOptions::new().read_only(true).open(&path)?;
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions {
    pub(crate) create: bool,
    /// With `create`: refuses a store that this call did not make.
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) as_it_is: bool,
    pub(crate) exclusive: bool,
    pub(crate) durability: Durability,
    pub(crate) lock_wait: Duration,
    pub(crate) whole_sync_from: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            create_new: false,
            read_only: false,
            as_it_is: false,
            exclusive: false,
            durability: Durability::Power,
            lock_wait: Self::LOCK_WAIT,
            whole_sync_from: Self::WHOLE_SYNC_FROM,
        }
    }
}

impl OpenOptions {
    /// How long a lock is waited for unless [`lock_wait`](Self::lock_wait) says otherwise.
    pub const LOCK_WAIT: Duration = Duration::from_secs(5);

    /// From how many new blocks, or shards of present ones, on a batch syncs the whole file system unless [`whole_sync_from`](Self::whole_sync_from) says otherwise.
    pub const WHOLE_SYNC_FROM: usize = 32;

    /// Opens an existing store for reading and writing, durable against a power cut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to create the store where nothing, or an empty folder, is. Its parent folder must be there. No unless set.
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether to refuse writes. A read-only handle writes nothing at all and takes no lock, so it works on a read-only medium and beside
    /// any writer. It cannot create a store: together with [`create`](Self::create), opening is refused.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// Whether to open a damaged store, for reading what can be read of it: its `format` file and the parts that every store has may be missing. Only
    /// together with [`read_only`](Self::read_only).
    ///
    /// A listing has an error for each folder that it cannot read, and goes on with the next. Blocks are hashed as ever.
    pub fn as_it_is(mut self, yes: bool) -> Self {
        self.as_it_is = yes;
        self
    }

    /// Whether no other handle may write while this one is open: other writers then get [`Locked`](mnem_store_traits::StoreError::Locked) when
    /// they open the store, and this one does if one of them has it open. Handles that only read are not kept out. Not together
    /// with [`read_only`](Self::read_only).
    pub fn exclusive(mut self, yes: bool) -> Self {
        self.exclusive = yes;
        self
    }

    /// What survives once a write returned `Ok`: [`Durability::Power`] unless set.
    ///
    /// Anything less syncs no block: what was acknowledged survives the process, and a power cut may lose or damage any of it, but nothing
    /// that another handle made durable. Such a
    /// handle marks the store for good, so that handles with full durability do not trust the blocks that it put: see *unsynced* in
    /// `FORMAT.md`. It is also what works where the file system cannot sync folders, which is refused otherwise. After a power cut, verify the store: a block of which only the name survived reads as
    /// [`Corrupt`](mnem_store_traits::StoreError::Corrupt).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long to wait for a lock that another process or handle holds, before [`Locked`](mnem_store_traits::StoreError::Locked).
    /// Locks are held for the length of a head change, and while a store is created or its unfinished files are cleared. So zero makes
    /// head changes of two writers at once fail. [`LOCK_WAIT`](Self::LOCK_WAIT) unless set.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// From how many new blocks on a batch syncs the whole file system, twice, instead of each file and folder: several times faster, as safe
    /// where it is done (Linux 5.17 or newer, on ext4 and XFS), but it also waits for what other programs have written there. From as many
    /// shards on that hold blocks which are present already, or which a commit requires, it is synced once instead of each shard. It is
    /// done before the lock of the heads is taken. [`WHOLE_SYNC_FROM`](Self::WHOLE_SYNC_FROM) unless set; `usize::MAX` for never.
    pub fn whole_sync_from(mut self, blocks: usize) -> Self {
        self.whole_sync_from = blocks;
        self
    }

    /// Opens the store at `path`, which may be a symbolic link to a store.
    ///
    /// Any number of processes and handles may have a store open, and write to it, at once; several may create it at once.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and `create` was not asked for, or something that is no store; the reason says what.
    /// - [`StoreError::UnsupportedFormat`]: a store of a version that this build does not know. It was left untouched.
    /// - [`StoreError::Damaged`]: a part that every store has is missing, or is a symbolic link.
    /// - [`StoreError::Locked`]: another process creates or clears the store for longer than `lock_wait`.
    /// - [`StoreError::InvalidArgument`]: the path is empty, `create` was asked for with `read_only`, or `as_it_is` without.
    /// - [`StoreError::Backend`]: the file system refused, for instance for want of permission, or because it has no locks, cannot sync folders, or
    ///   takes no paths as long as those of a store; a creation has then left nothing behind.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<SimpleStore, StoreError> {
        self.open_on(Arc::new(StdFileSystem), path)
    }

    /// Opens the store at `path` of another file system. A seam for the tests of this crate, which may change in any version.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub fn open_on(&self, fs: Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Result<SimpleStore, StoreError> {
        open::open(self, fs, path.as_ref())
    }
}
