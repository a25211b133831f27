//! How a store is opened.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::StoreError;

use crate::{
    CarlogStore,
    engine::files::{Files, StdFiles},
    limits::{INDEX_MEMORY, LOCK_WAIT, SEGMENT_BYTES, TABLE_ENTRIES, TAIL_BYTES},
    open,
    view::Bounds,
};

/// How a store is opened.
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
    /// Only a store that this call makes is opened.
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) lock_wait: Duration,
    pub(crate) segment_bytes: u32,
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
            index_memory: INDEX_MEMORY,
            bounds: Bounds { entries: TABLE_ENTRIES, tail_bytes: TAIL_BYTES },
            index_thread: true,
        }
    }
}

impl OpenOptions {
    /// Opens an existing store, for writing, and does not wait for another writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a store is made where nothing is, or where an empty folder is. Default: no.
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether the handle never writes. It takes no lock, and sees at each call what a writer has committed. Default: no.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// How long opening waits for another writer to close. Default: not at all.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// How many bytes of the index on disk stay in memory once they were read. Default: 64 MiB, enough for 4 million blocks.
    ///
    /// Look-ups of further blocks read 4 KiB from disk. The filters are not counted: they take up to 1.3 bytes for each block, and answer
    /// almost all look-ups of absent blocks.
    pub fn index_memory(mut self, bytes: usize) -> Self {
        self.index_memory = bytes;
        self
    }

    /// How many blocks and bytes of the log the newest part of the index has before it is written. For tests.
    #[doc(hidden)]
    pub fn index_bounds(mut self, entries: usize, tail_bytes: u64) -> Self {
        self.bounds = Bounds { entries, tail_bytes };
        self
    }

    /// Whether a thread writes and merges index runs, and not the calls that make them due. For tests.
    #[doc(hidden)]
    pub fn index_thread(mut self, yes: bool) -> Self {
        self.index_thread = yes;
        self
    }

    /// From which length on a segment takes no further commit. For tests.
    #[doc(hidden)]
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Opens the store in the folder at `path`.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there (and [`create`](Self::create) was not given), or something else.
    /// - [`StoreError::Locked`]: another handle may write.
    /// - [`StoreError::Damaged`]: what is there is not as it was written. Nothing was changed.
    /// - [`StoreError::UnsupportedFormat`]: it is of a later version.
    /// - [`StoreError::InvalidArgument`]: [`create`](Self::create) together with [`read_only`](Self::read_only).
    /// - [`StoreError::Backend`]: the file system failed.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<CarlogStore, StoreError> {
        self.open_on(Arc::new(StdFiles), path)
    }

    /// As [`open`](Self::open), on another file system. For tests.
    #[doc(hidden)]
    pub fn open_on(&self, files: Arc<dyn Files>, path: impl AsRef<Path>) -> Result<CarlogStore, StoreError> {
        open::open(self, files, path.as_ref())
    }
}
