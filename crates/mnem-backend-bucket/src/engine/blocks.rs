//! Which blocks the store has, and where each one stands.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;
use mnem_store_traits::Cid;

use super::state::Place;

/// Blocks in the order of their places, with an index by CID. The order of places is that of the log, so a listing
/// reads each object from front to back.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Ascending by place. A removed or moved block leaves its slot behind, until half of the slots are such.
    slots: Vec<Slot>,
    /// Cloned by each listing under way, which still lists the blocks that are moved meanwhile.
    listings: Listing,
    /// Positions of the blocks that are there.
    index: HashTable<usize>,
    hasher: RandomState,
    bytes: u64,
    /// Slots of moved blocks that the last rebuild had to keep.
    kept: usize,
}

#[derive(Debug)]
struct Slot {
    cid: Cid,
    place: Place,
    is_removed: bool,
    /// The first object of the compaction that moved the block away from here.
    moved_to: Option<u32>,
}

/// Held by a running listing.
pub(crate) type Listing = Arc<()>;

/// Number of removed slots that do not cause a rebuild of the list.
const REMOVED_MIN: usize = 1024;

/// The position of a block in the listing.
pub(crate) type Position = (u32, u64);

fn position(place: &Place) -> Position {
    (place.object, place.offset)
}

impl Blocks {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn find(&self, cid: &Cid) -> Option<&Slot> {
        let is_it = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.cid == *cid);
        self.slots.get(*self.index.find(self.hasher.hash_one(cid), is_it)?)
    }

    pub(crate) fn get(&self, cid: &Cid) -> Option<Place> {
        self.find(cid).map(|slot| slot.place)
    }

    pub(crate) fn contains(&self, cid: &Cid) -> bool {
        self.find(cid).is_some()
    }

    /// Adds a block, whose place follows those of all others. If the store has it already, it moves.
    pub(crate) fn insert(&mut self, cid: Cid, place: Place) {
        self.remove(&cid);
        self.push(cid, place);
    }

    /// Moves a block to a place that follows those of all others, of a compaction whose first object is `first`.
    pub(crate) fn relocate(&mut self, cid: Cid, place: Place, first: u32) {
        let is_it = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.cid == cid);
        let Some(at) = self.index.find(self.hasher.hash_one(cid), is_it).copied() else {
            return self.push(cid, place);
        };
        if let Some(slot) = self.slots.get_mut(at) {
            slot.moved_to = Some(first);
        }
        self.insert(cid, place);
    }

    fn push(&mut self, cid: Cid, place: Place) {
        debug_assert!(self.slots.last().is_none_or(|last| position(&last.place) < position(&place)));
        let (slots, hasher) = (&mut self.slots, &self.hasher);
        let at = slots.len();
        slots.push(Slot { cid, place, is_removed: false, moved_to: None });
        self.bytes = self.bytes.saturating_add(place.bytes);
        self.index.insert_unique(hasher.hash_one(cid), at, |at| hash_of(slots, hasher, *at));
    }

    pub(crate) fn remove(&mut self, cid: &Cid) {
        let slots = &mut self.slots;
        let is_it = |at: &usize| slots.get(*at).is_some_and(|slot| slot.cid == *cid);
        let Ok(found) = self.index.find_entry(self.hasher.hash_one(cid), is_it) else { return };
        let (at, _) = found.remove();
        if let Some(slot) = slots.get_mut(at) {
            slot.is_removed = true;
            self.bytes = self.bytes.saturating_sub(slot.place.bytes);
        }
        // Those that a rebuild has kept are no reason for another one.
        if self.slots.len() > 2 * self.index.len() + self.kept + REMOVED_MIN {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        let is_listed = Arc::strong_count(&self.listings) > 1;
        self.slots.retain(|slot| !slot.is_removed || is_listed && slot.moved_to.is_some());
        self.slots.shrink_to_fit();
        self.kept = self.slots.len() - self.index.len();
        self.index.clear();
        let (slots, hasher) = (&self.slots, &self.hasher);
        for (at, slot) in slots.iter().enumerate().filter(|(_, slot)| !slot.is_removed) {
            self.index.insert_unique(hasher.hash_one(slot.cid), at, |at| hash_of(slots, hasher, *at));
        }
    }

    fn slots_after(&self, after: Option<Position>) -> impl Iterator<Item = &Slot> {
        let from = after.map_or(0, |after| self.slots.partition_point(|slot| position(&slot.place) <= after));
        self.slots.get(from..).unwrap_or_default().iter()
    }

    /// The blocks after a position, in order.
    pub(crate) fn after(&self, after: Option<Position>) -> impl Iterator<Item = (Position, Cid, Place)> {
        let slots = self.slots_after(after).filter(|slot| !slot.is_removed);
        slots.map(|slot| (position(&slot.place), slot.cid, slot.place))
    }

    /// To be held by a listing of the blocks that stand in the objects up to now.
    pub(crate) fn begin_listing(&self) -> Listing {
        Arc::clone(&self.listings)
    }

    /// The blocks of a listing that began when there were `end` objects, after a position, in order. A block that was
    /// moved since is listed where it was.
    pub(crate) fn listed(&self, after: Option<Position>, end: usize) -> impl Iterator<Item = (Position, Cid)> {
        let slots = self.slots_after(after).take_while(move |slot| (slot.place.object as usize) < end);
        let is_listed = move |slot: &&Slot| {
            let was_moved_since = slot.moved_to.is_some_and(|first| first as usize >= end);
            !slot.is_removed || was_moved_since && self.contains(&slot.cid)
        };
        slots.filter(is_listed).map(|slot| (position(&slot.place), slot.cid))
    }
}

fn hash_of(slots: &[Slot], hasher: &RandomState, at: usize) -> u64 {
    slots.get(at).map_or(0, |slot| hasher.hash_one(slot.cid))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mnem_store_traits::{RAW, cid_of};

    use super::*;

    /// Against a map, with blocks that come, go, and come again at other places.
    #[test]
    fn blocks_are_listed_by_place_and_found_by_cid() {
        let (mut blocks, mut model) = (Blocks::default(), BTreeMap::new());
        let cids: Vec<Cid> = (0..700_u32).map(|n| cid_of(RAW, &n.to_be_bytes())).collect();
        let mut random = 1_u64;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let cid = cids[(random >> 33) as usize % cids.len()];
            if random >> 63 == 0 {
                let place = Place { object: step / 7, offset: u64::from(step), bytes: u64::from(step % 5) };
                blocks.insert(cid, place);
                model.insert(cid, place);
            } else {
                blocks.remove(&cid);
                model.remove(&cid);
            }
        }
        assert!(blocks.slots.len() <= 2 * model.len() + REMOVED_MIN);
        assert_eq!((blocks.len(), blocks.bytes()), (model.len(), model.values().map(|place| place.bytes).sum()));
        cids.iter().for_each(|cid| assert_eq!(blocks.get(cid), model.get(cid).copied()));
        let mut expected: Vec<_> = model.iter().map(|(cid, place)| (position(place), *cid, *place)).collect();
        expected.sort_by_key(|(position, ..)| *position);
        assert_eq!(blocks.after(None).collect::<Vec<_>>(), expected);
        let middle = expected[expected.len() / 2].0;
        assert_eq!(blocks.after(Some(middle)).count(), expected.len() - expected.len() / 2 - 1);
    }
}
