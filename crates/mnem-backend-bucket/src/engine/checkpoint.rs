//! Checkpoints: what the entries from one number to another come to, in one object, so that opening a store does not
//! read them all.

use std::collections::BTreeSet;

use mnem_store_traits::{
    Bytes, Cid, RAW,
    backend::{check_table_key, check_table_name},
    cid_of,
};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::{
    format::Token,
    state::{Name, Object, Place, State, Value},
};
use crate::limits::NUMBER_MAX;

/// The version of checkpoints, and that of those with packs that were dropped.
const VERSION: u64 = 1;
const WITH_DROPPED: u64 = 2;

/// Length of the SHA-256 that ends a checkpoint.
const SUM_BYTES: usize = 32;

/// What a block takes in a checkpoint, at least and usually: four numbers, and a digest of 32 bytes.
const BLOCK_BYTES_MIN: usize = 4;
const BLOCK_BYTES_USUAL: usize = 36;

/// The difference between the states after entries `from` - 1 and `to` - 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    v: u64,
    store: ByteArray<16>,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The record of entry `from` - 1.
    base: Option<Cid>,
    /// The record of entry `to` - 1.
    pub(crate) last: Cid,
    /// The heads afterwards, ascending.
    heads: Vec<Cid>,
    /// Bytes of all entries and packs afterwards.
    bytes: u64,
    /// Blocks that are removed, before those of the checkpoint are added.
    deleted: Vec<Cid>,
    /// In the order of the log.
    objects: Vec<ObjectOf>,
    /// Rows that are removed: tables and keys.
    removed: Vec<(String, ByteBuf)>,
    rows: Vec<RowOf>,
    /// Packs that no later entry may name, since entry `from`, each with the number of the entry that says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<(ByteArray<32>, u64)>,
}

/// An object and the blocks in it: the number of its entry, its digest if it is a pack, its length, and the blocks.
type ObjectOf = (u64, Option<ByteArray<32>>, u64, ByteBuf);

/// A row: its table, its key, the CID of its value, the index of the object with the value, and the offset and the
/// length of the value there.
type RowOf = (String, ByteBuf, Cid, u64, u64, u64);

