//! Draws the calls of a workload from a seed.

use std::collections::BTreeSet;

use mnem_store_traits::Cid;

use crate::{Act, Chance, Gone, Heads, Kill, Pool, TABLES, head};

/// What readers see before the next call.
#[derive(Clone, Debug, Default)]
pub struct Visible {
    /// The present blocks.
    pub blocks: BTreeSet<usize>,
    /// The heads.
    pub heads: BTreeSet<Cid>,
    /// Blocks that any head relies on that may be there after a crash. They are not deleted.
    pub kept: BTreeSet<usize>,
}

/// How the processes of a workload behave.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The number of calls in a workload.
    pub acts: usize,
    /// The number of processes that have the store open at once: at least one.
    pub processes: usize,
    /// The number of blocks in a large batch.
    pub large: usize,
    /// During one in so many calls, the process is killed.
    pub kill_one_in: usize,
    /// One in so many processes does not promise to survive a power cut.
    pub weak_one_in: usize,
    /// Instead of one in so many calls, the process closes the store or dies.
    pub leave_one_in: usize,
    /// The number of kinds of maintenance that only this engine has: [`Act::Tend`].
    pub upkeep: usize,
    /// Of the calls, one in so many is upkeep, beside those that are anyway; [`usize::MAX`]: none.
    pub upkeep_one_in: usize,
    /// A process that is killed during upkeep is killed before so many changes of its storage.
    pub upkeep_changes: usize,
    /// Keys of each side table.
    pub row_keys: usize,
}

impl Default for Habits {
    /// One durable process that is never killed during a call.
    fn default() -> Self {
        Self {
            acts: 30,
            processes: 1,
            large: 10,
            kill_one_in: usize::MAX,
            weak_one_in: usize::MAX,
            leave_one_in: 12,
            upkeep: 0,
            upkeep_one_in: usize::MAX,
            upkeep_changes: 8,
            row_keys: 8,
        }
    }
}

impl Habits {
    pub(crate) fn open(&self, chance: &mut Chance) -> Act {
        Act::Open { durable: !chance.one_in(self.weak_one_in) }
    }

    /// Decides whether and when the process is killed during the next call.
    pub(crate) fn kill(&self, act: &Act, chance: &mut Chance) -> Option<Kill> {
        let changes = match act {
            Act::Open { .. } => 22,
            Act::PutMany(blocks) => 4 + 5 * blocks.len(),
            Act::Commit { puts, .. } => 12 + 5 * puts.len(),
            Act::Tend(_) => self.upkeep_changes,
            _ => 8,
        };
        let at = [Kill::BeforeDurable, Kill::After(chance.below(changes))][chance.below(2)];
        chance.one_in(self.kill_one_in).then_some(at)
    }

    /// The next call of a process that has the store open.
    pub fn act(&self, pool: &Pool, visible: &Visible, chance: &mut Chance) -> Act {
        if chance.one_in(self.leave_one_in) {
            return if chance.one_in(3) { Act::Close } else { Act::Kill };
        }
        // Nothing is drawn for an engine without it, so that its seeds mean what they meant.
        if self.upkeep_one_in < usize::MAX && chance.one_in(self.upkeep_one_in) {
            return Act::Tend(chance.below(self.upkeep));
        }
        let any = |chance: &mut Chance| any_block(pool, visible, chance);
        match chance.below(25) {
            0..=2 => Act::Put(any(chance)),
            3..=4 => Act::PutMany((0..2 + chance.below(3)).map(|_| any(chance)).collect()),
            5..=6 => Act::PutMany(new_blocks(self.large, pool, visible, chance)),
            7..=11 => self.commit(pool, visible, chance),
            12..=14 => Act::ChangeHeads(Heads { new: other_heads(chance), gone: Gone::any(chance) }),
            15..=16 => deletable(visible, chance).map_or_else(|| Act::Put(any(chance)), Act::Delete),
            way @ 17..=18 => {
                let blocks: BTreeSet<usize> = (0..4).filter_map(|_| deletable(visible, chance)).collect();
                let blocks = blocks.into_iter().collect();
                if way == 17 { Act::DeleteMany(blocks) } else { Act::Sweep(blocks) }
            }
            19 if self.upkeep > 0 => Act::Tend(chance.below(self.upkeep)),
            _ => self.rows(chance),
        }
    }

