//! Writes: callers share a transaction, and what a failure of it does to the handle.

use std::{mem::ManuallyDrop, thread, time::Instant};

use mnem_store_traits::{Outcome, StoreError};
use redb::WriteTransaction;

use crate::{
    BACKEND, CommitDurability,
    engine::{
        change::{Change, Commit, What, Wrote, is_refusal},
        session::Db,
        snapshot::Ends,
    },
    error::{contain, is_latched},
    handle::Handle,
    limits::{GROUP_BYTES_MAX, GROUP_CHANGES_MAX, LOCK_PAUSE, next_pause},
};

/// What errors call a transaction that several callers share.
const SHARED: &str = "commit";

impl Handle {
    /// Carries out a change durably, in one transaction with those of other callers that come at the same time. Nothing is written if it
    /// changes nothing.
    ///
    /// # Errors
    /// Those of [`Gate::check_writable`](mnem_store_traits::backend::Gate::check_writable); whatever refused or stopped the change, which then has not been made; a failed
    /// commit, which poisons the handle.
    pub(crate) fn write(&self, operation: &'static str, what: What) -> Result<(), StoreError> {
        self.gate.check_writable(operation)?;
        let done = self.group.submit(Change { operation, what }, take_along, |changes| self.land(changes));
        done.unwrap_or_else(|| {
            Err(self.at(operation).failed(Outcome::Unknown, "the caller that led this commit panicked"))
        })
    }

    /// [`write`](Self::write) of blocks and heads.
    pub(crate) fn commit(&self, operation: &'static str, commit: Commit) -> Result<(), StoreError> {
        self.write(operation, What::Commit(commit))
    }

    /// One result for each change, in their order.
    fn land(&self, changes: &[Change]) -> Vec<Result<(), StoreError>> {
        let _writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let operation = if let [alone] = changes { alone.operation } else { SHARED };
        match self.transact(operation, changes) {
            Ok(results) => results,
            // One of them spoilt the transaction before anything was committed: each gets one of its own.
            Err(Spoilt(_)) if changes.len() > 1 => changes.iter().map(|change| self.land_alone(change)).collect(),
            Err(Spoilt(error)) => vec![Err(error)],
        }
    }

    fn land_alone(&self, change: &Change) -> Result<(), StoreError> {
        match self.transact(change.operation, std::slice::from_ref(change)) {
            Ok(mut results) => results.pop().unwrap_or(Ok(())),
            Err(Spoilt(error)) => Err(error),
        }
    }

    /// Carries out the changes in one transaction, in their order. A change that is refused leaves the others as they are.
    fn transact(&self, operation: &'static str, changes: &[Change]) -> Result<Vec<Result<(), StoreError>>, Spoilt> {
        let all = |error: StoreError| Ok(vec![Err(error); changes.len()]);
        if let Err(error) = self.gate.check_writable(operation) {
            return all(error);
        }
        // Kept only for reads to come, and pages that it holds could not be used again by this transaction.
        let ends = if changes.iter().any(Change::deletes) { Ends::Era } else { Ends::Epoch };
        self.forget_kept(ends);
        let mut transaction = match self.begin_write(operation) {
            Ok(transaction) => ManuallyDrop::new(transaction),
            Err(error) => return all(error),
        };
        let applied = contain(|| {
            self.prepare(operation, &mut transaction)?;
            self.apply(changes, &transaction)
        });
        let applied = match applied {
            Ok(applied) => applied,
            Err(panic) => return all(self.panicked(operation, panic)),
        };
        let transaction = ManuallyDrop::into_inner(transaction);
        match applied {
            Ok((results, wrote)) => {
                let ended = match wrote {
                    Wrote::Something => self.end(operation, transaction, ends),
                    Wrote::Nothing => self.abort(operation, transaction),
                };
                match ended {
                    Ok(()) => Ok(results),
                    Err(error) => Ok(self.unsettled(results, operation, &error)),
                }
            }
            Err(error) => {
                // The cause goes back to the caller; that of a failed abort is in the poison.
                let _ = self.abort(operation, transaction);
                self.poison_if_failed(&error);
                Err(Spoilt(error))
            }
        }
    }

    /// The commit that held these changes failed, or nobody knows what became of it: neither does whoever is part of it. Nothing of a change that was
    /// refused was part of it; but it may have been refused for what another one had written.
    fn unsettled(
        &self,
        results: Vec<Result<(), StoreError>>,
        operation: &'static str,
        error: &StoreError,
    ) -> Vec<Result<(), StoreError>> {
        let settle = |result: Result<(), StoreError>| match result {
            Ok(()) => Err(error.clone()),
            Err(refusal @ StoreError::MissingBlock { .. }) => Err(refusal),
            Err(_) => Err(self.at(operation).failed(Outcome::NotApplied, error.clone())),
        };
        results.into_iter().map(settle).collect()
    }

    fn apply(
        &self,
        changes: &[Change],
        transaction: &WriteTransaction,
    ) -> Result<(Vec<Result<(), StoreError>>, Wrote), StoreError> {
        let mut wrote = Wrote::Nothing;
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            results.push(match change.apply(self, transaction) {
                Ok(now) => {
                    wrote = wrote.or(now);
                    Ok(())
                }
                Err(error) if is_refusal(&error) => Err(error),
                Err(error) => return Err(error),
            });
        }
        Ok((results, wrote))
    }

    fn begin_write(&self, operation: &'static str) -> Result<WriteTransaction, StoreError> {
        let deadline = Instant::now().checked_add(self.options.turn_wait());
        let mut pause = LOCK_PAUSE.0;
        loop {
            let begun = {
                let session = self.session();
                match session.as_ref().map(|session| &session.db) {
                    None => return Err(self.gate.closed(operation)),
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
        self.gate.check_poison().err().unwrap_or(error)
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

    /// Commits. What was kept for reads is the state before, from here on.
    fn end(&self, operation: &'static str, transaction: WriteTransaction, ends: Ends) -> Result<(), StoreError> {
        let committed = contain(|| transaction.commit())
            .map_err(|panic| self.unknown(operation, self.panicked(operation, panic)))?;
        self.forget_kept(if committed.is_ok() { ends } else { Ends::Era });
        match committed {
            Ok(()) => Ok(()),
            Err(redb::CommitError::TransactionPoisoned) => {
                Err(self.at(operation).redb(redb::CommitError::TransactionPoisoned))
            }
            Err(error) => {
                let error = self.unknown(operation, self.at(operation).redb_with(error, Outcome::Unknown));
                self.poison(&error);
                Err(error)
            }
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

/// A change of several stopped for another reason than what the store holds. Nothing was committed.
struct Spoilt(StoreError);

/// How many of the changes that wait share a transaction with the first one.
fn take_along(first: &Change, waiting: &mut dyn Iterator<Item = &Change>) -> usize {
    let mut bytes = first.bytes();
    waiting
        .take(GROUP_CHANGES_MAX - 1)
        .take_while(|change| {
            bytes = bytes.saturating_add(change.bytes());
            bytes <= GROUP_BYTES_MAX
        })
        .count()
}
