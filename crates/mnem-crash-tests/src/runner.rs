//! Runs calls on recorded storage, and keeps the model of what may be there after a crash.

use std::fmt;

use mnem_store_traits::{Blockstore, OpHeadsStore, StoreError};

use crate::{
    Act, Caller, Checked, Engine, Expected, Found, Kill, Medium, Observed, Opening, Process, Recorded, Visible, Wrong,
    engine::ProcessOf, whole,
};

/// A process that has the store open.
pub struct Opened<E: Engine> {
    /// The process on the storage.
    pub process: ProcessOf<E>,
    /// The store.
    pub store: E::Store,
    durable: bool,
}

/// An action on the process that is about to open the store.
type Prepare<E> = Box<dyn FnOnce(&ProcessOf<E>)>;

/// Runs calls, one after the other.
pub struct Runner<E: Engine> {
    /// The engine.
    pub engine: E,
    /// The storage.
    pub medium: E::Medium,
    /// The open store of each process, if any.
    pub opened: Vec<Option<Opened<E>>>,
    /// The model for a crash at this moment.
    pub expected: Expected,
    /// The model that applies from each number of log entries on.
    pub steps: Vec<(usize, Expected)>,
    /// What readers see.
    pub visible: Visible,
    /// The calls made.
    pub acts: Vec<Recorded>,
    /// Applied to the next process that opens the store, to plant a fault.
    pub prepare: Option<Prepare<E>>,
    pub(crate) caller: Option<Caller>,
    /// What readers see must be determined again when the store is open.
    unsure: bool,
}

/// The result of a call.
#[derive(Debug)]
pub enum Done {
    /// It succeeded.
    Ok,
    /// The process that made it was killed.
    Killed,
    /// It failed.
    Failed(StoreError),
}

impl<E: Engine> fmt::Debug for Runner<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("engine", &self.engine).field("acts", &self.acts).finish_non_exhaustive()
    }
}

impl<E: Engine> Runner<E> {
    /// A runner without an open store.
    pub fn new(engine: E, medium: E::Medium, expected: Expected) -> Self {
        let visible = Visible { kept: expected.kept(), ..Visible::default() };
        let opened = (0..engine.habits().processes).map(|_| None).collect();
        Self {
            engine,
            medium,
            opened,
            expected,
            steps: Vec::new(),
            visible,
            acts: Vec::new(),
            prepare: None,
            caller: None,
            unsure: false,
        }
    }

    /// Makes the current model apply from this number of entries on, and discards all models for later numbers.
    pub fn step(&mut self, from: usize) {
        while self.steps.last().is_some_and(|(later, _)| *later > from) {
            self.steps.pop();
        }
        self.steps.push((from, self.expected.clone()));
    }

    /// Makes a call in a process, which may be killed during it.
    pub fn run(&mut self, who: usize, act: &Act, kill: Option<Kill>) -> Done {
        let durable = match (act, &self.opened[who]) {
            (Act::Open { durable }, _) => *durable,
            (_, Some(opened)) => opened.durable,
            (_, None) => return Done::Ok,
        };
        let act = &act.resolved(&self.visible.heads);
        let begun = self.medium.entries();
        self.expected.may_be(act, &self.visible, durable);
        self.step(begun + 1);
        let (process, result) = self.call(who, act, kill);
        process.before_acknowledging();
        let done = match result {
            _ if process.is_dead() => Done::Killed,
            Ok(()) => Done::Ok,
            Err(error) => Done::Failed(error),
        };
        match &done {
            Done::Ok if durable || matches!(act, Act::Open { .. }) => self.expected.is(act, &self.visible),
            _ => self.expected.is_still(),
        }
        let ended = self.medium.entries();
        self.step(if self.caller == Some(Caller::AcknowledgedFirst) && act.writes() { begun } else { ended });
        process.acknowledged();
        self.acts.push(Recorded { who, act: act.clone(), kill, begun, ended });
        if matches!(done, Done::Killed) {
            self.opened[who] = None;
        }
        self.see(act, &done);
        done
    }

    /// Opens what a crash left, in the first process. The model does not change, because the crash came before.
    pub(crate) fn recover(&mut self) -> Result<(), StoreError> {
        let open = Act::Open { durable: true };
        self.open(0, &open, true, None).1?;
        self.expected.created = true;
        Ok(())
    }

