//! Every crash of a workload: each point between two calls of the file system, and the states that the disk may be in there.

use std::{collections::HashSet, fmt, ops::AddAssign, sync::Arc};

use mnem_backend_simple::OpenOptions;

use super::{
    ROOT,
    breaks::Break,
    expected::Expected,
    observed::told,
    runner::{Done, PROCESSES, Runner},
    workload::{Act, Habits, commit_of_new},
};
use crate::support::{
    disk::Disk,
    memory_fs::{Event, MemoryFs},
    random::Random,
};

/// States tried at each point where there is more than one.
const STATES_A_POINT: usize = 12;

/// Crashes of a recovery from a crash, one within the other.
const DEPTH_MAX: usize = 3;

/// What was explored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Explored {
    pub(crate) seeds: u64,
    /// Moments at which the power was cut.
    pub(crate) points: u64,
    /// States of the disk that were opened and checked.
    pub(crate) states: u64,
    /// Those of them after a crash of a recovery.
    pub(crate) recoveries: u64,
}

impl AddAssign for Explored {
    fn add_assign(&mut self, more: Self) {
        self.seeds += more.seeds;
        self.points += more.points;
        self.states += more.states;
        self.recoveries += more.recoveries;
    }
}

/// A state that no crash may leave.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) seed: u64,
    point: usize,
    state: usize,
    what: String,
    log: Vec<String>,
    pub(crate) explored: Explored,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, point, state, what, log, .. } = self;
        writeln!(f, "seed {seed}, after {point} changes, state {state}: {what}")?;
        log.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(
            f,
            "again: MNEM_CRASH_SEED={seed} MNEM_CRASH_POINT={point} MNEM_CRASH_STATE={state} \
             cargo test -p mnem-backend-simple --test main crash_points::again -- --exact --ignored"
        )
    }
}

/// The one state to try, of all of a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Only {
    pub(crate) point: usize,
    pub(crate) state: usize,
}

/// Explores the workload of one seed.
pub(crate) fn explore(
    seed: u64,
    planted: Option<&'static Break>,
    only: Option<Only>,
) -> Result<Explored, Box<Violation>> {
    let mut explored = Explored { seeds: 1, ..Explored::default() };
    let root = Random::new(seed);
    let violation = |point, state, what, log: &[String], explored| {
        Box::new(Violation { seed, point, state, what, log: log.to_vec(), explored })
    };
    let (runner, whole_sync_from) = match workload(&root, planted) {
        Ok(ran) => ran,
        Err(what) => return Err(violation(0, 0, what, &[], explored)),
    };
    let (mut disk, events) = runner.fs.recording();
    let mut steps = runner.steps.iter();
    let mut step = steps.next().expect("there is a first step");
    let mut later = steps.next();
    for point in 0..=events.len() {
        while let Some(next) = later.filter(|(at, _)| *at <= point) {
            step = next;
            later = steps.next();
        }
        explored.points += 1;
        // A break of the workload shows without further work on what it left, and mostly in the plainest states.
        let states = if planted.is_some() { 4 } else { STATES_A_POINT };
        let count = if disk.is_undecided() { states } else { 1 };
        let mut seen = HashSet::new();
        for state in 0..count {
            let mut random = root.part((point * STATES_A_POINT + state) as u64 + 1);
            let (nodes, mark) = disk.after_power_cut(state, &mut random);
            let wanted = only.is_none_or(|only| (only.point, only.state) == (point, state));
            if !seen.insert(mark) || !wanted {
                continue;
            }
            let image =
                Image { fs: MemoryFs::of(nodes), expected: &step.1, whole_sync_from, goes_on: planted.is_none() };
            if let Err(what) = image.check(&mut random, 0, &mut explored) {
                return Err(violation(point, state, what, &runner.log, explored));
            }
        }
        if let Some(event) = events.get(point) {
            disk.apply(event);
        }
    }
    Ok(explored)
}