impl Checkpoint {
    /// Sums up a state since entry `from`, after the record `base`. `None`: the state has forgotten what was removed
    /// since, or there is nothing to sum up.
    pub(crate) fn of(state: &State, store: Token, from: u64, base: Option<Cid>) -> Option<Self> {
        let last = state.last?;
        if from >= state.next || !state.remembers(from) {
            return None;
        }
        let first = state.objects.partition_point(|object| object.entry < from);
        let first = u32::try_from(first).ok()?;
        let is_new = |place: Place| place.object >= first;
        let is_gone = |cid: &Cid| state.blocks.get(cid).is_none_or(is_new);
        let removed_since = |n: u64| from > 0 && n >= from;
        let deleted = state.removed.iter().filter(|(n, cid)| removed_since(*n) && is_gone(cid)).map(|(_, cid)| *cid);
        let removed =
            state.removed_rows.iter().filter(|(n, table, key)| removed_since(*n) && state.row(table, key).is_none());
        let removed: BTreeSet<_> = removed.map(|(_, table, key)| (table, key)).collect();
        let (objects, rows) = contents(state, first);
        let dropped = state.dropped.iter().filter(|(_, n)| **n >= from);
        let dropped: Vec<_> = dropped.map(|(digest, n)| (ByteArray::new(*digest), *n)).collect();
        Some(Self {
            v: if dropped.is_empty() { VERSION } else { WITH_DROPPED },
            store: ByteArray::new(store),
            from,
            to: state.next,
            base,
            last,
            heads: state.heads.iter().copied().collect(),
            bytes: state.bytes,
            deleted: deleted.collect::<BTreeSet<_>>().into_iter().collect(),
            objects,
            removed: removed.into_iter().map(|(table, key)| (table.clone(), ByteBuf::from(key.to_vec()))).collect(),
            rows,
            dropped,
        })
    }

    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = serde_ipld_dagcbor::to_vec(self).ok()?;
        let sum = cid_of(RAW, &bytes);
        bytes.extend_from_slice(sum.hash().digest());
        Some(bytes)
    }

    /// Reads a checkpoint of this store. `None`: it is damaged, of a later version, or of another store.
    pub(crate) fn decode(bytes: &[u8], store: Token) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM_BYTES)?)?;
        if cid_of(RAW, body).hash().digest() != sum {
            return None;
        }
        let read: Self = serde_ipld_dagcbor::from_slice(body).ok()?;
        let is_known = read.v == if read.dropped.is_empty() { VERSION } else { WITH_DROPPED };
        let is_ours = is_known && read.store.as_slice() == store;
        let is_range = read.from < read.to && read.to <= NUMBER_MAX;
        (is_ours && is_range && read.heads.is_sorted_by(|a, b| a < b)).then_some(read)
    }

    /// Takes in a checkpoint that follows a state. `None`: it does not, or it is wrong; the state is then of no use.
    pub(crate) fn add_to(&self, state: &mut State) -> Option<()> {
        if self.from != state.next || self.base != state.last {
            return None;
        }
        let first = u32::try_from(state.objects.len()).ok()?;
        first.checked_add(u32::try_from(self.objects.len()).ok()?)?;
        for cid in &self.deleted {
            state.remove_block(cid, self.to - 1);
        }
        // A hash table that grows again and again takes longer than all the rest.
        let blocks_bytes: usize = self.objects.iter().map(|(.., blocks)| blocks.len()).sum();
        if !state.blocks.has_room(blocks_bytes / BLOCK_BYTES_MIN) {
            return None;
        }
        state.blocks.reserve(blocks_bytes / BLOCK_BYTES_USUAL);
        let mut entries = self.from;
        for (object, (entry, digest, bytes, blocks)) in (first..).zip(&self.objects) {
            if *entry < entries || *entry >= self.to {
                return None;
            }
            entries = *entry;
            let name = digest.map_or(Name::Entry(*entry), |digest| Name::Pack(digest.into_array()));
            state.push_object(Object { name, bytes: *bytes, entry: *entry });
            read_blocks(blocks, *bytes, |cid, offset, bytes| {
                state.blocks.insert_bytes(cid, Place { object, offset, bytes })
            })?;
        }
        for (table, key) in &self.removed {
            state.remove_row(table, key, self.to - 1);
        }
        for (table, key, cid, index, offset, bytes) in &self.rows {
            let (_, _, object_bytes, _) = self.objects.get(usize::try_from(*index).ok()?)?;
            let is_row = check_table_name(table).is_ok() && check_table_key("read", key).is_ok();
            if !is_row || offset.checked_add(*bytes)? > *object_bytes {
                return None;
            }
            let place = Place { object: first + u32::try_from(*index).ok()?, offset: *offset, bytes: *bytes };
            let rows = state.tables.entry(table.clone()).or_default();
            rows.insert(Bytes::copy_from_slice(key), Value { place, cid: *cid });
        }
        for (digest, n) in &self.dropped {
            if *n < self.from || *n >= self.to {
                return None;
            }
            state.drop_packs([digest.into_array()].into_iter(), *n);
        }
        state.heads = self.heads.iter().copied().collect();
        (state.last, state.next, state.bytes) = (Some(self.last), self.to, self.bytes);
        (state.checkpoint, state.unsummed) = (self.to, 0);
        if self.from == 0 {
            // It does not say what was removed.
            state.remembered = self.to;
        }
        // It may have been removed a moment ago.
        state.deleted_at = Some(std::time::Instant::now());
        Some(())
    }
}