    fn rows(&self, chance: &mut Chance) -> Act {
        let keys = 1 + chance.below(self.row_keys.min(5));
        let mut keys: BTreeSet<u8> = (0..keys).map(|_| chance.below(self.row_keys) as u8).collect();
        let deletes = if chance.one_in(2) { keys.pop_last().into_iter().collect() } else { Vec::new() };
        let puts = keys.into_iter().map(|key| (key, chance.below(100) as u8)).collect();
        Act::Rows { table: chance.below(TABLES.len()), puts, deletes }
    }

    fn commit(&self, pool: &Pool, visible: &Visible, chance: &mut Chance) -> Act {
        let count = if chance.one_in(6) { self.large } else { 1 + chance.below(3) };
        let puts = new_blocks(count, pool, visible, chance);
        let there: Vec<usize> = visible.blocks.iter().copied().collect();
        let required = match chance.below(6) {
            0 => there,
            1..=3 => chance.pick(&there).into_iter().copied().collect(),
            _ => Vec::new(),
        };
        // The heads are the commit's own, so they are there only if the commit is.
        let own = puts.iter().chain(&required).filter(|n| !visible.kept.contains(n)).copied();
        let new: Vec<Cid> = own.take(heads_at_once(chance)).map(|n| pool.block(n).0).collect();
        if new.is_empty() {
            return Act::Put(any_block(pool, visible, chance));
        }
        Act::Commit { puts, required, heads: Heads { new, gone: Gone::of_a_commit(chance) } }
    }
}

/// A commit of this many new blocks, or `None` if no blocks are left to put.
pub(crate) fn commit_of_new(count: usize, pool: &Pool, visible: &Visible, chance: &mut Chance) -> Option<Act> {
    let puts = new_blocks(count, pool, visible, chance);
    let new = puts.iter().take(heads_at_once(chance)).map(|n| pool.block(*n).0).collect();
    let heads = Heads { new, gone: Gone::of_a_commit(chance) };
    (!puts.is_empty()).then_some(Act::Commit { puts, required: Vec::new(), heads })
}

impl Gone {
    fn of_a_commit(chance: &mut Chance) -> Self {
        match chance.below(6) {
            0 => Self::None,
            1 => Self::First,
            2 => Self::AllButFirst,
            3 => Self::Swapped,
            _ => Self::All,
        }
    }

    fn any(chance: &mut Chance) -> Self {
        if chance.one_in(6) { Self::Stale } else { Self::of_a_commit(chance) }
    }
}

/// Usually one head, otherwise a set of up to three.
fn heads_at_once(chance: &mut Chance) -> usize {
    if chance.one_in(2) { 1 } else { 1 + chance.below(3) }
}

/// Heads that no commit writes.
fn other_heads(chance: &mut Chance) -> Vec<Cid> {
    let heads: BTreeSet<Cid> = (0..heads_at_once(chance)).map(|_| head(chance.below(64) as u64)).collect();
    heads.into_iter().collect()
}

/// A block that no head relies on.
fn deletable(visible: &Visible, chance: &mut Chance) -> Option<usize> {
    let free: Vec<usize> = visible.blocks.difference(&visible.kept).copied().collect();
    chance.pick(&free).copied()
}

/// Absent blocks that no head relies on.
fn new_blocks(count: usize, pool: &Pool, visible: &Visible, chance: &mut Chance) -> Vec<usize> {
    let first = chance.below(pool.count());
    let all = (0..pool.count()).map(|n| (first + n) % pool.count());
    all.filter(|n| !visible.blocks.contains(n) && !visible.kept.contains(n)).take(count).collect()
}

/// A block that may be present or absent.
fn any_block(pool: &Pool, visible: &Visible, chance: &mut Chance) -> usize {
    let there: Vec<usize> = visible.blocks.iter().copied().collect();
    match chance.pick(&there) {
        Some(n) if chance.one_in(3) => *n,
        _ => chance.below(pool.count()),
    }
}
