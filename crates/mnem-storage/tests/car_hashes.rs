//! Archives with unusual hash functions: checked if this build can, and kept unchecked only on request.

use mnem_storage::{
    Blockstore as _, Bytes, Cid, ErrorKind, HashFunction, MemoryStore, OpHeadsStore as _, RAW, StoreError,
    car::{self, ImportError, ImportErrorKind, ImportOptions},
    is_checkable, supported_hashes, unwatched,
};

use crate::fixtures::{Block, car, cid_with_hash, raw, stores, unknown_hash};

fn keep() -> ImportOptions {
    ImportOptions::new().heads(true).keep_unknown_hashes(true)
}

fn as_it_is(fill: u8) -> Block {
    (unknown_hash(fill), Bytes::from(vec![fill; 9]))
}

/// The text `hello` under every hash function of this build.
fn hello() -> Vec<Block> {
    let data = Bytes::from_static(b"hello");
    let hash = |function: &HashFunction| function.multihash(&data).expect("5 bytes");
    supported_hashes().iter().map(|f| (Cid::new_v1(RAW, hash(f)), data.clone())).collect()
}

#[test]
fn every_supported_hash_function_is_imported_and_exported() {
    let blocks = hello();
    assert_eq!(blocks.len(), if cfg!(feature = "blake2b") { 5 } else { 4 });
    let roots: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    for subject in stores() {
        let archive = car(&roots, &blocks);
        let report = car::import(&*subject.store, &archive[..], &ImportOptions::new().heads(true), &mut unwatched)
            .unwrap_or_else(|error| panic!("{}: {error}", subject.name));
        assert_eq!((report.new, report.unchecked), (blocks.len() as u64, 0), "{}", subject.name);
        let mut written = Vec::new();
        let report = car::export(&*subject.store, &mut written, &car::ExportOptions::new(), &mut unwatched).unwrap();
        assert_eq!((report.blocks, report.unchecked), (blocks.len() as u64, 0), "{}", subject.name);
    }
}

#[test]
fn wrong_bytes_are_found_under_every_supported_hash_function() {
    for (cid, _) in hello() {
        for options in [ImportOptions::new(), keep()] {
            let store = MemoryStore::new();
            let archive = car(&[], &[(cid, Bytes::from_static(b"jello"))]);
            let error = car::import(&store, &archive[..], &options, &mut unwatched).expect_err("wrong bytes");
            assert_eq!(error.kind(), ImportErrorKind::WrongBytes, "{cid}");
            assert!(!store.has(&cid).unwrap());
        }
    }
}

#[test]
fn a_digest_that_was_cut_short_is_unknown() {
    for (cid, data) in hello().into_iter().filter(|(cid, _)| cid.hash().code() != 0) {
        let digest = cid.hash().digest();
        let cut = cid_with_hash(RAW, cid.hash().code(), &digest[..digest.len() - 12]);
        assert!(!is_checkable(&cut));
        let archive = car(&[], &[(cut, data.clone())]);
        let error = car::import(&MemoryStore::new(), &archive[..], &ImportOptions::new(), &mut unwatched);
        assert_eq!(error.expect_err("a cut digest").kind(), ImportErrorKind::UnsupportedHash, "{cut}");
        let store = MemoryStore::new();
        assert_eq!(car::import(&store, &archive[..], &keep(), &mut unwatched).expect("kept").unchecked, 1);
        assert_eq!(store.get(&cut).unwrap(), Some(data));
    }
}

