//! What counts as damage, and what does not.

use std::ops::ControlFlow;

use mnem_storage::{
    Blockstore, BlockstoreExt as _, Bytes, Cause, Cid, CidIter, DAG_CBOR, DRIVERS, ErrorKind, FaultKind, MemoryStore,
    OpHeadsStore, OpenOptions, Outcome, Stage, Store, StoreError, VerifyOptions, VerifyReport,
    car::{self, ImportOptions},
    unwatched, verify, verify_at,
};

use crate::fixtures::{ANIMALS_BLOCKS, animals, car, cid_with_hash, family, node, raw, stores, unknown_hash};

fn filled(store: &dyn Store) -> (Cid, Vec<(Cid, Bytes)>) {
    let (root, blocks) = family();
    car::import(store, &car(&[root], &blocks)[..], &ImportOptions::new().heads(true), &mut unwatched).unwrap();
    (root, blocks)
}

fn look(store: &dyn Store) -> VerifyReport {
    verify(store, &VerifyOptions::new(), &mut unwatched).unwrap()
}

fn faults(report: &VerifyReport) -> Vec<(FaultKind, Option<Cid>)> {
    assert_eq!(report.fault_count, report.faults.len() as u64);
    report.faults.iter().map(|fault| (fault.kind, fault.cid)).collect()
}

#[test]
fn a_whole_store_has_no_faults() {
    for subject in stores() {
        let store = &subject.store;
        filled(&**store);
        let loose = node(&[raw("nowhere").0]);
        store.put(&loose.0, loose.1).unwrap();
        store.put_trusted(&unknown_hash(4), Bytes::from_static(b"who knows")).unwrap();
        store.side_table("rows").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::from_static(b"v"))], &[]).unwrap();
        let report = look(&**store);
        assert_eq!(faults(&report), [], "{}: a block that no head reaches may link to nowhere", subject.name);
        assert_eq!((report.blocks, report.reached, report.unchecked), (5, 3, 1), "{}", subject.name);
        assert_eq!((report.links, report.heads, report.rows), (3, 1, 1));
        assert!(report.bytes > 200);
    }
}

#[test]
fn the_animals_are_whole() {
    let store = MemoryStore::new();
    car::import(&store, &animals()[..], &ImportOptions::new().heads(true), &mut unwatched).unwrap();
    let mut last = 0;
    let report = verify(&store, &VerifyOptions::new(), &mut |progress| {
        last = progress.blocks;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(faults(&report), []);
    assert_eq!((report.blocks, report.reached), (ANIMALS_BLOCKS, ANIMALS_BLOCKS));
    assert_eq!(last, ANIMALS_BLOCKS);
}

#[test]
fn every_fault_is_found_and_named() {
    let store = MemoryStore::new();
    let bad_cbor = store.put_as(DAG_CBOR, Bytes::from_static(b"\x18\x01")).unwrap();
    let (damaged, missing, loose) = (raw("damaged").0, raw("missing").0, raw("loose").0);
    for cid in [damaged, loose] {
        store.put_trusted(&cid, Bytes::from_static(b"other bytes")).unwrap();
    }
    let top = node(&[damaged, missing, missing, bad_cbor]);
    store.put(&top.0, top.1).unwrap();
    let no_block = raw("a head without a block").0;
    store.update(&top.0, &[]).unwrap();
    store.update(&no_block, &[]).unwrap();

    let report = look(&store);
    let mut found = faults(&report);
    found.sort();
    let mut expected = vec![
        (FaultKind::MissingHead, Some(no_block)),
        (FaultKind::MissingLink, Some(missing)),
        (FaultKind::Corrupt, Some(damaged)),
        (FaultKind::Corrupt, Some(loose)),
        (FaultKind::Malformed, Some(bad_cbor)),
    ];
    expected.sort();
    assert_eq!(found, expected);
    for fault in &report.faults {
        assert!(fault.what.contains(&fault.cid.unwrap().to_string()), "{}", fault.what);
    }
    let missing = report.faults.iter().find(|fault| fault.kind == FaultKind::MissingLink).unwrap();
    assert!(missing.what.contains(&top.0.to_string()), "{}", missing.what);
    assert_eq!((report.blocks, report.heads), (4, 2));
}

#[test]
fn an_identity_link_without_a_block_is_missing() {
    let store = MemoryStore::new();
    let identity = cid_with_hash(0x55, 0x00, b"inline");
    let top = node(&[identity]);
    store.put(&top.0, top.1).unwrap();
    store.update(&top.0, &[]).unwrap();
    assert_eq!(faults(&look(&store)), [(FaultKind::MissingLink, Some(identity))]);
}

#[test]
fn faults_beyond_the_bound_are_counted() {
    let store = MemoryStore::new();
    for n in 0..20_u8 {
        store.put_trusted(&raw(vec![n]).0, Bytes::from_static(b"other bytes")).unwrap();
    }
    let report = verify(&store, &VerifyOptions::new().faults_max(3), &mut unwatched).unwrap();
    assert_eq!((report.fault_count, report.faults.len()), (20, 3));
}

#[test]
fn a_deep_graph_needs_no_deep_stack() {
    let store = MemoryStore::new();
    let mut head = raw("the end");
    for _ in 0..20_000 {
        let parent = node(&[head.0]);
        store.put(&head.0, head.1).unwrap();
        head = parent;
    }
    store.put(&head.0, head.1).unwrap();
    store.update(&head.0, &[]).unwrap();
    let report = look(&store);
    assert_eq!((report.reached, report.fault_count), (20_001, 0));
}

#[test]
fn a_closed_store_is_an_error_and_no_fault() {
    let store = MemoryStore::new();
    store.close().unwrap();
    let error = verify(&store, &VerifyOptions::new(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Closed));
}

#[test]
fn a_store_on_disk_is_verified_where_it_lies() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = OpenOptions::new().create(true).backend(backend).open(&path).unwrap();
        filled(&*store);
        store.close().unwrap();
        drop(store);
        let mut stages = Vec::new();
        let report = verify_at(&path, &VerifyOptions::new(), &mut |progress| {
            stages.push(progress.stage);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(faults(&report), [], "{backend}");
        assert_eq!((report.blocks, report.heads, report.strays.len()), (3, 1, 0), "{backend}");
        stages.dedup();
        assert_eq!(stages, [Stage::Structure, Stage::Blocks], "{backend}");
    }
}

#[test]
fn what_is_no_store_is_an_error_and_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in [("absent", None), ("text", Some("hello"))] {
        let path = folder.path().join(path);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::NotAStore));
    }
}

