//! What the log comes to: where each block and row stands, and the heads.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Instant,
};

use mnem_store_traits::{Bytes, Cid};

use super::{
    blocks::Blocks,
    entry::{Entry, Slot},
    pack::Digest,
    tombstone::Tombstone,
};
use crate::tables::{pack, slot};

/// Roughly what an item takes in a checkpoint, in bytes.
const ITEM_BYTES: u64 = 40;

/// Removed blocks and rows that are remembered in any case.
const REMOVED_MIN: usize = 10_000;

/// Which object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Name {
    Entry(u64),
    Pack(Digest),
}

impl Name {
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Entry(n) => slot(*n),
            Self::Pack(digest) => pack(digest),
        }
    }
}

/// An object that holds blocks or values, its length, and the number of the entry that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) name: Name,
    pub(crate) bytes: u64,
    pub(crate) entry: u64,
}

/// Where bytes stand: in which of the state's objects, and where there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) object: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// A place that is found without the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) object: Object,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Where the value of a row stands, and its CID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) cid: Cid,
}

/// The state after the first `next` entries.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) next: u64,
    /// The record of the last one.
    pub(crate) last: Option<Cid>,
    pub(crate) heads: BTreeSet<Cid>,
    /// In the order of the log.
    pub(super) objects: Vec<Object>,
    pub(crate) blocks: Blocks,
    /// Tables that have a row.
    pub(crate) tables: BTreeMap<String, BTreeMap<Bytes, Value>>,
    /// Bytes of all entries and packs.
    pub(crate) bytes: u64,
    packs: HashSet<Digest>,
    /// Packs that no later entry may name, with the numbers of the entries that say so. They are deleted some time.
    pub(crate) dropped: Arc<BTreeMap<Digest, u64>>,
    /// Blocks and rows that were removed, with the number of the entry, for the next checkpoint.
    pub(super) removed: Vec<(u64, Cid)>,
    pub(super) removed_rows: Vec<(u64, String, Bytes)>,
    /// Those of entries before this one are forgotten.
    pub(super) remembered: u64,
    /// The number of entries that have a checkpoint, as far as this handle knows, and roughly how many bytes the others
    /// add to the next one.
    pub(crate) checkpoint: u64,
    pub(crate) unsummed: u64,
    /// When this handle applied the last entry that deletes a block.
    pub(crate) deleted_at: Option<Instant>,
}