    /// Makes a call that must not fail.
    ///
    /// # Errors
    /// It fails.
    pub fn must_run(&mut self, who: usize, act: &Act, kill: Option<Kill>) -> Result<Done, String> {
        match self.run(who, act, kill) {
            Done::Failed(error) => Err(format!("{act:?} must not fail: {}", whole(&error))),
            done => Ok(done),
        }
    }

    fn call(&mut self, who: usize, act: &Act, kill: Option<Kill>) -> (ProcessOf<E>, Result<(), StoreError>) {
        if let Act::Open { durable } = act {
            return self.open(who, act, *durable, kill);
        }
        let Some(Opened { process, mut store, durable }) = self.opened[who].take() else { unreachable!("it is open") };
        process.begin(act, kill);
        let result = match act {
            Act::Close => return (process, self.engine.close(store)),
            Act::Kill => {
                process.kill();
                return (process, Ok(()));
            }
            Act::Tend(number) => self.engine.tend(*number, &mut store),
            act => {
                let steps = Caller::steps(self.caller, act);
                steps.iter().try_for_each(|act| act.perform(&store, E::pool(), &self.visible.heads))
            }
        };
        self.opened[who] = Some(Opened { process: process.clone(), store, durable });
        (process, result)
    }

    fn open(
        &mut self,
        who: usize,
        act: &Act,
        durable: bool,
        kill: Option<Kill>,
    ) -> (ProcessOf<E>, Result<(), StoreError>) {
        self.opened[who] = None;
        let process = self.medium.process();
        process.begin(act, kill);
        if let Some(prepare) = self.prepare.take() {
            prepare(&process);
        }
        let opening = Opening { create: !self.expected.created, durable, read_only: false };
        let result = self.engine.open(&process, opening).map(|store| {
            self.opened[who] = Some(Opened { process: process.clone(), store, durable });
        });
        (process, result)
    }

    /// Updates what readers see.
    fn see(&mut self, act: &Act, done: &Done) {
        if matches!(done, Done::Ok) || matches!(act, Act::Kill) {
            self.visible.blocks.extend(act.puts());
            self.visible.blocks.retain(|n| !act.deletes().contains(n));
            if let Some(heads) = act.heads() {
                self.visible.heads = heads.after(&self.visible.heads);
            }
        } else {
            self.unsure = true;
        }
        self.look();
        self.visible.kept = self.expected.kept();
    }

    /// After a failed call, reads what is there: through another process, or once the only process has reopened the
    /// store.
    fn look(&mut self) {
        if !self.unsure {
            return;
        }
        let reader = if self.opened.len() == 1 { None } else { Some(self.reader()) };
        let own = self.opened[0].as_ref().filter(|_| self.acts.last().is_some_and(|last| last.act.opens()));
        let Some(reader) = reader.as_ref().map_or_else(|| own.map(|own| &own.store), |reader| reader.as_ref().ok())
        else {
            return;
        };
        let there = |n: &usize| reader.has(&E::pool().block(*n).0).unwrap_or(false);
        self.visible.blocks = self.expected.blocks().filter(there).collect();
        self.visible.heads = reader.heads().map(|heads| heads.into_iter().collect()).unwrap_or_default();
        self.unsure = false;
    }

    fn reader(&self) -> Result<E::Store, StoreError> {
        let opening = Opening { create: false, durable: true, read_only: true };
        self.engine.open(&self.medium.process(), opening)
    }

    /// Compares what a process sees with the model, and settles the model on it.
    ///
    /// # Errors
    /// The kind of fault, and a description.
    pub fn check(&mut self, who: usize, listings: bool) -> Checked<()> {
        let Some(opened) = self.opened[who].take() else {
            return Err((Wrong::NotUsable, "no store is open".to_owned()));
        };
        let checked = self.check_store(&opened.store, listings);
        self.opened[who] = Some(opened);
        checked
    }

    /// Like [`check`](Self::check), for another handle.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_store(&mut self, store: &E::Store, listings: bool) -> Checked<()> {
        let observed = Observed::of(store, E::pool(), self.expected.blocks(), self.expected.rows())?;
        self.expected.check(&observed)?;
        if listings {
            observed.check_listings(store, E::pool())?;
        }
        let there = observed.blocks.iter().filter(|(_, found)| **found != Found::Absent);
        self.visible.blocks = there.map(|(n, _)| *n).collect();
        self.visible.heads.clone_from(&observed.heads);
        self.expected.settle(observed);
        self.visible.kept = self.expected.kept();
        Ok(())
    }
}
