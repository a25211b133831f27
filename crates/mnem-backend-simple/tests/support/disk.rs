//! The durable state of a disk, the changes that may survive besides, and the states that a power cut can leave.
//!
//! The model is the weakest file system that POSIX and every file system in use permit: a sync makes the bytes of a
//! file, or the names in a folder, durable; the name of a file belongs to its folder. A name changes in one step from
//! one file to another. Everything else may happen in any order, or not at all: a rename may have removed the old name
//! and not added the new one; a file may have its length and none of its bytes. Some file systems promise more; their
//! states are part of this model too, and the [`Habit`]s draw them more often than chance would.

use std::collections::{BTreeMap, HashMap};

use mnem_crash_tests::Chance;
use mnem_store_traits::Bytes;

use super::memory_fs::{Event, Id, Name, Node, apply_name, joined};

/// Bytes that a disk writes in one step, or that a file system keeps in one block.
const UNITS: [usize; 2] = [512, 4096];

/// Which unsynced changes a file system keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// None.
    Forgets,
    /// All names and no bytes: the fate of unsynced files on ext4 and XFS once they were renamed.
    NamesOnly,
    /// All, as after the kill of a process.
    Keeps,
    /// The names of all folders as of one moment, as with a journal.
    Journal,
    /// The names of each folder as of some moment.
    FolderJournals,
    /// Any of the changes of names.
    Any,
    /// All changes but one.
    AllButOne,
    /// Only one change.
    OnlyOne,
}

impl Habit {
    const ALL: [Self; 8] = [
        Self::Forgets,
        Self::NamesOnly,
        Self::Keeps,
        Self::Journal,
        Self::FolderJournals,
        Self::Any,
        Self::AllButOne,
        Self::OnlyOne,
    ];

    /// The habit of the `index`-th state; the three deterministic ones come first.
    fn of(index: usize, chance: &mut Chance) -> Self {
        let certain = 3;
        if index < certain { Self::ALL[index] } else { Self::ALL[certain + chance.below(Self::ALL.len() - certain)] }
    }
}

/// A disk under a file system that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// The durable state of each node.
    synced: Vec<Node>,
    /// Bytes after those, not synced.
    written: BTreeMap<Id, Bytes>,
    /// Unsynced changes of names in order, each with the step that it belongs to.
    named: Vec<(usize, Name)>,
    steps: usize,
}

impl Disk {
    /// A disk with these nodes, all durable.
    pub(crate) fn of(nodes: Vec<Node>) -> Self {
        Self { synced: nodes, written: BTreeMap::new(), named: Vec::new(), steps: 0 }
    }

    /// The durable state of the nodes.
    pub(crate) fn synced(&self) -> &[Node] {
        &self.synced
    }

    /// Whether a power cut could leave more than one state.
    pub(crate) fn is_undecided(&self) -> bool {
        !self.written.is_empty() || !self.named.is_empty()
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Made(node) => self.synced.push(node.clone()),
            Event::Written(id, data) => {
                let before = self.written.remove(id).unwrap_or_default();
                self.written.insert(*id, joined(&before, data));
            }
            Event::Named(names) => {
                self.steps += 1;
                self.named.extend(names.iter().map(|name| (self.steps, name.clone())));
            }
            Event::Synced(id) => self.sync(*id),
            Event::SyncedAll => (0..self.synced.len()).for_each(|id| self.sync(id)),
        }
    }

    fn sync(&mut self, id: Id) {
        if let (Node::File(bytes), Some(more)) = (&mut self.synced[id], self.written.remove(&id)) {
            *bytes = joined(bytes, &more);
        }
        let nodes = &mut self.synced;
        self.named.retain(|(_, name)| {
            if name.folder == id {
                apply_name(nodes, name);
            }
            name.folder != id
        });
    }

    /// The `index`-th state that a power cut now may leave, and a number that distinguishes it from others.
    pub(crate) fn after_power_cut(&self, index: usize, chance: &mut Chance) -> (Vec<Node>, u64) {
        let habit = Habit::of(index, chance);
        let mut nodes = self.synced.clone();
        let mut mark = 0u64;
        let kept = self.kept_names(habit, chance);
        for ((_, name), _) in self.named.iter().zip(&kept).filter(|(_, kept)| **kept) {
            apply_name(&mut nodes, name);
        }
        for kept in kept {
            mark = mark.wrapping_mul(31).wrapping_add(1 + u64::from(kept));
        }
        for (id, more) in &self.written {
            let left = left_of(more, habit, chance);
            mark = mark.wrapping_mul(1_000_003).wrapping_add(hash(&left));
            if let Node::File(bytes) = &mut nodes[*id] {
                *bytes = joined(bytes, &left);
            }
        }
        (nodes, mark)
    }

    fn kept_names(&self, habit: Habit, chance: &mut Chance) -> Vec<bool> {
        let count = self.named.len();
        match habit {
            Habit::Forgets => vec![false; count],
            Habit::NamesOnly | Habit::Keeps => vec![true; count],
            Habit::Journal => {
                let step = self.steps.saturating_sub(chance.below(count + 1));
                self.named.iter().map(|(of, _)| *of <= step).collect()
            }
            Habit::FolderJournals => {
                let mut until = HashMap::new();
                let mut some_step = || self.steps.saturating_sub(chance.below(count + 1));
                let mut step = |folder| *until.entry(folder).or_insert_with(&mut some_step);
                self.named.iter().map(|(of, name)| *of <= step(name.folder)).collect()
            }
            Habit::Any => (0..count).map(|_| chance.one_in(2)).collect(),
            Habit::AllButOne | Habit::OnlyOne => {
                let one = chance.below(count.max(1));
                (0..count).map(|at| (at == one) == (habit == Habit::OnlyOne)).collect()
            }
        }
    }
}

/// What survives of unsynced bytes.
fn left_of(bytes: &Bytes, habit: Habit, chance: &mut Chance) -> Bytes {
    let unit = UNITS[chance.below(UNITS.len())];
    match habit {
        Habit::Forgets | Habit::NamesOnly => Bytes::new(),
        Habit::Keeps => bytes.clone(),
        _ => match chance.below(6) {
            0 => Bytes::new(),
            1 => bytes.clone(),
            2 => bytes.slice(..chance.below(bytes.len() / unit + 1) * unit),
            3 => vec![0; bytes.len()].into(),
            // Older content of the disk.
            4 => bytes.iter().map(|byte| byte ^ 0xa5).collect(),
            _ => {
                let mut left = bytes.to_vec();
                left.chunks_mut(unit).filter(|_| chance.one_in(2)).for_each(|part| part.fill(0));
                left.into()
            }
        },
    }
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |sum, byte| sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(*byte))
}