/// Does what a seed says.
fn workload(root: &Random, planted: Option<&'static Break>) -> Result<(Runner, usize), String> {
    let mut random = root.part(0);
    let habits = Habits::of(&mut random);
    let parent = std::path::Path::new(ROOT).parent().expect("the store lies in a folder");
    let fs = MemoryFs::with_folder(parent).settled();
    let mut runner = Runner::new(fs, Expected::nothing(), habits.whole_sync_from, planted);
    let mut again = None;
    for _ in 0..habits.acts {
        let who = random.below(PROCESSES);
        if runner.opened[who].is_none() {
            let open = habits.open(&mut random);
            let kill = habits.kill(&open, &mut random);
            runner.must_run(who, &open, kill)?;
            continue;
        }
        // What a killed process began is likely to be tried again, by another one.
        let act = again.take().unwrap_or_else(|| habits.act(&runner.visible, &mut random));
        let kill = habits.kill(&act, &mut random);
        if matches!(runner.must_run(who, &act, kill)?, Done::Killed) && !random.one_in(3) {
            let there: Vec<usize> = runner.visible.blocks.iter().copied().collect();
            let relying = commit_of_new(1, &runner.visible, &mut random).map(|commit| commit.requiring(there));
            again = relying.filter(|_| random.one_in(3)).or(Some(act));
            continue;
        }
        if random.one_in(12) {
            runner.opened[who] = None;
        }
    }
    Ok((runner, habits.whole_sync_from))
}

/// What a crash left.
struct Image<'a> {
    fs: MemoryFs,
    expected: &'a Expected,
    whole_sync_from: usize,
    /// Whether some of them are listed and worked on with.
    goes_on: bool,
}

impl Image<'_> {
    /// Opens the store, checks what it shows, goes on working with it, and crashes again.
    fn check(self, random: &mut Random, depth: usize, explored: &mut Explored) -> Result<(), String> {
        explored.states += 1;
        explored.recoveries += u64::from(depth > 0);
        let listings = random.one_in(24) && self.goes_on;
        let goes_on = random.one_in(6) && self.goes_on;
        let mut runner = Runner::new(self.fs, self.expected.clone(), self.whole_sync_from, None);
        if listings && runner.expected.created {
            let reader = OpenOptions::new().read_only(true).open_on(Arc::new(runner.fs.clone()), ROOT);
            let reader = reader.map_err(|error| told("opening to read", &error))?;
            runner.check(&reader, false)?;
        }
        let store = runner.open(Arc::new(runner.fs.clone()), true).map_err(|error| told("opening", &error))?;
        runner.check(&store, listings)?;
        if listings && !store.foreign().map_err(|error| told("foreign", &error))?.is_empty() {
            return Err("an unfinished file outlasts the opening".to_owned());
        }
        if !goes_on {
            return Ok(());
        }
        drop(store);
        let (disk, events, steps) = go_on(runner, random)?;
        if depth < DEPTH_MAX {
            let (nodes, expected) = crash_again(disk, &events, &steps, random);
            let image =
                Image { fs: MemoryFs::of(nodes), expected, whole_sync_from: self.whole_sync_from, goes_on: true };
            image.check(random, depth + 1, explored).map_err(|what| format!("after a crash of a recovery: {what}"))?;
        }
        Ok(())
    }
}

type Recorded = (Disk, Vec<Event>, Vec<(usize, Expected)>);

/// Works on with a store that was just checked: all that it shows stays, and it takes new work.
fn go_on(mut runner: Runner, random: &mut Random) -> Result<Recorded, String> {
    // What was seen above is what the crash left.
    runner.steps = vec![(0, runner.expected.clone())];
    let habits = Habits::of(random);
    runner.must_run(0, &Act::Open { durable: true }, None)?;
    for _ in 0..2 {
        let act = habits.act(&runner.visible, random);
        runner.must_run(0, &act, None)?;
    }
    if let Some(commit) = commit_of_new(2, &runner.visible, random) {
        runner.must_run(0, &commit, None)?;
    }
    let opened = runner.opened[0].take().expect("it is open");
    let steps = runner.steps.clone();
    runner.check(&opened.store, false)?;
    let (disk, events) = runner.fs.recording();
    Ok((disk, events, steps))
}

fn crash_again<'a>(
    mut disk: Disk,
    events: &[Event],
    steps: &'a [(usize, Expected)],
    random: &mut Random,
) -> (Vec<crate::support::memory_fs::Node>, &'a Expected) {
    let point = random.below(events.len() + 1);
    events.iter().take(point).for_each(|event| disk.apply(event));
    let step = steps.iter().rev().find(|(at, _)| *at <= point).unwrap_or(&steps[0]);
    let state = random.below(STATES_A_POINT);
    (disk.after_power_cut(state, random).0, &step.1)
}
