//! Listings return each steady block exactly once, whatever happens concurrently.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mnem_backend_simple::{OpenOptions, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Cid, Store};

use crate::support::{Home, block, create, traced::Traced};

fn listed(store: &impl Blockstore) -> Vec<Cid> {
    store.cids().unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_block_once() {
    let home = Home::new();
    let store = create(&home.path);
    assert_eq!(listed(&store), []);
    store.put_many(&mut (0..500).map(block).map(Ok)).unwrap();
    let cids = listed(&store);
    let expected: BTreeSet<Cid> = (0..500).map(|n| block(n).0).collect();
    assert_eq!(cids.len(), 500);
    assert_eq!(cids.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn steady_blocks_are_never_missed_while_others_come_go_and_are_replaced() {
    let home = Home::new();
    let store = create(&home.path);
    let steady: BTreeSet<Cid> = (0..300).map(|n| block(n).0).collect();
    store.put_many(&mut (0..300).map(block).map(Ok)).unwrap();
    let stop = AtomicBool::new(false);
    let others: Vec<_> = (0..2).map(|_| create(&home.path)).collect();
    std::thread::scope(|scope| {
        for (writer, other) in others.iter().enumerate() {
            let stop = &stop;
            let home = &home;
            scope.spawn(move || {
                for round in (0u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let (cid, data) = block(1000 + (round % 200) * 2 + writer as u64);
                    if round / 200 % 2 == 0 {
                        other.put(&cid, data).unwrap()
                    } else {
                        other.delete(&cid).unwrap()
                    }
                    // As two writers of one block do: the second renames its file over that of the first.
                    let (cid, data) = block(round % 300);
                    let file = home.file(&format!("tmp/replacement-{writer}"));
                    std::fs::write(&file, &data).unwrap();
                    std::fs::rename(&file, home.block_file(&cid)).unwrap();
                }
            });
        }
        for _ in 0..40 {
            let cids = listed(&store);
            let set: BTreeSet<Cid> = cids.iter().copied().collect();
            let once = cids.len() == set.len();
            let missed = steady.difference(&set).count();
            if !once || missed > 0 {
                stop.store(true, Ordering::Relaxed);
                panic!("{missed} of the steady blocks were missed; each once: {once}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_reading_that_misses_names_is_made_good_by_the_next() {
    let home = Home::new();
    let fs = Traced::new(Arc::new(StdFileSystem), &home.path);
    let store = OpenOptions::new().create(true).open_on(Arc::new(fs.clone()), &home.path).unwrap();
    let (cid, data) = block(1);
    store.put(&cid, data).unwrap();
    let shard = home.block_file(&cid).parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    for reading in [0, 1] {
        fs.forget(&format!("list objects/{shard}"), reading);
        assert_eq!(listed(&store), [cid], "reading {reading} misses the block");
        assert!(fs.all_plans_used());
    }
    let row = (mnem_store_traits::Bytes::from_static(b"k"), mnem_store_traits::Bytes::new());
    store.side_table("t").unwrap().write(&[row], &[]).unwrap();
    for folder in ["list tables", "list tables/t"] {
        fs.forget(folder, 0);
        assert_eq!(store.side_tables().unwrap(), ["t"]);
    }
}

#[test]
fn the_consumer_may_write_between_two_items() {
    let home = Home::new();
    let store = create(&home.path);
    store.put_many(&mut (0..50).map(block).map(Ok)).unwrap();
    for cid in store.cids().unwrap() {
        store.delete(&cid.unwrap()).unwrap();
    }
    assert_eq!(listed(&store), []);
}
