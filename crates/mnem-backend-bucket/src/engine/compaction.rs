//! Compaction: moving the blocks and values of small commits and half-used packs to full packs, by entries of the log.
//!
//! - A move lands like a commit: it confirms that the state before it was current. A block that is deleted before stays
//!   deleted, a row that is written before stays as it was written, and what another compaction has moved stays there.
//! - A pack is deleted only after an entry has dropped it. A writer that lands a later entry has read that one, and does
//!   not name the pack:
//!   so no pack is deleted that a commit has just uploaded and is about to name.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use mnem_store_traits::{Bytes, Cid, StoreError, driver::Reclaimed};
use serde_bytes::{ByteArray, ByteBuf};

use super::{
    draft::Base,
    entry::{self, Encoded},
    format::token,
    landing::Contest,
    pack::{Digest, Pack, Packer, Piece, header, piece_bytes},
    reading::{Batch, Fetched, Read},
    record::{COMPACTION, Record},
    state::{Located, Name, Object, State},
    sweep::{Sizes, packs, sweep},
};
use crate::{
    error::{BACKEND, damaged},
    handle::{Handle, hold},
    limits::{MOVED_BYTES, MOVED_ITEMS, PACK_BYTES, READ_TOGETHER},
};

pub(crate) const OPERATION: &str = "compact";

const NOTHING_TO_DO: &str = "no packs are small or half unused, and nothing else is unused";
const STILL_KEPT: &str = "unused objects are kept for readers a little longer";

/// Compacts a store.
pub(crate) fn compact(handle: &Handle) -> Result<Reclaimed, StoreError> {
    handle.gate.check_writable(OPERATION)?;
    let _turn = hold(&handle.compacting);
    let begin = Instant::now();
    handle.look(begin)?;
    let before = Sizes::list(handle)?;
    let mut changed = false;
    let rounds = rounds(&handle.state());
    for sources in rounds {
        let moved = read(handle, sources)?;
        changed |= land(handle, |base, packer| moved.encode(handle, base, packer))?;
    }
    let old = before.orphans(&handle.state());
    changed |= land(handle, |base, _| encode_drop(handle, base, &old))?;
    let swept = sweep(handle, changed)?;
    let before_bytes = before.bytes(handle);
    let mut reclaimed = Reclaimed::new(before_bytes, swept.bytes);
    reclaimed.pending_bytes = swept.pending;
    if !changed && !swept.changed {
        reclaimed.nothing_to_do = Some(if swept.pending > 0 { STILL_KEPT } else { NOTHING_TO_DO });
    }
    Ok(reclaimed)
}

/// The blocks and values that still stand in an object.
#[derive(Clone, Copy, Default)]
pub(crate) struct Live {
    pub(crate) pieces: u64,
    /// With the bytes before each of them.
    pub(crate) bytes: u64,
}

/// The blocks and values that still stand in each object of a state.
pub(crate) fn live(state: &State) -> Vec<Live> {
    let mut live = vec![Live::default(); state.objects()];
    let mut count = |object: u32, cid: &Cid, bytes: u64| {
        if let Some(live) = live.get_mut(object as usize) {
            live.pieces += 1;
            live.bytes = live.bytes.saturating_add(piece_bytes(cid, bytes));
        }
    };
    state.blocks.after(None).for_each(|(_, cid, place)| count(place.object, &cid, place.bytes));
    for value in state.tables.values().flat_map(BTreeMap::values) {
        count(value.place.object, &value.cid, value.place.bytes);
    }
    live
}

/// How many packs there are, and roughly how many bytes a compaction would free: those of packs that nothing stands in or
/// no entry names, of deleted blocks in other packs, and of entries that have no block or value any more, as far as this
/// handle has seen them. It cannot know what was deleted of small commits that a checkpoint has summed up.
pub(crate) fn unused(handle: &Handle) -> Result<(u64, u64), StoreError> {
    let packs = packs(handle)?;
    let state = handle.current(OPERATION)?;
    let (mut used, mut unused) = (BTreeMap::new(), 0);
    for (object, live) in state.objects.iter().zip(live(&state)) {
        match digest(object) {
            Some(digest) => *used.entry(digest).or_insert(0) += live.bytes,
            None if live.pieces == 0 => unused += object.bytes,
            None => {}
        }
    }
    for (digest, stored) in &packs {
        let used = used.get(digest).copied().filter(|used| *used > 0);
        unused += stored.bytes.saturating_sub(used.map_or(0, |used| used + header().len() as u64));
    }
    Ok((packs.len() as u64, unused))
}

