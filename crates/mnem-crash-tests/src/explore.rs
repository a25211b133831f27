//! Opens what crashes leave, as a user would, and checks everything.

use std::{collections::HashSet, fmt, ops::Range};

use crate::{
    Act, Chance, Checked, Cuts, Engine, Expected, Medium, Opening, Planted, Recording, Runner, Wrong, engine::Image,
    quietly, record, recording::expected, whole, workload::commit_of_new,
};

/// The amount of work done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Images opened.
    pub images: usize,
    /// Images left by a power cut during or after a recovery.
    pub of_recoveries: usize,
    /// Points at which the power was cut.
    pub cuts: usize,
}

impl Counts {
    /// Adds further counts.
    pub fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.of_recoveries += other.of_recoveries;
        self.cuts += other.cuts;
    }
}

/// An image that no crash may leave.
#[derive(Debug)]
pub struct Violation {
    /// The kind of violation.
    pub wrong: Wrong,
    /// The seed of the workload.
    pub seed: u64,
    /// The number of the image among those of the seed.
    pub image: usize,
    text: String,
    log: Vec<String>,
    soak: &'static str,
}

impl Violation {
    /// The fault, without the calls that led to it.
    pub fn headline(&self) -> String {
        let Self { wrong, seed, image, text, .. } = self;
        format!("seed {seed}, image {image}: {wrong:?}: {text}")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, image, log, soak, .. } = self;
        writeln!(f, "{}", self.headline())?;
        log.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "this image alone: cargo xtask soak {soak} --seed {seed} --image {image}")
    }
}

/// Which images of a recording are checked.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The approximate number of images.
    pub images: usize,
    /// The maximum number of images for each cut.
    pub ways: usize,
    /// The range of cuts.
    pub cuts: Range<usize>,
    /// Only every so many-th of these cuts.
    pub every: usize,
    /// Only this one of these images.
    pub only: Option<usize>,
    /// Whether some images take further calls and are cut again.
    pub goes_on: bool,
}

impl Default for Scope {
    /// All images.
    fn default() -> Self {
        Self { images: usize::MAX, ways: usize::MAX, cuts: 0..usize::MAX, every: 1, only: None, goes_on: true }
    }
}

impl Scope {
    /// About this many images.
    pub fn of(images: usize) -> Self {
        Self { images, ..Self::default() }
    }

    /// The cuts with the outcomes to try: the first outcome of every cut, then the second of every cut, and so on.
    fn plan(&self, cuts: &impl Cuts) -> Vec<(usize, usize)> {
        let ways = |cut| if self.cuts.contains(&cut) { cuts.ways(cut).min(self.ways) } else { 0 };
        let ways: Vec<usize> = (0..=cuts.entries()).map(ways).collect();
        let rounds = ways.iter().copied().max().unwrap_or(0);
        let mut plan = Vec::new();
        for way in 0..rounds {
            if plan.len() >= self.images {
                break;
            }
            plan.extend(ways.iter().enumerate().filter(|(_, ways)| way < **ways).map(|(cut, _)| (cut, way)));
        }
        plan
    }
}

/// Explores the workload of a seed.
///
/// # Panics
/// A call of the workload fails although no break is planted.
pub fn explored<E: Engine>(
    seed: u64,
    planted: Option<&Planted<E::Break>>,
    scope: &Scope,
) -> (Counts, Option<Violation>) {
    let engine = E::of(seed);
    let recorded = quietly(|| record(&engine, seed, planted)).unwrap_or_else(Err);
    match recorded {
        Ok(recording) => explore(&recording, seed, scope),
        Err(text) => {
            let violation = Violation { wrong: Wrong::NotUsable, seed, image: 0, text, log: Vec::new(), soak: E::SOAK };
            (Counts::default(), Some(violation))
        }
    }
}

/// Checks images of a recording until one shows a fault.
pub fn explore<E: Engine>(recording: &Recording<E>, seed: u64, scope: &Scope) -> (Counts, Option<Violation>) {
    let mut explorer = Explorer { engine: &recording.engine, recording, scope, counts: Counts::default() };
    let violation = explorer.all(seed);
    (explorer.counts, violation)
}

struct Explorer<'a, E: Engine> {
    engine: &'a E,
    recording: &'a Recording<E>,
    scope: &'a Scope,
    counts: Counts,
}

