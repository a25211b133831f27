//! Writes: callers share a transaction, and a failed commit poisons the handle.
//!
//! [`Writer::write`] queues a change, [`Writer::transact`] runs it together with others under the lock, and
//! [`change`](crate::engine::change) applies each to the tables.

use std::{
    mem::ManuallyDrop,
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use mnem_store_traits::{Outcome, StoreError, backend::Group};
use redb::WriteTransaction;

use crate::{
    CommitDurability,
    engine::{
        change::{Change, Request, is_refusal},
        file::OpenFile,
        reader::Reader,
        session::Db,
        snapshot::Invalidate,
    },
    error::{BACKEND, contain},
    limits::{GROUP_BYTES_MAX, GROUP_CHANGES_MAX, LOCK_PAUSE, next_pause},
};

/// The operation in errors of a transaction that several callers share.
const SHARED: &str = "commit";

/// One result per change, in order.
type Results = Vec<Result<(), StoreError>>;

/// A transaction that committed nothing.
enum Unfinished {
    /// It could not begin, or redb panicked.
    NotRun(StoreError),
    /// A change stopped it for another reason than the content of the store.
    Aborted(StoreError),
}

/// Writes to a file, one transaction at a time, and keeps its reader up to date.
pub(crate) struct Writer {
    pub(crate) reader: Reader,
    /// Callers that share a commit.
    group: Group<Request, Result<(), StoreError>>,
    /// Held while a transaction runs.
    lock: Mutex<()>,
}

impl Writer {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, group: Group::default(), lock: Mutex::new(()) }
    }

    fn file(&self) -> &OpenFile {
        &self.reader.file
    }

    /// Waits for the transaction in progress, and keeps others from beginning.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the blocks of all these keys are present and durable, so that a write of them can be acknowledged
    /// without a transaction. redb shows a commit only once it is durable, unless the store was opened with a weaker
    /// durability.
    pub(crate) fn has_all<'a>(
        &self,
        operation: &'static str,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<bool, StoreError> {
        self.file().gate.check_writable(operation)?;
        let present = self.reader.all_present(operation, keys)?;
        if present {
            self.acknowledge(operation)?;
        }
        Ok(present)
    }

    /// Must precede the acknowledgement of a write that needs no transaction because a read found its work done.
    pub(crate) fn acknowledge(&self, operation: &'static str) -> Result<(), StoreError> {
        self.file().settle(operation)?;
        // A handle that reads on after a failed sync was poisoned before it did.
        self.file().gate.check_poison()
    }

    /// Makes a change durable, in one transaction with those of concurrent callers. A change without effect writes
    /// nothing.
    ///
    /// # Errors
    /// Those of [`Gate::check_writable`](mnem_store_traits::backend::Gate::check_writable); an error that refused or
    /// stopped the change, which is then not applied; an error of the commit, which poisons the handle.
    pub(crate) fn write(&self, operation: &'static str, change: Change) -> Result<(), StoreError> {
        let done = self.group.submit(Request { operation, change }, take_along, |requests| {
            let _alone = self.lock();
            self.run(requests)
        });
        done.unwrap_or_else(|| {
            Err(self.file().at(operation).failed(Outcome::Unknown, "the thread that ran this commit panicked"))
        })
    }

    /// Runs the changes in one transaction. If one of them aborts it, runs each in a transaction of its own.
    fn run(&self, requests: &[Request]) -> Results {
        match self.transact(requests) {
            Ok(results) => results,
            Err(Unfinished::Aborted(_)) if requests.len() > 1 => {
                requests.iter().flat_map(|alone| self.run(slice::from_ref(alone))).collect()
            }
            Err(Unfinished::Aborted(error) | Unfinished::NotRun(error)) => vec![Err(error); requests.len()],
        }
    }

    /// Applies the changes in one transaction, in order. A refused change leaves the others in effect.
    fn transact(&self, requests: &[Request]) -> Result<Results, Unfinished> {
        let operation = if let [alone] = requests { alone.operation } else { SHARED };
        let gate = &self.file().gate;
        if gate.check_writable(operation).is_err() {
            return Ok(requests.iter().map(|request| gate.check_writable(request.operation)).collect());
        }
        let deletes = requests.iter().any(|request| request.change.deletes());
        let stale = if deletes { Invalidate::Generation } else { Invalidate::Snapshot };
        let (results, ended) = self.within(operation, stale, |transaction| self.apply(requests, transaction))?;
        let ended = match ended {
            Ok(false) => self.settle(operation, &results),
            ended => ended.map(|_| ()),
        };
        match ended {
            Ok(()) => Ok(results),
            Err(error) => Ok(self.unsettled(results, operation, &error)),
        }
    }

    /// Deletes in a transaction of its own. `apply` returns whether it wrote anything; after an error nothing is
    /// committed. It runs in the calling thread, and no other write runs meanwhile.
    pub(crate) fn alone<T>(
        &self,
        operation: &'static str,
        apply: impl FnOnce(&WriteTransaction) -> Result<(T, bool), StoreError>,
    ) -> Result<T, StoreError> {
        let _alone = self.lock();
        self.file().gate.check_writable(operation)?;
        match self.within(operation, Invalidate::Generation, apply) {
            Ok((value, Ok(true))) => Ok(value),
            Ok((value, Ok(false))) => self.file().settle(operation).map(|()| value),
            Ok((_, Err(error))) | Err(Unfinished::NotRun(error) | Unfinished::Aborted(error)) => Err(error),
        }
    }

    /// Runs a transaction. Returns the result of `apply`, and whether anything was committed, or the error of the
    /// commit.
    fn within<T>(
        &self,
        operation: &'static str,
        stale: Invalidate,
        apply: impl FnOnce(&WriteTransaction) -> Result<(T, bool), StoreError>,
    ) -> Result<(T, Result<bool, StoreError>), Unfinished> {
        self.file().release(operation).map_err(Unfinished::NotRun)?;
        // Drop the cached snapshot first: only later reads would use it, and the transaction could not reuse the pages
        // that it pins.
        self.reader.invalidate(stale);
        let mut transaction = ManuallyDrop::new(self.begin(operation).map_err(Unfinished::NotRun)?);
        let applied = contain(|| {
            self.prepare(operation, &mut transaction)?;
            apply(&transaction)
        });
        let applied = applied.map_err(|panic| Unfinished::NotRun(self.reader.panicked(operation, panic)))?;
        let transaction = ManuallyDrop::into_inner(transaction);
        match applied {
            Ok((value, true)) => Ok((value, self.commit(operation, transaction, stale).map(|()| true))),
            Ok((value, false)) => Ok((value, self.abort(operation, transaction).map(|()| false))),
            Err(error) => {
                // The caller gets the cause; the error of a failed abort is in the poison.
                let _ = self.abort(operation, transaction);
                self.file().poison_if_failed(&error);
                Err(Unfinished::Aborted(error))
            }
        }
    }

    fn begin(&self, operation: &'static str) -> Result<WriteTransaction, StoreError> {
        let file = self.file();
        let deadline = Instant::now().checked_add(file.options.turn_wait());
        let mut pause = LOCK_PAUSE.0;
        loop {
            let begun = {
                let session = file.session();
                match session.as_ref().map(|session| &session.db) {
                    None => return Err(file.gate.closed(operation)),
                    Some(Db::ReadOnly(_)) => return Err(StoreError::ReadOnly { backend: BACKEND, operation }),
                    Some(Db::Writable(db)) => contain(|| db.try_begin_write()),
                }
            };
            match begun.map_err(|panic| self.reader.panicked(operation, panic))? {
                Ok(transaction) => return Ok(transaction),
                // Another process writes: writers of this process hold the lock.
                Err(redb::TransactionError::WouldBlock) if deadline.is_none_or(|at| Instant::now() < at) => {
                    thread::sleep(pause);
                    pause = next_pause(pause);
                }
                Err(error) => return Err(self.refused(file.at(operation).redb(error))),
            }
        }
    }

    /// The error of a write that redb refused to begin: `Poisoned` if an earlier failure is the reason.
    fn refused(&self, error: StoreError) -> StoreError {
        self.file().poison_if_failed(&error);
        self.file().gate.check_poison().err().unwrap_or(error)
    }

    fn prepare(&self, operation: &'static str, transaction: &mut WriteTransaction) -> Result<(), StoreError> {
        let options = &self.file().options;
        transaction.set_two_phase_commit(options.durability == CommitDurability::TwoPhase);
        transaction.set_quick_repair(options.fast_recovery);
        if options.durability == CommitDurability::None {
            transaction
                .set_durability(redb::Durability::None)
                .map_err(|error| self.file().at(operation).failed(Outcome::NotApplied, error))?;
        }
        Ok(())
    }

    fn apply(&self, requests: &[Request], transaction: &WriteTransaction) -> Result<(Results, bool), StoreError> {
        let mut wrote = false;
        let mut results = Vec::with_capacity(requests.len());
        for Request { operation, change } in requests {
            results.push(match change.apply(self.file().at(operation), self.file().layout, transaction) {
                Ok(has_written) => {
                    wrote |= has_written;
                    Ok(())
                }
                Err(error) if is_refusal(&error) => Err(error),
                Err(error) => return Err(error),
            });
        }
        Ok((results, wrote))
    }

    /// Commits the transaction and invalidates the snapshot that reads share.
    fn commit(
        &self,
        operation: &'static str,
        transaction: WriteTransaction,
        stale: Invalidate,
    ) -> Result<(), StoreError> {
        let committed = contain(|| transaction.commit())
            .map_err(|panic| self.unknown(operation, self.reader.panicked(operation, panic)))?;
        self.reader.invalidate(if committed.is_ok() { stale } else { Invalidate::Generation });
        match committed {
            Ok(()) => {
                if self.file().options.durability != CommitDurability::None {
                    self.file().set_settled();
                }
                Ok(())
            }
            Err(redb::CommitError::TransactionPoisoned) => {
                Err(self.file().at(operation).redb(redb::CommitError::TransactionPoisoned))
            }
            Err(error) => {
                let error = self.unknown(operation, self.file().at(operation).redb_with(error, Outcome::Unknown));
                self.file().poison(&error);
                Err(error)
            }
        }
    }

    fn abort(&self, operation: &'static str, transaction: WriteTransaction) -> Result<(), StoreError> {
        contain(|| transaction.abort())
            .map_err(|panic| self.reader.panicked(operation, panic))?
            .map_err(|error| self.file().at(operation).redb(error))
            .inspect_err(|error| self.file().poison(error))
    }

    /// Acknowledges changes without effect, which need no commit.
    fn settle(&self, operation: &'static str, results: &Results) -> Result<(), StoreError> {
        if results.iter().any(Result::is_ok) { self.file().settle(operation) } else { Ok(()) }
    }

    /// The error of a failed commit. Whatever the cause, the commit may be there after reopening.
    fn unknown(&self, operation: &'static str, error: StoreError) -> StoreError {
        match error.outcome() {
            Outcome::Unknown => error,
            Outcome::NotApplied => self.file().at(operation).failed(Outcome::Unknown, error),
        }
    }

    /// The results after the commit of these changes failed or its outcome is unknown. The outcome of each change in it
    /// is then unknown too. A refused change was not in it, but another change of the same transaction may have been
    /// the reason for the refusal.
    fn unsettled(&self, results: Results, operation: &'static str, error: &StoreError) -> Results {
        let settle = |result: Result<(), StoreError>| match result {
            Ok(()) => Err(error.clone()),
            Err(refusal @ StoreError::MissingBlock { .. }) => Err(refusal),
            Err(_) => Err(self.file().at(operation).failed(Outcome::NotApplied, error.clone())),
        };
        results.into_iter().map(settle).collect()
    }
}

/// How many of the waiting changes share a transaction with the first one.
fn take_along(first: &Request, waiting: &mut dyn Iterator<Item = &Request>) -> usize {
    let mut bytes = first.change.bytes();
    waiting
        .take(GROUP_CHANGES_MAX - 1)
        .take_while(|request| {
            bytes = bytes.saturating_add(request.change.bytes());
            bytes <= GROUP_BYTES_MAX
        })
        .count()
}