/// The objects of a state from number `first` on, and the rows in them. An entry without blocks or values that are left
/// is left out, and so is a dropped pack.
fn contents(state: &State, first: u32) -> (Vec<ObjectOf>, Vec<RowOf>) {
    let objects = state.objects.get(first as usize..).unwrap_or_default();
    let mut blocks = vec![ByteBuf::new(); objects.len()];
    let mut writer = BlockWriter::default();
    let after = first.checked_sub(1).map(|before| (before, u64::MAX));
    for (_, cid, place) in state.blocks.after(after) {
        if let Some(blocks) = blocks.get_mut((place.object - first) as usize) {
            writer.write(&cid, place, blocks);
        }
    }
    let rows = state.tables.iter().flat_map(|(table, rows)| rows.iter().map(move |(key, value)| (table, key, value)));
    let rows = || rows.clone().filter(|(_, _, value)| value.place.object >= first);
    let mut is_used: Vec<bool> = blocks.iter().map(|blocks| !blocks.is_empty()).collect();
    for (_, _, value) in rows() {
        if let Some(is_used) = is_used.get_mut((value.place.object - first) as usize) {
            *is_used = true;
        }
    }
    let (mut kept, mut indexes) = (Vec::new(), Vec::with_capacity(objects.len()));
    for ((object, blocks), is_used) in objects.iter().zip(blocks).zip(is_used) {
        indexes.push(kept.len() as u64);
        let (digest, is_gone) = match object.name {
            Name::Entry(_) => (None, true),
            Name::Pack(digest) => (Some(ByteArray::new(digest)), state.dropped.contains_key(&digest)),
        };
        if is_used || !is_gone {
            kept.push((object.entry, digest, object.bytes, blocks));
        }
    }
    let row = |(table, key, Value { place, cid }): (&String, &Bytes, &Value)| {
        let index = *indexes.get((place.object - first) as usize)?;
        Some((table.clone(), ByteBuf::from(key.to_vec()), *cid, index, place.offset, place.bytes))
    };
    let rows = rows().filter_map(row).collect();
    (kept, rows)
}

/// Writes the blocks of an object: of each one the distance from the end of the one before, its length, how many bytes
/// its CID begins with like the one before, how many others there are, and these.
#[derive(Default)]
struct BlockWriter {
    end: u64,
    cid: Vec<u8>,
}

impl BlockWriter {
    fn write(&mut self, cid: &Cid, place: Place, to: &mut Vec<u8>) {
        if to.is_empty() {
            *self = Self::default();
        }
        let cid = cid.to_bytes();
        let shared = cid.iter().zip(&self.cid).take_while(|(a, b)| a == b).count();
        let rest = cid.get(shared..).unwrap_or_default();
        for number in [place.offset.saturating_sub(self.end), place.bytes, shared as u64, rest.len() as u64] {
            write_number(number, to);
        }
        to.extend_from_slice(rest);
        self.end = place.offset.saturating_add(place.bytes);
        self.cid = cid;
    }
}

fn read_blocks(
    mut bytes: &[u8],
    object_bytes: u64,
    mut block: impl FnMut(&[u8], u64, u64) -> Option<()>,
) -> Option<()> {
    let (mut end, mut last, mut cid) = (0_u64, None, Vec::new());
    while !bytes.is_empty() {
        let [distance, length, shared, rest] = [(); 4].map(|()| read_number(&mut bytes));
        let (offset, length) = (end.checked_add(distance?)?, length?);
        let (rest, others) = bytes.split_at_checked(usize::try_from(rest?).ok()?)?;
        let shared = usize::try_from(shared?).ok().filter(|shared| *shared <= cid.len())?;
        // Places are in order, also those of empty blocks.
        if last.replace(offset).is_some_and(|last| offset <= last) {
            return None;
        }
        cid.truncate(shared);
        cid.extend_from_slice(rest);
        end = offset.checked_add(length).filter(|end| *end <= object_bytes)?;
        block(&cid, offset, length)?;
        bytes = others;
    }
    Some(())
}

