//! A workload on a disk with one failing call: the error, how the handle behaves afterwards, and what the next open
//! finds.

use mnem_crash_tests::{
    Act, Chance, Checked, Done, Engine, Expected, Gone, Medium, Observed, Recording, Runner, Wrong, ensure,
};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{ErrorKind, Outcome, StoreError};

use super::{
    COMPACT, Redb,
    disk::{Call, Disk, Fault},
};

/// The call that compacts in every workload, because a random compaction is rare.
const COMPACTED: usize = 4;

const OPEN: Act = Act::Open { durable: true };

/// A workload in progress on a failing disk.
struct Run {
    runner: Runner<Redb>,
    fault: Fault,
}

/// Runs the workload of a seed on a disk with a failing call. Returns `None` if creating the store failed.
pub(super) fn live(engine: &Redb, seed: u64, fault: Fault) -> Checked<Option<Recording<Redb>>> {
    live_on(engine, seed, fault, Disk::default())
}

pub(super) fn live_on(engine: &Redb, seed: u64, fault: Fault, disk: Disk) -> Checked<Option<Recording<Redb>>> {
    disk.fail(fault);
    let runner = Runner::new(engine.clone(), disk, Expected::nothing(Redb::ATOMIC));
    let mut run = Run { runner, fault };
    if let Done::Failed(error) = run.runner.run(0, &OPEN, None) {
        named(&error, &["open"])?;
        run.none_or_empty()?;
        return Ok(None);
    }
    let mut chance = Chance::new(seed, 0);
    let habits = engine.habits();
    for n in 0..engine.acts {
        let drawn = habits.act(Redb::pool(), &run.runner.visible, &mut chance);
        run.perform(&if n == COMPACTED { Act::Tend(COMPACT) } else { drawn }, &mut chance)?;
        if run.runner.opened[0].is_none() {
            run.perform(&OPEN, &mut chance)?;
        }
        run.read(&mut chance)?;
    }
    run.perform(&Act::Close, &mut chance)?;
    let Runner { engine, medium, acts, steps, .. } = run.runner;
    Ok(Some(Recording { engine, medium, planted: None, acts, steps }))
}

/// Checks that an error names its operation and keeps its cause.
fn named(error: &StoreError, operations: &[&str]) -> Checked<()> {
    let says = error.to_string();
    ensure(operations.iter().any(|operation| says.contains(operation)), Wrong::NotNamed, || {
        format!("{operations:?} is not named: {error:?}")
    })?;
    let cause = std::error::Error::source(error).is_some();
    ensure(cause && error.kind() == ErrorKind::Backend, Wrong::NotNamed, || format!("no failure: {error:?}"))
}

fn operation(act: &Act) -> &'static str {
    match act {
        Act::Put(_) => "put",
        Act::PutMany(_) => "put_many",
        Act::ChangeHeads(heads) if heads.new.len() == 1 => {
            if matches!(heads.gone, Gone::Swapped | Gone::Stale) {
                "swap"
            } else {
                "update"
            }
        }
        Act::Commit { .. } | Act::ChangeHeads(_) => "commit",
        Act::Rows { .. } => "write a side table",
        Act::Delete(_) => "delete",
        Act::DeleteMany(_) => "delete_many",
        Act::Sweep(_) => "sweep",
        Act::Open { .. } => "open",
        Act::Close => "close",
        Act::Tend(COMPACT) => "compact",
        Act::Kill | Act::Tend(_) => "check_integrity",
    }
}

impl Run {
    fn perform(&mut self, act: &Act, chance: &mut Chance) -> Checked<()> {
        let before = self.runner.expected.clone();
        let Done::Failed(error) = self.runner.run(0, act, None) else { return Ok(()) };
        self.failed(&error, act)?;
        if error.outcome() == Outcome::NotApplied {
            self.runner.expected = before;
        }
        self.after_failure(chance)
    }

    /// Checks an error of a call: the disk has failed and the error names that, unless an earlier failure was tolerated
    /// and poisoned the handle.
    fn failed(&self, error: &StoreError, act: &Act) -> Checked<()> {
        let fired = self.runner.medium.has_failed();
        ensure(fired, Wrong::NotUsable, || format!("{act:?} failed, and the disk had not: {error:?}"))?;
        if error.kind() == ErrorKind::Poisoned { Ok(()) } else { named(error, &[operation(act)]) }
    }

    /// Checks the result of a failed creation: no store, or an empty one.
    fn none_or_empty(&mut self) -> Checked<()> {
        match self.runner.run(0, &OPEN, None) {
            Done::Failed(error) => {
                ensure(self.runner.engine.is_no_store(&error), Wrong::NotOpened, || format!("{error:?}"))
            }
            Done::Ok | Done::Killed => self.runner.check(0, true),
        }
    }

