//! The options for opening a store.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{Durability, StoreError};

use crate::{
    SimpleStore,
    engine::medium::{FileSystem, StdFileSystem},
    open,
};

/// Options for opening a store.
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
    /// With `create`: fails if the store already exists.
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) lenient: bool,
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
            lenient: false,
            exclusive: false,
            durability: Durability::Power,
            lock_wait: Self::LOCK_WAIT,
            whole_sync_from: Self::WHOLE_SYNC_FROM,
        }
    }
}

impl OpenOptions {
    /// Default of [`lock_wait`](Self::lock_wait).
    pub const LOCK_WAIT: Duration = Duration::from_secs(5);

    /// Default of [`whole_sync_from`](Self::whole_sync_from): the number of new blocks, or of shards of present ones,
    /// from which a batch syncs the whole file system.
    pub const WHOLE_SYNC_FROM: usize = 32;

    /// The defaults: an existing store, for reading and writing, durable against a power cut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to create the store if nothing, or an empty folder, is there. The parent folder must exist. Default: no.
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether to refuse writes. A read-only handle writes nothing and takes no lock, so it works on a read-only medium
    /// and beside any writer. It cannot create a store: opening fails if [`create`](Self::create) is set too.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// Whether to open a damaged store, to read what is left of it. Its `format` file, and the parts that every store
    /// has, may be missing. Requires [`read_only`](Self::read_only).
    ///
    /// A listing returns an error for each folder that it cannot read, and continues with the next. Blocks are still
    /// hashed.
    pub fn lenient(mut self, yes: bool) -> Self {
        self.lenient = yes;
        self
    }

    /// Whether to keep other handles from writing while this one is open. Other writers then fail with
    /// [`Locked`](mnem_store_traits::StoreError::Locked) when they open the store, and this open fails if one of them
    /// has it open. Read-only handles are not kept out. Cannot be combined with [`read_only`](Self::read_only).
    pub fn exclusive(mut self, yes: bool) -> Self {
        self.exclusive = yes;
        self
    }

    /// The failures that a write survives once it returned `Ok`. Default: [`Durability::Power`].
    ///
    /// A weaker durability syncs no blocks. Everything acknowledged survives the process, but a power cut may lose or
    /// damage any of it, except what another handle made durable. Such a handle marks the store for good, so that
    /// handles with full durability do not trust the blocks that it put: see *unsynced* in `FORMAT.md`. It also works
    /// on a file system that cannot sync folders, which is refused otherwise. Verify the store after a power cut: a
    /// block of which only the name survived reads as [`Corrupt`](mnem_store_traits::StoreError::Corrupt).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Timeout for a lock that another process or handle holds, after which the call fails with
    /// [`Locked`](mnem_store_traits::StoreError::Locked). Locks are held during a head change, and while a store is
    /// created or its unfinished files are cleared. So with zero, concurrent head changes of two writers fail. Default:
    /// [`LOCK_WAIT`](Self::LOCK_WAIT).
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// The number of new blocks from which a batch syncs the whole file system, twice, instead of each file and folder.
    /// This is several times faster, and as safe where it is done (Linux 5.17 or newer, on ext4 and XFS), but it also
    /// waits for data that other programs have written there. For present or required blocks, it is the number of their
    /// shards from which the file system is synced once, instead of each shard; this happens before the lock of the
    /// heads is taken. Default: [`WHOLE_SYNC_FROM`](Self::WHOLE_SYNC_FROM); `usize::MAX` disables it.
    pub fn whole_sync_from(mut self, blocks: usize) -> Self {
        self.whole_sync_from = blocks;
        self
    }

    /// Opens the store at `path`, which may be a symbolic link to a store.
    ///
    /// Any number of processes and handles may have a store open and write to it at once; several may create it at
    /// once.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and `create` is not set, or something that is not a store; the
    ///   error has the reason.
    /// - [`StoreError::UnsupportedFormat`]: a store of a version that this build does not know. It was left untouched.
    /// - [`StoreError::Damaged`]: a part that every store has is missing, or is a symbolic link.
    /// - [`StoreError::Locked`]: another process takes longer than `lock_wait` to create or clear the store.
    /// - [`StoreError::InvalidArgument`]: the path is empty, `create` is set together with `read_only`, or `lenient`
    ///   without it.
    /// - [`StoreError::Backend`]: the file system refused, for instance for lack of permission, or because it has no
    ///   locks, cannot sync folders, or does not accept paths as long as those of a store. A creation then leaves
    ///   nothing behind.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<SimpleStore, StoreError> {
        self.open_on(Arc::new(StdFileSystem), path)
    }

    /// Opens the store at `path` of another file system. A seam for the tests of this crate, which may change in any
    /// version.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub fn open_on(&self, fs: Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Result<SimpleStore, StoreError> {
        open::open(self, fs, path.as_ref())
    }
}