/// Every file below a folder.
#[cfg(feature = "simple")]
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
#[cfg(feature = "simple")]
fn changed_files_of_a_simple_store_are_found_and_foreign_ones_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.simple");
    let store = mnem_storage::open_or_init(&path).unwrap();
    let (_, blocks) = filled(&*store);
    store.close().unwrap();
    drop(store);
    let name = blocks[2].0.to_string();
    let file = files(&path).into_iter().find(|file| file.ends_with(&name)).expect("the block's file");
    std::fs::write(&file, b"other bytes").unwrap();
    std::fs::write(path.join("notes.txt"), b"mine").unwrap();
    let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap();
    assert_eq!(faults(&report), [(FaultKind::Corrupt, Some(blocks[2].0))]);
    assert_eq!(report.strays.len(), 1, "{:?}", report.strays);
    assert!(report.strays[0].path.ends_with("notes.txt"));
}

/// A store with one unreadable block.
#[derive(Debug)]
struct BadSector {
    store: MemoryStore,
    lost: Cid,
}

impl Blockstore for BadSector {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if *cid != self.lost {
            return self.store.get(cid);
        }
        let source = Cause::new("input/output error");
        Err(StoreError::Backend { backend: "test", operation: "read".into(), outcome: Outcome::NotApplied, source })
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }
}

impl OpHeadsStore for BadSector {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.store.update(new, supersedes)
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.store.swap(expected, new)
    }
}

impl Store for BadSector {}

/// It is listed, so it counts whether or not a head reaches it.
#[test]
fn a_block_that_cannot_be_read_is_counted_where_it_is_listed() {
    let store = MemoryStore::new();
    let (head, blocks) = filled(&store);
    for lost in [head, blocks[1].0] {
        let report = look(&BadSector { store: store.clone(), lost });
        assert_eq!(report.blocks, store.cids().unwrap().count() as u64, "{report:?}");
        assert!(faults(&report).contains(&(FaultKind::Unreadable, Some(lost))), "{report:?}");
    }
}

/// If the block of a head cannot be read, only the listing shows whether it is present.
#[test]
#[cfg(feature = "simple")]
fn blocks_that_nothing_lists_are_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.simple");
    let store = mnem_storage::open_or_init(&path).unwrap();
    let (head, blocks) = filled(&*store);
    store.close().unwrap();
    drop(store);
    let name = head.to_string();
    let file = files(&path).into_iter().find(|file| file.ends_with(&name)).expect("the block's file");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap();
    assert!(report.fault_count > 0 && report.blocks < blocks.len() as u64 + 1, "{report:?}");
    std::fs::remove_dir_all(path.join("objects")).unwrap();
    let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap();
    assert_eq!(report.blocks, 0, "{report:?}");
    assert!(report.fault_count > 0);
}

#[test]
#[cfg(feature = "redb")]
fn changed_bytes_of_a_redb_file_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = mnem_storage::open_or_init(&path).unwrap();
    let block = store.put_as(mnem_storage::RAW, Bytes::from_static(b"a text that is easily found")).unwrap();
    store.update(&block, &[]).unwrap();
    store.close().unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"a text that is easily found";
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("the block's bytes");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap();
    assert!(report.fault_count > 0);
    assert_eq!(report.faults[0].kind, FaultKind::Structure, "{:?}", report.faults);
}

#[test]
fn a_report_is_written_as_json() {
    let store = MemoryStore::new();
    store.update(&raw("absent").0, &[]).unwrap();
    let json = serde_json::to_value(look(&store)).unwrap();
    assert_eq!(json["fault_count"], 1);
    assert_eq!(json["faults"][0]["kind"], "missing_head");
    assert_eq!(json["faults"][0]["cid"], raw("absent").0.to_string());
    assert_eq!(json["block_bytes"], 0);
}

#[test]
#[cfg(all(unix, feature = "simple"))]
fn a_foreign_name_that_is_no_text_is_told_in_json() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.simple");
    drop(mnem_storage::open_or_init(&path).unwrap());
    if std::fs::write(path.join(OsStr::from_bytes(b"mine\xff")), b"").is_err() {
        eprintln!("not looked at: this file system takes no such names");
        return;
    }
    let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap();
    let json = serde_json::to_value(report).unwrap();
    assert!(json["foreign"][0].as_str().unwrap().ends_with("mine\u{fffd}"), "{json}");
}
