//! A file of rows: for each key of each side table, the place of its value. Written as a whole, then immutable.

use std::{collections::BTreeMap, ops::Bound};

use mnem_store_traits::Bytes;

use super::{fields::Fields, keys::Keys, keys::ShortMac, place::Place};

/// How the file begins.
const MAGIC: [u8; 8] = *b"mnemT\0\0\x01";

/// For each side table with at least one row, the place of the value of each key.
pub(crate) type Tables = BTreeMap<String, BTreeMap<Bytes, Value>>;

/// The place of the value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) bytes: u64,
}

pub(crate) fn encode(keys: &Keys, number: u64, seq: u64, tables: &Tables) -> Vec<u8> {
    let mut encoder = Encoder::new(keys, number, seq);
    encoder.add(tables, usize::MAX);
    encoder.finish(keys)
}

/// Encodes a file of rows part by part. The tables may change between two parts: the file then has some rows of later
/// commits, which are read again after it.
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    number: u64,
    rows: u64,
    /// The last row, by table and key.
    last: Option<(String, Bytes)>,
}

/// The offset of the number of rows.
const ROWS_AT: usize = 8 + 16 + 8 + 8;

impl Encoder {
    /// Begins the file with the rows as of the commit `seq`.
    pub(crate) fn new(keys: &Keys, number: u64, seq: u64) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(keys.store);
        bytes.extend(number.to_le_bytes());
        bytes.extend(seq.to_le_bytes());
        // The number of rows, which `finish` fills in.
        bytes.extend([0; size_of::<u64>()]);
        Self { bytes, number, rows: 0, last: None }
    }

    /// Adds up to `count` rows that follow the last one. Returns whether there may be more.
    pub(crate) fn add(&mut self, tables: &Tables, count: usize) -> bool {
        let last = self.last.take();
        let from = last.as_ref().map_or(Bound::Unbounded, |(table, _)| Bound::Included(table.as_str()));
        let mut left = count;
        for (table, rows) in tables.range::<str, _>((from, Bound::Unbounded)) {
            let from = match &last {
                Some((last, key)) if last == table => Bound::Excluded(key),
                _ => Bound::Unbounded,
            };
            for (key, value) in rows.range::<Bytes, _>((from, Bound::Unbounded)) {
                self.row(table, key, value);
                left -= 1;
                if left == 0 {
                    self.last = Some((table.clone(), key.clone()));
                    return true;
                }
            }
        }
        false
    }

    fn row(&mut self, table: &str, key: &Bytes, value: &Value) {
        let bytes = &mut self.bytes;
        // The contract limits names to 32 bytes and keys to 100.
        bytes.push(table.len() as u8);
        bytes.extend(table.as_bytes());
        bytes.extend((key.len() as u16).to_le_bytes());
        bytes.extend(&key[..]);
        bytes.extend(value.place.bits().to_le_bytes());
        bytes.extend(value.bytes.to_le_bytes());
        self.rows += 1;
    }

    pub(crate) fn finish(mut self, keys: &Keys) -> Vec<u8> {
        if let Some(rows) = self.bytes.get_mut(ROWS_AT..).and_then(<[u8]>::first_chunk_mut) {
            *rows = self.rows.to_le_bytes();
        }
        let mac = keys.rows_mac(self.number, &self.bytes);
        self.bytes.extend(mac);
        self.bytes
    }
}

/// Returns `None` unless these are the rows with this number that this store wrote, as of a commit not later than
/// `seq`.
pub(crate) fn decode(keys: &Keys, number: u64, seq: u64, bytes: &[u8]) -> Option<Tables> {
    let (body, mac) = bytes.split_last_chunk::<{ size_of::<ShortMac>() }>()?;
    if keys.rows_mac(number, body) != *mac {
        return None;
    }
    let mut fields = Fields::new(body);
    // The MAC has already ruled out rows of another store.
    let (magic, _store, found, after) = (fields.array()?, fields.array::<16>()?, fields.u64()?, fields.u64()?);
    if magic != MAGIC || found != number || after > seq {
        return None;
    }
    let mut tables = Tables::new();
    for _ in 0..fields.u64()? {
        let len = usize::from(fields.u8()?);
        let table = str::from_utf8(fields.bytes(len)?).ok()?;
        let len = usize::from(fields.u16()?);
        let key = Bytes::copy_from_slice(fields.bytes(len)?);
        let value = Value { place: Place::from_bits(fields.u64()?), bytes: fields.u64()? };
        match tables.get_mut(table) {
            Some(rows) => drop(rows.insert(key, value)),
            None => drop(tables.insert(table.to_owned(), BTreeMap::from([(key, value)]))),
        }
    }
    fields.is_empty().then_some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let keys = Keys::new().unwrap();
        let value = |n: u64| Value { place: Place::from_bits(n << 12 | 1), bytes: n };
        let row = |n: u64| (Bytes::from(format!("key {n}")), value(n));
        let tables: Tables =
            [("a".to_owned(), (0..4).map(row).collect()), ("knn".to_owned(), (2..3).map(row).collect())].into();
        let whole = encode(&keys, 7, 40, &tables);
        for count in 1..7 {
            let mut encoder = Encoder::new(&keys, 7, 40);
            while encoder.add(&tables, count) {}
            assert_eq!(encoder.finish(&keys), whole, "{count} rows at once");
        }
        assert_eq!(decode(&keys, 7, 40, &whole), Some(tables.clone()));
        assert_eq!(decode(&keys, 7, 41, &whole), Some(tables));
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(decode(&keys, 7, 40, &changed), None, "byte {at}");
            assert_eq!(decode(&keys, 7, 40, &whole[..at]), None, "cut to {at}");
        }
        assert_eq!(decode(&keys, 8, 40, &whole), None, "another number");
        assert_eq!(decode(&keys, 7, 39, &whole), None, "of a later commit");
        assert_eq!(decode(&Keys::new().unwrap(), 7, 40, &whole), None, "another store");
    }
}
