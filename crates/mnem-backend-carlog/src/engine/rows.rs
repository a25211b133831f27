//! A file of rows: for each key of each side table, the place of its value. Written as a whole, then immutable.

use std::collections::BTreeMap;

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
    let mut bytes = MAGIC.to_vec();
    bytes.extend(keys.store);
    bytes.extend(number.to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend((tables.values().map(BTreeMap::len).sum::<usize>() as u64).to_le_bytes());
    for (table, rows) in tables {
        for (key, value) in rows {
            // The contract limits names to 32 bytes and keys to 100.
            bytes.push(table.len() as u8);
            bytes.extend(table.as_bytes());
            bytes.extend((key.len() as u16).to_le_bytes());
            bytes.extend(&key[..]);
            bytes.extend(value.place.bits().to_le_bytes());
            bytes.extend(value.bytes.to_le_bytes());
        }
    }
    let mac = keys.rows_mac(number, &bytes);
    bytes.extend(mac);
    bytes
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
