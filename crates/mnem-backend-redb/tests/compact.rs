//! Exclusive maintenance.

use mnem_backend_redb::OpenOptions;
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store};

use crate::support::{Call, FakeMedium, block, create, kind_of, large_block, open, place};

#[test]
fn compacting_gives_space_back_and_keeps_content() {
    let place = place();
    let mut store = create(&place.path);
    let (kept, kept_data) = block(1);
    store.put(&kept, kept_data.clone()).expect("put");
    store.update(&kept, &[]).expect("update");
    let blocks: Vec<_> = (0..64).map(|n| large_block(n, 100_000)).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("put_many");
    let held = store.get(&blocks[0].0).expect("get").expect("present");
    for (cid, _) in &blocks {
        store.delete(cid).expect("delete");
    }
    let before = store.info().expect("info");
    assert!(before.free_bytes > 3_000_000, "{before:?}");
    store.compact().expect("compact");
    let after = store.info().expect("info");
    assert!(after.file_bytes < before.file_bytes / 2, "{before:?} {after:?}");
    assert_eq!(store.get(&kept).expect("get"), Some(kept_data));
    assert_eq!(store.heads().expect("heads"), [kept]);
    assert_eq!(held, blocks[0].1, "bytes handed out never change");
    store.check_integrity().expect("check");
    let (cid, data) = block(2);
    store.put(&cid, data).expect("put");
}

#[test]
fn the_free_end_of_the_file_goes_back_when_it_is_closed() {
    let place = place();
    let store = create(&place.path);
    let bytes = || std::fs::metadata(&place.path).expect("a file").len();
    let blocks: Vec<_> = (0..64).map(|n| large_block(n, 100_000)).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("put_many");
    store.close().expect("close");
    let full = bytes();
    assert!(full > 64 * 100_000, "{full}");
    let store = open(&place.path);
    for (cid, _) in &blocks[1..] {
        store.delete(cid).expect("delete");
    }
    let open_bytes = bytes();
    store.close().expect("close");
    let closed = bytes();
    assert!(closed < open_bytes && closed < full / 2, "{full} {open_bytes} {closed}");
    let store = open(&place.path);
    assert_eq!(store.get(&blocks[0].0).expect("get"), Some(blocks[0].1.clone()));
}

#[test]
fn maintenance_is_refused_while_a_view_is_alive() {
    let place = place();
    let mut store = create(&place.path);
    let view = store.blockstore();
    assert_eq!(kind_of(store.compact()), ErrorKind::InvalidArgument);
    let (cid, data) = block(1);
    view.put(&cid, data).expect("the view goes on");
    drop(view);
    store.compact().expect("the view is gone");
    let table = store.side_table("notes").expect("side table");
    assert_eq!(kind_of(store.check_integrity()), ErrorKind::InvalidArgument);
    drop(table);
    store.check_integrity().expect("the table is gone");
    assert_eq!(store.get(&cid).expect("get"), Some(block(1).1));
}

#[test]
fn maintenance_that_another_reader_stops_leaves_the_handle_as_it_was() {
    let place = place();
    let options = OpenOptions::new().sharing(Sharing::SingleWriter);
    let mut store = options.clone().create(true).open(&place.path).expect("create");
    let (cid, data) = block(1);
    store.put(&cid, data).expect("put");
    let reader = options.read_only(true).open(&place.path).expect("open for reading");
    let mut refused = None;
    reader.with_block(&cid, &mut |_| refused = Some(store.compact())).expect("with_block");
    let refused = refused.expect("called");
    assert_eq!(kind_of(refused), ErrorKind::Backend);
    let (cid, data) = block(2);
    store.put(&cid, data).expect("writes go on");
    store.compact().expect("nobody reads any more");
}

#[test]
fn a_medium_that_fails_during_maintenance_poisons_the_handle_and_reads_go_on() {
    let (cid, data) = block(1);
    // Without a cache redb writes pages early and tolerates a failure of that, and reads reach the medium.
    for (call, cache_bytes) in [(Call::Write, 1 << 20), (Call::Sync, 0)] {
        let medium = FakeMedium::default();
        let options = FakeMedium::options().cache_bytes(cache_bytes);
        let mut store = options.open_medium(medium.clone(), "medium").expect("create");
        store.put(&cid, data.clone()).expect("put");
        medium.fail(call, 0);
        assert_eq!(store.compact().expect_err("the medium fails").kind(), ErrorKind::Backend, "{call:?}");
        assert_eq!(kind_of(store.compact()), ErrorKind::Poisoned, "{call:?}");
        assert_eq!(kind_of(store.delete(&cid)), ErrorKind::Poisoned, "{call:?}");
        assert_eq!(store.get(&cid).expect("reads go on"), Some(data.clone()), "{call:?}");
        drop(store);
        let mut store = FakeMedium::options().open_medium(medium, "medium").expect("reopen");
        store.compact().expect("good as new");
        assert_eq!(store.get(&cid).expect("get"), Some(data.clone()), "{call:?}");
    }
}

#[test]
fn maintenance_of_a_closed_or_read_only_store_is_refused() {
    let place = place();
    let mut store = create(&place.path);
    store.close().expect("close");
    assert_eq!(kind_of(store.compact()), ErrorKind::Closed);
    let mut store = OpenOptions::new().read_only(true).open(&place.path).expect("open");
    assert_eq!(kind_of(store.compact()), ErrorKind::ReadOnly);
}

#[test]
fn info_counts_what_is_there() {
    let place = place();
    let store = create(&place.path);
    let mut bytes = 0;
    for n in 0..10 {
        let (cid, data) = large_block(n, 1_000 * n as usize);
        bytes += data.len() as u64;
        store.put(&cid, data).expect("put");
        store.update(&cid, &[]).expect("update");
    }
    let info = store.info().expect("info");
    assert_eq!((info.blocks, info.block_bytes, info.heads), (10, bytes, 10));
    assert!(info.free_bytes < info.file_bytes);
}