impl State {
    /// Takes in the next entry. Does nothing if it is here already.
    ///
    /// # Errors
    /// The entry does not follow the last one. Nothing has changed.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let record = &entry.record;
        if record.n < self.next {
            return Ok(());
        }
        if record.n > self.next || record.prev != self.last {
            return Err("it does not follow the entry before it");
        }
        let first = u32::try_from(self.objects.len()).ok();
        let first = first.filter(|first| first.checked_add(entry.objects().len() as u32).is_some());
        let first = first.ok_or("it is one of more objects than a handle can count")?;
        if !self.blocks.has_room(record.blocks.len()) {
            return Err("with its blocks, the store has more than a handle can count");
        }
        for cid in &record.deleted {
            self.remove_block(cid, record.n);
        }
        if !record.deleted.is_empty() {
            self.deleted_at = Some(Instant::now());
        }
        self.add_objects(entry);
        let place =
            |part: super::entry::Part| Place { object: first + part.object, offset: part.offset, bytes: part.bytes };
        for (cid, part) in entry.blocks() {
            if record.is_compaction() {
                self.blocks.relocate(&cid, place(part), first);
            } else {
                self.blocks.insert(&cid, place(part));
            }
        }
        self.drop_packs(record.dropped.iter().map(|digest| digest.into_array()), record.n);
        for (table, key, value) in &record.rows {
            match value.and_then(|value| entry.value(value)) {
                Some((cid, part)) => {
                    let rows = self.tables.entry(table.clone()).or_default();
                    rows.insert(Bytes::copy_from_slice(key), Value { place: place(part), cid });
                }
                None => self.remove_row(table, key, record.n),
            }
        }
        self.heads = record.heads.iter().copied().collect();
        self.last = Some(entry.cid);
        self.next = record.n.saturating_add(1);
        let items = record.deleted.len() + record.blocks.len() + record.rows.len();
        self.unsummed = self.unsummed.saturating_add(items as u64 * ITEM_BYTES);
        self.forget();
        Ok(())
    }

    /// Takes in what a slot has. After a tombstone, the state lacks what the entry `by` has.
    ///
    /// # Errors
    /// It does not follow the last entry. Nothing has changed.
    pub(crate) fn apply_slot(&mut self, slot: &Slot, size: u64) -> Result<(), &'static str> {
        match slot {
            Slot::Entry(entry) => self.apply(entry),
            Slot::Tombstone(tombstone) => self.apply_tombstone(tombstone, size),
        }
    }

    fn apply_tombstone(&mut self, tombstone: &Tombstone, size: u64) -> Result<(), &'static str> {
        if tombstone.n < self.next {
            return Ok(());
        }
        if tombstone.n > self.next || tombstone.prev != self.last {
            return Err("it does not follow the entry before it");
        }
        for cid in &tombstone.deleted {
            self.remove_block(cid, tombstone.n);
        }
        if !tombstone.deleted.is_empty() {
            self.deleted_at = Some(Instant::now());
        }
        for (table, key) in &tombstone.removed {
            self.remove_row(table, key, tombstone.n);
        }
        self.drop_packs(tombstone.dropped.iter().map(|digest| digest.into_array()), tombstone.n);
        self.bytes = self.bytes.saturating_add(size);
        self.heads = tombstone.heads.iter().copied().collect();
        self.last = Some(tombstone.entry);
        self.next = tombstone.n.saturating_add(1);
        let items = tombstone.deleted.len() + tombstone.removed.len();
        self.unsummed = self.unsummed.saturating_add(items as u64 * ITEM_BYTES);
        self.forget();
        Ok(())
    }

    pub(super) fn drop_packs(&mut self, packs: impl ExactSizeIterator<Item = Digest>, entry: u64) {
        if packs.len() > 0 {
            Arc::make_mut(&mut self.dropped).extend(packs.map(|digest| (digest, entry)));
        }
    }

    /// Counts an entry and its packs.
    fn add_objects(&mut self, entry: &Entry) {
        self.bytes = self.bytes.saturating_add(entry.size);
        for object in entry.objects() {
            if self.push_object(object) && matches!(object.name, Name::Pack(_)) {
                self.bytes = self.bytes.saturating_add(object.bytes);
            }
        }
    }

    /// Returns whether no other entry has named this object.
    pub(super) fn push_object(&mut self, object: Object) -> bool {
        self.objects.push(object);
        match object.name {
            Name::Pack(digest) => self.packs.insert(digest),
            Name::Entry(_) => true,
        }
    }

    pub(super) fn remove_block(&mut self, cid: &Cid, entry: u64) {
        self.blocks.remove(cid);
        self.removed.push((entry, *cid));
    }

    /// Whether it is known what was removed since entry `from`. Since the first one, nothing needs to be known.
    pub(super) fn remembers(&self, from: u64) -> bool {
        from == 0 || from >= self.remembered
    }

    /// Bounds the memory for what was removed: a checkpoint of all is then no longer than one of the removals.
    fn forget(&mut self) {
        let kept = self.blocks.len() + self.tables.values().map(BTreeMap::len).sum::<usize>();
        if self.removed.len() + self.removed_rows.len() > kept + REMOVED_MIN {
            (self.removed, self.removed_rows) = (Vec::new(), Vec::new());
            self.remembered = self.next;
        }
    }

    pub(super) fn remove_row(&mut self, table: &str, key: &[u8], entry: u64) {
        self.removed_rows.push((entry, table.to_owned(), Bytes::copy_from_slice(key)));
        let Some(rows) = self.tables.get_mut(table) else { return };
        rows.remove(key);
        if rows.is_empty() {
            self.tables.remove(table);
        }
    }

    pub(crate) fn row(&self, table: &str, key: &[u8]) -> Option<Value> {
        self.tables.get(table)?.get(key).copied()
    }

    /// The place, with its object.
    pub(crate) fn locate(&self, place: Place) -> Option<Located> {
        let object = *self.objects.get(place.object as usize)?;
        Some(Located { object, offset: place.offset, bytes: place.bytes })
    }

    pub(crate) fn block(&self, cid: &Cid) -> Option<Located> {
        self.locate(self.blocks.get(cid)?)
    }

    /// How many objects there are: later ones are of later entries.
    pub(crate) fn objects(&self) -> usize {
        self.objects.len()
    }
}