/// The packs that a block or value stands in.
pub(crate) fn live_packs(state: &State) -> BTreeSet<Digest> {
    let objects = state.objects.iter().zip(live(state));
    objects.filter(|(_, live)| live.pieces > 0).filter_map(|(object, _)| digest(object)).collect()
}

pub(crate) fn digest(object: &Object) -> Option<Digest> {
    match object.name {
        Name::Pack(digest) => Some(digest),
        Name::Entry(_) => None,
    }
}

/// The objects whose blocks and values are moved, in the order of the log, as far as one entry moves them.
fn rounds(state: &State) -> Vec<BTreeSet<u32>> {
    let (mut rounds, mut bytes, mut items) = (Vec::new(), 0_u64, 0);
    let mut round = BTreeSet::new();
    let is_wasteful = |object: &Object, live: &Live| live.bytes < object.bytes / 2;
    let objects = || (0..).zip(state.objects.iter().zip(live(state))).filter(|(_, (_, live))| live.pieces > 0);
    let is_moved = |object: &Object, live: &Live| {
        digest(object).is_none() || object.bytes < PACK_BYTES / 2 || is_wasteful(object, live)
    };
    let moved = || objects().filter(|(_, (object, live))| is_moved(object, live));
    // One small object would only get another name.
    if moved().count() < 2 && !moved().any(|(_, (object, live))| is_wasteful(object, &live)) {
        return rounds;
    }
    for (number, (_, live)) in moved() {
        if !round.is_empty() && (bytes + live.bytes > MOVED_BYTES || items + live.pieces > MOVED_ITEMS) {
            rounds.push(std::mem::take(&mut round));
            (bytes, items) = (0, 0);
        }
        round.insert(number);
        (bytes, items) = (bytes.saturating_add(live.bytes), items + live.pieces);
    }
    rounds.extend((!round.is_empty()).then_some(round));
    rounds
}

/// What is in some objects, read and checked.
#[derive(Default)]
struct Moved {
    sources: BTreeSet<u32>,
    /// The blocks and then the values.
    pieces: Vec<Piece>,
    blocks: usize,
    /// Table and key of each value.
    rows: Vec<(String, Bytes)>,
}

/// A block or a row.
enum Item {
    Block(Cid),
    Row(String, Bytes),
}

impl Item {
    fn find(&self, state: &State) -> Option<(Cid, Located)> {
        match self {
            Self::Block(cid) => Some((*cid, state.block(cid)?)),
            Self::Row(table, key) => {
                let value = state.row(table, key)?;
                Some((value.cid, state.locate(value.place)?))
            }
        }
    }
}

/// Reads what is in some objects. What is removed meanwhile is left out.
///
/// # Errors
/// A block or value is damaged, or the service failed.
fn read(handle: &Handle, sources: BTreeSet<u32>) -> Result<Moved, StoreError> {
    let items: Vec<Item> = {
        let state = handle.state();
        let is_source = |object: u32| sources.contains(&object);
        let blocks = state.blocks.after(None).filter(|(.., place)| is_source(place.object));
        let rows =
            state.tables.iter().flat_map(|(table, rows)| rows.iter().map(move |(key, value)| (table, key, value)));
        let rows = rows.filter(|(.., value)| is_source(value.place.object));
        let blocks = blocks.map(|(_, cid, _)| Item::Block(cid));
        blocks.chain(rows.map(|(table, key, _)| Item::Row(table.clone(), key.clone()))).collect()
    };
    let mut moved = Moved { sources, ..Moved::default() };
    let mut items = items.iter().peekable();
    while items.peek().is_some() {
        let (mut batch, mut together) = (Batch::default(), Vec::new());
        while together.len() < READ_TOGETHER && !batch.is_full() {
            let Some(item) = items.next() else { break };
            batch.add(item.find(&handle.state()).map(|(_, at)| at));
            together.push(item);
        }
        let mut fetched = handle.fetch(&batch)?;
        for item in together {
            moved.read(handle, item, &mut fetched)?;
        }
    }
    Ok(moved)
}

