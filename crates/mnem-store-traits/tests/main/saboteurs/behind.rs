//! Handles that learn of each other's changes from a journal, which keeps only the last thousand.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Mutex,
};

use mnem_store_traits::{Blockstore, Bytes, Cid, Cids, HeadChange, MemoryStore, OpHeadsStore, StoreError};

use super::{Defect, lock, saboteurs};

saboteurs! {
    short_journal_of_deletes: TrustsAShortJournal => handle_far_behind_catches_up "on which has is the first call since";
    short_journal_of_heads: ReplaysAShortJournal => handle_far_behind_catches_up "on which heads is the first call since";
    put_trusts_a_short_journal: SkipsPutsByAShortJournal => handle_far_behind_catches_up "after put of a block which was gone";
}

/// The last thousand changes, and how many there were in all.
#[derive(Debug)]
struct Journal<T> {
    last: VecDeque<T>,
    count: usize,
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self { last: VecDeque::new(), count: 0 }
    }
}

impl<T: Clone> Journal<T> {
    const KEPT: usize = 1000;

    fn note(&mut self, change: T) {
        self.last.push_back(change);
        self.count += 1;
        if self.last.len() > Self::KEPT {
            self.last.pop_front();
        }
    }

    /// What is left of the changes since there were `seen`.
    fn since(&self, seen: usize) -> Vec<T> {
        self.last.iter().skip(self.last.len().saturating_sub(self.count - seen)).cloned().collect()
    }
}

/// The handle, told by the place of its store in memory.
fn handle(inner: &MemoryStore) -> usize {
    std::ptr::from_ref(inner).addr()
}

/// What each handle has seen of the blocks, less what the journal says was deleted.
#[derive(Debug, Default)]
struct Presence {
    deletes: Mutex<Journal<Cid>>,
    seen: Mutex<HashMap<usize, (usize, HashSet<Cid>)>>,
}

impl Presence {
    fn note(&self, cid: &Cid) {
        lock(&self.deletes).note(*cid);
    }

    fn note_all(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        cids.iter().for_each(|cid| self.note(cid));
        inner.delete_many(&mut cids.into_iter().map(Ok))
    }

    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        let (deletes, mut seen) = (lock(&self.deletes), lock(&self.seen));
        let (count, seen) = seen.entry(handle(inner)).or_default();
        for gone in deletes.since(*count) {
            seen.remove(&gone);
        }
        *count = deletes.count;
        if inner.has(cid)? {
            seen.insert(*cid);
        }
        Ok(seen.contains(cid))
    }
}

#[derive(Debug, Default)]
struct TrustsAShortJournal(Presence);

impl Defect for TrustsAShortJournal {
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        self.0.has(inner, cid)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        self.0.note(cid);
        inner.delete(cid)
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        self.0.note_all(inner, cids)
    }
}

/// Remembers which blocks it has seen only to skip their puts.
#[derive(Debug, Default)]
struct SkipsPutsByAShortJournal(Presence);

impl Defect for SkipsPutsByAShortJournal {
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        self.0.has(inner, cid)?;
        inner.has(cid)
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if self.0.has(inner, cid)? { Ok(()) } else { inner.put(cid, data) }
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        self.0.note(cid);
        inner.delete(cid)
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        self.0.note_all(inner, cids)
    }
}

/// Each handle has its own copy of the heads, to which it applies the changes that it finds in the journal.
#[derive(Debug, Default)]
struct ReplaysAShortJournal {
    changes: Mutex<Journal<HeadChange>>,
    copies: Mutex<HashMap<usize, (usize, BTreeSet<Cid>)>>,
}

impl Defect for ReplaysAShortJournal {
    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let (changes, mut copies) = (lock(&self.changes), lock(&self.copies));
        let (count, copy) = match copies.entry(handle(inner)) {
            std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert((changes.count, inner.heads()?.into_iter().collect()))
            }
        };
        for change in changes.since(*count) {
            *copy = change.apply(copy)?;
        }
        *count = changes.count;
        Ok(copy.iter().copied().collect())
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut changes = lock(&self.changes);
        inner.update(new, supersedes)?;
        changes.note(HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() });
        Ok(())
    }
}
