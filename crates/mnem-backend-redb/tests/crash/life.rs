//! A seeded life of a store: what is done to it through its public calls, also where a protocol is broken on purpose.

use std::sync::Arc;

use mnem_backend_redb::{OpenOptions, RedbStore};
use mnem_store_traits::Store;

use super::{
    chance::Chance,
    disk::{Disk, Lie},
    history::{History, State, Step},
    image::Image,
    writes::Write,
};

/// A protocol that is not kept: what an explorer has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The disk lies.
    Disk(Lie),
    /// Every call is acknowledged before it is carried out.
    AcknowledgedFirst,
    /// A commit writes its head in one transaction, then its blocks in another.
    HeadFirst,
    /// A commit writes its blocks in one transaction, then its head in another.
    TwoSteps,
}

/// Which life a store has.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) seed: u64,
    pub(super) steps: usize,
    pub(super) options: OpenOptions,
    pub(super) broken: Option<Broken>,
}

/// What is done next.
#[derive(Clone)]
pub(super) enum Next {
    Write(Write),
    /// A clean close and an open.
    Reopen,
    /// A kill, and an open that repairs.
    Kill,
    Compact,
    CheckIntegrity,
}

impl Next {
    pub(super) fn choose(state: &State, chance: &mut Chance) -> Self {
        match chance.below(40) {
            0 => Self::Reopen,
            1 | 2 => Self::Kill,
            3 => Self::Compact,
            4 => Self::CheckIntegrity,
            _ => Self::Write(Write::choose(state, chance)),
        }
    }

    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Write(write) => write.what(),
            Self::Reopen => "close and open",
            Self::Kill => "kill and open",
            Self::Compact => "compact",
            Self::CheckIntegrity => "check_integrity",
        }
    }
}

impl Life {
    fn open(&self, disk: &Disk) -> RedbStore {
        self.options.open_medium(disk.plug_in(), "disk").expect("a disk without faults")
    }

    /// Lives it.
    pub(super) fn record(&self) -> History {
        let disk = Disk::default();
        let mut chance = Chance::new(self.seed, 0);
        let mut store = self.open(&disk);
        let mut state = Arc::new(State::default());
        let mut steps = vec![Step {
            what: "create",
            begun: 0,
            acknowledged: disk.entries(),
            after: Arc::clone(&state),
            perhaps: Vec::new(),
        }];
        if let Some(Broken::Disk(lie)) = self.broken {
            disk.lie(Some(lie));
        }
        for _ in 0..self.steps {
            let next = Next::choose(&state, &mut chance);
            let begun = disk.entries();
            store = self.perform(&next, store, &disk);
            if let Next::Write(write) = &next {
                write.apply(Arc::make_mut(&mut state));
            }
            steps.push(self.step(next.what(), begun, &disk, &state));
        }
        let begun = disk.entries();
        store.close().expect("close");
        steps.push(self.step("close", begun, &disk, &state));
        History { start: Image::default(), log: disk.log(), before: Vec::new(), steps }
    }

    fn step(&self, what: &'static str, begun: usize, disk: &Disk, state: &Arc<State>) -> Step {
        let acknowledged = if self.broken == Some(Broken::AcknowledgedFirst) { begun } else { disk.entries() };
        Step { what, begun, acknowledged, after: Arc::clone(state), perhaps: Vec::new() }
    }

    fn perform(&self, next: &Next, mut store: RedbStore, disk: &Disk) -> RedbStore {
        match next {
            Next::Write(write) => {
                self.write(write, &store);
                store
            }
            Next::Reopen => {
                store.close().expect("close");
                self.open(disk)
            }
            // The old store is dropped after it was cut off from the disk.
            Next::Kill => self.open(disk),
            Next::Compact => {
                store.compact().expect("compact");
                store
            }
            Next::CheckIntegrity => {
                store.check_integrity().expect("check_integrity");
                store
            }
        }
    }

    fn write(&self, write: &Write, store: &RedbStore) {
        let (blocks, head) = match write {
            Write::Commit { blocks, new, supersedes } => {
                (blocks, Write::Update { new: *new, supersedes: supersedes.clone() })
            }
            Write::Swap { blocks, new, expected } => {
                (blocks, Write::Update { new: *new, supersedes: expected.clone() })
            }
            _ => return self.must(write, store),
        };
        let blocks = Write::PutMany(blocks.clone());
        match self.broken {
            Some(Broken::HeadFirst) => [head, blocks].iter().for_each(|step| self.must(step, store)),
            Some(Broken::TwoSteps) => [blocks, head].iter().for_each(|step| self.must(step, store)),
            _ => self.must(write, store),
        }
    }

    fn must(&self, write: &Write, store: &RedbStore) {
        write.perform(store).unwrap_or_else(|error| panic!("{}: {error:?}", write.what()));
    }
}
