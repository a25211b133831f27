//! Blocks that look like the store's own records.

use std::fs;

use mnem_store_traits::{Blockstore, Bytes, OpHeadsStore, RAW, Store, WriteBatch, cid_of};

use crate::support::{Content, Place, SEGMENT, block, commits};

/// Every part of a log that begins as a record does, up to any later byte that could end it.
fn records(log: &[u8]) -> Vec<Bytes> {
    let starts = (0..log.len()).filter(|at| log[*at..].starts_with(b"mnemC") || log[*at..].starts_with(b"mnemL"));
    starts.flat_map(|at| (100..=230).filter_map(move |len| log.get(at..at + len).map(Bytes::copy_from_slice))).collect()
}

/// Put back as blocks, records of the store itself and of another one are blocks: the heads do not move.
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
    // Alone, as the first, as the last, and many at once.
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
