//! Processes that are killed while they write: whatever they acknowledged is there, and all else is absent or whole.
//!
//! The writer is this test binary again. It says each operation's number on its output once the call returned `Ok`; the parent reads, kills it at
//! a random moment, reads what it still said, and opens the store as any user would.

use crate::random::Random;

mod jobs;
mod operations;
mod process;
mod stream;
mod writer;

use std::{
    collections::BTreeMap,
    env, panic,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use mnem_storage::Backend;
use tempfile::TempDir;

/// Kills of each backend in an ordinary test run. `MNEM_SOAK_ROUNDS` is asked for by the long run.
const KILLS: u32 = 56;

/// What the writer is busy with when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    /// Puts, commits of blocks and a head, rows of a side table, deletes, closing and opening.
    Stream,
    Create,
    Import,
    Copy,
    Knn,
    /// As `Stream`, with a compaction every few operations.
    Compact,
    /// As `Stream`, with each acknowledgement before the operation: what these tests must find.
    Lie,
}

impl Work {
    /// Six kills in sixteen hit a stream of commits.
    const ROTA: [Self; 16] = {
        use Work::{Compact, Copy, Create, Import, Knn, Stream};
        [
            Stream, Create, Import, Stream, Copy, Create, Knn, Stream, Compact, Create, Stream, Import, Copy, Stream,
            Knn, Stream,
        ]
    };

    fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Create => "create",
            Self::Import => "import",
            Self::Copy => "copy",
            Self::Knn => "knn",
            Self::Compact => "compact",
            Self::Lie => "lie",
        }
    }

    /// The simple backend has nothing to compact.
    fn on(self, backend: Backend) -> Self {
        if self == Self::Compact && backend != Backend::Redb { Self::Stream } else { self }
    }
}

/// A folder that stays where it is, and is named, when the test fails in it.
struct Scene {
    folder: TempDir,
    story: String,
    kept: bool,
}

impl Scene {
    fn new(story: String) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), story, kept: true }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.kept && std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("{}: the store is kept in {}", self.story, self.folder.path().display());
        }
    }
}

/// What happened, by kind of work.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    acknowledged: u64,
    /// Operations that had landed when the kill came before their acknowledgement.
    landed_unsaid: u32,
    /// Kills that found the work done.
    too_late: u32,
    /// Kills after which the next process had to do without anybody opening the store in between.
    in_a_row: u32,
}

fn kill(backend: Backend, kills: u32, seed: u64) -> BTreeMap<Work, Tally> {
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
        let scene = Scene::new(format!("{backend}, {}, seed {seed}, life {life}", work.name()));
        match work {
            Work::Stream | Work::Compact | Work::Lie => stream::live(&scene, backend, work, &mut random, tally),
            Work::Create => jobs::create(&scene, backend, &mut random, tally),
            Work::Import => jobs::import(&scene, backend, &mut random, tally),
            Work::Copy => jobs::copy_over(&scene, backend, &mut random, tally),
            Work::Knn => jobs::knn(&scene, backend, &mut random, tally),
        }
        done += tally.kills - before;
    }
    tallies
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    env::var("MNEM_KILLS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now)
}

fn kill_and_tell(backend: Backend, kills: u32) {
    let seed = seed();
    eprintln!("{backend}: MNEM_KILLS_SEED={seed}");
    let tallies = kill(backend, kills, seed);
    let all: u32 = tallies.values().map(|tally| tally.kills).sum();
    for (work, tally) in &tallies {
        eprintln!("{backend}: {:<8}{tally:?}", work.name());
    }
    eprintln!("{backend}: {all} kills, nothing lost");
    assert!(all >= kills);
    assert!(
        tallies.values().map(|tally| tally.acknowledged).sum::<u64>() > u64::from(kills),
        "hardly anything was done"
    );
}

#[cfg(feature = "redb")]
#[test]
fn a_killed_writer_of_a_redb_store_loses_nothing_acknowledged() {
    kill_and_tell(Backend::Redb, KILLS);
}

#[cfg(feature = "simple")]
#[test]
fn a_killed_writer_of_a_simple_store_loses_nothing_acknowledged() {
    kill_and_tell(Backend::Simple, KILLS);
}

#[test]
fn an_acknowledgement_that_comes_too_early_is_found() {
    for backend in Backend::compiled_in() {
        let mut random = Random(seed());
        let found = (0..20).any(|_| {
            let mut scene = Scene::new("a writer that lies".to_owned());
            scene.kept = false;
            let mut tally = Tally::default();
            let live = || stream::live(&scene, backend, Work::Lie, &mut random, &mut tally);
            panic::catch_unwind(panic::AssertUnwindSafe(live)).is_err()
        });
        assert!(found, "{backend}: 20 stores whose writers acknowledged too early were all taken for whole");
    }
}

/// The long run.
#[test]
#[ignore = "takes as long as it is told to; `cargo xtask soak kills`"]
fn soak() {
    let kills = env::var("MNEM_SOAK_ROUNDS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(1000);
    let only = env::var("MNEM_SOAK_ONLY").ok();
    for backend in Backend::compiled_in() {
        if only.as_deref().is_none_or(|name| name == backend.name()) {
            kill_and_tell(backend, kills);
        }
    }
}
