//! Connections and transactions: one writer, as many readers as there are reads at once.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use mnem_store_traits::{Cause, Outcome, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    error::{BACKEND, commit_failed, failed},
    tables,
};

/// One open store. No method calls back into a caller's code, so no lock is ever held while a caller's code runs.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// `None` once closed. Held for the length of a write.
    writer: Mutex<Option<Writer>>,
    /// Idle connections; `None` once closed. Held to take one out or put one back, never while it reads.
    readers: Mutex<Option<Vec<Connection>>>,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    /// Why this handle writes no more. The connection stays: while one is open, nobody recovers the log, and readers see no failed commit.
    poison: Option<Cause>,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        // Whatever becomes of the current directory, connections opened later lead to the same file.
        let path = std::path::absolute(path).map_err(|error| StoreError::Backend {
            backend: BACKEND,
            operation: format!("find {}", path.display()),
            outcome: Outcome::NotApplied,
            source: Cause::new(error),
        })?;
        let writer = Writer { connection: tables::open_writer(&path)?, poison: None };
        Ok(Self { path, writer: Mutex::new(Some(writer)), readers: Mutex::new(Some(Vec::new())) })
    }

    /// Reads with a connection of one's own. `work` is one statement, and so sees one moment.
    pub(crate) fn read<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = lock(&self.readers).as_mut().ok_or_else(|| closed(operation))?.pop();
        let connection = match idle {
            Some(connection) => connection,
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
        let Writer { connection, poison } = writer.as_mut().ok_or_else(|| closed(operation))?;
        if let Some(source) = poison.clone() {
            return Err(StoreError::Poisoned { backend: BACKEND, source });
        }
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
            *poison = Some(Cause::new(error.clone()));
            error
        })
    }

    /// Waits for a write in progress, then closes every connection that is idle; a reader at work closes its own.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let Some(writer) = lock(&self.writer).take() else { return Ok(()) };
        drop(lock(&self.readers).take());
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

fn closed(operation: &'static str) -> StoreError {
    StoreError::Closed { backend: BACKEND, operation }
}

/// A thread that panicked while it held the lock left nothing half done: its transaction was rolled back on the way out.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
