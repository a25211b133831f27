//! The options for opening a store.

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use mnem_store_traits::{Durability, StoreError, driver::Sharing};

use crate::{RedbStore, handle::Handle, limits, open};

/// When to verify the whole file on open: the checksum of every page, and the tables of free pages. This reads the file
/// twice and takes about 0.5 ms per MiB.
///
/// If another program altered the file, an open or read without a check may make redb panic (the caller gets
/// `Damaged`), report blocks as absent, or take gigabytes of memory. Open untrusted files with [`Check::Always`]. That
/// check, too, allocates memory for a page before it reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// If the file was not closed cleanly. After a clean close the file is trusted, whatever its length.
    #[default]
    Auto,
    /// On every open.
    Always,
    /// On every open, but without the tables of free pages, which only writes use. This reads the file once. Only for a
    /// read-only, exclusive handle of a file that was closed cleanly; otherwise as [`Always`](Self::Always).
    Pages,
    /// Only as part of a repair after an unclean close.
    Never,
    /// Never, not even after an unclean close. Reads what is left of a damaged file; requires a read-only, exclusive
    /// handle. Nothing is repaired, not even in memory.
    ///
    /// Bytes that the disk cannot read, or that are missing at the end of the file, read as zeros. A listing returns an
    /// error for each unreadable place and continues after it. Blocks are still hashed, but an absent block or side
    /// table row proves nothing. If the last commit cannot be read, the one before it is shown.
    AsItIs,
}

/// Which reads hash the block that they return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verify {
    /// Every read.
    #[default]
    EveryRead,
    /// The first read of each block through this handle. The handle remembers up to a million blocks, in 8 MiB of
    /// memory; a delete forgets them all. Changes to the file or to memory after the first read go unnoticed, so `get`
    /// may then return bytes that do not match the CID. Not available in the shared modes.
    OncePerHandle,
}

/// The corresponding setting of redb.
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
    /// Writes the data, syncs, switches to it, and syncs again. Survives a power cut, even if an earlier sync failed
    /// unnoticed.
    #[default]
    TwoPhase,
    /// Writes and switches with one sync. Survives a power cut, but if another program alters the file while it is
    /// unclean, the store may silently fall back by one commit. The shared modes of [`Sharing`] and `fast_recovery`
    /// commit in two phases regardless.
    OnePhase,
    /// Keeps commits in memory until the store is closed; killing the process loses them. After a failure of the medium
    /// the handle refuses reads too, since the file lacks the commits. Not available in the shared modes.
    None,
}

impl CommitDurability {
    /// The durability that the capabilities may claim.
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
    /// The layout of this crate: it has a format row, and a checksum over the heads.
    #[default]
    Native,
    /// The layout of the published `mnem-backend-redb` 0.1.x, which has neither. A file keeps it, so that both programs
    /// can use the file.
    Mnem01,
}

/// Options for opening a [`RedbStore`]. All have defaults; most callers set only [`create`](Self::create).
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
    /// With `create`: fails if the store already exists.
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
    /// The defaults: an existing store, for reading and writing, exclusive, durable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to create a store if nothing is there. Never overwrites. Cannot be combined with
    /// [`read_only`](Self::read_only).
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether to open without writing to the file, which then needs no write permission. A file that was not closed
    /// cleanly is repaired in memory only.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// When to verify the whole file. See [`Check`].
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Limit of redb's page cache, in bytes. The memory is not reserved. Default: [`limits::CACHE_BYTES_DEFAULT`].
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How processes share the file. See [`Sharing`]. The shared modes do not make a commit of 50 blocks slower; each
    /// read takes about 5 µs more.
    ///
    /// After a failure of the medium, a handle in [`Sharing::MultiWriter`], or a read-only handle in
    /// [`Sharing::SingleWriter`], refuses reads too until the store is reopened, because it can no longer follow the
    /// other processes.
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

    /// Whether every commit also records the free pages, so that opening after a crash need not walk the whole file.
    /// Commits are slower, and an open after a crash trusts the file as if it had been closed cleanly.
    pub fn fast_recovery(mut self, yes: bool) -> Self {
        self.fast_recovery = yes;
        self
    }

    /// How a new store names its tables. An existing store keeps its layout. See [`Layout`].
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Permissions of a new file on Unix, less the umask. Default: 0600, because a store belongs to its owner. Set 0666
    /// to leave the permissions to the umask, as most programs do. An existing file keeps its permissions.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Timeout for a store that another handle has open. Default: none, so the open fails at once. In
    /// [`Sharing::MultiWriter`] the timeout also applies to the turn of a write, and its default is
    /// [`limits::TURN_WAIT_DEFAULT`].
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Whether to open the store even if its file system has no file locks. Default: no; the open fails there.
    ///
    /// Without locks, no other process may have the store open, not even for reading: two writers destroy it. Handles
    /// of this process still exclude each other. If the file system has locks, they are taken anyway. Not available in
    /// the shared modes of [`Sharing`].
    pub fn without_locks(mut self, yes: bool) -> Self {
        self.without_locks = yes;
        self
    }

    /// Whether to create and write the store even if its file system cannot sync folders. Default: no; the open fails
    /// there before it writes to the store.
    ///
    /// A power cut may then remove the name of a new file, and with it everything acknowledged. If the folder cannot be
    /// synced, the capabilities claim only [`Durability::Process`]. If it can be synced, it is, and the option has no
    /// effect.
    pub fn without_folder_sync(mut self, yes: bool) -> Self {
        self.without_folder_sync = yes;
        self
    }

    /// Timeout for a writer's turn where writers share the file.
    pub(crate) fn turn_wait(&self) -> Duration {
        if self.lock_wait.is_zero() { limits::TURN_WAIT_DEFAULT } else { self.lock_wait }
    }

    /// Opens the store at `path`, a file.
    ///
    /// In the default [`Sharing`], a file that is refused keeps its content to the byte.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and `create` is not set; or the path is a folder, an empty file, a
    ///   file that redb did not write, or a redb file with other tables.
    /// - [`StoreError::Locked`]: another handle, in this process or another, has it open in a mode that excludes this
    ///   one.
    /// - [`StoreError::UnsupportedFormat`]: a later version wrote it.
    /// - [`StoreError::NeedsRecovery`]: it was not closed cleanly, and this read-only handle in a shared mode cannot
    ///   repair it.
    /// - [`StoreError::Damaged`]: it was truncated or altered.
    /// - [`StoreError::InvalidArgument`]: options that cannot be combined.
    /// - [`StoreError::Backend`]: the file system failed or denied access; or it has no file locks and
    ///   [`without_locks`](Self::without_locks) is not set; or it cannot sync folders and
    ///   [`without_folder_sync`](Self::without_folder_sync) is not set.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<RedbStore, StoreError> {
        let handle = open::open_path(path.as_ref(), self)?;
        Ok(RedbStore::new(Handle::share(handle)))
    }

    /// Opens a store over any medium: for tests, and for storage other than files. `name` stands for the path in
    /// errors.
    ///
    /// An empty medium becomes a store if `create` is set. Opening closes the medium between its steps, so it must
    /// remain usable after a call of its `close`. A medium that cannot be locked needs
    /// [`without_locks`](Self::without_locks), and then nothing keeps two handles apart.
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
