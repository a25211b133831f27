//! A life on a disk of which a call fails: what the error says, what the handle then does, and what is there after an open.

use std::sync::Arc;

use mnem_backend_redb::{Concurrency, RedbStore};
use mnem_store_traits::{ErrorKind, Outcome, Store, StoreError};

use super::{
    chance::Chance,
    disk::{Call, Disk, Fault},
    explore::{concurrency, says_no_store},
    history::{Allowed, Checked, History, State, Step, Wrong, ensure, observe},
    image::Image,
    life::{Life, Next},
    writes::Write,
};

/// The step that is a compaction in every one: chance does that seldom.
const COMPACTED: usize = 4;

/// A life on a disk that fails, as far as it has come.
struct Run<'a> {
    life: &'a Life,
    fault: Fault,
    disk: Disk,
    state: Arc<State>,
    steps: Vec<Step>,
}

/// Lives a life on a disk of which a call fails. `None`: it failed before there was a store.
pub(super) fn live(life: &Life, fault: Fault) -> Checked<Option<History>> {
    live_on(life, fault, Disk::default())
}

pub(super) fn live_on(life: &Life, fault: Fault, disk: Disk) -> Checked<Option<History>> {
    disk.fail(fault);
    let mut run = Run { life, fault, disk, state: Arc::default(), steps: Vec::new() };
    let mut store = match run.open() {
        Ok(store) => store,
        Err(error) => {
            named(&error, &["open"])?;
            run.none_or_empty()?;
            return Ok(None);
        }
    };
    run.step("create", 0, Vec::new());
    let mut chance = Chance::new(life.seed, 0);
    for n in 0..life.steps {
        let next = if n == COMPACTED { Next::Compact } else { Next::choose(&run.state, &mut chance) };
        store = run.perform(&next, store, &mut chance)?;
        store = run.read(store, &mut chance)?;
    }
    let begun = run.disk.entries();
    if let Err(error) = store.close() {
        named(&error, &["close"])?;
        drop(store);
        run.reopened(&[Arc::clone(&run.state)])?;
    }
    run.step("close", begun, Vec::new());
    Ok(Some(History { start: Image::default(), log: run.disk.log(), before: Vec::new(), steps: run.steps }))
}

/// An error says what was tried, and keeps its cause.
fn named(error: &StoreError, operations: &[&str]) -> Checked<()> {
    let says = error.to_string();
    ensure(operations.iter().any(|operation| says.contains(operation)), Wrong::NotNamed, || {
        format!("{operations:?} is not named: {error:?}")
    })?;
    let cause = std::error::Error::source(error).is_some();
    ensure(cause && error.kind() == ErrorKind::Backend, Wrong::NotNamed, || format!("no failure: {error:?}"))
}

fn operations(next: &Next) -> &'static [&'static str] {
    match next {
        Next::Write(Write::Put(..)) => &["put"],
        Next::Write(Write::PutMany(_)) => &["put_many", "put"],
        Next::Write(Write::Commit { .. } | Write::Swap { .. }) => &["commit"],
        Next::Write(Write::Update { .. }) => &["update"],
        Next::Write(Write::Rows { .. }) => &["write a side table"],
        Next::Write(Write::Delete(_)) => &["delete"],
        Next::Reopen => &["close", "open"],
        Next::Kill => &["open"],
        Next::Compact => &["compact"],
        Next::CheckIntegrity => &["check_integrity"],
    }
}

