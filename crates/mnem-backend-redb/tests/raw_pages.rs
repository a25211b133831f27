//! The raw pages of files that redb wrote contain every row of the trees, and none that was never stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use mnem_backend_redb::{Check, DRIVER, Layout, OpenOptions, RedbStore};
use mnem_store_traits::{
    Blockstore as _, Bytes, Cid, ErrorKind, OpHeadsStore as _, Store as _, WriteBatch,
    driver::{self, Driver as _, Location, RawFind, RawScan},
};

use crate::support::{kind_of, large_block, next, place};

fn scan(path: &Path) -> Box<dyn RawScan> {
    let scan = DRIVER.scan_raw(&path.into(), &driver::OpenOptions::new()).expect("a scan");
    scan.expect("a file is there")
}

/// Blocks and heads in the raw pages.
fn found(path: &Path) -> (BTreeMap<Cid, Bytes>, BTreeSet<Cid>) {
    let (mut blocks, mut heads) = (BTreeMap::new(), BTreeSet::new());
    let mut scan = scan(path);
    while let Some(step) = scan.next() {
        match step.expect("the file can be read") {
            RawFind::Block(cid) => blocks.extend(scan.read().expect("it can be read").map(|data| (cid, data))),
            RawFind::Head(cid) => drop(heads.insert(cid)),
            _ => {}
        }
    }
    (blocks, heads)
}

/// The rows that the trees contain.
fn stored(store: &RedbStore) -> (BTreeMap<Cid, Bytes>, BTreeSet<Cid>) {
    let block = |cid: Cid| (cid, store.get(&cid).expect("get").expect("it is listed"));
    let blocks = store.cids().expect("cids").map(|cid| block(cid.expect("a CID"))).collect();
    (blocks, store.heads().expect("heads").into_iter().collect())
}

/// Commits blocks of many sizes, from empty to a few pages and sometimes larger, each commit with a head or two.
fn fill(store: &RedbStore, seed: u64) {
    let mut state = seed;
    for _ in 0..16 {
        let mut batch = WriteBatch::new();
        let mut last = None;
        for _ in 0..next(&mut state) % 60 + 1 {
            let bytes = match next(&mut state) % 64 {
                0..2 => 300_000,
                2..4 => 60_000,
                4..12 => 9_000,
                _ => 900,
            };
            let bytes = (next(&mut state) % bytes) as usize;
            let (cid, data) = large_block(next(&mut state), bytes);
            batch.put(cid, data);
            last = Some(cid);
        }
        let head = last.expect("at least one block");
        let heads = if next(&mut state).is_multiple_of(4) { store.heads().expect("heads") } else { Vec::new() };
        store.commit(batch.update(head, heads)).expect("commit");
        let row = (Bytes::copy_from_slice(&head.to_bytes()), Bytes::from(vec![7; (next(&mut state) % 3000) as usize]));
        store.side_table("notes").expect("a side table").write(&[row], &[]).expect("write");
    }
}

#[test]
fn all_rows_of_the_trees_are_found() {
    for (seed, layout) in [(1, Layout::Native), (2, Layout::Mnem01), (3, Layout::Native)] {
        let place = place();
        let store = OpenOptions::new().create(true).layout(layout).open(&place.path).expect("create");
        fill(&store, seed);
        let (blocks, heads) = stored(&store);
        assert!(blocks.values().any(|data| data.len() > 100_000) && heads.len() > 1);
        // The file after a kill, and after a close.
        let killed = place.folder.path().join("killed.redb");
        fs::copy(&place.path, &killed).expect("copy");
        store.close().expect("close");
        for path in [&killed, &place.path] {
            let found = found(path);
            let lacking: Vec<_> = blocks.keys().filter(|cid| !found.0.contains_key(cid)).collect();
            assert!(found.0 == blocks, "{} found of {}; lacking {lacking:?}", found.0.len(), blocks.len());
            // Heads of earlier commits are found too. All of them were blocks.
            assert!(found.1.is_superset(&heads) && found.1.iter().all(|head| blocks.contains_key(head)));
        }
        // Without its header, and with other bytes before the file.
        let bytes = fs::read(&place.path).expect("read");
        fs::write(&killed, [&[0xff; 4096], &bytes[4096..]].concat()).expect("write");
        assert!(self::found(&killed).0 == blocks);
        fs::write(&killed, [&[0; 5 * 4096], &bytes[8192..]].concat()).expect("write");
        assert!(self::found(&killed).0 == blocks);
    }
}

#[test]
fn what_was_deleted_may_be_found_and_what_was_moved_is() {
    let place = place();
    let mut store = OpenOptions::new().create(true).open(&place.path).expect("create");
    fill(&store, 4);
    let (blocks, _) = stored(&store);
    store.delete_many(&mut blocks.keys().step_by(2).map(|cid| Ok(*cid))).expect("delete");
    let (left, _) = stored(&store);
    let in_pages = |path: &Path| {
        let copy = place.folder.path().join("copy.redb");
        fs::copy(path, &copy).expect("copy");
        found(&copy).0
    };
    let deleted = in_pages(&place.path);
    assert!(deleted.len() > left.len() && deleted.iter().all(|(cid, data)| blocks.get(cid) == Some(data)));
    assert!(left.keys().all(|cid| deleted.contains_key(cid)));
    store.compact().expect("compact");
    let compacted = in_pages(&place.path);
    assert!(left.keys().all(|cid| compacted.contains_key(cid)));
}

#[test]
fn a_scan_keeps_writers_out_and_is_kept_out_by_them() {
    let place = place();
    let store = OpenOptions::new().create(true).open(&place.path).expect("create");
    let at = Location::from(&place.path);
    assert_eq!(kind_of(DRIVER.scan_raw(&at, &driver::OpenOptions::new()).map(|_| ())), ErrorKind::Locked);
    store.close().expect("close");
    drop(store);
    let lenient = OpenOptions::new().read_only(true).check(Check::AsItIs).open(&place.path).expect("as it is");
    let scans = [scan(&place.path), scan(&place.path)];
    lenient.close().expect("close");
    assert_eq!(kind_of(OpenOptions::new().open(&place.path)), ErrorKind::Locked);
    drop(scans);
    OpenOptions::new().open(&place.path).expect("nothing is in the way");
}

#[test]
fn what_is_no_file_is_not_scanned() {
    let place = place();
    for at in [Location::from(place.folder.path()), Location::from(&place.path), Location::from("memory://x")] {
        assert!(DRIVER.scan_raw(&at, &driver::OpenOptions::new()).expect("an answer").is_none(), "{at}");
    }
    fs::write(&place.path, "a letter").expect("write");
    assert_eq!(found(&place.path), Default::default());
}
