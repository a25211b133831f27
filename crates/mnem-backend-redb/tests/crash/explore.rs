//! Opens what crashes leave, as a user would, and looks at everything.

use std::{fmt, ops::Range, sync::Arc};

use mnem_backend_redb::{CommitDurability, Concurrency, Layout, OpenOptions, RedbStore};
use mnem_store_traits::{ErrorKind, Store, StoreError};

use super::{
    chance::Chance,
    disk::{Disk, Lie},
    history::{Allowed, Checked, History, State, Step, Wrong, observe},
    image::Image,
    life::{Broken, Life},
    quiet::quietly,
    survivors::Cuts,
    writes::Write,
};

/// Of the images, one in so many is opened read-only first.
const READ_ONLY_ONE_IN: usize = 8;
/// In one in so many the store is used: a commit, a clean close, another open.
const USED_ONE_IN: usize = 4;
/// Of one in so many the recovery itself is cut off, at so many points; and the recovery after that.
const CUT_AGAIN_ONE_IN: usize = 10;
const CUTS_OF_A_RECOVERY: usize = 5;
const RECOVERIES_DEEP: usize = 2;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Images opened.
    pub(super) images: usize,
    /// Those of them that a power cut left during a recovery or just after it.
    pub(super) of_recoveries: usize,
    /// Crash points of the history.
    pub(super) cuts: usize,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.of_recoveries += other.of_recoveries;
        self.cuts += other.cuts;
    }
}

/// An image that is not as it has to be.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) wrong: Wrong,
    pub(super) seed: u64,
    pub(super) image: usize,
    text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wrong, seed, image, text } = self;
        write!(f, "seed {seed}, image {image}: {wrong:?}: {text}")
    }
}

/// The options of a life. Eight seeds in a row go through all that matter to what is on the disk of one process; of four such rows, two are of the
/// modes that let others in.
pub(super) fn options(seed: u64) -> OpenOptions {
    let durability = if seed & 1 == 0 { CommitDurability::TwoPhase } else { CommitDurability::OnePhase };
    let layout = if seed & 4 == 0 { Layout::Native } else { Layout::Mnem01 };
    OpenOptions::new()
        .create(true)
        .durability(durability)
        .fast_recovery(seed & 2 != 0)
        .layout(layout)
        .concurrency(concurrency(seed))
}

/// How the life of a seed lets others in.
pub(super) fn concurrency(seed: u64) -> Concurrency {
    match seed / 8 % 4 {
        2 => Concurrency::SingleWriter,
        3 => Concurrency::MultiWriter,
        _ => Concurrency::ExclusiveWriter,
    }
}

/// Which images of a history are looked at.
#[derive(Clone)]
pub(super) struct Scope {
    /// About so many.
    pub(super) images: usize,
    /// At these crash points.
    pub(super) cuts: Range<usize>,
    /// One in so many of those.
    pub(super) every: usize,
    /// Only this one of them.
    pub(super) only: Option<usize>,
}

impl Scope {
    pub(super) fn of(images: usize) -> Self {
        Self { images, cuts: 0..usize::MAX, every: 1, only: None }
    }
}

/// Looks at images of a life that was lived, until one is not as it has to be.
pub(super) fn explore(life: &Life, history: &History, scope: &Scope) -> (Counts, Option<Violation>) {
    explore_as(life, history, &|cut| history.allowed(cut), scope)
}

/// [`explore`] with another say in what a crash may leave.
pub(super) fn explore_as(
    life: &Life,
    history: &History,
    allowed: &dyn Fn(usize) -> Allowed,
    scope: &Scope,
) -> (Counts, Option<Violation>) {
    let mut explorer = Explorer { life, counts: Counts::default() };
    explorer.counts.cuts = history.log.len() + 1;
    let violation = explorer.all(history, allowed, scope);
    (explorer.counts, violation)
}

struct Explorer<'a> {
    life: &'a Life,
    counts: Counts,
}

