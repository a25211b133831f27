//! Which blocks the store has, and where each one stands.

use std::sync::Arc;

use hashbrown::{HashTable, hash_table::Entry};
use mnem_store_traits::Cid;

use super::{
    keys::{Key, Keys, Wanted},
    state::Place,
};

/// Blocks in the order of their places, with an index by CID. The order of places is that of the log, so a listing
/// reads each object from front to back.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// Ascending by place. A removed or moved block leaves its slot behind, until half of the slots are such.
    slots: Vec<Slot>,
    /// Cloned by each listing under way, which still lists the blocks that are moved meanwhile.
    listings: Listing,
    /// Positions of the blocks that are there.
    index: HashTable<u32>,
    keys: Keys,
    bytes: u64,
    /// Slots of moved blocks that the last rebuild had to keep.
    kept: usize,
}

/// 64 bytes: most of the memory of an open store.
#[derive(Debug)]
struct Slot {
    key: Key,
    is_removed: bool,
    /// The first object of the compaction that moved the block away from here.
    moved_to: Option<u32>,
    /// The parts of its place.
    object: u32,
    offset: u64,
    bytes: u64,
}

impl Slot {
    fn new(key: Key, place: Place) -> Self {
        let Place { object, offset, bytes } = place;
        Self { key, is_removed: false, moved_to: None, object, offset, bytes }
    }

    fn place(&self) -> Place {
        Place { object: self.object, offset: self.offset, bytes: self.bytes }
    }

    fn position(&self) -> Position {
        (self.object, self.offset)
    }
}

/// Held by a running listing.
pub(crate) type Listing = Arc<()>;

/// Number of removed slots that do not cause a rebuild of the list.
const REMOVED_MIN: usize = 1024;

/// The position of a block in the listing.
pub(crate) type Position = (u32, u64);

impl Blocks {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether so many blocks can be added: the index has positions of 32 bits.
    pub(crate) fn has_room(&self, blocks: usize) -> bool {
        self.slots.len().checked_add(blocks).is_some_and(|slots| u32::try_from(slots).is_ok())
    }

    /// Makes room for so many blocks in one step.
    pub(crate) fn reserve(&mut self, blocks: usize) {
        self.slots.reserve(blocks);
        let (slots, keys) = (&self.slots, &self.keys);
        self.index.reserve(blocks, |at| hash_of(slots, keys, *at));
    }

    fn find(&self, cid: &Cid) -> Option<&Slot> {
        let wanted = self.keys.wanted(cid);
        let at = self.index.find(self.keys.hash(&wanted), |at| is_at(&self.slots, &self.keys, *at, &wanted))?;
        self.slots.get(*at as usize)
    }

    pub(crate) fn get(&self, cid: &Cid) -> Option<Place> {
        self.find(cid).map(Slot::place)
    }

    pub(crate) fn contains(&self, cid: &Cid) -> bool {
        self.find(cid).is_some()
    }

    /// Adds a block, whose place follows those of all others. If the store has it already, it moves. There must be
    /// [room](Self::has_room).
    pub(crate) fn insert(&mut self, cid: &Cid, place: Place) {
        let wanted = self.keys.added(cid);
        self.add(wanted, place);
    }

    /// The same, with the bytes of the CID. `None`: they are not a CID, and nothing has changed.
    pub(crate) fn insert_bytes(&mut self, cid: &[u8], place: Place) -> Option<()> {
        match self.keys.added_bytes(cid) {
            Some(wanted) => self.add(wanted, place),
            None => self.insert(&Cid::try_from(cid).ok()?, place),
        }
        Some(())
    }

    fn add(&mut self, wanted: Wanted<'_>, place: Place) {
        debug_assert!(self.slots.last().is_none_or(|last| last.position() < (place.object, place.offset)));
        let Ok(at) = u32::try_from(self.slots.len()) else { return };
        let hash = self.keys.hash(&wanted);
        let (slots, keys) = (&self.slots, &self.keys);
        let found = self.index.entry(hash, |at| is_at(slots, keys, *at, &wanted), |at| hash_of(slots, keys, *at));
        let replaced = match found {
            Entry::Occupied(mut found) => Some(std::mem::replace(found.get_mut(), at)),
            Entry::Vacant(free) => {
                free.insert(at);
                None
            }
        };
        let key = self.keys.key(&wanted);
        self.slots.push(Slot::new(key, place));
        self.bytes = self.bytes.saturating_add(place.bytes);
        if let Some(replaced) = replaced {
            self.mark_removed(replaced);
        }
    }

    /// Moves a block to a place that follows those of all others, of a compaction whose first object is `first`.
    pub(crate) fn relocate(&mut self, cid: &Cid, place: Place, first: u32) {
        let wanted = self.keys.wanted(cid);
        let found = self.index.find(self.keys.hash(&wanted), |at| is_at(&self.slots, &self.keys, *at, &wanted));
        if let Some(slot) = found.and_then(|at| self.slots.get_mut(*at as usize)) {
            slot.moved_to = Some(first);
        }
        self.insert(cid, place);
    }