impl Moved {
    fn read(&mut self, handle: &Handle, item: &Item, fetched: &mut Fetched) -> Result<(), StoreError> {
        match (handle.read(|| item.find(&handle.state()), fetched)?, item) {
            (Read::Found(bytes), Item::Block(cid)) => {
                self.pieces.push((*cid, bytes));
                self.blocks += 1;
            }
            (Read::Found(bytes), Item::Row(table, key)) => {
                self.pieces.push((super::queue::value_cid(&bytes), bytes));
                self.rows.push((table.clone(), key.clone()));
            }
            (Read::Absent, _) => {}
            (Read::Mismatch(cid, _), Item::Block(_)) => return Err(StoreError::Corrupt { backend: BACKEND, cid }),
            (Read::Mismatch(_, at), Item::Row(table, _)) => {
                let why = format!("the bytes of a row of the table `{table}` do not match their CID");
                return Err(damaged(&handle.objects, &at.object.name.path(), why));
            }
        }
        Ok(())
    }

    /// The entry that moves what still stands in the sources. `None`: that is nothing.
    fn encode(&self, handle: &Handle, base: Base, packer: &mut Packer) -> Result<Option<Encoded>, StoreError> {
        let mut record = record(handle, &base)?;
        let (blocks, values) = self.pieces.split_at(self.blocks);
        let lengths = |pieces: &[Piece]| pieces.iter().map(|(cid, data)| (*cid, data.len() as u64)).collect();
        (record.blocks, record.values) = (lengths(blocks), lengths(values));
        {
            let state = handle.state();
            let is_here = |object: Option<u32>| object.is_some_and(|object| self.sources.contains(&object));
            let is_dead = |cid: &Cid| !is_here(state.blocks.get(cid).map(|place| place.object));
            record.dead = (0..).zip(blocks).filter(|(_, (cid, _))| is_dead(cid)).map(|(index, _)| index).collect();
            for ((index, (cid, _)), (table, key)) in (0..).zip(values).zip(&self.rows) {
                let row = state.row(table, key).filter(|row| row.cid == *cid);
                if is_here(row.map(|row| row.place.object)) {
                    record.rows.push((table.clone(), ByteBuf::from(key.to_vec()), Some(index)));
                }
            }
        }
        if record.dead.len() == blocks.len() && record.rows.is_empty() {
            return Ok(None);
        }
        let packs = packer.pack_all(&self.pieces, |digest| base.dropped.contains_key(digest));
        encode(record, &self.pieces, packs).map(Some)
    }
}

fn encode(record: Record, pieces: &[Piece], packs: Vec<Pack>) -> Result<Encoded, StoreError> {
    let encoded = entry::encode(record, pieces, packs);
    encoded.map_err(|reason| StoreError::InvalidArgument { operation: OPERATION, reason })
}

/// The entry that drops packs nothing stands in, and those of `old` that no entry names. `None`: there are none.
fn encode_drop(handle: &Handle, base: Base, old: &BTreeSet<Digest>) -> Result<Option<Encoded>, StoreError> {
    let mut record = record(handle, &base)?;
    {
        let state = handle.state();
        let live = live_packs(&state);
        let named = state.objects.iter().filter_map(digest);
        let dropped: BTreeSet<Digest> = named.chain(old.iter().copied()).collect();
        let dropped = dropped.into_iter().filter(|pack| !live.contains(pack) && !base.dropped.contains_key(pack));
        record.dropped = dropped.map(ByteArray::new).collect();
    }
    if record.dropped.is_empty() { Ok(None) } else { encode(record, &[], Vec::new()).map(Some) }
}

/// The record of a compaction that changes nothing.
fn record(handle: &Handle, base: &Base) -> Result<Record, StoreError> {
    Ok(Record {
        v: COMPACTION,
        n: base.next,
        store: ByteArray::new(handle.format.store),
        token: ByteArray::new(token()?),
        prev: base.last,
        at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |at| at.as_millis() as u64),
        heads: base.heads.iter().copied().collect(),
        deleted: Vec::new(),
        blocks: Vec::new(),
        values: Vec::new(),
        packs: Vec::new(),
        rows: Vec::new(),
        dead: Vec::new(),
        dropped: Vec::new(),
    })
}

