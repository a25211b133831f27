//! An open file: how transactions begin and end, what a failure does to the handle, and how it closes.

use std::{
    fmt,
    mem::{self, ManuallyDrop},
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::{Cause, Outcome, StoreError};
use redb::{Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::{
    BACKEND, CommitDurability, Concurrency, Layout, OpenOptions,
    error::{At, Panic, contain, is_latched},
    limits::{LOCK_PAUSE, TURN_WAIT_MIN},
    medium::Seam,
    open,
};

/// What redb has open.
pub(crate) enum Db {
    /// For writing; or for reading only, repaired in memory.
    Writable(Database),
    /// A clean file, only read.
    ReadOnly(ReadOnlyDatabase),
}

/// The database and the seam below it.
pub(crate) struct Session {
    pub(crate) db: Db,
    pub(crate) seam: Seam,
    /// A second look at the file, repaired in memory, for reading on after the medium failed and redb refused.
    salvaged: Option<(Database, Seam)>,
}

impl Session {
    pub(crate) fn new(db: Db, seam: Seam) -> Self {
        Self { db, seam, salvaged: None }
    }

    fn begin_read(&self) -> Result<ReadTransaction, redb::TransactionError> {
        match (&self.salvaged, &self.db) {
            (Some((db, _)), _) => db.begin_read(),
            (None, Db::Writable(db)) => db.begin_read(),
            (None, Db::ReadOnly(db)) => db.begin_read(),
        }
    }

    fn close(self) -> Result<(), redb::DatabaseError> {
        drop(self.salvaged);
        match self.db {
            Db::Writable(db) => db.close(),
            Db::ReadOnly(db) => db.close(),
        }
    }
}

/// An open store, shared by the store and its views.
pub(crate) struct Handle {
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    options: OpenOptions,
    /// `None` once closed. Held while a transaction begins, never while one runs.
    session: RwLock<Option<Session>>,
    /// Held by the one write in progress.
    writer: Mutex<()>,
    /// Why writes are refused.
    poison: OnceLock<Cause>,
    /// redb panicked: its objects must not be dropped.
    panicked: AtomicBool,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("path", &self.path).field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// What a write did, and hence how its transaction ends.
pub(crate) enum Wrote {
    /// Commit.
    Something,
    /// Abort: nothing is written.
    Nothing,
}

impl Handle {
    pub(crate) fn new(path: PathBuf, layout: Layout, options: OpenOptions, session: Session) -> Self {
        Self {
            path,
            layout,
            options,
            session: RwLock::new(Some(session)),
            writer: Mutex::new(()),
            poison: OnceLock::new(),
            panicked: AtomicBool::new(false),
        }
    }

    pub(crate) fn share(self) -> Arc<Self> {
        Arc::new(self)
    }

    pub(crate) fn at(&self, operation: &'static str) -> At<'_> {
        At { path: &self.path, operation }
    }

    pub(crate) fn durability(&self) -> CommitDurability {
        self.options.durability
    }

    // Nothing that runs under these locks leaves the session half changed, so a poisoned lock is read through.
    fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        self.session.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn session_mut(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn closed(operation: &'static str) -> StoreError {
        StoreError::Closed { backend: BACKEND, operation }
    }

    /// Remembers that redb panicked, and says so.
    fn panicked(&self, operation: &'static str, panic: Panic) -> StoreError {
        self.panicked.store(true, Ordering::Release);
        let error = self.at(operation).panicked(panic);
        self.poison(&error);
        error
    }

    /// Refuses writes from now on, because of `error`.
    fn poison(&self, error: &StoreError) {
        let _ = self.poison.set(Cause::new(error.clone()));
    }

    /// Whether a write may begin.
    ///
    /// # Errors
    /// `Closed`, `ReadOnly`, `Poisoned`.
    pub(crate) fn check_writable(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.session().is_none() {
            return Err(Self::closed(operation));
        }
        if self.options.read_only {
            return Err(StoreError::ReadOnly { backend: BACKEND, operation });
        }
        match self.poison.get() {
            Some(source) => Err(StoreError::Poisoned { backend: BACKEND, source: source.clone() }),
            None => Ok(()),
        }
    }

    /// Whether a read may begin.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.session().is_none() { Err(Self::closed(operation)) } else { Ok(()) }
    }

    /// Lets what was staged while opening reach the medium.
    ///
    /// # Errors
    /// The medium's; the database must not be used then.
    pub(crate) fn release(&self, operation: &'static str) -> Result<(), StoreError> {
        let session = self.session();
        let session = session.as_ref().ok_or_else(|| Self::closed(operation))?;
        session.seam.release().map_err(|error| self.at(operation).failed(Outcome::Unknown, error))
    }

    /// The length of the file, in bytes.
    pub(crate) fn file_bytes(&self, operation: &'static str) -> Result<u64, StoreError> {
        let medium = self.session().as_ref().ok_or_else(|| Self::closed(operation))?.seam.medium();
        medium.len().map_err(|error| self.at(operation).failed(Outcome::NotApplied, error))
    }

    /// Runs `f` in a read transaction of its own. What `f` returns may own its place in the snapshot, but not borrow.
    pub(crate) fn read<R>(
        &self,
        operation: &'static str,
        mut f: impl FnMut(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match self.read_once(operation, &mut f) {
            Err(error) if is_latched(&error) && self.salvage(operation)? => self.read_once(operation, &mut f),
            result => result,
        }
    }

    fn read_once<R>(
        &self,
        operation: &'static str,
        f: &mut impl FnMut(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let begun = {
            let session = self.session();
            let session = session.as_ref().ok_or_else(|| Self::closed(operation))?;
            contain(|| session.begin_read())
        };
        let transaction =
            begun.map_err(|panic| self.panicked(operation, panic))?.map_err(|error| self.at(operation).redb(error))?;
        // Not dropped by an unwinding: what panicked once may panic again, and that would end the process.
        let transaction = ManuallyDrop::new(transaction);
        contain(|| {
            let result = f(&transaction);
            drop(ManuallyDrop::into_inner(transaction));
            result
        })
        .map_err(|panic| self.panicked(operation, panic))?
    }

    /// Lets reads go on after redb latched a failure of the medium: opens the file a second time, repaired in memory. `false` if that
    /// is not possible.
    fn salvage(&self, operation: &'static str) -> Result<bool, StoreError> {
        // Others may be writing the file; a repaired copy of what it was would not follow them.
        let alone = match self.options.concurrency {
            Concurrency::ExclusiveWriter => true,
            Concurrency::SingleWriter => !self.options.read_only,
            Concurrency::MultiWriter => false,
        };
        if !alone {
            return Ok(false);
        }
        let mut session = self.session_mut();
        let session = session.as_mut().ok_or_else(|| Self::closed(operation))?;
        if session.salvaged.as_ref().is_some_and(|(_, seam)| !seam.failed()) {
            return Ok(true); // by another reader, meanwhile
        }
        let old = session.salvaged.take();
        contain(|| drop(old)).map_err(|panic| self.panicked(operation, panic))?;
        session.salvaged = Some(open::salvage(session.seam.medium(), &self.path, &self.options)?);
        Ok(true)
    }

    /// Runs `f` in the one write transaction, and commits it durably if it wrote something.
    ///
    /// # Errors
    /// Those of [`check_writable`](Self::check_writable); whatever `f` returns, after an abort; a failed commit, which poisons the handle.
    pub(crate) fn write<R>(
        &self,
        operation: &'static str,
        f: impl FnOnce(&WriteTransaction) -> Result<(R, Wrote), StoreError>,
    ) -> Result<R, StoreError> {
        self.check_writable(operation)?;
        let _writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.check_writable(operation)?;
        let mut transaction = ManuallyDrop::new(self.begin_write(operation)?);
        let done = contain(|| {
            self.prepare(operation, &mut transaction)?;
            f(&transaction)
        })
        .map_err(|panic| self.panicked(operation, panic))?;
        let transaction = ManuallyDrop::into_inner(transaction);
        match done {
            Ok((result, Wrote::Something)) => self.commit(operation, transaction).map(|()| result),
            Ok((result, Wrote::Nothing)) => self.abort(operation, transaction).map(|()| result),
            Err(error) => {
                // The cause goes back to the caller; that of a failed abort is in the poison.
                let _ = self.abort(operation, transaction);
                self.poison_if_failed(&error);
                Err(error)
            }
        }
    }

    fn begin_write(&self, operation: &'static str) -> Result<WriteTransaction, StoreError> {
        let wait = self.options.lock_wait.max(TURN_WAIT_MIN);
        let deadline = Instant::now().checked_add(wait);
        let mut pause = LOCK_PAUSE.0;
        loop {
            let begun = {
                let session = self.session();
                match session.as_ref().map(|session| &session.db) {
                    None => return Err(Self::closed(operation)),
                    Some(Db::ReadOnly(_)) => return Err(StoreError::ReadOnly { backend: BACKEND, operation }),
                    Some(Db::Writable(db)) => contain(|| db.try_begin_write()),
                }
            };
            match begun.map_err(|panic| self.panicked(operation, panic))? {
                Ok(transaction) => return Ok(transaction),
                // Another process writes: ours hold `writer`.
                Err(redb::TransactionError::WouldBlock) if deadline.is_none_or(|at| Instant::now() < at) => {
                    thread::sleep(pause);
                    pause = next_pause(pause);
                }
                Err(error) => {
                    let error = self.at(operation).redb(error);
                    return Err(self.refused(error));
                }
            }
        }
    }

    /// The error of a write that redb refused to begin: poisoned, if an earlier failure is the reason.
    fn refused(&self, error: StoreError) -> StoreError {
        self.poison_if_failed(&error);
        match self.poison.get() {
            Some(source) => StoreError::Poisoned { backend: BACKEND, source: source.clone() },
            None => error,
        }
    }

    fn prepare(&self, operation: &'static str, transaction: &mut WriteTransaction) -> Result<(), StoreError> {
        transaction.set_two_phase_commit(self.options.durability == CommitDurability::TwoPhase);
        transaction.set_quick_repair(self.options.fast_recovery);
        if self.options.durability == CommitDurability::None {
            transaction
                .set_durability(redb::Durability::None)
                .map_err(|error| self.at(operation).failed(Outcome::NotApplied, error))?;
        }
        Ok(())
    }

    fn commit(&self, operation: &'static str, transaction: WriteTransaction) -> Result<(), StoreError> {
        match contain(|| transaction.commit()).map_err(|panic| self.panicked(operation, panic)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(redb::CommitError::TransactionPoisoned)) => {
                Err(self.at(operation).redb(redb::CommitError::TransactionPoisoned))
            }
            Ok(Err(error)) => {
                let error = self.unknown(operation, self.at(operation).redb_with(error, Outcome::Unknown));
                self.poison(&error);
                Err(error)
            }
            Err(error) => Err(self.unknown(operation, error)),
        }
    }

    /// A commit that did not end well may be there after reopening, whatever the error was.
    fn unknown(&self, operation: &'static str, error: StoreError) -> StoreError {
        match error.outcome() {
            Outcome::Unknown => error,
            Outcome::NotApplied => self.at(operation).failed(Outcome::Unknown, error),
        }
    }

    fn abort(&self, operation: &'static str, transaction: WriteTransaction) -> Result<(), StoreError> {
        contain(|| transaction.abort())
            .map_err(|panic| self.panicked(operation, panic))?
            .map_err(|error| self.at(operation).redb(error))
            .inspect_err(|error| self.poison(error))
    }

    /// Poisons the handle when the medium failed: redb writes nothing more then.
    fn poison_if_failed(&self, error: &StoreError) {
        let failed = self.session().as_ref().is_some_and(|session| session.seam.failed());
        if failed || is_latched(error) {
            self.poison(error);
        }
    }

    /// Waits for a write in progress and closes the file. Closing again is `Ok`.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(session) = self.session_mut().take() else { return Ok(()) };
        let at = self.at("close");
        if self.panicked.load(Ordering::Acquire) {
            let shut = session.seam.shut();
            mem::forget(session);
            let source = self.poison.get().cloned().unwrap_or_else(|| Cause::new("redb panicked"));
            shut.map_err(|error| at.failed(Outcome::NotApplied, error))?;
            let operation = format!("close {}", self.path.display());
            return Err(StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::NotApplied, source });
        }
        let seam = session.seam.clone();
        match contain(|| session.close()) {
            Ok(closed) => closed.map_err(|error| at.redb(error)),
            Err(panic) => {
                let _ = seam.shut();
                Err(at.panicked(panic))
            }
        }
    }

    /// Calls `f` with the database for exclusive maintenance.
    pub(crate) fn maintain<R>(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(&mut Database) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        self.check_writable(operation)?;
        let result = {
            let session = self.session.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            match session.as_mut().map(|session| &mut session.db) {
                None => return Err(Self::closed(operation)),
                Some(Db::ReadOnly(_)) => return Err(StoreError::ReadOnly { backend: BACKEND, operation }),
                Some(Db::Writable(db)) => contain(|| f(db)),
            }
        };
        result.map_err(|panic| self.panicked(operation, panic))?.map_err(|error| {
            let error = self.at(operation).redb(error);
            self.poison_if_failed(&error);
            error
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(path = %self.path.display(), %error, cause, "store was dropped and could not be closed cleanly");
        }
    }
}

/// How long to wait before the next attempt: twice as long each time.
pub(crate) fn next_pause(pause: Duration) -> Duration {
    LOCK_PAUSE.1.min(pause * 2)
}
