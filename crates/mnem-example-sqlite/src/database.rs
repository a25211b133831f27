//! Connections and transactions: one writer, and as many readers as there are concurrent reads.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use mnem_store_traits::{Cause, Outcome, StoreError, backend::Gate, driver::Requested};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    driver::DRIVER,
    error::{BACKEND, commit_failed, failed},
    tables::{self, LOCK_WAIT},
    writers::WritersLock,
};

/// One open store. No method calls a caller's code, so no lock is held while a caller's code runs.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    gate: Gate,
    /// `None` once closed, and in a read-only handle. Locked for the duration of a write.
    writer: Mutex<Option<Writer>>,
    /// Idle connections; `None` once closed. Locked only to take one or put one back, never while it reads.
    readers: Mutex<Option<Vec<Connection>>>,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    /// Released after the connection is closed.
    _lock: WritersLock,
}

impl Database {
    pub(crate) fn open(path: &Path, requested: &Requested) -> Result<Self, StoreError> {
        // Connections opened later must lead to the same file, even if the current directory changes.
        let path = std::path::absolute(path).map_err(|error| StoreError::Backend {
            backend: BACKEND,
            operation: format!("find {}", path.display()),
            outcome: Outcome::NotApplied,
            source: Cause::new(error),
        })?;
        let (writer, readers) = if requested.never_writes() {
            (None, vec![tables::open_read_only(&path)?])
        } else {
            let wait = requested.lock_wait.unwrap_or(LOCK_WAIT);
            let lock = WritersLock::take(&path, requested.exclusive, wait)?;
            let (connection, made) = tables::open_writer(&path, wait)?;
            if !made {
                requested.check_existing(&DRIVER, &path.as_path().into())?;
            }
            (Some(Writer { connection, _lock: lock }), Vec::new())
        };
        if let (true, Some(connection)) = (requested.check, readers.first().or(writer.as_ref().map(|w| &w.connection)))
        {
            tables::check(&path, connection)?;
        }
        let gate = Gate::new(BACKEND, requested.never_writes());
        Ok(Self { path, gate, writer: Mutex::new(writer), readers: Mutex::new(Some(readers)) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails once the store is closed.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        self.gate.check_open(operation)
    }

    /// Reads with a connection of its own. `work` must be a single statement, so that it sees one snapshot.
    pub(crate) fn read<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.readers).as_mut().ok_or_else(|| self.gate.closed(operation))?.pop();
        let connection = match idle {
            Some(connection) => connection,
            None if self.gate.is_read_only() => tables::open_read_only(&self.path)?,
            None => tables::open_reader(&self.path)?,
        };
        let answer = work(&connection).map_err(|error| failed(&self.path, operation, error));
        if let Some(readers) = lock(&self.readers).as_mut() {
            readers.push(connection);
        }
        answer
    }

    /// Runs `work` in one durable transaction. If it fails, nothing is written.
    pub(crate) fn write(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Work<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let connection = &mut self.writable(&mut writer, operation)?.connection;
        // Begin as a write transaction, so that everything it reads stays true until it ends, in every process.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let work_in = Work {
            transaction: transaction.map_err(|error| failed(&self.path, operation, error))?,
            path: &self.path,
            operation,
        };
        work(&work_in)?;
        work_in.transaction.commit().map_err(|error| {
            let error = commit_failed(&self.path, operation, error);
            // Keep the connection: while one is open, no one recovers the log, and readers do not see the failed
            // commit.
            self.gate.poison(Cause::new(error.clone()));
            error
        })
    }

    /// Rewrites the database without its free pages, and checkpoints the log.
    pub(crate) fn vacuum(&self) -> Result<(), StoreError> {
        let operation = "compact";
        let mut writer = lock(&self.writer);
        let connection = &self.writable(&mut writer, operation)?.connection;
        let done = connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
        done.map_err(|error| failed(&self.path, operation, error))
    }

    /// The writing connection, if this handle has one and may still use it.
    fn writable<'a>(
        &self,
        writer: &'a mut Option<Writer>,
        operation: &'static str,
    ) -> Result<&'a mut Writer, StoreError> {
        self.gate.check_writable(operation)?;
        writer.as_mut().ok_or_else(|| self.gate.closed(operation))
    }

    /// Waits for a write in progress, then closes every idle connection. A reader at work closes its own.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let writer = lock(&self.writer).take();
        self.gate.close();
        drop(lock(&self.readers).take());
        let Some(writer) = writer else { return Ok(()) };
        writer.connection.close().map_err(|(_, error)| failed(&self.path, "close", error))
    }
}

/// A transaction in progress.
pub(crate) struct Work<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
    operation: &'static str,
}

impl Work<'_> {
    /// Runs statements. Their errors name the operation that the transaction serves.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        work(&self.transaction).map_err(|error| failed(self.path, self.operation, error))
    }
}

/// Ignores poisoning: if a thread panicked while it held the lock, unwinding rolled its transaction back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
