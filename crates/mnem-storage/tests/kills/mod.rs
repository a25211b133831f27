//! Processes that are killed while they write: everything acknowledged is there, and all else is absent or whole.
//!
//! The writer is another process of this test binary. It prints the number of each operation after the call has
//! returned `Ok`. The parent reads this, kills the writer at a random moment, reads the rest, and opens the store like
//! any user.

use crate::random::Random;

mod collection;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod held;
mod jobs;
mod operations;
#[cfg(target_os = "linux")]
mod power_cuts;
mod process;
mod scene;
mod stream;
#[cfg(target_os = "linux")]
mod write_back;
mod writer;

use std::{
    collections::BTreeMap,
    env, panic,
    time::{SystemTime, UNIX_EPOCH},
};

use mnem_storage::DRIVERS;

use scene::{Ground, Scene};

/// The number of kills of each backend in an ordinary run; `MNEM_SOAK_ROUNDS` in the long run.
const KILLS: u32 = 56;

/// What the writer does when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Puts, commits of blocks and a head, rows of a side table, deletes, closing and opening.
    Stream,
    Create,
    Import,
    Copy,
    /// Removes what no head reaches.
    Collect,
    Knn,
    /// Like `Stream`, with a compaction every few operations.
    Compact,
    /// Like `Stream`, but acknowledges each operation before it is done. The tests must find this.
    Lie,
    /// Like `Collect`, but removes blocks before it knows what is reached. The tests must find this.
    CollectEarly,
}

impl Work {
    /// Six of eighteen kills hit a stream of commits.
    const ROTA: [Self; 18] = {
        use Work::{Collect, Compact, Copy, Create, Import, Knn, Stream};
        [
            Stream, Create, Import, Collect, Stream, Copy, Create, Knn, Stream, Compact, Create, Stream, Import,
            Collect, Copy, Stream, Knn, Stream,
        ]
    };

    fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Create => "create",
            Self::Import => "import",
            Self::Copy => "copy",
            Self::Collect => "collect",
            Self::Knn => "knn",
            Self::Compact => "compact",
            Self::Lie => "lie",
            Self::CollectEarly => "collect_early",
        }
    }

    /// The simple backend cannot compact.
    fn on(self, backend: &'static str) -> Self {
        if self == Self::Compact && backend != "redb" { Self::Stream } else { self }
    }
}

/// The events, by kind of work.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    acknowledged: u64,
    /// Operations that took effect although the kill came before their acknowledgement.
    landed_unsaid: u32,
    /// Kills that came after the work was done.
    too_late: u32,
    /// Kills after which the next writer opened the store first.
    in_a_row: u32,
    /// Power cuts inside a system call.
    in_a_call: u32,
    /// Files and folders that were synced at random before a power cut.
    written_back: u32,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.landed_unsaid += other.landed_unsaid;
        self.too_late += other.too_late;
        self.in_a_row += other.in_a_row;
        self.in_a_call += other.in_a_call;
        self.written_back += other.written_back;
    }
}

/// `ground` makes the folder of each store, and determines how its writers end.
fn kill(backend: &'static str, kills: u32, seed: u64, ground: &dyn Fn() -> Box<dyn Ground>) -> BTreeMap<Work, Tally> {
    let mut random = Random(seed);
    let mut tallies = BTreeMap::<Work, Tally>::new();
    let mut done = 0;
    for (life, work) in Work::ROTA.iter().cycle().enumerate() {
        if done >= kills {
            break;
        }
        let work = work.on(backend);
        let tally = tallies.entry(work).or_default();
        let before = tally.kills;
        let scene = Scene::new(ground(), format!("{backend}, {}, seed {seed}, life {life}", work.name()));
        match work {
            Work::Stream | Work::Compact | Work::Lie => stream::live(&scene, backend, work, &mut random, tally),
            Work::Create => jobs::create(&scene, backend, &mut random, tally),
            Work::Import => jobs::import(&scene, backend, &mut random, tally),
            Work::Copy => jobs::copy_over(&scene, backend, &mut random, tally),
            Work::Collect | Work::CollectEarly => collection::live(&scene, backend, work, &mut random, tally),
            Work::Knn => jobs::knn(&scene, backend, &mut random, tally),
        }
        done += tally.kills - before;
    }
    tallies
}

/// A folder on this machine. Killing a writer does not affect it.
fn folder() -> Box<dyn Ground> {
    Box::new(tempfile::tempdir().expect("a temporary folder"))
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    env::var("MNEM_KILLS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now)
}

/// `place` names the ground.
fn kill_and_tell(place: &str, backend: &'static str, kills: u32, ground: &dyn Fn() -> Box<dyn Ground>) {
    let seed = seed();
    let who = format!("{place}{backend}");
    eprintln!("{who}: MNEM_KILLS_SEED={seed}");
    let tallies = kill(backend, kills, seed, ground);
    let mut all = Tally::default();
    for (work, tally) in &tallies {
        eprintln!("{who}: {:<8}{tally:?}", work.name());
        all.add(tally);
    }
    eprintln!("{who}: all     {all:?}, nothing lost");
    assert!(all.kills >= kills);
    assert!(all.acknowledged > u64::from(kills), "hardly anything was done");
}

#[cfg(feature = "redb")]
#[test]
fn a_killed_writer_of_a_redb_store_loses_nothing_acknowledged() {
    kill_and_tell("", "redb", KILLS, &folder);
}

#[cfg(feature = "simple")]
#[test]
fn a_killed_writer_of_a_simple_store_loses_nothing_acknowledged() {
    kill_and_tell("", "simple", KILLS, &folder);
}

/// The test of one store whose writers do this work, for [`is_found`].
type Live = fn(&Scene, &'static str, Work, &mut Random, &mut Tally);

/// Checks that a planted break is found in one of 20 stores, with every backend.
fn is_found(planted: Work, live: Live) {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let mut random = Random(seed());
        let found = (0..20).any(|_| {
            let mut scene = Scene::new(folder(), planted.name().to_owned());
            scene.kept = false;
            let mut tally = Tally::default();
            let live = || live(&scene, backend, planted, &mut random, &mut tally);
            panic::catch_unwind(panic::AssertUnwindSafe(live)).is_err()
        });
        assert!(found, "{backend}: 20 stores of writers that {} were all taken for whole", planted.name());
    }
}

#[test]
fn an_acknowledgement_that_comes_too_early_is_found() {
    is_found(Work::Lie, stream::live);
}

#[test]
fn a_removal_that_comes_too_early_is_found() {
    is_found(Work::CollectEarly, collection::live);
}

/// The long run.
#[test]
#[ignore = "takes as long as it is told to; `cargo xtask soak kills`"]
fn soak() {
    for backend in asked_for() {
        // Each delete in a bucket waits until the leases of readers are over.
        let share = if backend == "bucket" { 10 } else { 1 };
        kill_and_tell("", backend, rounds(1000).div_ceil(share), &folder);
    }
}

/// The backends selected for a long run.
fn asked_for() -> impl Iterator<Item = &'static str> {
    let only = env::var("MNEM_SOAK_ONLY").ok();
    DRIVERS
        .iter()
        .map(|driver| driver.name())
        .filter(move |backend| only.as_deref().is_none_or(|name| name == *backend))
}

/// The length of a long run.
fn rounds(unless_told: u32) -> u32 {
    env::var("MNEM_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(unless_told)
}
