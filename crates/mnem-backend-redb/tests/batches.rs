//! Batches of every shape into tables of every shape.

use std::collections::{BTreeMap, BTreeSet};

use mnem_store_traits::{Blockstore, Cid, Store, WriteBatch};

use crate::support::{FakeMedium, large_block, next};

const BLOCKS: u64 = 3_000;
const BATCHES: usize = 60;

#[test]
fn batches_store_what_is_absent_and_leave_what_is_there() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let mut state = 7;
    let mut there: BTreeMap<Cid, u64> = BTreeMap::new();
    for batch in 0..BATCHES {
        // Sizes from one to a thousand; some batches name blocks twice, most name some that are there.
        let size = 1 + next(&mut state) % [1, 10, 100, 1_000][batch % 4];
        let chosen: Vec<u64> = (0..size).map(|_| next(&mut state) % BLOCKS).collect();
        let blocks: Vec<_> = chosen.iter().map(|&n| (n, large_block(n, 20 + n as usize % 700))).collect();
        if batch % 3 == 0 {
            let mut writes = WriteBatch::new();
            writes.extend(blocks.iter().map(|(_, block)| block.clone()));
            store.commit(&writes).expect("commit");
        } else {
            store.put_many(&mut blocks.iter().map(|(_, block)| Ok(block.clone()))).expect("put_many");
        }
        there.extend(blocks.iter().map(|(n, (cid, _))| (*cid, *n)));
        if batch % 5 == 4 {
            // Gaps for later batches to fill.
            for _ in 0..there.len() / 3 {
                let Some(cid) = there.keys().nth(next(&mut state) as usize % there.len()).copied() else { break };
                store.delete(&cid).expect("delete");
                there.remove(&cid);
            }
        }
        let listed: BTreeSet<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
        assert_eq!(listed, there.keys().copied().collect(), "after batch {batch}");
    }
    for (cid, n) in there {
        assert_eq!(store.get(&cid).expect("get"), Some(large_block(n, 20 + n as usize % 700).1));
    }
}
