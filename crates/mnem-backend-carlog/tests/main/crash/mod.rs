//! Cuts the power after every operation of random workloads, and tries many of the possible states of the disk.
//! Processes are also killed during calls, including creation and opening. Each planted break must be caught.

mod adoption;
mod compaction;
mod creation;
mod disk;
mod faults;
mod index;
mod survivors;

use std::sync::{Arc, LazyLock};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_crash_tests::{
    Break, Caller, Chance, Counts, Engine, Habits, Look, Opening, Planted, Pool, Scope, every_break_shows, explored,
    soak as run,
};
use mnem_store_traits::{ErrorKind, Store, StoreError};

use self::{
    disk::{Disk, Lie, Process, ROOT},
    survivors::Image,
};

/// The seeds of an ordinary run. Every planted break must be caught within them.
const SEEDS: u64 = 12;
const SEEDS_OF_A_BREAK: u64 = 100;

/// Some blocks are empty, and some are longer than several sectors.
static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let bytes_of = |n| match n {
        0 => 0,
        _ if n % 7 == 3 => 3_000,
        _ if n % 5 == 2 => 700,
        _ => 12 + n,
    };
    Pool::new(96, bytes_of, |_| true)
});

/// The options of a workload.
#[derive(Clone, Debug)]
struct Carlog {
    habits: Habits,
    /// Short, so that a workload fills several segments.
    segment_bytes: u32,
    /// Small, so that a workload writes and merges several runs.
    index_bounds: (usize, u64),
    kill_at_sync: usize,
}

impl Engine for Carlog {
    type Medium = Disk;
    type Store = CarlogStore;
    type Break = Lie;

    const SOAK: &'static str = "crash-carlog";
    const ATOMIC: bool = true;

    fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, u64::MAX);
        let acts = 10 + chance.below(20);
        let kill_one_in = if chance.one_in(3) { usize::MAX } else { 2 };
        let segment_bytes = [2_000, 20_000, u32::MAX][chance.below(3)];
        let habits = Habits {
            acts,
            kill_one_in,
            leave_one_in: 6,
            row_keys: 6,
            upkeep: 1,
            upkeep_one_in: 7,
            upkeep_changes: 30,
            ..Habits::default()
        };
        let index_bounds = [(2, 2_000), (6, 1_000), (1_000, 1 << 20)][chance.below(3)];
        // A creation makes five syncs.
        Self { habits, segment_bytes, index_bounds, kill_at_sync: chance.below(5) }
    }

    fn pool() -> &'static Pool {
        &POOL
    }

    fn habits(&self) -> Habits {
        self.habits.clone()
    }

    fn look(&self) -> Look {
        Look {
            read_only_one_in: 4,
            listings_one_in: 2,
            inspect_one_in: usize::MAX,
            goes_on_one_in: 4,
            acts: 1,
            cut_again_one_in: 2,
            cuts: 3,
            depth: 3,
        }
    }

    fn blank(&self, planted: Option<Lie>) -> Disk {
        Disk::of(Image::default(), planted).kill_at_sync(self.kill_at_sync)
    }

    fn restored(&self, image: Image, _: Option<Lie>) -> Disk {
        Disk::of(image, None)
    }

    fn open(&self, process: &Process, opening: Opening) -> Result<CarlogStore, StoreError> {
        let Opening { create, read_only, .. } = opening;
        let options = OpenOptions::new().create(create && !read_only).read_only(read_only);
        let (entries, tail_bytes) = self.index_bounds;
        options
            .segment_bytes(self.segment_bytes)
            .index_bounds(entries, tail_bytes)
            .index_thread(false)
            .open_on(Arc::new(process.clone()), ROOT)
    }

    fn close(&self, store: CarlogStore) -> Result<(), StoreError> {
        store.close()
    }

    /// The only maintenance is compaction.
    fn tend(&self, _: usize, store: &mut CarlogStore) -> Result<(), StoreError> {
        store.compact().map(drop)
    }

    fn is_no_store(&self, error: &StoreError) -> bool {
        error.kind() == ErrorKind::NotAStore
    }
}

#[test]
fn what_was_acknowledged_survives_any_crash_and_nothing_half_done_shows() {
    let mut counts = Counts::default();
    for seed in 0..SEEDS {
        let (more, violation) = explored::<Carlog>(seed, None, &Scope::of(600));
        assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
        counts.add(&more);
    }
    assert!(counts.images > 100 * SEEDS as usize && counts.of_recoveries > SEEDS as usize, "{counts:?}");
}

const BREAKS: &[Planted<Lie>] = &[
    Planted { name: "no sync of any file", seed: 0, at: Break::Medium(Lie::Files) },
    Planted { name: "no sync of the folder", seed: 0, at: Break::Medium(Lie::Folder) },
    Planted { name: "no sync of the parent folder", seed: 0, at: Break::Medium(Lie::Parent) },
    Planted { name: "no sync of a commit but the first ones", seed: 0, at: Break::Medium(Lie::LaterCommits) },
    Planted { name: "no sync of the segments of a compaction", seed: 0, at: Break::Medium(Lie::NewLog) },
    Planted { name: "no sync of the manifest of a compaction", seed: 0, at: Break::Medium(Lie::NewManifest) },
    Planted { name: "no sync of the folder in a compaction", seed: 0, at: Break::Medium(Lie::Switch) },
    Planted { name: "acknowledged before it is done", seed: 0, at: Break::Caller(Caller::AcknowledgedFirst) },
    Planted { name: "the head before its blocks", seed: 0, at: Break::Caller(Caller::HeadFirst) },
    Planted { name: "a commit in two steps", seed: 0, at: Break::Caller(Caller::TwoSteps) },
];

#[test]
fn every_planted_break_shows() {
    every_break_shows::<Carlog>(BREAKS, |planted| planted.seed, SEEDS_OF_A_BREAK, &Scope::of(400));
}

/// Tries `MNEM_CRASH_IMAGES` images, from the seed `MNEM_CRASH_SEED` on, on all cores.
#[test]
#[ignore = "long: cargo xtask soak crash-carlog"]
fn soak() {
    run::<Carlog>(0, &Scope::default());
}