impl Explorer<'_> {
    fn all(&mut self, history: &History, allowed: &dyn Fn(usize) -> Allowed, scope: &Scope) -> Option<Violation> {
        let cuts = Cuts::of(history);
        for (n, (cut, way)) in cuts.plan(scope.images, &scope.cuts).into_iter().enumerate() {
            if n % scope.every != 0 || scope.only.is_some_and(|only| only != n) {
                continue;
            }
            let mut chance = Chance::new(self.life.seed, n as u64 + 1);
            let allowed = allowed(cut);
            let image = cuts.image(cut, way, &mut chance);
            if let Err((wrong, text)) = self.contained(&image, &allowed, &mut chance, 0) {
                let entries = history.log.len();
                let text =
                    format!("cut after {cut} of {entries} entries, way {way}, during {}: {text}", allowed.during);
                return Some(Violation { wrong, seed: self.life.seed, image: n, text });
            }
        }
        None
    }

    fn contained(&mut self, image: &Image, allowed: &Allowed, chance: &mut Chance, depth: usize) -> Checked<()> {
        self.counts.images += 1;
        self.counts.of_recoveries += usize::from(depth > 0);
        quietly(|| self.look(image, allowed, chance, depth)).unwrap_or_else(|panic| Err((Wrong::Panicked, panic)))
    }

    fn look(&mut self, image: &Image, allowed: &Allowed, chance: &mut Chance, depth: usize) -> Checked<()> {
        let disk = Disk::of(image.clone());
        let mut options = self.life.options.clone();
        if chance.one_in(2) {
            // What the default makes of a large file.
            options = options.checked_file_bytes_max(0);
        }
        let read_only = chance.one_in(READ_ONLY_ONE_IN);
        let before = if read_only { self.look_read_only(&disk, &options, allowed)? } else { None };
        if let Some(Broken::Disk(lie @ Lie::EverySync)) = self.life.broken {
            disk.lie(Some(lie));
        }
        let Some(store) = open(&options, &disk, allowed)? else { return Ok(()) };
        let state = observe(&store)?.judge(allowed)?;
        if before.is_some_and(|before| before != state) {
            return Err((Wrong::Contradiction, "a read-only handle saw another state".to_owned()));
        }
        let opened = disk.entries();
        let again = depth < RECOVERIES_DEEP && chance.one_in(CUT_AGAIN_ONE_IN);
        if !again && !chance.one_in(USED_ONE_IN) {
            return Ok(());
        }
        let mut steps = vec![Step {
            what: "recovery",
            begun: 0,
            acknowledged: opened,
            after: Arc::clone(&state),
            perhaps: Vec::new(),
        }];
        use_it(&options, &disk, store, &state, chance, &mut steps)?;
        if !again {
            return Ok(());
        }
        let before = if allowed.or_none { Vec::new() } else { allowed.states.clone() };
        let history = History { start: image.clone(), log: disk.log(), before, steps };
        self.cut_again(&history, chance, depth + 1)
    }

    fn look_read_only(&self, disk: &Disk, options: &OpenOptions, allowed: &Allowed) -> Checked<Option<Arc<State>>> {
        // Alone: beside others it may not repair, not even in memory.
        let options = options.clone().create(false).read_only(true).concurrency(Concurrency::ExclusiveWriter);
        let Some(store) = open(&options, disk, allowed)? else { return Ok(None) };
        let state = observe(&store)?.judge(allowed)?;
        store.close().map_err(|error| (Wrong::NotUsable, format!("close after reading: {error:?}")))?;
        if disk.entries() > 0 {
            return Err((Wrong::NotUsable, "a read-only handle wrote".to_owned()));
        }
        Ok(Some(state))
    }

    /// Cuts the power during a recovery and what came after it.
    fn cut_again(&mut self, history: &History, chance: &mut Chance, depth: usize) -> Checked<()> {
        let cuts = Cuts::of(history);
        for _ in 0..CUTS_OF_A_RECOVERY {
            let cut = chance.below(history.log.len() + 1);
            let way = chance.below(cuts.ways(cut));
            let allowed = history.allowed(cut);
            let image = cuts.image(cut, way, chance);
            self.contained(&image, &allowed, chance, depth).map_err(|(wrong, text)| {
                let during = allowed.during;
                (
                    wrong,
                    format!(
                        "cut again after {cut} of {} entries, way {way}, during {during}: {text}",
                        history.log.len()
                    ),
                )
            })?;
        }
        Ok(())
    }
}

/// Opens what a crash left. `None`: there was no store yet, and that is what the error says.
fn open(options: &OpenOptions, disk: &Disk, allowed: &Allowed) -> Checked<Option<RedbStore>> {
    match options.open_medium(disk.plug_in(), "disk") {
        Ok(store) => Ok(Some(store)),
        Err(error) if allowed.or_none && says_no_store(&error) => Ok(None),
        Err(error) => Err((Wrong::NotOpened, format!("{error:?}"))),
    }
}

pub(super) fn says_no_store(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::NotAStore | ErrorKind::Damaged | ErrorKind::Backend)
}

/// A commit on top of all heads, a clean close, another open.
fn use_it(
    options: &OpenOptions,
    disk: &Disk,
    store: RedbStore,
    state: &Arc<State>,
    chance: &mut Chance,
    steps: &mut Vec<Step>,
) -> Checked<()> {
    let not_usable = |what: &str, error: StoreError| (Wrong::NotUsable, format!("{what}: {error:?}"));
    let (cid, data) = chance.block();
    let write =
        Write::Commit { blocks: vec![(cid, data)], new: cid, supersedes: state.heads.iter().copied().collect() };
    let mut after = State::clone(state);
    write.apply(&mut after);
    let after = Arc::new(after);
    let mut step = |what, begun| {
        steps.push(Step { what, begun, acknowledged: disk.entries(), after: Arc::clone(&after), perhaps: Vec::new() });
    };
    let begun = disk.entries();
    write.perform(&store).map_err(|error| not_usable("a new commit", error))?;
    step("commit after a recovery", begun);
    let begun = disk.entries();
    store.close().map_err(|error| not_usable("close", error))?;
    step("close after a recovery", begun);
    // Not through the disk that is being recorded.
    let again = Disk::of(disk.now());
    let mut store = options.open_medium(again.plug_in(), "disk").map_err(|error| not_usable("open again", error))?;
    let kept = observe(&store)?;
    if kept != *after {
        return Err((Wrong::NotUsable, "a commit after a recovery was gone after a clean close".to_owned()));
    }
    store.check_integrity().map_err(|error| not_usable("check_integrity", error))?;
    store.close().map_err(|error| not_usable("close again", error))
}
