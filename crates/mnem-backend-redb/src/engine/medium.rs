//! The seam between redb and the medium. All input and output of an open file goes through it.

use std::{
    fmt, io,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use redb::{BackendError, StorageBackend};

use crate::{
    engine::{
        growth::Growth,
        header::is_closed,
        locks::insist,
        overlay::{Change, Overlay},
    },
    limits::LOCK_PAUSE,
};

/// The reason why nothing is written after a failure.
const EARLIER: &str = "an earlier call failed";

/// A medium: redb's own trait, shared.
pub(crate) type Medium = Arc<dyn StorageBackend>;

/// How the seam treats the locks that redb takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locks {
    /// Take them as requested.
    PassThrough,
    /// Take them as a reader, which excludes writers but no other reader, although redb believes that it writes.
    AsReader,
    /// Another seam over the same medium holds them.
    OwnedByOther,
    /// This seam holds them already; report every lock as granted.
    Preacquired,
}

/// A medium as redb sees it: direct, or *staged*, with every write held in memory until [`release`](Self::release).
#[derive(Clone)]
pub(crate) struct Seam(Arc<State>);

struct State {
    medium: Medium,
    locks: Locks,
    /// Whether redb may see an empty medium, of which it would make a database.
    may_initialise: bool,
    /// No read fails: unreadable bytes, and those after the end, are zeros.
    lenient: bool,
    staged: RwLock<Option<Overlay>>,
    /// `staged` is `None`. Saves every read the lock.
    direct: AtomicBool,
    /// A call of the medium failed. redb then refuses everything that is not in its cache.
    failed: AtomicBool,
    /// Nothing reaches the medium any more.
    shut: AtomicBool,
    /// The header is written after the pages that it names: see [`Seam::header_last`].
    header_last: AtomicBool,
    /// redb is closing: see [`Seam::begin_close`].
    closing: AtomicBool,
    /// redb requested a sync while closing.
    closing_syncs: AtomicBool,
    /// The end of the bytes that may ever have been written.
    written_end: AtomicU64,
    /// A header that waits for the next sync.
    header: Mutex<Option<Vec<u8>>>,
    /// The header of the closed file, which is written last.
    last_header: Mutex<Option<Vec<u8>>>,
    /// Syncs that wait until something depends on them.
    growth: Growth,
    /// The deadline of blocking locks. `None`: no timeout.
    lock_deadline: Mutex<Option<Instant>>,
}

