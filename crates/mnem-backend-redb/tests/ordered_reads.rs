//! Reads in key order use a cursor and return the same as any other read.

use std::collections::BTreeMap;

use mnem_store_traits::{Blockstore, Bytes, Cid};

use crate::support::{FakeMedium, large_block};

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
