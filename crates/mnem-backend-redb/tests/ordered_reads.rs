//! Reads in key order use a cursor and return the same as any other read.

use std::collections::BTreeMap;

use mnem_store_traits::{Blockstore, Bytes, Cid, Store, StoreError, WriteBatch};

use crate::support::{Call, FakeMedium, large_block};

const BLOCKS: u64 = 2_000;

type Blocks = BTreeMap<Cid, Option<Bytes>>;

/// A few blocks are large.
fn block(n: u64) -> (Cid, Bytes) {
    large_block(n, if n % 100 == 50 { 200_000 } else { 20 + n as usize % 700 })
}

/// Every third block is absent from the store.
fn blocks() -> Blocks {
    (0..BLOCKS).map(|n| (n, block(n))).map(|(n, (cid, data))| (cid, (n % 3 != 0).then_some(data))).collect()
}

/// Asks for every block, in the given order, with one kind of read after the other.
fn check<'a>(store: &dyn Blockstore, blocks: impl Iterator<Item = (&'a Cid, &'a Option<Bytes>)> + Clone) {
    for (cid, data) in blocks.clone() {
        assert_eq!(store.get(cid).expect("get"), *data);
    }
    for (cid, data) in blocks.clone() {
        assert_eq!(store.size(cid).expect("size"), data.as_ref().map(|data| data.len() as u64));
    }
    for (cid, data) in blocks.clone() {
        assert_eq!(store.has(cid).expect("has"), data.is_some());
    }
    for (cid, data) in blocks {
        let mut lent = None;
        store.with_block(cid, &mut |bytes| lent = Some(Bytes::copy_from_slice(bytes))).expect("with_block");
        assert_eq!(lent, *data);
    }
}

#[test]
fn blocks_are_found_in_any_order_and_with_any_gaps() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let blocks = blocks();
    let present = blocks.iter().filter_map(|(cid, data)| Some((*cid, data.clone()?)));
    store.put_many(&mut present.map(Ok)).expect("put_many");
    check(&store, blocks.iter());
    check(&store, blocks.iter().rev());
    for gap in [2, 5, 30, 200] {
        check(&store, blocks.iter().step_by(gap));
    }
    // Ascending, each block twice.
    check(&store, blocks.iter().flat_map(|block| [block, block]));
    // Ascending runs, repeatedly.
    check(&store, (0..20).flat_map(|run| blocks.iter().skip(run * 7).take(60)));
}

#[test]
fn a_read_in_order_sees_what_was_written_and_deleted_since_the_last() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let mut blocks = blocks();
    let present = blocks.iter().filter_map(|(cid, data)| Some((*cid, data.clone()?)));
    store.put_many(&mut present.map(Ok)).expect("put_many");
    let all: BTreeMap<Cid, Bytes> = (0..BLOCKS).map(block).collect();
    let cids: Vec<Cid> = blocks.keys().copied().collect();
    for (n, cid) in cids.iter().enumerate() {
        assert_eq!(store.get(cid).expect("get"), blocks[cid]);
        // Put or delete the block of the next read.
        if let (0, Some(next)) = (n % 50, cids.get(n + 1)) {
            match all[next].clone() {
                data if blocks[next].is_none() => {
                    store.put(next, data.clone()).expect("put");
                    blocks.insert(*next, Some(data));
                }
                _ => {
                    store.delete(next).expect("delete");
                    blocks.insert(*next, None);
                }
            }
        }
    }
}

/// The first of these blocks that a commit misses: of the required ones alone, or beside a new block.
fn first_missing<'a>(store: &dyn Store, required: impl Iterator<Item = &'a Cid>, new: Option<u64>) -> Option<Cid> {
    let mut batch = WriteBatch::new();
    batch.require_all(required.copied());
    if let Some((cid, data)) = new.map(block) {
        batch.put(cid, data);
    }
    match store.commit(&batch) {
        Ok(()) => None,
        Err(StoreError::MissingBlock { cid, linked_from: None }) => Some(cid),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn required_blocks_are_found_in_any_order_and_the_first_absent_one_is_named() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let blocks = blocks();
    let present: Vec<Cid> = blocks.iter().filter(|(_, data)| data.is_some()).map(|(cid, _)| *cid).collect();
    let absent: Vec<Cid> = blocks.iter().filter(|(_, data)| data.is_none()).map(|(cid, _)| *cid).collect();
    let stored = blocks.iter().filter_map(|(cid, data)| Some((*cid, data.clone()?)));
    store.put_many(&mut stored.map(Ok)).expect("put_many");
    let mut fresh = BLOCKS..;
    for is_new in [false, true] {
        let mut new = || is_new.then(|| fresh.next()).flatten();
        assert_eq!(first_missing(&store, present.iter(), new()), None);
        assert_eq!(first_missing(&store, present.iter().rev(), new()), None);
        for gap in [2, 5, 30, 200] {
            assert_eq!(first_missing(&store, present.iter().step_by(gap), new()), None);
        }
        for one in absent.iter().step_by(61) {
            let mut with_one = present.clone();
            with_one.push(*one);
            assert_eq!(first_missing(&store, with_one.iter(), new()), Some(*one), "after a long order");
            with_one.sort_unstable();
            assert_eq!(first_missing(&store, with_one.iter(), new()), Some(*one), "within it");
            assert_eq!(first_missing(&store, with_one.iter().rev(), new()), Some(*one));
        }
        assert_eq!(first_missing(&store, blocks.keys(), new()), Some(absent[0]));
    }
}

#[test]
fn blocks_that_are_required_in_order_are_found_without_a_descent_for_each() {
    let medium = FakeMedium::default();
    let options = FakeMedium::options().cache_bytes(0);
    let store = options.open_medium(medium.clone(), "medium").expect("create");
    let blocks: BTreeMap<Cid, Bytes> = (0..BLOCKS).map(|n| large_block(n, 100)).collect();
    let stored = blocks.iter().map(|(cid, data)| Ok((*cid, data.clone())));
    store.put_many(&mut { stored }).expect("put_many");
    for new in [None, Some(BLOCKS)] {
        let before = medium.count(Call::Read);
        assert_eq!(first_missing(&store, blocks.keys(), new), None);
        let reads = medium.count(Call::Read) - before;
        assert!(reads < BLOCKS / 4, "{reads} reads for {BLOCKS} blocks, new: {new:?}");
    }
}
