//! Power cuts at every point of a store's life: any part of the unsynced writes may survive, and everything
//! acknowledged is there.
//!
//! The workload runs on a [`disk`] that logs its calls. From the log, [`survivors`] builds the images that a power cut
//! may leave. [`breaks`] shows that the explorer notices broken protocols. In [`faults`] each call of the disk fails in
//! turn.

mod breaks;
mod callers;
mod disk;
mod failing;
mod faults;
mod image;
mod survivors;

use std::sync::LazyLock;

use mnem_backend_redb::{Check, CommitDurability, Layout, OpenOptions, RedbStore};
use mnem_crash_tests::{Chance, Engine, Habits, Look, Opening, Pool, Scope, explored, soak as run};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{ErrorKind, Store, StoreError};

use self::{
    disk::{Disk, Lie, Plug},
    image::Image,
};

const SEED: u64 = 20_261_125;

/// Images per kind of workload in every test run, of which there are eight: 200,000 in all in optimised builds.
const IMAGES: usize = if cfg!(debug_assertions) { 1_500 } else { 18_000 };

/// Images per workload of a long run.
const IMAGES_OF_A_SEED: usize = 6_000;

/// Most blocks are small; some take several pages and make the file grow.
static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let bytes_of = |n| match n % 16 {
        0 => 8_000 + n * 7_919 % 30_000,
        1..4 => 1_000 + n * 313 % 4_000,
        _ => 16 + n % 200,
    };
    Pool::new(320, bytes_of, |_| true)
});

/// The options of a workload.
#[derive(Clone, Debug)]
struct Redb {
    options: OpenOptions,
    concurrency: Sharing,
    acts: usize,
    /// One in this many calls leaves the store open instead.
    leave_one_in: usize,
}

impl Engine for Redb {
    type Medium = Disk;
    type Store = RedbStore;
    type Break = Lie;

    const SOAK: &'static str = "crash-redb";
    const ATOMIC: bool = true;

    /// Eight consecutive seeds cover every option that matters to the file of one process. Of four such rows, two run
    /// in the shared modes.
    fn of(seed: u64) -> Self {
        let durability = if seed & 1 == 0 { CommitDurability::TwoPhase } else { CommitDurability::OnePhase };
        let layout = if seed & 4 == 0 { Layout::Native } else { Layout::Mnem01 };
        let concurrency = match seed / 8 % 4 {
            2 => Sharing::SingleWriter,
            3 => Sharing::MultiWriter,
            _ => Sharing::ExclusiveWriter,
        };
        let options = OpenOptions::new().durability(durability).fast_recovery(seed & 2 != 0).layout(layout);
        Self { options: options.sharing(concurrency), concurrency, acts: 30, leave_one_in: 12 }
    }

    fn pool() -> &'static Pool {
        &POOL
    }

    fn habits(&self) -> Habits {
        Habits { acts: self.acts, leave_one_in: self.leave_one_in, upkeep: 2, row_keys: 12, ..Habits::default() }
    }

    fn look(&self) -> Look {
        Look {
            read_only_one_in: 8,
            listings_one_in: 1,
            inspect_one_in: usize::MAX,
            goes_on_one_in: 3,
            acts: 0,
            cut_again_one_in: 3,
            cuts: 5,
            depth: 2,
        }
    }

    fn blank(&self, planted: Option<Lie>) -> Disk {
        let disk = Disk::default();
        disk.lie(planted, false);
        disk
    }

    /// A disk that never syncs keeps that defect after a crash.
    fn restored(&self, image: Image, planted: Option<Lie>) -> Disk {
        let disk = Disk::of(image);
        disk.lie(planted.filter(|lie| *lie == Lie::EverySync), true);
        disk
    }

    fn open(&self, process: &Plug, opening: Opening) -> Result<RedbStore, StoreError> {
        let Opening { create, read_only, .. } = opening;
        let options = self.options.clone().create(create).read_only(read_only);
        // Exclusive: in a shared mode a reader must not repair, not even in memory.
        let options = if read_only { options.sharing(Sharing::ExclusiveWriter) } else { options };
        options.open_medium(process.clone(), "disk")
    }

    fn close(&self, store: RedbStore) -> Result<(), StoreError> {
        store.close()
    }

    fn tend(&self, number: usize, store: &mut RedbStore) -> Result<(), StoreError> {
        if number == COMPACT { store.compact() } else { store.check_integrity() }
    }

    fn inspect(&self, store: &mut RedbStore) -> Result<(), String> {
        store.check_integrity().map_err(|error| format!("check_integrity: {error:?}"))
    }

    fn vary(&self, chance: &mut Chance) -> Self {
        let options = self.options.clone();
        Self { options: if chance.one_in(2) { options.check(Check::Always) } else { options }, ..self.clone() }
    }

    fn is_no_store(&self, error: &StoreError) -> bool {
        matches!(error.kind(), ErrorKind::NotAStore | ErrorKind::Damaged | ErrorKind::Backend)
    }
}

/// The number of the maintenance that compacts; the other one checks the integrity.
const COMPACT: usize = 0;

/// Explores four of the eight kinds of workloads.
fn survive(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let (counts, violation) = explored::<Redb>(seed, None, &Scope::of(IMAGES));
        assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
        assert!(counts.images >= IMAGES && counts.of_recoveries > IMAGES / 10, "too little was looked at: {counts:?}");
        println!("seed {seed}: {counts:?}");
    }
}

#[test]
fn two_phase_commits_survive_whatever_a_power_cut_leaves() {
    survive((SEED..SEED + 8).filter(|seed| seed % 2 == 0));
}

#[test]
fn one_phase_commits_survive_whatever_a_power_cut_leaves() {
    survive((SEED..SEED + 8).filter(|seed| seed % 2 == 1));
}

/// A workload in each shared mode and each layout.
#[test]
fn commits_of_stores_that_others_may_open_survive_whatever_a_power_cut_leaves() {
    survive((SEED..SEED + 32).filter(|seed| [16, 30].contains(&(seed % 32))));
}

/// Runs the workload of one seed after the other, on all cores, until `MNEM_CRASH_IMAGES` images are checked; or checks
/// the one image that is named.
#[test]
#[ignore = "long: cargo xtask soak crash-redb"]
fn soak() {
    run::<Redb>(SEED, &Scope::of(IMAGES_OF_A_SEED));
}
