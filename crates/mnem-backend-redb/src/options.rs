//! How a store is opened.

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use mnem_store_traits::{Durability, StoreError, driver::Sharing};

use crate::{RedbStore, handle::Handle, limits, open};

/// When the whole file is verified on open: every page's checksum and the tables of free pages. Costs one read of the file, and some
/// 0.5 ms for each MiB.
///
/// A file that was altered since redb wrote it makes an unchecked open, or later reads, panic inside redb (the caller gets `Damaged`), find blocks
/// absent, or take gigabytes of memory: open what somebody else gave you with [`Check::Always`], and mind that the check too makes room for a page before
/// it reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// When the file was not closed cleanly. A clean close is trusted, whatever the length of the file.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Only as far as a repair after an unclean close does it.
    Never,
    /// Not at all, also after an unclean close: what can still be read of a damaged file, read-only and alone. Nothing is repaired, not even in memory.
    ///
    /// What is missing at the end of the file, or cannot be read by the disk, is zeros. A listing has an error for each place that it cannot read, and
    /// goes on behind it. Blocks are hashed as ever, but that one is absent, or a row of a side table, proves nothing. If the last
    /// commit cannot be found, the one before it is shown.
    AsItIs,
}

/// Which reads hash the block that they return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verify {
    /// Every one.
    #[default]
    EveryRead,
    /// The first one of each block by this handle, as long as it remembers: up to a million blocks, in 8 MiB of memory. What changes in the file
    /// or in memory after that first read goes unnoticed, so `get` may then return other bytes than the CID names. Every delete forgets them all.
    /// Not for shared modes.
    OncePerHandle,
}

/// What redb calls it.
pub(crate) fn mode(sharing: Sharing) -> redb::ConcurrencyMode {
    match sharing {
        Sharing::SingleWriter => redb::ConcurrencyMode::SingleWriter,
        Sharing::MultiWriter => redb::ConcurrencyMode::MultiWriter,
        Sharing::ExclusiveWriter => redb::ConcurrencyMode::ExclusiveWriter,
    }
}

/// What a commit does before it returns `Ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitDurability {
    /// Writes the data, syncs, switches to it, syncs. Survives a power cut, also after an earlier sync failed unnoticed.
    #[default]
    TwoPhase,
    /// Writes and switches with one sync. Survives a power cut; a file that was altered while unclean may silently fall back one commit. The
    /// shared modes of [`Sharing`] and `fast_recovery` commit in two phases all the same.
    OnePhase,
    /// Nothing: commits live in memory until the store is closed, and a killed process loses them. After the medium failed a handle refuses
    /// reads too, since the file lacks what was committed. Not possible in the shared modes.
    None,
}

impl CommitDurability {
    /// What the capabilities may claim.
    pub(crate) fn claim(self) -> Durability {
        match self {
            Self::TwoPhase | Self::OnePhase => Durability::Power,
            Self::None => Durability::None,
        }
    }
}

/// How the file names its tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// This crate's own: a format row, and a checksum over the heads.
    #[default]
    Native,
    /// That of the published `mnem-backend-redb` 0.1.x, without either. Found and kept, so that both programs can go on using the file.
    Mnem01,
}

/// Opens a [`RedbStore`]. Everything has a default; only [`create`](Self::create) is commonly needed.
///
/// ```
/// use mnem_backend_redb::OpenOptions;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("animals.redb");
/// let store = OpenOptions::new().create(true).open(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions {
    pub(crate) create: bool,
    /// With `create`: refuses a store that this call did not make.
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) check: Check,
    pub(crate) cache_bytes: usize,
    pub(crate) sharing: Sharing,
    pub(crate) durability: CommitDurability,
    pub(crate) verify: Verify,
    pub(crate) fast_recovery: bool,
    pub(crate) layout: Layout,
    pub(crate) mode: u32,
    pub(crate) lock_wait: Duration,
    pub(crate) without_locks: bool,
    pub(crate) without_folder_sync: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            create_new: false,
            read_only: false,
            check: Check::default(),
            cache_bytes: limits::CACHE_BYTES_DEFAULT,
            sharing: Sharing::default(),
            durability: CommitDurability::default(),
            verify: Verify::default(),
            fast_recovery: false,
            layout: Layout::default(),
            mode: limits::MODE_DEFAULT,
            lock_wait: Duration::ZERO,
            without_locks: false,
            without_folder_sync: false,
        }
    }
}