    pub(crate) fn remove(&mut self, cid: &Cid) {
        let wanted = self.keys.wanted(cid);
        let (slots, keys) = (&self.slots, &self.keys);
        let found = self.index.find_entry(keys.hash(&wanted), |at| is_at(slots, keys, *at, &wanted));
        if let Ok(found) = found {
            let (at, _) = found.remove();
            self.mark_removed(at);
        }
    }

    /// Marks a slot that the index does not have any more.
    fn mark_removed(&mut self, at: u32) {
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.is_removed = true;
            self.bytes = self.bytes.saturating_sub(slot.bytes);
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
        self.keys.keep(self.slots.iter_mut().map(|slot| &mut slot.key));
        self.index.clear();
        let (slots, keys) = (&self.slots, &self.keys);
        for (at, slot) in (0..).zip(slots).filter(|(_, slot)| !slot.is_removed) {
            self.index.insert_unique(keys.hash_of_key(&slot.key), at, |at| hash_of(slots, keys, *at));
        }
    }

    fn slots_after(&self, after: Option<Position>) -> impl Iterator<Item = &Slot> {
        let from = after.map_or(0, |after| self.slots.partition_point(|slot| slot.position() <= after));
        self.slots.get(from..).unwrap_or_default().iter()
    }

    /// The blocks after a position, in order.
    pub(crate) fn after(&self, after: Option<Position>) -> impl Iterator<Item = (Position, Cid, Place)> {
        let slots = self.slots_after(after).filter(|slot| !slot.is_removed);
        slots.filter_map(|slot| Some((slot.position(), self.keys.cid(&slot.key)?, slot.place())))
    }

    /// To be held by a listing of the blocks that stand in the objects up to now.
    pub(crate) fn begin_listing(&self) -> Listing {
        Arc::clone(&self.listings)
    }

    /// The blocks of a listing that began when there were `end` objects, after a position, in order. A block that was
    /// moved since is listed where it was.
    pub(crate) fn listed(&self, after: Option<Position>, end: usize) -> impl Iterator<Item = (Position, Cid)> {
        let slots = self.slots_after(after).take_while(move |slot| (slot.object as usize) < end);
        slots.filter_map(move |slot| {
            let was_moved_since = slot.moved_to.is_some_and(|first| first as usize >= end);
            if slot.is_removed && !was_moved_since {
                return None;
            }
            let cid = self.keys.cid(&slot.key)?;
            (!slot.is_removed || self.contains(&cid)).then(|| (slot.position(), cid))
        })
    }
}

fn is_at(slots: &[Slot], keys: &Keys, at: u32, wanted: &Wanted<'_>) -> bool {
    slots.get(at as usize).is_some_and(|slot| keys.is(&slot.key, wanted))
}

fn hash_of(slots: &[Slot], keys: &Keys, at: u32) -> u64 {
    slots.get(at as usize).map_or(0, |slot| keys.hash_of_key(&slot.key))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mnem_store_traits::{RAW, cid::multihash::Multihash, cid_of};

    use super::*;

    fn cid_with(digest: Vec<u8>) -> Cid {
        Cid::new_v1(RAW, Multihash::wrap(0x13, &digest).unwrap())
    }

    #[test]
    fn a_block_takes_little_memory() {
        assert_eq!(size_of::<Slot>(), 64);
    }

    /// Against a map, with blocks that come, go, and come again at other places.
    #[test]
    fn blocks_are_listed_by_place_and_found_by_cid() {
        let (mut blocks, mut model) = (Blocks::default(), BTreeMap::new());
        let mut cids: Vec<Cid> = (0..700_u32).map(|n| cid_of(RAW, &n.to_be_bytes())).collect();
        // Some whose digests are too long for the index, and too short.
        cids.extend((0..50_u8).flat_map(|n| [64, 5].map(|length| cid_with(vec![n; length]))));
        let mut random = 1_u64;
        for step in 0..20_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let cid = cids[(random >> 33) as usize % cids.len()];
            if random >> 63 == 0 {
                let place = Place { object: step / 7, offset: u64::from(step), bytes: u64::from(step % 5) };
                blocks.insert(&cid, place);
                model.insert(cid, place);
            } else {
                blocks.remove(&cid);
                model.remove(&cid);
            }
        }
        assert!(blocks.slots.len() <= 2 * model.len() + REMOVED_MIN);
        assert_eq!((blocks.len(), blocks.bytes()), (model.len(), model.values().map(|place| place.bytes).sum()));
        cids.iter().for_each(|cid| assert_eq!(blocks.get(cid), model.get(cid).copied()));
        let mut expected: Vec<_> =
            model.iter().map(|(cid, place)| ((place.object, place.offset), *cid, *place)).collect();
        expected.sort_by_key(|(position, ..)| *position);
        assert_eq!(blocks.after(None).collect::<Vec<_>>(), expected);
        let middle = expected[expected.len() / 2].0;
        assert_eq!(blocks.after(Some(middle)).count(), expected.len() - expected.len() / 2 - 1);
    }
}
