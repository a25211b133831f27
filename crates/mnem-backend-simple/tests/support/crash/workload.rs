//! What is done with a store, drawn from a seed.

use std::collections::BTreeSet;

use mnem_store_traits::Cid;

use super::{BLOCKS, process::Kill};
use crate::support::random::Random;

/// The names of the side tables.
pub(crate) const TABLES: [&str; 2] = ["edges", "notes"];

/// One call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A process opens the store, and creates it if it is not there.
    Open {
        durable: bool,
    },
    Put(usize),
    PutMany(Vec<usize>),
    Commit {
        puts: Vec<usize>,
        required: Vec<usize>,
        head: usize,
        supersedes: Supersedes,
    },
    Update {
        new: Cid,
        supersedes: Supersedes,
    },
    Swap {
        new: Cid,
        stale: bool,
    },
    Delete(usize),
    Rows {
        table: usize,
        puts: Vec<(u8, u8)>,
        deletes: Vec<u8>,
    },
}

/// Which of the heads go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Supersedes {
    All,
    First,
    None,
}

impl Act {
    pub(crate) fn puts(&self) -> Vec<usize> {
        match self {
            Self::Put(n) => vec![*n],
            Self::PutMany(blocks) | Self::Commit { puts: blocks, .. } => blocks.clone(),
            _ => Vec::new(),
        }
    }

    /// A commit that requires these blocks too.
    pub(crate) fn requiring(self, required: Vec<usize>) -> Self {
        match self {
            Self::Commit { puts, head, supersedes, .. } => Self::Commit { puts, required, head, supersedes },
            other => other,
        }
    }

    /// The blocks that the head of a commit relies on.
    pub(crate) fn relied_on(&self) -> Vec<usize> {
        match self {
            Self::Commit { puts, required, .. } => puts.iter().chain(required).copied().collect(),
            _ => Vec::new(),
        }
    }
}

/// What readers see before the next call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visible {
    pub(crate) blocks: BTreeSet<usize>,
    pub(crate) heads: BTreeSet<Cid>,
    /// Blocks that a head relies on, or relied on: those are not deleted.
    pub(crate) kept: BTreeSet<usize>,
}

/// What is drawn for one seed.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// From how many new blocks on the whole file system is synced.
    pub(crate) whole_sync_from: usize,
    /// How many blocks a large batch has.
    large: usize,
    /// Whether processes are killed, rarely and often.
    kill_one_in: usize,
    /// Whether some process promises less than to survive a power cut.
    weak_one_in: usize,
    pub(crate) acts: usize,
}

impl Habits {
    pub(crate) fn of(random: &mut Random) -> Self {
        let (whole_sync_from, large) = match random.below(8) {
            0 => (32, 34),
            1..=3 => (3, 5),
            _ => (usize::MAX, 4),
        };
        Self {
            whole_sync_from,
            large,
            kill_one_in: if random.one_in(3) { usize::MAX } else { 3 },
            weak_one_in: if random.one_in(4) { 2 } else { usize::MAX },
            acts: 6 + random.below(8),
        }
    }

    pub(crate) fn open(&self, random: &mut Random) -> Act {
        Act::Open { durable: !random.one_in(self.weak_one_in) }
    }

    /// When the process is killed that makes the next call.
    pub(crate) fn kill(&self, act: &Act, random: &mut Random) -> Option<Kill> {
        let changes = match act {
            Act::Open { .. } => 22,
            Act::PutMany(blocks) => 4 + 5 * blocks.len(),
            Act::Commit { puts, .. } => 12 + 5 * puts.len(),
            _ => 8,
        };
        let at = [Kill::BeforeNamesAreSynced, Kill::After(random.below(changes))][random.below(2)];
        random.one_in(self.kill_one_in).then_some(at)
    }

    /// The next call.
    pub(crate) fn act(&self, visible: &Visible, random: &mut Random) -> Act {
        match random.below(22) {
            0..=3 => Act::Put(any_block(visible, random)),
            4..=5 => Act::PutMany((0..2 + random.below(3)).map(|_| any_block(visible, random)).collect()),
            6..=7 => Act::PutMany(new_blocks(self.large, visible, random)),
            8..=11 => commit(self, visible, random),
            12 => Act::Update { new: any_head(random), supersedes: Supersedes::of(random) },
            13 => Act::Swap { new: any_head(random), stale: random.one_in(3) },
            14..=16 => {
                let free: Vec<usize> = visible.blocks.difference(&visible.kept).copied().collect();
                random.pick(&free).map_or_else(|| Act::Put(any_block(visible, random)), |n| Act::Delete(*n))
            }
            _ => {
                let mut keys: BTreeSet<u8> = (0..1 + random.below(3)).map(|_| random.below(3) as u8).collect();
                let deletes = if random.one_in(2) { keys.pop_last().into_iter().collect() } else { Vec::new() };
                let puts = keys.into_iter().map(|key| (key, random.below(100) as u8)).collect();
                Act::Rows { table: random.below(TABLES.len()), puts, deletes }
            }
        }
    }
}

impl Supersedes {
    fn of(random: &mut Random) -> Self {
        [Self::All, Self::First, Self::None][random.below(3)]
    }

    pub(crate) fn among(self, heads: &BTreeSet<Cid>) -> Vec<Cid> {
        let count = match self {
            Self::All => heads.len(),
            Self::First => 1,
            Self::None => 0,
        };
        heads.iter().take(count).copied().collect()
    }
}

/// A head that no commit writes.
fn any_head(random: &mut Random) -> Cid {
    crate::support::head(random.below(BLOCKS) as u64)
}

/// Blocks that are not there, and that no head relied on.
fn new_blocks(count: usize, visible: &Visible, random: &mut Random) -> Vec<usize> {
    let first = random.below(BLOCKS);
    let all = (0..BLOCKS).map(|n| (first + n) % BLOCKS);
    all.filter(|n| !visible.blocks.contains(n) && !visible.kept.contains(n)).take(count).collect()
}

/// One that is there, or one that is not.
fn any_block(visible: &Visible, random: &mut Random) -> usize {
    let there: Vec<usize> = visible.blocks.iter().copied().collect();
    match random.pick(&there) {
        Some(n) if random.one_in(3) => *n,
        _ => random.below(BLOCKS),
    }
}

/// A commit of new blocks.
pub(crate) fn commit_of_new(count: usize, visible: &Visible, random: &mut Random) -> Option<Act> {
    let puts = new_blocks(count, visible, random);
    let head = *puts.first()?;
    Some(Act::Commit { puts, required: Vec::new(), head, supersedes: Supersedes::of(random) })
}

fn commit(habits: &Habits, visible: &Visible, random: &mut Random) -> Act {
    let count = if random.one_in(6) { habits.large } else { 1 + random.below(2) };
    let puts = new_blocks(count, visible, random);
    let there: Vec<usize> = visible.blocks.iter().copied().collect();
    let required = match random.below(6) {
        0 => there,
        1..=3 => random.pick(&there).into_iter().copied().collect(),
        _ => Vec::new(),
    };
    // A head of its own, so that it is there only once this commit is.
    let head = puts.first().or_else(|| required.iter().find(|n| !visible.kept.contains(n))).copied();
    match head {
        Some(head) => Act::Commit { puts, required, head, supersedes: Supersedes::of(random) },
        None => Act::Put(any_block(visible, random)),
    }
}
