//! Faulty archives: the import names the fault and its place, and changes neither heads nor present blocks.

use std::io::{self, Read};

use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, Cid, ErrorKind, MemoryStore, OpHeadsStore as _, RAW, Store as _, StoreError,
    WriteBatch,
    car::{self, CarError, CarFault, ImportError, ImportErrorKind, ImportOptions},
    unwatched,
};

use crate::fixtures::{Block, car, car_v2, cid_with_hash, family, framed, raw, unknown_hash};

/// Imports into a store with content, and checks that the failure does not change it.
fn failure(archive: impl Read, options: &ImportOptions) -> (ImportError, MemoryStore) {
    let store = MemoryStore::new();
    let before = raw("there before");
    store.commit(WriteBatch::new().put(before.0, before.1.clone()).update(before.0, [])).unwrap();
    let error = car::import(&store, archive, options, &mut unwatched).expect_err("an illegal archive");
    assert_eq!(store.heads().unwrap(), [before.0], "the heads are as they were");
    assert_eq!(store.get(&before.0).unwrap(), Some(before.1));
    let kept = error.kept();
    assert_eq!(store.cids().unwrap().count() as u64, 1 + kept.new, "what is kept is what is counted");
    (error, store)
}

fn heads() -> ImportOptions {
    ImportOptions::new().heads(true)
}

#[test]
fn every_class_of_fault_leaves_the_heads_and_keeps_what_came_before_it() {
    use ImportErrorKind as Kind;
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    let after = |rest: &[u8]| [&archive[..], rest].concat();
    let cases = [
        (b"hello, world\n".to_vec(), Kind::NotCar, 0),
        (b"".to_vec(), Kind::NotCar, 0),
        (b"\x05\x01\x02".to_vec(), Kind::NotCar, 0),
        (vec![0xff, 0xff, 0xff, 0xff, 0x7f], Kind::NotCar, 0),
        (framed(b"\xa1\x67version\x03"), Kind::UnsupportedVersion, 0),
        (car_v2(&car_v2(&archive)), Kind::UnsupportedVersion, 0),
        (archive[..archive.len() - 1].to_vec(), Kind::CutOff, 2),
        (after(b"\0"), Kind::Malformed, 3),
        (after(b"\n"), Kind::Malformed, 3),
        (after(&archive), Kind::Malformed, 3),
        (after(b"\x80\0"), Kind::Malformed, 3),
        (after(b"\xff\xff\xff\x7f"), Kind::BlockTooLarge, 3),
        (car_v2(&archive[..archive.len() - 1]), Kind::CutOff, 2),
    ];
    for (archive, kind, blocks) in cases {
        let (error, _) = failure(&archive[..], &heads());
        assert_eq!((error.kind(), error.kept().blocks), (kind, blocks), "{error:?}");
        assert!(error.offset().is_some_and(|offset| offset <= archive.len() as u64), "{error:?}");
    }
}

#[test]
fn a_cut_off_archive_says_where_and_how_much_is_missing() {
    let archive = car(&[], &family().1);
    let cut = archive.len() - 3;
    let (error, _) = failure(&archive[..cut], &heads());
    assert_eq!((error.kind(), error.offset()), (ImportErrorKind::CutOff, Some(cut as u64)));
    let ImportError::Archive { source: CarError::Fault { fault, .. }, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*fault, CarFault::CutOff { missing_bytes: 3 });
    assert_eq!(
        error.to_string(),
        format!("import stopped at byte {cut} (2 verified blocks in the store, 2 new; the heads are unchanged)")
    );
}

#[test]
fn the_callers_limit_counts() {
    let archive = car(&[], &[raw(vec![0; 1000]), raw(vec![0; 1001])]);
    let (error, _) = failure(&archive[..], &ImportOptions::new().block_bytes_max(1000));
    assert_eq!(error.kind(), ImportErrorKind::BlockTooLarge);
    assert_eq!(error.kept().blocks, 1);
    assert!(error.source_text().contains("1001 bytes exceeds the limit of 1000"), "{}", error.source_text());
}