fn write_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        entry::{Entry, encode},
        pack::Packer,
        record::{self, Record},
    };

    const STORE: Token = [7; 16];

    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }
    }

    fn piece(n: u64, bytes: usize) -> (Cid, Bytes) {
        let data = Bytes::from([&n.to_be_bytes()[..], &vec![0; bytes]].concat());
        (cid_of(RAW, &data), data)
    }

    /// An entry that adds and removes a few of 40 blocks and 20 rows.
    fn entry_after(state: &State, random: &mut Random) -> Entry {
        let mut pieces = Vec::new();
        let mut record = Record {
            v: record::VERSION,
            n: state.next,
            store: ByteArray::new(STORE),
            token: ByteArray::new([1; 16]),
            prev: state.last,
            at: state.next,
            heads: vec![piece(random.below(9), 0).0],
            deleted: vec![],
            blocks: vec![],
            values: vec![],
            packs: vec![],
            rows: vec![],
            dead: vec![],
            dropped: vec![],
        };
        for n in 0..40 {
            let (cid, data) = piece(n, if n == 39 { 300 << 10 } else { n as usize });
            match random.below(8) {
                0 if state.blocks.contains(&cid) => record.deleted.push(cid),
                1 if !state.blocks.contains(&cid) => {
                    record.blocks.push((cid, data.len() as u64));
                    pieces.push((cid, data));
                }
                _ => {}
            }
        }
        for n in 0..20_u8 {
            let (table, key) = (format!("table{}", n % 3), ByteBuf::from(vec![n]));
            match random.below(8) {
                0 => record.rows.push((table, key, None)),
                1 => {
                    let (cid, data) = piece(state.next, 3);
                    record.rows.push((table, key, Some(record.values.len() as u64)));
                    record.values.push((cid, data.len() as u64));
                    pieces.push((cid, data));
                }
                _ => {}
            }
        }
        let packs = Packer::default().pack(&pieces, |_| false);
        encode(record, &pieces, packs).unwrap().entry
    }

    /// All that a state answers.
    fn shown(state: &State) -> String {
        let blocks: Vec<_> = state.blocks.after(None).map(|(_, cid, place)| (cid, state.locate(place))).collect();
        let rows =
            state.tables.iter().flat_map(|(table, rows)| rows.iter().map(move |(key, value)| (table, key, value)));
        let rows: Vec<_> = rows
            .map(|(table, key, value)| (table.clone(), key.clone(), value.cid, state.locate(value.place)))
            .collect();
        format!("{:?}", (state.next, state.last, &state.heads, blocks, rows))
    }

    /// Handles that have read the log, or checkpoints of each other, go on and make checkpoints from any earlier state
    /// on. Whichever lead from the first entry to the last one, the state is the same.
    #[test]
    fn any_chain_of_checkpoints_leads_to_the_state_of_the_log() {
        for seed in 0..20 {
            let mut random = Random(seed);
            let mut log = State::default();
            let mut handles: Vec<State> = (0..3).map(|_| State::default()).collect();
            let mut bases = vec![None];
            let mut made: Vec<Checkpoint> = Vec::new();
            let (mut entries, mut compared) = (Vec::new(), 0);
            let mut states = vec![shown(&log)];
            for _ in 0..60 {
                let entry = entry_after(&log, &mut random);
                log.apply(&entry).unwrap();
                bases.push(log.last);
                states.push(shown(&log));
                handles.iter_mut().for_each(|handle| handle.apply(&entry).unwrap());
                entries.push(entry);
                for handle in &mut handles {
                    match random.below(10) {
                        0 => {
                            let ends = made.get(random.below(made.len() as u64 + 2) as usize).map_or(0, |made| made.to);
                            let from = if random.below(3) == 0 { random.below(log.next) } else { ends };
                            made.extend(Checkpoint::of(handle, STORE, from, bases[from as usize]));
                        }
                        1 => {
                            let mut state = State::default();
                            loop {
                                let next: Vec<_> = made.iter().filter(|made| made.from == state.next).collect();
                                if next.is_empty() {
                                    break;
                                }
                                let next = next[random.below(next.len() as u64) as usize].encode().unwrap();
                                Checkpoint::decode(&next, STORE).unwrap().add_to(&mut state).unwrap();
                            }
                            let next = state.next as usize;
                            assert!(shown(&state) == states[next], "seed {seed}, {next} entries");
                            compared += usize::from(next > 0);
                            entries[next..].iter().for_each(|entry| state.apply(entry).unwrap());
                            *handle = state;
                        }
                        _ => {}
                    }
                }
            }
            assert!(compared > 5, "{compared}");
        }
    }

    /// A handle that has begun with a checkpoint knows what was removed, and not quite when. A block that came again since
    /// is not removed by a checkpoint that begins after that.
    #[test]
    fn a_block_that_was_removed_and_came_again_stays() {
        let (cid, data) = piece(1, 1);
        let mut log = State::default();
        let mut states = Vec::new();
        for step in 0..5 {
            let mut record = entry_after(&log, &mut Random(1)).record;
            (record.blocks, record.deleted, record.values, record.rows) = (vec![], vec![], vec![], vec![]);
            match step {
                0 | 2 => record.blocks = vec![(cid, data.len() as u64)],
                1 => record.deleted = vec![cid],
                _ => {}
            }
            log.apply(
                &encode(record, &[(cid, data.clone())][..usize::from(step % 2 == 0 && step < 4)], vec![])
                    .unwrap()
                    .entry,
            )
            .unwrap();
            states.push(log.last);
        }
        let of = |state: &State, from: u64| {
            Checkpoint::of(state, STORE, from, from.checked_sub(1).and_then(|n| states[n as usize])).unwrap()
        };
        // A handle begins with a checkpoint of the first entry, and one of the others.
        let mut first = State::default();
        let entry = {
            let mut record = entry_after(&first, &mut Random(1)).record;
            (record.blocks, record.deleted) = (vec![(cid, data.len() as u64)], vec![]);
            (record.values, record.rows) = (vec![], vec![]);
            encode(record, &[(cid, data)], vec![]).unwrap().entry
        };
        first.apply(&entry).unwrap();
        let mut handle = State::default();
        of(&first, 0).add_to(&mut handle).unwrap();
        of(&log, 1).add_to(&mut handle).unwrap();
        assert!(handle.remembers(4) && handle.blocks.contains(&cid));
        assert_eq!(of(&handle, 4).deleted, []);
        assert_eq!(of(&log, 1).deleted, [cid], "it moves");
    }

    #[test]
    fn a_checkpoint_that_is_cut_or_changed_is_none() {
        let (mut state, mut random) = (State::default(), Random(3));
        for _ in 0..4 {
            let entry = entry_after(&state, &mut random);
            state.apply(&entry).unwrap();
        }
        let made = Checkpoint::of(&state, STORE, 0, None).unwrap();
        let bytes = made.encode().unwrap();
        assert_eq!(Checkpoint::decode(&bytes, STORE).as_ref(), Some(&made));
        assert_eq!(Checkpoint::decode(&bytes, [8; 16]), None);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Checkpoint::decode(&changed, STORE), None, "byte {at}");
            assert_eq!(Checkpoint::decode(&bytes[..at], STORE), None, "cut at {at}");
        }
    }

    /// A forged checkpoint may say anything under a sum that is right.
    #[test]
    fn a_checkpoint_that_cannot_be_is_none() {
        let (mut state, mut random) = (State::default(), Random(3));
        for _ in 0..4 {
            let entry = entry_after(&state, &mut random);
            state.apply(&entry).unwrap();
        }
        let sound = Checkpoint::of(&state, STORE, 0, None).unwrap();
        assert!(sound.add_to(&mut State::default()).is_some() && !sound.rows.is_empty());
        type Change = fn(&mut Checkpoint);
        let changes: [Change; 14] = [
            |made| made.v = 2,
            |made| made.to = 0,
            |made| made.to = u64::MAX,
            |made| made.from = 1,
            |made| made.base = Some(made.last),
            |made| made.objects[0].0 = u64::MAX,
            |made| made.objects.swap(0, 1),
            |made| made.objects[0].2 = 3,
            |made| made.objects[0].3 = ByteBuf::from(vec![0xff; 40]),
            |made| made.objects[0].3 = ByteBuf::from(vec![0, 1, 9, 0]),
            |made| {
                let empty = [&[0, 0, 0, 36][..], &cid_of(RAW, b"").to_bytes()].concat();
                made.objects[0].3 = ByteBuf::from([&empty[..], &[0, 0, 36, 0]].concat());
            },
            |made| made.rows[0].0 = "No name".into(),
            |made| made.rows[0].3 = 1 << 40,
            |made| made.rows[0].5 = u64::MAX,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut made = sound.clone();
            change(&mut made);
            let read = Checkpoint::decode(&made.encode().unwrap(), STORE);
            assert!(read.and_then(|read| read.add_to(&mut State::default())).is_none(), "change {number}");
        }
        let mut later = State::default();
        later.apply(&entry_after(&State::default(), &mut random)).unwrap();
        assert!(sound.add_to(&mut later).is_none(), "it does not follow");
    }
}
