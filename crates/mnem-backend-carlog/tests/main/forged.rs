//! Blocks that look like the store's own records.

use std::fs;

use mnem_backend_carlog::OpenOptions;
use mnem_car::SectionOffsets;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, RAW, Store, WriteBatch, cid_of};

use crate::support::{Content, Place, SEGMENT, block, commits, len};

/// Every part of a log that begins like a record, up to each later byte where it could end.
fn records(log: &[u8]) -> Vec<Bytes> {
    let starts = (0..log.len()).filter(|at| log[*at..].starts_with(b"mnemC") || log[*at..].starts_with(b"mnemL"));
    starts.flat_map(|at| (100..=230).filter_map(move |len| log.get(at..at + len).map(Bytes::copy_from_slice))).collect()
}

/// Records of this store and of another one are put as blocks. They must stay blocks, and the heads must not move.
#[test]
fn a_record_that_is_put_is_a_block() {
    let (place, other) = (Place::new(), Place::new());
    let store = place.open();
    commits(&store, 2);
    commits(&other.open(), 2);
    let heads = store.heads().unwrap();
    let logs = [place.file(SEGMENT), other.file(SEGMENT)].map(|path| fs::read(path).unwrap());
    let forged: Vec<Bytes> = logs.iter().flat_map(|log| records(log)).collect();
    assert!(forged.len() > 500);
    // Each alone, as the first block, as the last block, and many at once.
    for data in &forged {
        let (cid, (beside, more)) = (cid_of(RAW, data), block(500));
        store.commit(WriteBatch::new().put(cid, data.clone()).put(beside, more)).unwrap();
        assert_eq!(store.get(&cid).unwrap(), Some(data.clone()));
    }
    store.delete_many(&mut forged.iter().map(|data| Ok(cid_of(RAW, data)))).unwrap();
    store.put_many(&mut forged.iter().map(|data| Ok((cid_of(RAW, data), data.clone())))).unwrap();
    let expected = Content::of(&store);
    assert_eq!(expected.heads, heads);
    assert!(forged.iter().all(|data| expected.blocks.contains(&cid_of(RAW, data))));
    std::mem::forget(store);
    assert_eq!(Content::of(&place.read_only()), expected);
}

/// A torn block after a log of `end` bytes. It consists of many beginnings of records that each claim the rest of the
/// file.
fn claims(end: u64, count: usize) -> Vec<u8> {
    const SPACE: usize = 1024;
    let cid = cid_of(RAW, b"");
    let mut bytes = Vec::new();
    SectionOffsets::write_start(&cid, 1 << 25, end, &mut bytes);
    let file_end = end + (bytes.len() + SPACE * count) as u64;
    for _ in 0..count {
        let (len, at) = (bytes.len(), end + bytes.len() as u64);
        let rest = file_end - at - 40;
        SectionOffsets::write_start(&cid, rest, at, &mut bytes);
        bytes.extend(b"mnemC\0\0\x01");
        bytes.extend(3u64.to_le_bytes());
        // The offsets of the record and of its commit, the number of blocks, and the synced offset.
        [at as u32, at as u32, 0, at as u32].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.resize(len + SPACE, 0);
    }
    bytes
}

/// Only a hash decides whether these bytes are a record. At the bound, the search stops, and nothing is truncated.
#[test]
fn few_claims_of_records_are_cut_off_and_too_many_are_damage() {
    for (count, is_cut) in [(3, true), (3_000, false)] {
        let place = Place::new();
        let store = place.open();
        let expected = commits(&store, 2);
        drop(store);
        let mut log = fs::read(place.file(SEGMENT)).unwrap();
        let end = log.len() as u64;
        log.extend(claims(end, count));
        fs::write(place.file(SEGMENT), &log).unwrap();
        for read_only in [true, false] {
            match OpenOptions::new().read_only(read_only).open(place.store()) {
                Ok(store) => assert_eq!((Content::of(&store), is_cut), (expected.clone(), true)),
                Err(error) => assert_eq!((error.kind(), is_cut), (ErrorKind::Damaged, false), "{error}"),
            }
            let left = if is_cut && !read_only { end } else { log.len() as u64 };
            assert_eq!(len(&place.file(SEGMENT)), left, "{count} claims");
        }
    }
}