impl Run<'_> {
    fn open(&self) -> Result<RedbStore, StoreError> {
        self.life.options.open_medium(self.disk.plug_in(), "disk")
    }

    fn step(&mut self, what: &'static str, begun: usize, perhaps: Vec<Arc<State>>) {
        let (acknowledged, after) = (self.disk.entries(), Arc::clone(&self.state));
        self.steps.push(Step { what, begun, acknowledged, after, perhaps });
    }

    fn perform(&mut self, next: &Next, mut store: RedbStore, chance: &mut Chance) -> Checked<RedbStore> {
        let begun = self.disk.entries();
        let (result, store) = match next {
            Next::Write(write) => (write.perform(&store), Some(store)),
            Next::Reopen => match store.close() {
                Ok(()) => self.opened(),
                Err(error) => (Err(error), None),
            },
            Next::Kill => {
                let opened = self.opened();
                // Cut off from the disk by now.
                drop(store);
                opened
            }
            Next::Compact => (store.compact(), Some(store)),
            Next::CheckIntegrity => (store.check_integrity(), Some(store)),
        };
        let mut after = State::clone(&self.state);
        if let Next::Write(write) = next {
            write.apply(&mut after);
        }
        let after = Arc::new(after);
        let Err(error) = result else {
            self.state = after;
            self.step(next.what(), begun, Vec::new());
            return store.ok_or_else(|| (Wrong::NotOpened, next.what().to_owned()));
        };
        self.failed(&error, next)?;
        let candidates = match error.outcome() {
            Outcome::NotApplied => vec![Arc::clone(&self.state)],
            Outcome::Unknown => vec![Arc::clone(&self.state), after],
        };
        self.after_failure(next.what(), begun, store, candidates, chance)
    }

    /// A step failed: the disk had, and the error says so; unless a failure was read over before, and the handle poisoned then.
    fn failed(&self, error: &StoreError, next: &Next) -> Checked<()> {
        let fired = self.disk.has_failed();
        ensure(fired, Wrong::NotUsable, || format!("{} failed, and the disk had not: {error:?}", next.what()))?;
        if error.kind() == ErrorKind::Poisoned { Ok(()) } else { named(error, operations(next)) }
    }

    /// What creating left, when it failed: no store, or an empty one.
    fn none_or_empty(&self) -> Checked<()> {
        match self.open() {
            Ok(store) => observe(&store)?.judge(&allowed(&[Arc::default()])).map(drop),
            Err(error) => ensure(says_no_store(&error), Wrong::NotOpened, || format!("{error:?}")),
        }
    }

    /// Opens; a failure of that is the failure of the step.
    fn opened(&self) -> (Result<(), StoreError>, Option<RedbStore>) {
        kept(self.open())
    }

    /// Reads everything. If just that fails, it works the next time.
    fn read(&mut self, store: RedbStore, chance: &mut Chance) -> Checked<RedbStore> {
        let before = self.disk.has_failed();
        let begun = self.disk.entries();
        match observe(&store) {
            Ok(state) => {
                ensure(state == *self.state, Wrong::Lost, || "a read shows another state".to_owned())?;
                Ok(store)
            }
            Err((Wrong::Failed, text)) if !before && self.disk.has_failed() => {
                ensure(text.contains("Backend"), Wrong::NotNamed, || text.clone())?;
                let candidates = vec![Arc::clone(&self.state)];
                self.after_failure("reads", begun, Some(store), candidates, chance)
            }
            Err(wrong) => Err(wrong),
        }
    }

    /// What the handle does after a failure, and what the disk holds when it is opened again. Goes on with that.
    fn after_failure(
        &mut self,
        what: &'static str,
        begun: usize,
        store: Option<RedbStore>,
        mut candidates: Vec<Arc<State>>,
        chance: &mut Chance,
    ) -> Checked<RedbStore> {
        if let Some(store) = store {
            self.reads_go_on(&store, &candidates)?;
            self.one_more(&store, &mut candidates, chance)?;
            if let Err(error) = store.close() {
                named(&error, &["close"])?;
            }
        }
        let store = self.reopened(&candidates)?;
        self.step(what, begun, candidates);
        Ok(store)
    }

    fn reads_go_on(&self, store: &RedbStore, candidates: &[Arc<State>]) -> Checked<()> {
        let no_reads = self.fault.lasting && matches!(self.fault.call, Call::Read | Call::Len);
        // Among several writers a handle does not read on: it would not see what the others do.
        let cannot_follow = concurrency(self.life.seed) == Concurrency::MultiWriter;
        match observe(store) {
            Ok(state) => state.judge(&allowed(candidates)).map(drop),
            Err((Wrong::Failed, _)) if no_reads || cannot_follow => Ok(()),
            Err((wrong, text)) => Err((wrong, format!("reads do not go on: {text}"))),
        }
    }

    /// Another write on the same handle: it is carried out, or refused because the handle is poisoned.
    fn one_more(&self, store: &RedbStore, candidates: &mut Vec<Arc<State>>, chance: &mut Chance) -> Checked<()> {
        let (cid, data) = chance.block();
        let write = Write::Put(cid, data);
        let with = |state: &Arc<State>| {
            let mut state = State::clone(state);
            write.apply(&mut state);
            Arc::new(state)
        };
        match write.perform(store) {
            Ok(()) => {
                let settled = candidates.len() == 1;
                ensure(settled, Wrong::NotUsable, || "writes go on after a failure that settled nothing".to_owned())?;
                candidates.iter_mut().for_each(|state| *state = with(state));
            }
            Err(refused) if refused.kind() == ErrorKind::Poisoned => self.all_refused(store)?,
            Err(again) => {
                named(&again, &["put"])?;
                ensure(self.fault.lasting, Wrong::NotUsable, || format!("it failed once, and then: {again:?}"))?;
                if again.outcome() == Outcome::Unknown {
                    candidates.extend(candidates.clone().iter().map(with));
                }
            }
        }
        Ok(())
    }

    /// Every sort of write says that the handle is poisoned, and does nothing.
    fn all_refused(&self, store: &RedbStore) -> Checked<()> {
        let syncs = self.disk.count(Call::Sync);
        let mut chance = Chance::new(self.life.seed, 77);
        for _ in 0..24 {
            let write = Write::choose(&self.state, &mut chance);
            let result = write.perform(store);
            let refused = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Poisoned);
            ensure(refused, Wrong::NotUsable, || format!("{} on a poisoned handle: {result:?}", write.what()))?;
        }
        let quiet = self.disk.count(Call::Sync) == syncs;
        ensure(quiet, Wrong::NotUsable, || "a poisoned handle synced".to_owned())
    }

    fn reopened(&mut self, candidates: &[Arc<State>]) -> Checked<RedbStore> {
        let opened = self.open().or_else(|error| {
            // The failure may come only here.
            named(&error, &["open"])?;
            ensure(self.disk.has_failed(), Wrong::NotOpened, || format!("{error:?}"))?;
            self.open().map_err(|error| (Wrong::NotOpened, format!("open after a failure: {error:?}")))
        });
        let store = opened?;
        self.state = observe(&store)?.judge(&allowed(candidates))?;
        Ok(store)
    }
}

fn kept(result: Result<RedbStore, StoreError>) -> (Result<(), StoreError>, Option<RedbStore>) {
    match result {
        Ok(store) => (Ok(()), Some(store)),
        Err(error) => (Err(error), None),
    }
}

fn allowed(candidates: &[Arc<State>]) -> Allowed {
    Allowed { states: candidates.to_vec(), or_none: false, during: "a failure" }
}