impl OpenOptions {
    /// The defaults: an existing store, for reading and writing, alone, durable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to make a store where there is nothing. Never overwrites. Not together with
    /// [`read_only`](Self::read_only).
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether to open without ever writing to the file, which may then lack write permission. A file that was left unclean is repaired in
    /// memory only.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// When to verify the whole file. See [`Check`].
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Memory that redb may use as its cache, in bytes. Default: [`limits::CACHE_BYTES_DEFAULT`], an upper bound and not reserved.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How processes share the file. See [`Sharing`]. In the shared modes a commit of 50 blocks costs as much, and each read about 5 µs more.
    ///
    /// In [`Sharing::MultiWriter`], and in a read-only handle of [`Sharing::SingleWriter`], reads too are refused after the medium
    /// failed, until the store is reopened: the handle can no longer follow the others.
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// What a commit does before it returns. See [`CommitDurability`].
    pub fn durability(mut self, durability: CommitDurability) -> Self {
        self.durability = durability;
        self
    }

    /// Which reads hash the block that they return. See [`Verify`].
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// Whether every commit also records which pages are free, so that opening after a crash need not walk the whole file. Makes commits
    /// slower, and an open after a crash trusts the file as one after a clean close.
    pub fn fast_recovery(mut self, yes: bool) -> Self {
        self.fast_recovery = yes;
        self
    }

    /// How a new store names its tables. An existing store keeps its own. See [`Layout`].
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// The permissions of a new file on Unix, less the umask. Default: 0600, since a store is for its owner. 0666 is what other
    /// programs ask for, and leaves it to the umask. An existing file keeps its own.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// How long to wait for a store that another handle has open. Default: not at all. In [`Sharing::MultiWriter`] also how long a write
    /// waits for its turn, and there the default is [`limits::TURN_WAIT_DEFAULT`].
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Whether to open the store also where its file system has no file locks. Default: no, and such a place is
    /// refused.
    ///
    /// No other process may then have the store open meanwhile, not even for reading: two that write destroy it.
    /// Handles of this process still exclude each other. Where there are locks they are taken all the same. Not
    /// possible in the shared modes of [`Sharing`].
    pub fn without_locks(mut self, yes: bool) -> Self {
        self.without_locks = yes;
        self
    }

    /// Whether to make the store, and to write to it, also where its file system cannot sync folders. Default: no, and
    /// such a place is refused before the store is written to.
    ///
    /// A power cut may then take the name of a new file away, and with it everything acknowledged: where the folder
    /// could not be synced the capabilities claim [`Durability::Process`]. Where it can be, it is, and nothing changes.
    pub fn without_folder_sync(mut self, yes: bool) -> Self {
        self.without_folder_sync = yes;
        self
    }

    /// How long to wait for a turn where writers share the file.
    pub(crate) fn turn_wait(&self) -> Duration {
        if self.lock_wait.is_zero() { limits::TURN_WAIT_DEFAULT } else { self.lock_wait }
    }

    /// Opens the store at `path`, a file.
    ///
    /// A file that is refused is left as it was, to the byte, in the default [`Sharing`].
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing there and `create` not set, a folder, an empty file, a file that redb did not write, or a redb file
    ///   with other tables.
    /// - [`StoreError::Locked`]: another handle, here or in another process, has it open in a mode that excludes this one.
    /// - [`StoreError::UnsupportedFormat`]: written by a later version.
    /// - [`StoreError::NeedsRecovery`]: left unclean, and this read-only handle in a shared mode cannot repair it.
    /// - [`StoreError::Damaged`]: truncated or altered.
    /// - [`StoreError::InvalidArgument`]: options that exclude each other.
    /// - [`StoreError::Backend`]: the file system failed, or forbids it; or it has no file locks, and
    ///   [`without_locks`](Self::without_locks) is not set; or it syncs no folders, and
    ///   [`without_folder_sync`](Self::without_folder_sync) is not.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<RedbStore, StoreError> {
        let handle = open::open_path(path.as_ref(), self)?;
        Ok(RedbStore::new(Handle::share(handle)))
    }

    /// Opens a store over any medium: the escape hatch for tests and for storage that is no file. `name` stands in for the path in errors.
    ///
    /// An empty medium becomes a store if `create` is set. The medium may be used again after its `close` was called:
    /// opening closes it between its steps. One that cannot be locked needs [`without_locks`](Self::without_locks);
    /// nothing then keeps two handles apart.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_medium(
        &self,
        medium: impl redb::StorageBackend,
        name: impl Into<PathBuf>,
    ) -> Result<RedbStore, StoreError> {
        let handle = open::open_medium(Arc::new(medium), name.into(), self)?;
        Ok(RedbStore::new(Handle::share(handle)))
    }
}
