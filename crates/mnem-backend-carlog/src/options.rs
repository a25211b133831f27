//! Options for opening a store.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::StoreError;

use crate::{
    CarlogStore,
    engine::files::{Files, StdFiles},
    limits::{INDEX_MEMORY, LOCK_WAIT, OPEN_SEGMENTS, SEGMENT_BYTES, TABLE_ENTRIES, TAIL_BYTES},
    open,
    view::Bounds,
};

/// Options for opening a store.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("notes.carlog");
/// use mnem_backend_carlog::OpenOptions;
///
/// let store = OpenOptions::new().create(true).open(&path)?;
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions {
    pub(crate) create: bool,
    /// Fail if the store exists already.
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) lock_wait: Duration,
    pub(crate) segment_bytes: u32,
    pub(crate) open_segments: usize,
    pub(crate) index_memory: usize,
    pub(crate) bounds: Bounds,
    pub(crate) index_thread: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            create_new: false,
            read_only: false,
            lock_wait: LOCK_WAIT,
            segment_bytes: SEGMENT_BYTES,
            open_segments: OPEN_SEGMENTS,
            index_memory: INDEX_MEMORY,
            bounds: Bounds { entries: TABLE_ENTRIES, tail_bytes: TAIL_BYTES },
            index_thread: true,
        }
    }
}

impl OpenOptions {
    /// The defaults: opens an existing store for writing, and does not wait for another writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to create the store if the path is absent or an empty folder. Default: no.
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether the handle only reads. It takes no lock, and each call sees the commits of a writer so far. Default: no.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// How long to wait for another writer to close. Default: no wait.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// How many bytes of the index on disk may stay in memory after they were read. Default: 64 MiB, enough for 4
    /// million blocks.
    ///
    /// Looking up a block whose index page is not in memory reads 4 KiB from disk. The limit does not include the
    /// filters, which take up to 1.3 bytes per block and answer almost all lookups of absent blocks.
    pub fn index_memory(mut self, bytes: usize) -> Self {
        self.index_memory = bytes;
        self
    }

    /// The number of blocks and bytes of the log at which the newest part of the index is written. For tests.
    #[doc(hidden)]
    pub fn index_bounds(mut self, entries: usize, tail_bytes: u64) -> Self {
        self.bounds = Bounds { entries, tail_bytes };
        self
    }

    /// Whether a thread writes and merges index runs, instead of the calls that make them due. For tests.
    #[doc(hidden)]
    pub fn index_thread(mut self, yes: bool) -> Self {
        self.index_thread = yes;
        self
    }

    /// The length from which a segment takes no further commit. For tests.
    #[doc(hidden)]
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How many segments may be open at once, besides the one that the handle writes to. For tests.
    #[doc(hidden)]
    pub fn open_segments(mut self, count: usize) -> Self {
        self.open_segments = count;
        self
    }

    /// Opens the store in the folder at `path`.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is at the path and [`create`](Self::create) is off, or something else is
    ///   there.
    /// - [`StoreError::Locked`]: another handle is open for writing.
    /// - [`StoreError::Damaged`]: a file is not as the store wrote it. Nothing was changed.
    /// - [`StoreError::UnsupportedFormat`]: the store has a later format version.
    /// - [`StoreError::InvalidArgument`]: [`create`](Self::create) together with [`read_only`](Self::read_only).
    /// - [`StoreError::Backend`]: the file system failed.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<CarlogStore, StoreError> {
        self.open_on(Arc::new(StdFiles), path)
    }

    /// Like [`open`](Self::open), on another file system. For tests.
    #[doc(hidden)]
    pub fn open_on(&self, files: Arc<dyn Files>, path: impl AsRef<Path>) -> Result<CarlogStore, StoreError> {
        open::open(self, files, path.as_ref())
    }
}