/// Imports this block after a valid one. Returns the error, the distance of its section from the start, and whether the
/// offset is that of its data.
fn refused(block: Block) -> (ImportErrorKind, StoreError) {
    let good = raw("good");
    let before = car(&[], std::slice::from_ref(&good)).len() as u64;
    let (error, _) = failure(&car(&[], &[good, block.clone()])[..], &heads());
    let (cid_bytes, kind, kept) = (block.0.to_bytes().len() as u64, error.kind(), error.kept());
    assert_eq!((kept.blocks, kept.new), (1, 1));
    let text = error.to_string();
    let ImportError::Block { section_offset, offset, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(section_offset, before);
    let is_mismatch = kind == ImportErrorKind::WrongBytes;
    assert_eq!(offset, before + 1 + if is_mismatch { cid_bytes } else { 0 });
    assert!(text.starts_with(&format!("import stopped at byte {offset}, in the section at byte {before} (")), "{text}");
    (kind, StoreError::clone(&source))
}

#[test]
fn changed_bytes_are_found() {
    let (cid, data) = raw("the bytes");
    let (kind, source) = refused((cid, "the bytez".into()));
    assert_eq!(kind, ImportErrorKind::WrongBytes);
    let actual = raw("the bytez").0;
    assert!(
        matches!(source, StoreError::CidMismatch { cid: named, actual: found } if (named, *found) == (cid, actual))
    );
    // Even if the store already holds the right bytes.
    let store = MemoryStore::new();
    store.put_as(RAW, data).unwrap();
    let archive = car(&[], &[(cid, "the bytez".into())]);
    let error = car::import(&store, &archive[..], &heads(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::WrongBytes);
}

#[test]
fn an_identity_cid_with_other_bytes_is_found() {
    let (kind, _) = refused((cid_with_hash(0x55, 0x00, b"these"), "those".into()));
    assert_eq!(kind, ImportErrorKind::WrongBytes);
}

#[test]
fn unknown_hash_functions_and_truncated_digests_are_refused() {
    let unsupported =
        [(0x11, 20), (0x3f_0001, 64), (0x13, 32), (0xb220, 64), (0x12, 20), (0x12, 31), (0x1e, 64), (0x12, 0)];
    for (code, digest_bytes) in unsupported {
        let cid: Cid = cid_with_hash(0x55, code, &vec![9; digest_bytes]);
        let (kind, source) = refused((cid, "data".into()));
        assert_eq!(kind, ImportErrorKind::UnsupportedHash);
        let StoreError::UnsupportedHash { cid: named, code: of, digest_bytes: bytes } = source else { panic!("{cid}") };
        assert_eq!((named, of, usize::from(bytes)), (cid, code, digest_bytes));
    }
    assert_eq!(refused((unknown_hash(9), "data".into())).0, ImportErrorKind::UnsupportedHash);
}

#[test]
fn a_root_without_a_block_becomes_no_head() {
    let (absent, there) = (raw("absent").0, raw("there"));
    let archive = car(&[there.0, absent], std::slice::from_ref(&there));
    let (error, store) = failure(&archive[..], &heads());
    assert_eq!((error.kind(), error.offset()), (ImportErrorKind::MissingRoots, None));
    assert!(matches!(&error, ImportError::MissingRoots { roots, .. } if *roots == [absent]), "{error:?}");
    assert!(error.to_string().contains(&absent.to_string()));
    assert!(store.has(&there.0).unwrap(), "the blocks stay");
    // Without `heads`, it is only reported.
    let report = car::import(&store, &archive[..], &ImportOptions::new(), &mut unwatched).unwrap();
    assert_eq!((report.missing_roots, report.heads_set), (vec![absent], vec![]));
}

#[test]
fn a_failing_input_is_named_with_its_place() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable was pulled"))
        }
    }
    let start = car(&[], &[raw("good")]);
    let (error, _) = failure(start.chain(Fails), &heads());
    assert_eq!((error.kind(), error.offset()), (ImportErrorKind::Read, Some(start.len() as u64)));
    assert_eq!((error.kept().blocks, error.kept().new), (1, 1));
    assert_eq!(error.source_text(), "the cable was pulled");
}

#[test]
fn verified_blocks_stay_and_the_next_run_skips_them() {
    let blocks: Vec<Block> = (0..10_u8).map(|n| raw(vec![n; 100])).collect();
    let archive = car(&[blocks[0].0], &blocks);
    let cut = car(&[blocks[0].0], &blocks[..7]).len() + 5;
    let (error, store) = failure(&archive[..cut], &heads().batch_bytes(250));
    assert_eq!((error.kept().blocks, error.kept().new), (7, 7));
    let report = car::import(&store, &archive[..], &heads(), &mut unwatched).unwrap();
    assert_eq!((report.blocks, report.new, report.present), (10, 3, 7));
    assert_eq!(report.heads_set, [blocks[0].0]);
}

/// The message of the direct cause.
trait SourceText {
    fn source_text(&self) -> String;
}

impl SourceText for ImportError {
    fn source_text(&self) -> String {
        std::error::Error::source(self).map(ToString::to_string).unwrap_or_default()
    }
}

#[test]
fn the_cause_of_a_failed_store_is_the_stores_own_error() {
    let store = MemoryStore::new();
    store.close().unwrap();
    let error = car::import(&store, &car(&[], &[raw("x")])[..], &heads(), &mut unwatched).unwrap_err();
    let source = std::error::Error::source(&error).expect("a cause");
    assert!(source.downcast_ref::<StoreError>().is_some());
    assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::Closed));
}
