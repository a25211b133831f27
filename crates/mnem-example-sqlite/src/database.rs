//! Connections and transactions: one writer, as many readers as there are reads at once.

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

/// One open store. No method calls back into a caller's code, so no lock is ever held while a caller's code runs.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    gate: Gate,
    /// `None` once closed, and in a handle that only reads. Held for the length of a write.
    writer: Mutex<Option<Writer>>,
    /// Idle connections; `None` once closed. Held to take one out or put one back, never while it reads.
    readers: Mutex<Option<Vec<Connection>>>,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    /// Given up after the connection is closed.
    _lock: WritersLock,
}

impl Database {
    pub(crate) fn open(path: &Path, requested: &Requested) -> Result<Self, StoreError> {
        // Whatever becomes of the current directory, connections opened later lead to the same file.
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

    /// Fails once it is closed.
    pub(crate) fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        self.gate.check_open(operation)
    }

    /// Reads with a connection of one's own. `work` is one statement, and so sees one moment.
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

    /// Does all of `work` in one durable transaction, or nothing of it where it fails.
    pub(crate) fn write(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Work<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let connection = &mut self.writable(&mut writer, operation)?.connection;
        // At once for writing: what the transaction reads stays true until it ends, in every process.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let work_in = Work {
            transaction: transaction.map_err(|error| failed(&self.path, operation, error))?,
            path: &self.path,
            operation,
        };
        work(&work_in)?;
        work_in.transaction.commit().map_err(|error| {
            let error = commit_failed(&self.path, operation, error);
            // The connection stays: while one is open, nobody recovers the log, and readers see no failed commit.
            self.gate.poison(Cause::new(error.clone()));
            error
        })
    }

    /// Rewrites the database without what is free in it, and folds the log back.
    pub(crate) fn vacuum(&self) -> Result<(), StoreError> {
        let operation = "compact";
        let mut writer = lock(&self.writer);
        let connection = &self.writable(&mut writer, operation)?.connection;
        let done = connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
        done.map_err(|error| failed(&self.path, operation, error))
    }

    /// The connection that writes, if this handle has one and may still use it.
    fn writable<'a>(
        &self,
        writer: &'a mut Option<Writer>,
        operation: &'static str,
    ) -> Result<&'a mut Writer, StoreError> {
        self.gate.check_writable(operation)?;
        writer.as_mut().ok_or_else(|| self.gate.closed(operation))
    }

    /// Waits for a write in progress, then closes every connection that is idle; a reader at work closes its own.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let writer = lock(&self.writer).take();
        self.gate.close();
        drop(lock(&self.readers).take());
        let Some(writer) = writer else { return Ok(()) };
        writer.connection.close().map_err(|(_, error)| failed(&self.path, "close", error))
    }
}

/// A transaction under way.
pub(crate) struct Work<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
    operation: &'static str,
}

impl Work<'_> {
    /// Runs statements; their errors are named after the call that the transaction serves.
    pub(crate) fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        work(&self.transaction).map_err(|error| failed(self.path, self.operation, error))
    }
}

/// A thread that panicked while it held the lock left nothing half done: its transaction was rolled back on the way out.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