impl fmt::Debug for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seam").field(&self.0.medium).finish()
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Seam {
    /// A seam whose reads and writes go to the medium.
    pub(crate) fn direct(medium: Medium, may_initialise: bool) -> Self {
        Self::new(medium, Locks::PassThrough, may_initialise, false, None)
    }

    /// A seam that reads from the medium and writes into memory.
    pub(crate) fn staged(medium: Medium, locks: Locks) -> io::Result<Self> {
        let overlay = Overlay::over(medium.len()?, locks == Locks::PassThrough);
        Ok(Self::new(medium, locks, false, false, Some(overlay)))
    }

    /// A seam over this view of the medium, on which no read fails. Its locks must be held already.
    pub(crate) fn lenient(medium: Medium, view: Overlay) -> Self {
        Self::new(medium, Locks::Preacquired, false, true, Some(view))
    }

    fn new(medium: Medium, locks: Locks, may_initialise: bool, lenient: bool, overlay: Option<Overlay>) -> Self {
        // Beside other processes redb writes the header under a lock that their readers take too.
        let alone = locks == Locks::PassThrough && overlay.is_some();
        Self(Arc::new(State {
            medium,
            locks,
            may_initialise,
            lenient,
            direct: AtomicBool::new(overlay.is_none()),
            staged: RwLock::new(overlay),
            failed: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            header_last: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            closing_syncs: AtomicBool::new(false),
            written_end: AtomicU64::new(0),
            header: Mutex::new(None),
            last_header: Mutex::new(None),
            growth: Growth::new(alone),
            lock_deadline: Mutex::new(None),
        }))
    }

    /// Applies the staged changes, call by call in redb's order with its syncs, and goes direct. In a file that was
    /// closed, the mark need not be synced yet: see [`Growth`].
    ///
    /// Must not be called by two threads at once. Reads may run meanwhile.
    pub(crate) fn release(&self, was_closed: bool) -> io::Result<()> {
        while let Some(mut changes) = self.take_changes()? {
            if was_closed && matches!(changes.last(), Some(Change::Sync)) {
                changes.pop();
                self.0.growth.marked(self.noted(self.0.medium.len())?);
            }
            self.noted(changes.iter().try_for_each(|change| change.carry_out(&*self.0.medium)))?;
        }
        Ok(())
    }

    /// Takes the staged changes that are not applied yet; if there are none, goes direct. `None`: the seam is direct.
    fn take_changes(&self) -> io::Result<Option<Vec<Change>>> {
        if self.is_direct() {
            return Ok(None);
        }
        if self.failed() {
            return Err(io::Error::other(EARLIER));
        }
        let mut staged = self.0.staged.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let changes = staged.as_mut().map(Overlay::take_changes).unwrap_or_default();
        if changes.is_empty() {
            self.0.written_end.store(self.noted(self.0.medium.len())?, Ordering::Release);
            *staged = None;
            self.0.direct.store(true, Ordering::Release);
            return Ok(None);
        }
        Ok(Some(changes))
    }

    /// Whether nothing is staged.
    pub(crate) fn is_direct(&self) -> bool {
        self.0.direct.load(Ordering::Acquire)
    }

    /// Syncs the medium: another program may have written its content without a sync.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.noted(self.0.medium.sync_data())
    }

    /// Tells the seam that redb does nothing but close from now on, and that no other call returns before it has. The
    /// seam defers redb's syncs until two are left: one of everything else, and one of the header that still has the
    /// mark. The header without the mark follows and is not synced. So a file that looks closed is durable, although a
    /// power cut may bring the mark back.
    ///
    /// These two syncs come before the file is truncated where it was ever written, and a third follows the truncation,
    /// because recovery of the last commit reads pages that this commit has freed. If commits are not durable, recovery
    /// may also read pages that were never written.
    pub(crate) fn begin_close(&self, durable_commits: bool) {
        if !durable_commits {
            self.0.written_end.store(u64::MAX, Ordering::Release);
        }
        if self.0.growth.puts_off() {
            self.0.closing.store(true, Ordering::Release);
        }
    }

    /// Carries out the calls that closing deferred.
    fn finish_close(&self) -> io::Result<()> {
        if !self.is_direct() {
            return Ok(());
        }
        self.catch_up()?;
        match guard(&self.0.last_header).take() {
            Some(header) if !self.failed() => self.0.medium.write(0, &header),
            _ => Ok(()),
        }
    }

    /// Carries out the syncs that closing has deferred so far, and the header write between them.
    fn catch_up(&self) -> io::Result<()> {
        if !self.0.closing_syncs.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        if self.failed() {
            return Err(io::Error::other(EARLIER));
        }
        self.sync_with_header()
    }

    /// Whether a call of the medium failed.
    pub(crate) fn failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Cuts redb off and releases its locks. For a database that panicked, which must not write and may never close
    /// itself.
    pub(crate) fn shut(&self) -> io::Result<()> {
        if self.0.shut.swap(true, Ordering::AcqRel) || self.0.locks == Locks::OwnedByOther {
            return Ok(());
        }
        self.0.medium.close()
    }

    /// Sets the deadline of blocking locks.
    pub(crate) fn set_lock_deadline(&self, deadline: Option<Instant>) {
        *guard(&self.0.lock_deadline) = deadline;
    }

    /// Makes redb's writes of the header wait for the next sync, or stops doing so. That sync then becomes two: of
    /// everything else, then of the header.
    ///
    /// This turns a one-phase commit of redb into a two-phase one. Otherwise a failed sync leaves a header that the
    /// next open finds in the page cache and trusts, and pages that are in the page cache too and never reach the disk.
    pub(crate) fn header_last(&self, yes: bool) -> io::Result<()> {
        self.0.header_last.store(yes, Ordering::Release);
        let kept = guard(&self.0.header).take();
        match kept {
            // After a failure the header stays unwritten, like everything else.
            Some(header) if !yes && !self.failed() => self.noted(self.write_direct(0, &header)),
            _ => Ok(()),
        }
    }

    /// Keeps the header for the next sync, if that is enabled. redb writes the header whole, and nothing else at the
    /// start of the file.
    fn keep_header(&self, offset: u64, data: &[u8]) -> bool {
        let keep = offset == 0 && (self.0.header_last.load(Ordering::Acquire) || self.is_closing());
        if keep {
            let is_last = self.is_closing() && is_closed(data);
            *guard(if is_last { &self.0.last_header } else { &self.0.header }) = Some(data.to_vec());
        }
        keep
    }

    fn read_direct(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.medium.read(offset, out)?;
        if offset == 0 {
            for kept in [&self.0.header, &self.0.last_header] {
                out.iter_mut().zip(guard(kept).iter().flatten()).for_each(|(out, byte)| *out = *byte);
            }
        }
        Ok(())
    }

    fn set_len_direct(&self, len: u64) -> io::Result<()> {
        let longer = len > self.0.medium.len()?;
        if len < self.0.written_end.load(Ordering::Acquire) {
            self.catch_up()?;
        }
        self.0.medium.set_len(len)?;
        self.0.growth.resized(longer);
        Ok(())
    }

    fn write_direct(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.keep_header(offset, data) {
            return Ok(());
        }
        if self.0.growth.needs_sync_before(offset, data.len()) {
            self.sync_all()?;
        }
        self.0.written_end.fetch_max(offset.saturating_add(data.len() as u64), Ordering::AcqRel);
        self.0.medium.write(offset, data)
    }

    fn sync_direct(&self) -> io::Result<()> {
        if self.is_closing() {
            self.0.closing_syncs.store(true, Ordering::Release);
            return Ok(());
        }
        if self.0.growth.put_off() {
            return Ok(());
        }
        self.sync_with_header()
    }

    fn sync_with_header(&self) -> io::Result<()> {
        self.sync_all()?;
        let Some(header) = guard(&self.0.header).take() else { return Ok(()) };
        self.0.medium.write(0, &header)?;
        self.0.medium.sync_data()
    }

    fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.medium.sync_data()?;
        self.0.growth.synced();
        Ok(())
    }

    /// The medium below.
    pub(crate) fn medium(&self) -> Medium {
        Arc::clone(&self.0.medium)
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.0.failed.store(true, Ordering::Release);
        }
        result
    }

    /// Calls `f` with the overlay while staged.
    fn with_staged<T>(&self, f: impl FnOnce(&Overlay) -> io::Result<T>) -> Option<io::Result<T>> {
        if self.is_direct() {
            return None;
        }
        self.0.staged.read().unwrap_or_else(|poisoned| poisoned.into_inner()).as_ref().map(f)
    }

    /// Calls `f` to change the overlay while staged.
    fn change_staged(&self, f: impl FnOnce(&mut Overlay) -> io::Result<()>) -> Option<io::Result<()>> {
        if self.is_direct() {
            return None;
        }
        self.0.staged.write().unwrap_or_else(|poisoned| poisoned.into_inner()).as_mut().map(f)
    }

    fn open(&self) -> io::Result<()> {
        if self.0.shut.load(Ordering::Acquire) {
            return self.noted(Err(io::Error::other("the store was closed after a panic")));
        }
        Ok(())
    }

    /// A blocking lock with a timeout, which redb's own call lacks.
    fn lock_within(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> Result<bool, BackendError>,
    ) -> Result<(), BackendError> {
        let mut pause = LOCK_PAUSE.0;
        loop {
            if attempt()? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(BackendError::Io(io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(pause);
            pause = LOCK_PAUSE.1.min(pause * 2);
        }
    }

    /// Refreshes the length after a lock call: the previous holder may have changed it since this seam was made.
    fn refresh_len(&self, locked: bool) -> Result<bool, BackendError> {
        if locked {
            let medium = &*self.0.medium;
            self.change_staged(|overlay| overlay.refresh(medium)).transpose()?;
        }
        Ok(locked)
    }

    fn try_exclusive(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        insist(self.0.medium.try_lock_range(start, end), start, end)
    }

    fn try_shared(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        insist(self.0.medium.try_lock_shared_range(start, end), start, end)
    }

    /// Takes a shared lock where redb, as the only writer, requests an exclusive one.
    ///
    /// redb uses three ranges. The last byte of the one that begins at offset zero means "shared between writers". A
    /// read-only handle tests whether that byte is locked, and takes any holder, even a shared one, for a writer. So
    /// this leaves the byte unlocked and only tests it.
    fn lock_as_reader(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let medium = &self.0.medium;
        let (Bound::Unbounded, Bound::Included(shared_writer)) = (start, end) else {
            return self.try_shared(start, end);
        };
        let end = Bound::Excluded(shared_writer);
        if !self.try_shared(start, end)? {
            return Ok(false);
        }
        if medium.query_lock_range(Bound::Included(shared_writer), Bound::Included(shared_writer))? {
            medium.unlock_range(start, end)?;
            return Ok(false);
        }
        Ok(true)
    }
}

impl StorageBackend for Seam {
    fn len(&self) -> io::Result<u64> {
        self.open()?;
        let len = match self.with_staged(|overlay| Ok(overlay.len())) {
            Some(len) => len,
            None => self.0.medium.len(),
        };
        match self.noted(len)? {
            0 if !self.0.may_initialise => self.noted(Err(io::ErrorKind::UnexpectedEof.into())),
            len => Ok(len),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.open()?;
        let medium = &*self.0.medium;
        let lenient = self.0.lenient;
        let read = match self.with_staged(|overlay| {
            if lenient {
                overlay.read_leniently(medium, offset, out);
                Ok(())
            } else {
                overlay.read(medium, offset, out)
            }
        }) {
            Some(read) => read,
            None => self.read_direct(offset, out),
        };
        self.noted(read)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.open()?;
        let set = match self.change_staged(|overlay| overlay.set_len(len)) {
            Some(set) => set,
            None => self.set_len_direct(len),
        };
        self.noted(set)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.open()?;
        let synced = match self.change_staged(|overlay| overlay.sync()) {
            Some(synced) => synced,
            None => self.sync_direct(),
        };
        self.noted(synced)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.open()?;
        let medium = &*self.0.medium;
        let written = match self.change_staged(|overlay| overlay.write(medium, offset, data)) {
            Some(written) => written,
            None => self.write_direct(offset, data),
        };
        self.noted(written)
    }

    fn close(&self) -> io::Result<()> {
        let finished = self.noted(self.finish_close());
        self.shut().and(finished)
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let locked = match self.0.locks {
            Locks::PassThrough => self.try_exclusive(start, end)?,
            Locks::AsReader => self.lock_as_reader(start, end)?,
            Locks::OwnedByOther | Locks::Preacquired => true,
        };
        self.refresh_len(locked)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        let locked = match self.0.locks {
            Locks::PassThrough | Locks::AsReader => self.try_shared(start, end)?,
            Locks::OwnedByOther | Locks::Preacquired => true,
        };
        self.refresh_len(locked)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        if matches!(self.0.locks, Locks::OwnedByOther | Locks::Preacquired) {
            return Ok(());
        }
        let deadline = *guard(&self.0.lock_deadline);
        match deadline {
            Some(deadline) => self.lock_within(deadline, || self.try_lock_range(start, end)),
            None => insist(self.0.medium.lock_range(start, end), start, end),
        }
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        if matches!(self.0.locks, Locks::OwnedByOther | Locks::Preacquired) {
            return Ok(());
        }
        let deadline = *guard(&self.0.lock_deadline);
        match deadline {
            Some(deadline) => self.lock_within(deadline, || self.try_lock_shared_range(start, end)),
            None => insist(self.0.medium.lock_shared_range(start, end), start, end),
        }
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        match (self.0.locks, start, end) {
            (Locks::OwnedByOther | Locks::Preacquired, ..) => Ok(()),
            (Locks::AsReader, Bound::Unbounded, Bound::Included(shared_writer)) => {
                self.0.medium.unlock_range(start, Bound::Excluded(shared_writer))
            }
            _ => self.0.medium.unlock_range(start, end),
        }
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match self.0.locks {
            Locks::OwnedByOther | Locks::Preacquired => Ok(false),
            Locks::PassThrough | Locks::AsReader => self.0.medium.query_lock_range(start, end),
        }
    }
}
