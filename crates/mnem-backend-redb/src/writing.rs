//! The one write transaction: how it begins and ends, and what a failure of it does to the handle.

use std::{mem::ManuallyDrop, thread, time::Instant};

use mnem_store_traits::{Outcome, StoreError};
use redb::WriteTransaction;

use crate::{
    BACKEND, CommitDurability,
    error::{contain, is_latched},
    handle::Handle,
    limits::{LOCK_PAUSE, next_pause},
    session::Db,
};

/// What a write did, and hence how its transaction ends.
pub(crate) enum Wrote {
    /// Commit.
    Something,
    /// Abort: nothing is written.
    Nothing,
}

impl Handle {
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
        let deadline = Instant::now().checked_add(self.options.turn_wait());
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
    pub(crate) fn poison_if_failed(&self, error: &StoreError) {
        let failed = self.session().as_ref().is_some_and(|session| session.seam.failed());
        if failed || is_latched(error) {
            self.poison(error);
        }
    }
}
