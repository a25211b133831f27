//! Valid but unusual archives.

use std::ops::ControlFlow;

use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, Bytes, MemoryStore, OpHeadsStore as _, Progress,
    car::{self, CarWarningKind, ImportErrorKind, ImportOptions, ImportReport},
    unwatched,
};

use crate::fixtures::{ANIMALS_BLOCKS, animals, animals_root, car, car_v2, cid_with_hash, family, header, raw};

fn import(store: &MemoryStore, archive: &[u8]) -> ImportReport {
    let options = ImportOptions::new().heads(true);
    car::import(store, archive, &options, &mut unwatched).expect("a legal archive")
}

#[test]
fn animals_are_read() {
    let store = MemoryStore::new();
    let archive = animals();
    let mut last = Progress::default();
    let options = ImportOptions::new().heads(true).total_bytes(Some(archive.len() as u64));
    let report = car::import(&store, &archive[..], &options, &mut |progress| {
        assert!(progress.blocks >= last.blocks && progress.bytes >= last.bytes, "progress never goes back");
        last = progress;
        ControlFlow::Continue(())
    })
    .expect("a legal archive");
    assert_eq!(report.version, 1);
    assert_eq!((report.blocks, report.new, report.present), (ANIMALS_BLOCKS, ANIMALS_BLOCKS, 0));
    assert_eq!(report.roots, [animals_root()]);
    assert_eq!(report.heads_set, [animals_root()]);
    assert_eq!(report.missing_roots, []);
    assert_eq!(report.archive_bytes, archive.len() as u64);
    assert_eq!(store.heads().unwrap(), [animals_root()]);
    assert_eq!(store.cids().unwrap().count() as u64, ANIMALS_BLOCKS);
    assert_eq!(store.missing_links(&animals_root()).unwrap(), []);
    assert_eq!((last.blocks, last.bytes), (ANIMALS_BLOCKS, archive.len() as u64));
    assert_eq!(last.total_bytes, Some(archive.len() as u64));
}

#[test]
fn empty_roots_are_fine() {
    let store = MemoryStore::new();
    let leaf = raw("leaf");
    let report = import(&store, &car(&[], std::slice::from_ref(&leaf)));
    assert_eq!((report.blocks, report.new), (1, 1));
    assert_eq!((report.roots, report.heads_set), (vec![], vec![]));
    assert_eq!(store.heads().unwrap(), []);
    assert_eq!(store.get(&leaf.0).unwrap(), Some(leaf.1));
}

#[test]
fn an_archive_without_blocks_is_fine() {
    let report = import(&MemoryStore::new(), &header(&[]));
    assert_eq!((report.blocks, report.version), (0, 1));
}

#[test]
fn a_block_that_comes_twice_is_new_once() {
    let store = MemoryStore::new();
    let leaf = raw("leaf");
    let report = import(&store, &car(&[leaf.0], &[leaf.clone(), leaf.clone(), leaf]));
    assert_eq!((report.blocks, report.new, report.present), (3, 1, 2));
}

#[test]
fn a_block_that_comes_twice_in_different_batches_is_new_once() {
    let (store, leaf) = (MemoryStore::new(), raw("leaf"));
    let archive = car(&[], &[leaf.clone(), raw("other"), leaf]);
    let report = car::import(&store, &archive[..], &ImportOptions::new().batch_bytes(1), &mut unwatched).unwrap();
    assert_eq!((report.blocks, report.new, report.present), (3, 2, 1));
}

#[test]
fn cid_v0_and_identity_and_blake3_are_kept() {
    let store = MemoryStore::new();
    let data = Bytes::from_static(b"\x0a\x00");
    let v0 = mnem_storage::Cid::new_v0(*raw(data.clone()).0.hash()).unwrap();
    let identity = cid_with_hash(0x55, 0x00, b"in the CID");
    let empty_identity = cid_with_hash(0x55, 0x00, b"");
    let blake3: mnem_storage::Cid =
        cid_with_hash(0x55, 0x1e, &hex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"));
    let blocks = [
        (v0, data),
        (identity, Bytes::from_static(b"in the CID")),
        (empty_identity, Bytes::new()),
        (blake3, Bytes::new()),
        raw(""),
    ];
    let report = import(&store, &car(&[v0, identity], &blocks));
    assert_eq!((report.blocks, report.new), (5, 5));
    for (cid, data) in blocks {
        assert_eq!(store.get(&cid).unwrap(), Some(data), "{cid}");
    }
    let mut heads = vec![v0, identity];
    heads.sort();
    assert_eq!(store.heads().unwrap(), heads);
}

#[test]
fn car_v2_is_read_and_what_is_odd_about_it_is_reported() {
    let (root, blocks) = family();
    let payload = car(&[root], &blocks);
    let store = MemoryStore::new();
    let report = import(&store, &car_v2(&payload));
    let warnings: Vec<_> = report.warnings.iter().map(|warning| (warning.kind, warning.offset)).collect();
    assert_eq!(warnings, [(CarWarningKind::IndexMissing, 51 + payload.len() as u64)]);
    assert_eq!((report.version, report.blocks, report.new), (2, 3, 3));
    assert_eq!(report.archive_bytes, 51 + payload.len() as u64);
    assert_eq!(store.heads().unwrap(), [root]);
    assert_eq!(store.missing_links(&root).unwrap(), []);
}

#[test]
fn padding_is_taken_where_it_is_allowed() {
    let (root, blocks) = family();
    let payload = car(&[root], &blocks);
    let archive = [&payload[..], &[0; 100]].concat();
    let store = MemoryStore::new();
    let options = ImportOptions::new().heads(true);
    let error = car::import(&store, &archive[..], &options, &mut unwatched).expect_err("padding");
    assert_eq!((error.kind(), store.heads().unwrap()), (ImportErrorKind::Malformed, vec![]));
    let report = car::import(&store, &archive[..], &options.allow_padding(true), &mut unwatched).unwrap();
    assert_eq!((report.padding_bytes, report.archive_bytes), (100, payload.len() as u64));
    assert_eq!(report.heads_set, [root]);
}

#[test]
fn a_block_of_16_mib_is_read() {
    let store = MemoryStore::new();
    let block = raw(vec![1; 16 * 1024 * 1024]);
    let report = import(&store, &car(&[block.0], std::slice::from_ref(&block)));
    assert_eq!((report.new, report.largest_block_bytes), (1, 16 * 1024 * 1024));
    assert_eq!(store.size(&block.0).unwrap(), Some(16 * 1024 * 1024));
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