/// Lands an entry, encoded again after each lost slot. Returns whether there was anything to land.
fn land(
    handle: &Handle,
    encode: impl Fn(Base, &mut Packer) -> Result<Option<Encoded>, StoreError>,
) -> Result<bool, StoreError> {
    let _turn = hold(&handle.writing);
    let mut contest = Contest::begin(OPERATION);
    loop {
        handle.gate.check_writable(OPERATION)?;
        handle.check_alone()?;
        handle.objects.check_place()?;
        let base = Base::of(&handle.state());
        let Some(encoded) = encode(base, &mut contest.packer)? else { return Ok(false) };
        if contest.land(handle, &encoded)? {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mnem_store_traits::{Blockstore, Bytes, Store};
    use object_store::memory::InMemory;

    use super::*;
    use crate::{OpenOptions, engine::queue::value_cid};

    /// Between reading and landing, another handle deletes one block, deletes another and puts it again, and writes a row.
    #[test]
    fn what_changes_before_a_move_lands_stays_changed() {
        let service = Arc::new(InMemory::new());
        let options = OpenOptions::new().create(true).lease(std::time::Duration::from_millis(1));
        let [store, other] = [(); 2].map(|()| options.open_in(service.clone(), "").unwrap());
        let data = [b"a", b"b", b"c"].map(|data| Bytes::from_static(data));
        for data in &data {
            store.put(&value_cid(data), data.clone()).unwrap();
        }
        let rows = [("k", "1"), ("l", "1")].map(|(key, value)| (Bytes::from(key), Bytes::from(value)));
        store.side_table("t").unwrap().write(&rows, &[]).unwrap();
        let rounds = rounds(&store.handle.state());
        assert_eq!(rounds.len(), 1);
        let moved = read(&store.handle, rounds[0].clone()).unwrap();
        assert_eq!((moved.blocks, moved.rows.len()), (3, 2));
        let [a, b, c] = data.each_ref().map(|data| value_cid(data));
        other.delete(&a).unwrap();
        other.delete(&b).unwrap();
        other.put(&b, data[1].clone()).unwrap();
        let table = other.side_table("t").unwrap();
        table.write(&[("k".into(), "2".into())], &["l".into()]).unwrap();
        assert!(land(&store.handle, |base, packer| moved.encode(&store.handle, base, packer)).unwrap());
        for handle in [&store, &other, &options.open_in(service.clone(), "").unwrap()] {
            assert_eq!(handle.get(&a).unwrap(), None);
            assert_eq!(handle.get(&b).unwrap().as_ref(), Some(&data[1]));
            assert_eq!(handle.get(&c).unwrap().as_ref(), Some(&data[2]));
            let table = handle.side_table("t").unwrap();
            assert_eq!((table.get(b"k").unwrap(), table.get(b"l").unwrap()), (Some("2".into()), None));
        }
        // Another handle that has moved all of it leaves nothing to do.
        let moved = read(&store.handle, [0, 1, 2].into()).unwrap();
        other.compact().unwrap();
        let entries = other.log_entries().unwrap();
        assert!(!land(&store.handle, |base, packer| moved.encode(&store.handle, base, packer)).unwrap());
        assert_eq!(other.log_entries().unwrap(), entries);
    }

    /// An upload goes on for long, and its pack is taken for one that nobody wants. It lands first, or not at all.
    #[test]
    fn a_pack_that_is_named_meanwhile_is_not_dropped() {
        let service = Arc::new(InMemory::new());
        let options = OpenOptions::new().create(true).lease(std::time::Duration::from_millis(1));
        let [store, other] = [(); 2].map(|()| options.open_in(service.clone(), "").unwrap());
        let data = Bytes::from(vec![7; 300 * 1024]);
        other.put(&value_cid(&data), data.clone()).unwrap();
        let named: BTreeSet<Digest> = live_packs(&other.handle.state());
        assert!(named.len() == 1 && live_packs(&store.handle.state()).is_empty());
        assert!(!land(&store.handle, |base, _| encode_drop(&store.handle, base, &named)).unwrap());
        // Dropped first, it is not named.
        other.delete(&value_cid(&data)).unwrap();
        store.handle.look(Instant::now()).unwrap();
        assert!(land(&store.handle, |base, _| encode_drop(&store.handle, base, &named)).unwrap());
        other.put(&value_cid(&data), data.clone()).unwrap();
        assert!(live_packs(&other.handle.state()).is_disjoint(&named));
        assert_eq!(store.get(&value_cid(&data)).unwrap(), Some(data));
    }
}
