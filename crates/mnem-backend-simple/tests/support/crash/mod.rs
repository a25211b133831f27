//! The simple backend under the crash explorer: processes on a recorded file system, which keeps names and bytes as its
//! unsynced changes allow.

pub(crate) mod breaks;
pub(crate) mod process;

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use mnem_backend_simple::{OpenOptions, SimpleStore};
use mnem_crash_tests::{Chance, Engine, Habits, Look, Medium, Opening, Pool, whole};
use mnem_store_traits::{
    Cid, Durability, StoreError,
    cid::multibase::{Base, encode},
};

use self::{breaks::Detour, process::Process};
use super::{
    disk::Disk,
    memory_fs::{Event, MemoryFs, Node},
};

/// The path of the store.
pub(crate) const ROOT: &str = "/disk/store";

/// Shards of the blocks: few, so that a folder has many unsynced names at once.
const SHARDS: usize = 6;

/// Some blocks are empty, some longer than a disk writes in one step.
static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let bytes_of = |n| match n {
        0 => 0,
        _ if n % 7 == 3 => 9_000,
        _ if n % 5 == 2 => 700,
        _ => 12 + n,
    };
    Pool::new(96, bytes_of, |cid| shard_of(cid) < SHARDS)
});

fn shard_of(cid: &Cid) -> usize {
    let name = encode(Base::Base32Lower, cid.to_bytes());
    let shard = &name.as_bytes()[name.len() - 3..name.len() - 1];
    if shard[0] == b'q' { usize::from(shard[1].wrapping_sub(b'a')) } else { usize::MAX }
}

/// The options of a workload.
#[derive(Clone, Debug)]
pub(crate) struct Simple {
    /// The number of new blocks from which the whole file system is synced.
    pub(crate) whole_sync_from: usize,
    pub(crate) habits: Habits,
}

/// A file system that processes share.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) fs: MemoryFs,
    planted: Option<Detour>,
    /// Nothing is planted and no process is killed.
    plain: bool,
}

impl Medium for Files {
    type Image = Vec<Node>;
    type Process = Process;
    type Cuts = Cuts;

    fn entries(&self) -> usize {
        self.fs.recorded()
    }

    fn process(&self) -> Process {
        Process::new(&self.fs, self.planted, self.plain)
    }

    fn cuts(&self) -> Cuts {
        Cuts::of(&self.fs)
    }
}

impl Files {
    pub(crate) fn of(fs: MemoryFs) -> Self {
        Self { fs, planted: None, plain: false }
    }
}

/// A recorded file system, and the state of its disk at one power cut.
pub(crate) struct Cuts {
    first: Disk,
    events: Vec<Event>,
    /// For each cut, whether it may leave more than one state.
    undecided: Vec<bool>,
    at: usize,
    disk: Disk,
}

/// States tried at each cut that may leave more than one.
const STATES: usize = 12;

impl Cuts {
    fn of(fs: &MemoryFs) -> Self {
        let (first, events) = fs.recording();
        let mut disk = first.clone();
        let mut undecided = vec![disk.is_undecided()];
        for event in &events {
            disk.apply(event);
            undecided.push(disk.is_undecided());
        }
        Self { at: events.len(), first, events, undecided, disk }
    }
}

impl mnem_crash_tests::Cuts for Cuts {
    type Image = Vec<Node>;

    fn entries(&self) -> usize {
        self.events.len()
    }

    fn ways(&self, cut: usize) -> usize {
        if self.undecided[cut] { STATES } else { 1 }
    }

    fn image(&mut self, cut: usize, way: usize, chance: &mut Chance) -> (Vec<Node>, u64) {
        if cut < self.at {
            (self.at, self.disk) = (0, self.first.clone());
        }
        self.events[self.at..cut].iter().for_each(|event| self.disk.apply(event));
        self.at = cut;
        self.disk.after_power_cut(way, chance)
    }
}

impl Engine for Simple {
    type Medium = Files;
    type Store = SimpleStore;
    type Break = Detour;

    const SOAK: &'static str = "crash-simple";
    const ATOMIC: bool = false;

    fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, u64::MAX);
        let (whole_sync_from, large) = match chance.below(8) {
            0 => (32, 34),
            1..=3 => (3, 5),
            _ => (usize::MAX, 4),
        };
        let habits = Habits {
            acts: 6 + chance.below(8),
            processes: 2,
            large,
            kill_one_in: if chance.one_in(3) { usize::MAX } else { 3 },
            weak_one_in: if chance.one_in(4) { 2 } else { usize::MAX },
            row_keys: 3,
            ..Habits::default()
        };
        Self { whole_sync_from, habits }
    }

    fn pool() -> &'static Pool {
        &POOL
    }

    fn habits(&self) -> Habits {
        self.habits.clone()
    }

    fn look(&self) -> Look {
        Look {
            read_only_one_in: 24,
            listings_one_in: 24,
            inspect_one_in: 24,
            goes_on_one_in: 6,
            acts: 2,
            cut_again_one_in: 1,
            cuts: 1,
            depth: 3,
        }
    }

    fn blank(&self, planted: Option<Detour>) -> Files {
        let parent = Path::new(ROOT).parent().expect("the store lies in a folder");
        Files { planted, ..Files::of(MemoryFs::with_folder(parent).settled()) }
    }

    fn restored(&self, image: Vec<Node>, _: Option<Detour>) -> Files {
        Files { plain: true, ..Files::of(MemoryFs::of(image)) }
    }

    fn open(&self, process: &Process, opening: Opening) -> Result<SimpleStore, StoreError> {
        let Opening { create, durable, read_only } = opening;
        let durability = if durable { Durability::Power } else { Durability::Process };
        let options = OpenOptions::new().create(create).read_only(read_only).whole_sync_from(self.whole_sync_from);
        options.durability(durability).open_on(Arc::new(process.clone()), ROOT)
    }

    fn inspect(&self, store: &mut SimpleStore) -> Result<(), String> {
        let foreign = store.foreign().map_err(|error| whole(&error))?;
        if foreign.is_empty() { Ok(()) } else { Err(format!("unfinished files outlast the opening: {foreign:?}")) }
    }
}
