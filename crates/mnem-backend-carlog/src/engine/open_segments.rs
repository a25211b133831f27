//! Bounds the number of segments that are open at once.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use mnem_store_traits::{StoreError, driver::FileIdentity};

use super::{
    files::{File, Files},
    switch::is_unopened,
};
use crate::{error::damaged, handle::hold};

/// The segments of one handle that are open for reading. When there are too many, the one whose last read is the
/// longest ago is closed. It is opened again by its next read.
///
/// The writer holds the segment that it writes to open by itself: a file must not be closed between a write and its
/// sync.
#[derive(Debug)]
pub(crate) struct OpenSegments {
    files: Arc<dyn Files>,
    /// Counts reads, to tell which segment was read last.
    reads: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// The bound. Lower than `most` after the process has had too many files open.
    max: usize,
    most: usize,
    slots: Vec<Weak<Slot>>,
}

/// The open file of a segment; `None` while it is closed.
#[derive(Debug)]
struct Slot {
    file: RwLock<Option<Arc<dyn File>>>,
    last_read: AtomicU64,
}

/// A segment that may be closed and opened again between two reads. It cannot be written to.
#[derive(Debug)]
struct SegmentFile {
    path: PathBuf,
    identity: FileIdentity,
    slot: Arc<Slot>,
    all: Arc<OpenSegments>,
}

/// A segment was closed, and now no file, or another file, has its name: most likely, a compaction removed it.
#[derive(Debug)]
struct Gone(PathBuf);

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was removed or replaced", self.0.display())
    }
}

impl Error for Gone {}

/// The path of the segment that could not be opened again, if this was the failure.
pub(crate) fn gone(error: &StoreError) -> Option<&Path> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(Gone(path)) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(path);
        }
        cause = error.source();
    }
    None
}

/// Where no other log can be the reason, a segment that is gone is damage.
pub(crate) fn damaged_if_gone(error: StoreError) -> StoreError {
    let path = gone(&error).map(Path::to_owned);
    path.map_or(error, |path| damaged(&path, "the file is missing"))
}

impl OpenSegments {
    /// At most `max` segments are open, and those that are being read.
    pub(crate) fn new(files: Arc<dyn Files>, max: usize) -> Arc<Self> {
        let max = max.max(1);
        let open = Mutex::new(Open { max, most: max, slots: Vec::new() });
        Arc::new(Self { files, reads: AtomicU64::new(0), open })
    }

    /// Opens a segment for reading. Returns `None` if nothing is there.
    pub(crate) fn open(self: &Arc<Self>, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
        self.open_file(path)?.map(|file| self.take(path, file)).transpose()
    }

    /// Takes in a segment that was just created or opened.
    pub(crate) fn take(self: &Arc<Self>, path: &Path, file: Arc<dyn File>) -> io::Result<Arc<dyn File>> {
        let identity = file.identity()?;
        let slot = Arc::new(Slot { file: RwLock::default(), last_read: AtomicU64::new(0) });
        self.keep(&slot, file);
        Ok(Arc::new(SegmentFile { path: path.to_owned(), identity, slot, all: self.clone() }))
    }

    /// If the process has too many files open, closes segments and tries again. `call` must have changed nothing when
    /// it fails in this way.
    pub(crate) fn with_room<T>(&self, call: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            match call() {
                Err(error) if is_unopened(&error) && self.close_half() => {}
                done => return done,
            }
        }
    }

    /// Each file that can be opened at once raises a lowered bound by one.
    fn open_file(&self, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
        let first = self.files.open(path, false);
        if first.is_ok() {
            let mut open = hold(&self.open);
            open.max = (open.max + 1).min(open.most);
            return first;
        }
        self.with_room(|| self.files.open(path, false))
    }

    /// Keeps the file of a segment open. Returns the file that another thread has opened first, if there is one.
    fn keep(&self, slot: &Arc<Slot>, file: Arc<dyn File>) -> Arc<dyn File> {
        slot.last_read.store(self.now(), Ordering::Relaxed);
        let mut kept = slot.file.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept {
            return kept.clone();
        }
        *kept = Some(file.clone());
        drop(kept);
        let mut open = hold(&self.open);
        open.slots.push(Arc::downgrade(slot));
        let max = open.max;
        open.close_down_to(max);
        file
    }

    /// Lowers the bound to half of what is open. Returns whether anything was closed.
    fn close_half(&self) -> bool {
        let mut open = hold(&self.open);
        open.slots.retain(|slot| slot.strong_count() > 0);
        let count = open.slots.len();
        open.max = (count / 2).max(1);
        open.close_down_to(count / 2);
        count > 0
    }

    fn now(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed)
    }
}

impl Open {
    fn close_down_to(&mut self, count: usize) {
        if self.slots.len() <= count {
            return;
        }
        self.slots.retain(|slot| slot.strong_count() > 0);
        while self.slots.len() > count {
            let last_read = |slot: &Weak<Slot>| slot.upgrade().map(|slot| slot.last_read.load(Ordering::Relaxed));
            let oldest = (0..self.slots.len()).min_by_key(|at| self.slots.get(*at).and_then(last_read));
            let Some(at) = oldest else { return };
            if let Some(slot) = self.slots.swap_remove(at).upgrade() {
                slot.file.write().unwrap_or_else(PoisonError::into_inner).take();
            }
        }
    }
}

impl SegmentFile {
    fn file(&self) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &*self.slot.file.read().unwrap_or_else(PoisonError::into_inner) {
            self.slot.last_read.store(self.all.now(), Ordering::Relaxed);
            return Ok(file.clone());
        }
        // What the name leads to now may be another file, of a restored copy for instance.
        match self.all.open_file(&self.path)? {
            Some(file) if file.identity()? == self.identity => Ok(self.all.keep(&self.slot, file)),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, Gone(self.path.clone()))),
        }
    }
}

impl File for SegmentFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file()?.read_at(buffer, offset)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn file_bytes(&self) -> io::Result<u64> {
        self.file()?.file_bytes()
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(self.identity)
    }
}