    /// Reads everything. If the failing call is one of these reads, the next attempt must succeed.
    fn read(&mut self, chance: &mut Chance) -> Checked<()> {
        let before = self.runner.medium.has_failed();
        match self.runner.check(0, true) {
            Err((Wrong::Failed, text)) if !before && self.runner.medium.has_failed() => {
                ensure(text.contains("Backend"), Wrong::NotNamed, || text.clone())?;
                self.after_failure(chance)
            }
            checked => checked,
        }
    }

    /// Checks how the handle behaves after a failure, and what the next open finds on the disk. Continues with that
    /// store.
    fn after_failure(&mut self, chance: &mut Chance) -> Checked<()> {
        if self.runner.opened[0].is_some() {
            self.reads_go_on()?;
            self.one_more(chance)?;
            if let Done::Failed(error) = self.runner.run(0, &Act::Close, None) {
                named(&error, &["close"])?;
            }
        }
        self.reopened()?;
        let entries = self.runner.medium.entries();
        self.runner.step(entries);
        Ok(())
    }

    fn reads_go_on(&self) -> Checked<()> {
        let Some(opened) = &self.runner.opened[0] else { return Ok(()) };
        let expected = &self.runner.expected;
        let no_reads = self.fault.lasting && matches!(self.fault.call, Call::Read | Call::Len);
        // Among several writers a handle stops reading, since it could not see the writes of others.
        let cannot_follow = self.runner.engine.concurrency == Sharing::MultiWriter;
        match Observed::of(&opened.store, Redb::pool(), expected.blocks(), expected.rows()) {
            Ok(observed) => expected.check(&observed),
            Err((Wrong::Failed, _)) if no_reads || cannot_follow => Ok(()),
            Err((wrong, text)) => Err((wrong, format!("reads do not go on: {text}"))),
        }
    }

    /// Writes again through the same handle: the write succeeds, or is refused because the handle is poisoned.
    fn one_more(&mut self, chance: &mut Chance) -> Checked<()> {
        let settled = self.runner.expected.is_settled();
        let Some(new) = (0..Redb::pool().count()).find(|n| !self.runner.expected.blocks().any(|block| block == *n))
        else {
            return Ok(());
        };
        let before = self.runner.expected.clone();
        match self.runner.run(0, &Act::Put(new), None) {
            Done::Ok | Done::Killed => {
                ensure(settled, Wrong::NotUsable, || "writes go on after a failure that settled nothing".to_owned())
            }
            Done::Failed(refused) if refused.kind() == ErrorKind::Poisoned => {
                self.runner.expected = before;
                self.all_refused(chance)
            }
            Done::Failed(again) => {
                named(&again, &["put"])?;
                if again.outcome() == Outcome::NotApplied {
                    self.runner.expected = before;
                }
                ensure(self.fault.lasting, Wrong::NotUsable, || format!("it failed once, and then: {again:?}"))
            }
        }
    }

    /// Checks that every kind of write is refused by the poisoned handle and does nothing.
    fn all_refused(&self, chance: &mut Chance) -> Checked<()> {
        let Runner { engine, medium, visible, opened, .. } = &self.runner;
        let Some(opened) = &opened[0] else { return Ok(()) };
        let syncs = medium.count(Call::Sync);
        let habits = engine.habits();
        let acts = std::iter::repeat_with(|| habits.act(Redb::pool(), visible, chance));
        for act in acts.filter(|act| act.writes() && *act != Act::DeleteMany(Vec::new())).take(24) {
            let result = act.perform(&opened.store, Redb::pool(), &visible.heads);
            let refused = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Poisoned);
            ensure(refused, Wrong::NotUsable, || format!("{act:?} on a poisoned handle: {result:?}"))?;
        }
        let quiet = medium.count(Call::Sync) == syncs;
        ensure(quiet, Wrong::NotUsable, || "a poisoned handle synced".to_owned())
    }

    /// Opens again and determines which state survived.
    fn reopened(&mut self) -> Checked<()> {
        if let Done::Failed(error) = self.runner.run(0, &OPEN, None) {
            // The failure may happen only here.
            named(&error, &["open"])?;
            ensure(self.runner.medium.has_failed(), Wrong::NotOpened, || format!("{error:?}"))?;
            if let Done::Failed(error) = self.runner.run(0, &OPEN, None) {
                return Err((Wrong::NotOpened, format!("open after a failure: {error:?}")));
            }
        }
        self.runner.check(0, true)
    }
}