#[test]
fn unknown_hash_functions_are_kept_by_name_and_listed() {
    let blocks = [as_it_is(1), raw("checked"), as_it_is(2), as_it_is(1)];
    let archive = car(&[blocks[0].0], &blocks);
    for subject in stores() {
        let (name, store) = (subject.name, &*subject.store);
        let refused = car::import(store, &archive[..], &ImportOptions::new().heads(true), &mut unwatched);
        let error = refused.expect_err("an unknown hash function");
        assert_eq!((error.kind(), error.kept().blocks), (ImportErrorKind::UnsupportedHash, 0), "{name}");
        let report = car::import(store, &archive[..], &keep(), &mut unwatched).expect("kept");
        assert_eq!((report.blocks, report.new, report.unchecked), (4, 3, 3), "{name}");
        assert_eq!(report.unchecked_cids, [blocks[0].0, blocks[2].0, blocks[0].0], "{name}");
        for (cid, data) in &blocks {
            assert_eq!(store.get(cid).unwrap().as_ref(), Some(data), "{name}");
        }
        assert_eq!(store.heads().unwrap(), [blocks[0].0], "{name}");
        // The second time, nothing is written.
        let report = car::import(store, &archive[..], &keep(), &mut unwatched).expect("kept");
        assert_eq!((report.new, report.unchecked), (0, 3), "{name}");
    }
}

#[test]
fn a_root_of_an_unknown_hash_function_needs_its_block_all_the_same() {
    let store = MemoryStore::new();
    let archive = car(&[unknown_hash(1), unknown_hash(7)], &[as_it_is(1)]);
    let error = car::import(&store, &archive[..], &keep(), &mut unwatched).expect_err("a root without a block");
    assert!(matches!(&error, ImportError::MissingRoots { roots, .. } if *roots == [unknown_hash(7)]), "{error:?}");
    assert_eq!((error.kept().blocks, error.kept().unchecked, store.heads().unwrap()), (1, 1, vec![]));
    assert!(error.to_string().contains("1 block in the store, 1 new, 1 unverified"), "{error}");
}

#[test]
fn other_bytes_under_one_unknown_hash_are_an_error() {
    let other = (unknown_hash(1), Bytes::from_static(b"other bytes"));
    // Conflicting bytes in the archive, adjacent or in different batches, and in the store.
    for (first, second) in [(vec![], vec![as_it_is(1), other.clone()]), (vec![as_it_is(1)], vec![other.clone()])] {
        for batch_bytes in [1, u64::MAX] {
            let store = MemoryStore::new();
            car::import(&store, &car(&[], &first)[..], &keep(), &mut unwatched).expect("kept");
            let options = keep().batch_bytes(batch_bytes);
            let error = car::import(&store, &car(&[], &second)[..], &options, &mut unwatched).expect_err("other bytes");
            assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::InvalidArgument));
            let Some(StoreError::InvalidArgument { reason, .. }) = error.store_error() else { panic!("{error:?}") };
            assert!(reason.contains("has other bytes under"), "{reason}");
            assert_ne!(store.get(&other.0).unwrap(), Some(other.1.clone()), "the first bytes stay");
        }
    }
}

#[test]
fn the_list_of_unchecked_blocks_is_bounded() {
    let blocks: Vec<Block> =
        (0..10_002_u32).map(|n| (cid_with_hash(RAW, 0x3f_0001, &n.to_le_bytes()), Bytes::from_static(b"x"))).collect();
    let report = car::import(&MemoryStore::new(), &car(&[], &blocks)[..], &keep(), &mut unwatched).expect("kept");
    assert_eq!((report.unchecked, report.unchecked_cids.len()), (10_002, 10_000));
    assert_eq!(report.unchecked_cids[9_999], blocks[9_999].0);
}

#[test]
fn the_fault_names_the_function_and_those_that_are_supported() {
    let archive = car(&[], &[as_it_is(1)]);
    let error = car::import(&MemoryStore::new(), &archive[..], &ImportOptions::new(), &mut unwatched);
    let Err(ImportError::Block { source, .. }) = error else { panic!("kept") };
    assert!(matches!(*source, StoreError::UnsupportedHash { code: 0x3f_0001, digest_bytes: 32, .. }), "{source:?}");
    let text = source.to_string();
    assert!(
        text.contains("0x3f0001") && text.contains("sha2-256 with 32 bytes") && text.contains("sha2-512"),
        "{text}"
    );
}
