//! The record of a workload: its calls, and what the store may contain at each point of the storage's log.

use crate::{
    Act, Caller, Chance, Done, Engine, Expected, Kill, Planted, Runner, Visible, breaks::Break, workload::commit_of_new,
};

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The process.
    pub who: usize,
    /// The call.
    pub act: Act,
    /// The kill of its process during the call, if any.
    pub kill: Option<Kill>,
    /// The number of log entries before it began.
    pub begun: usize,
    /// The number of log entries when it ended.
    pub ended: usize,
}

/// The record of a workload.
pub struct Recording<E: Engine> {
    /// The engine that ran it.
    pub engine: E,
    /// The storage.
    pub medium: E::Medium,
    /// The break of the storage, if one was planted.
    pub planted: Option<E::Break>,
    /// The calls.
    pub acts: Vec<Recorded>,
    /// The model that applies from each number of log entries on.
    pub steps: Vec<(usize, Expected)>,
}

impl<E: Engine> Recording<E> {
    /// The model for a crash after so many entries.
    pub(crate) fn expected(&self, cut: usize) -> &Expected {
        expected(&self.steps, cut)
    }

    /// The calls, with their positions in the log.
    pub(crate) fn log(&self) -> Vec<String> {
        let line = |Recorded { who, act, kill, begun, ended }: &Recorded| {
            let killed = kill.map_or(String::new(), |kill| format!(", killed {kill:?}"));
            format!("{begun}..{ended}: {who}: {act:?}{killed}")
        };
        self.acts.iter().map(line).collect()
    }
}

pub(crate) fn expected(steps: &[(usize, Expected)], cut: usize) -> &Expected {
    let after = steps.partition_point(|(from, _)| *from <= cut);
    &steps[after.saturating_sub(1)].1
}

/// Runs the workload of a seed.
///
/// # Errors
/// A call fails.
pub fn record<E: Engine>(engine: &E, seed: u64, planted: Option<&Planted<E::Break>>) -> Result<Recording<E>, String> {
    let (caller, medium) = match planted.map(|planted| planted.at) {
        Some(Break::Caller(caller)) => (Some(caller), None),
        Some(Break::Medium(medium)) => (None, Some(medium)),
        None => (None, None),
    };
    let runner = run(engine, engine.blank(medium), caller, &mut Chance::new(seed, 0))?;
    let Runner { medium: recorded, acts, steps, .. } = runner;
    Ok(Recording { engine: engine.clone(), medium: recorded, planted: medium, acts, steps })
}

fn run<E: Engine>(
    engine: &E,
    medium: E::Medium,
    caller: Option<Caller>,
    chance: &mut Chance,
) -> Result<Runner<E>, String> {
    let habits = engine.habits();
    let mut runner = Runner::new(engine.clone(), medium, Expected::nothing(E::ATOMIC));
    runner.caller = caller;
    let mut again = None;
    for _ in 0..habits.acts {
        let who = chance.below(habits.processes);
        if runner.opened[who].is_none() {
            let open = habits.open(chance);
            let kill = habits.kill(&open, chance);
            runner.must_run(who, &open, kill)?;
            continue;
        }
        // Another process often repeats a call during which a process was killed.
        let act = again.take().unwrap_or_else(|| habits.act(E::pool(), &runner.visible, chance));
        let kill = habits.kill(&act, chance);
        if matches!(runner.must_run(who, &act, kill)?, Done::Killed) {
            again = (!chance.one_in(3)).then(|| retry::<E>(act, &runner.visible, chance));
        }
    }
    for who in 0..habits.processes {
        if runner.opened[who].is_some() {
            runner.must_run(who, &Act::Close, None)?;
        }
    }
    Ok(runner)
}

/// The same call, or one that relies on what the killed one may have left.
fn retry<E: Engine>(act: Act, visible: &Visible, chance: &mut Chance) -> Act {
    // The killed call may have deleted its blocks.
    let there: Vec<usize> = visible.blocks.iter().filter(|n| !act.deletes().contains(n)).copied().collect();
    let relying = commit_of_new(1, E::pool(), visible, chance).map(|commit| commit.requiring(there));
    relying.filter(|_| chance.one_in(3)).unwrap_or(act)
}