impl<E: Engine> Explorer<'_, E> {
    fn all(&mut self, seed: u64) -> Option<Violation> {
        let mut cuts = self.recording.medium.cuts();
        self.counts.cuts = cuts.entries() + 1;
        let mut seen = HashSet::new();
        for (image, (cut, way)) in self.scope.plan(&cuts).into_iter().enumerate() {
            if image % self.scope.every != 0 || self.scope.only.is_some_and(|only| only != image) {
                continue;
            }
            let mut chance = Chance::new(seed, image as u64 + 1);
            let (left, mark) = cuts.image(cut, way, &mut chance);
            if !seen.insert((cut, mark)) {
                continue;
            }
            let expected = self.recording.expected(cut);
            if let Err((wrong, text)) = self.contained(left, expected, &mut chance, 0) {
                let text = format!("cut after {cut} of {} entries, way {way}: {text}", cuts.entries());
                return Some(Violation { wrong, seed, image, text, log: self.recording.log(), soak: E::SOAK });
            }
        }
        None
    }

    fn contained(&mut self, left: Image<E>, expected: &Expected, chance: &mut Chance, depth: usize) -> Checked<()> {
        self.counts.images += 1;
        self.counts.of_recoveries += usize::from(depth > 0);
        quietly(|| self.look(left, expected, chance, depth)).unwrap_or_else(|panic| Err((Wrong::Panicked, panic)))
    }

    fn look(&mut self, left: Image<E>, expected: &Expected, chance: &mut Chance, depth: usize) -> Checked<()> {
        let look = self.engine.look();
        let engine = self.engine.vary(chance);
        let medium = engine.restored(left, self.recording.planted);
        let mut runner = Runner::new(engine, medium, expected.clone());
        let listings = chance.one_in(look.listings_one_in);
        if chance.one_in(look.read_only_one_in) && expected.created {
            look_read_only(&mut runner, listings)?;
        }
        if let Err(error) = runner.recover() {
            let none = !expected.created && runner.engine.is_no_store(&error);
            return if none { Ok(()) } else { Err((Wrong::NotOpened, whole(&error))) };
        }
        runner.check(0, listings)?;
        if chance.one_in(look.inspect_one_in) {
            inspect(&mut runner)?;
        }
        if !self.scope.goes_on || !chance.one_in(look.goes_on_one_in) {
            return Ok(());
        }
        // What was observed was left by the crash, even if the recovery is interrupted.
        let mut left = runner.expected.clone();
        left.created = expected.created;
        runner.steps = vec![(0, left), (runner.medium.entries(), runner.expected.clone())];
        go_on(&mut runner, chance)?;
        if depth < look.depth && chance.one_in(look.cut_again_one_in) {
            self.cut_again(&runner, chance, depth + 1)?;
        }
        Ok(())
    }

    /// Cuts the power during a recovery and the calls after it.
    fn cut_again(&mut self, runner: &Runner<E>, chance: &mut Chance, depth: usize) -> Checked<()> {
        let mut cuts = runner.medium.cuts();
        for _ in 0..self.engine.look().cuts {
            let cut = chance.below(cuts.entries() + 1);
            let way = chance.below(cuts.ways(cut).min(self.scope.ways));
            let (left, _) = cuts.image(cut, way, chance);
            self.contained(left, expected(&runner.steps, cut), chance, depth).map_err(|(wrong, text)| {
                (wrong, format!("cut again after {cut} of {} entries, way {way}: {text}", cuts.entries()))
            })?;
        }
        Ok(())
    }
}

fn not_usable(text: String) -> (Wrong, String) {
    (Wrong::NotUsable, text)
}

fn look_read_only<E: Engine>(runner: &mut Runner<E>, listings: bool) -> Checked<()> {
    let opening = Opening { create: false, durable: true, read_only: true };
    let store = runner.engine.open(&runner.medium.process(), opening);
    let store = store.map_err(|error| (Wrong::NotOpened, format!("read-only: {}", whole(&error))))?;
    runner.check_store(&store, listings)?;
    runner.engine.close(store).map_err(|error| not_usable(format!("close after reading: {}", whole(&error))))?;
    if runner.medium.entries() > 0 {
        return Err(not_usable("a read-only handle wrote".to_owned()));
    }
    Ok(())
}

/// Makes the checks that only this engine can make.
fn inspect<E: Engine>(runner: &mut Runner<E>) -> Checked<()> {
    let Some(opened) = &mut runner.opened[0] else { return Err(not_usable("no store is open".to_owned())) };
    runner.engine.inspect(&mut opened.store).map_err(not_usable)
}

/// Continues to use a store that was just checked. It must keep its content and take further calls, also after a clean
/// close.
fn go_on<E: Engine>(runner: &mut Runner<E>, chance: &mut Chance) -> Checked<()> {
    let habits = runner.engine.habits();
    let run = |runner: &mut Runner<E>, act| {
        if runner.opened[0].is_none() {
            runner.must_run(0, &Act::Open { durable: true }, None).map_err(not_usable)?;
        }
        runner.must_run(0, &act, None).map(drop).map_err(not_usable)
    };
    for _ in 0..runner.engine.look().acts {
        let act = habits.act(E::pool(), &runner.visible, chance);
        run(runner, act)?;
    }
    if let Some(commit) = commit_of_new(2, E::pool(), &runner.visible, chance) {
        run(runner, commit)?;
    }
    run(runner, Act::Close)?;
    // This call opens the store.
    run(runner, Act::PutMany(Vec::new()))?;
    runner.check(0, true)?;
    inspect(runner)
}
