//! Copies from every backend to every backend.

use std::ops::ControlFlow;

use mnem_storage::{
    Blockstore, BlockstoreExt as _, Bytes, Capabilities, Cid, CidIter, CopyError, ErrorKind, MemoryStore, OpHeadsStore,
    RAW, Stage, Store, StoreError, WriteBatch,
    car::{self, ImportOptions},
    copy, unwatched,
};

use crate::fixtures::{car, family, raw, stores, unknown_hash};

fn cids(store: &dyn Store) -> Vec<Cid> {
    let mut cids: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
    cids.sort();
    cids
}

/// Two heads, a block nobody reaches, a block of an unknown hash, and two side tables.
fn fill(store: &dyn Store) -> Cid {
    let (root, blocks) = family();
    let unreached = raw("unreached");
    let archive = car(&[root, unreached.0], &[&blocks[..], &[unreached.clone(), raw("loose")]].concat());
    car::import(store, &archive[..], &ImportOptions::new().heads(true), &mut unwatched).unwrap();
    let unknown = unknown_hash(4);
    store.put_trusted(&unknown, Bytes::from_static(b"who knows")).unwrap();
    for table in ["one", "two"] {
        let rows: Vec<_> = (0..3_u8).map(|n| (Bytes::from(vec![n, 0xff]), Bytes::from(vec![n; 10]))).collect();
        store.side_table(table).unwrap().write(&rows, &[]).unwrap();
    }
    unknown
}

#[test]
fn every_backend_copies_to_every_other() {
    for from in stores() {
        let unknown = fill(&*from.store);
        for to in stores() {
            let name = format!("{} to {}", from.name, to.name);
            let mut stages = Vec::new();
            let report = copy(&*from.store, &*to.store, &mut |progress| {
                stages.push(progress.stage);
                ControlFlow::Continue(())
            })
            .expect(&name);
            assert_eq!((report.blocks, report.new, report.present), (6, 6, 0), "{name}");
            assert_eq!((report.unchecked, &report.unchecked_cids[..]), (1, &[unknown][..]));
            assert_eq!(cids(&*from.store), cids(&*to.store), "{name}");
            assert_eq!(to.store.heads().unwrap(), from.store.heads().unwrap());
            assert_eq!(report.heads, from.store.heads().unwrap());
            assert_eq!(to.store.get(&unknown).unwrap(), Some(Bytes::from_static(b"who knows")));
            assert_eq!(to.store.side_tables().unwrap(), ["one", "two"]);
            assert_eq!(report.tables.iter().map(|table| (table.keys, table.bytes)).collect::<Vec<_>>(), [(3, 30); 2]);
            let row = to.store.side_table("two").unwrap().get(&[2, 0xff]).unwrap();
            assert_eq!(row, Some(Bytes::from(vec![2; 10])));
            stages.dedup();
            assert_eq!(stages, [Stage::Blocks, Stage::Tables, Stage::Proof]);
            let again = copy(&*from.store, &*to.store, &mut unwatched).expect(&name);
            assert_eq!((again.new, again.present), (0, 6), "{name}");
        }
    }
}

#[test]
fn an_empty_store_is_copied() {
    for to in stores() {
        let report = copy(&MemoryStore::new(), &*to.store, &mut unwatched).unwrap();
        assert_eq!((report.blocks, report.heads.len()), (0, 0));
    }
}

#[test]
fn a_part_of_the_source_is_completed() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let head = from.heads().unwrap()[0];
    let data = from.get_required(&head).unwrap();
    to.commit(WriteBatch::new().put(head, data).update(head, [])).unwrap();
    let report = copy(&from, &to, &mut unwatched).unwrap();
    assert_eq!((report.new, report.present), (5, 1));
    assert_eq!(to.heads().unwrap(), from.heads().unwrap());
}

#[test]
fn a_target_with_something_else_is_refused_untouched() {
    let extra = raw("extra");
    for what in ["block", "head", "key 00 of side table one", "key 01 of side table elsewhere"] {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        fill(&from);
        match what {
            "block" => to.put(&extra.0, extra.1.clone()).unwrap(),
            "head" => to.update(&extra.0, &[]).unwrap(),
            "key 00 of side table one" => write_row(&to, "one", b"\0"),
            _ => write_row(&to, "elsewhere", b"\x01"),
        }
        let before = (cids(&to), to.heads().unwrap(), to.side_tables().unwrap());
        let error = copy(&from, &to, &mut unwatched).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument));
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!((cids(&to), to.heads().unwrap(), to.side_tables().unwrap()), before);
    }
}

fn write_row(store: &MemoryStore, table: &str, key: &'static [u8]) {
    store.side_table(table).unwrap().write(&[(Bytes::from_static(key), Bytes::new())], &[]).unwrap();
}

#[test]
fn a_damaged_block_stops_the_copy_before_any_head() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let head = from.heads().unwrap()[0];
    from.delete(&head).unwrap();
    from.put_trusted(&head, Bytes::from_static(b"damage")).unwrap();
    let error = copy(&from, &to, &mut unwatched).unwrap_err();
    assert!(matches!(error.store_error(), Some(StoreError::Corrupt { cid, .. }) if *cid == head), "{error:?}");
    assert!(matches!(error, CopyError::Source(_)), "{error:?}");
    assert_eq!(to.heads().unwrap(), []);
}

#[test]
fn a_damaged_block_of_the_target_is_not_proved_and_can_be_healed() {
    for subject in stores() {
        let (from, to) = (MemoryStore::new(), &*subject.store);
        fill(&from);
        let head = from.heads().unwrap()[0];
        to.put_trusted(&head, Bytes::from_static(b"damage")).unwrap();
        let error = copy(&from, to, &mut unwatched).unwrap_err();
        assert!(matches!(error, CopyError::Target(_)), "{}: {error:?}", subject.name);
        assert!(matches!(error.store_error(), Some(StoreError::Corrupt { cid, .. }) if *cid == head), "{error:?}");
        assert_eq!(to.heads().unwrap(), []);
        assert!(to.has(&head).unwrap(), "a copy deletes nothing");
        to.delete(&head).unwrap();
        copy(&from, to, &mut unwatched).unwrap();
        assert_eq!(to.get(&head).unwrap(), from.get(&head).unwrap(), "{}", subject.name);
    }
}

#[test]
fn a_block_of_an_unknown_hash_with_other_bytes_is_not_proved() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let unknown = fill(&from);
    to.put_trusted(&unknown, Bytes::from_static(b"who else")).unwrap();
    let error = copy(&from, &to, &mut unwatched).unwrap_err();
    let cause = error.to_string();
    assert!(
        cause.contains(&format!("block {unknown}, whose hash function is unknown here, has other bytes")),
        "{cause}"
    );
}

#[test]
fn the_proof_counts_what_was_copied() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let loose = raw("loose").0;
    let error = copy(&from, &to, &mut |progress| {
        if progress.stage == Stage::Tables {
            from.delete(&loose).unwrap();
            to.delete(&loose).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap_err();
    let cause = error.to_string();
    assert!(cause.contains(": 6 blocks were copied, the source has 5, the target 5;"), "{cause}");
}

/// A store without side tables that also loses a block whenever it is told to.
#[derive(Debug, Default)]
struct Poor {
    store: MemoryStore,
    loses: Option<Cid>,
}

impl Blockstore for Poor {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if self.loses == Some(*cid) { Ok(()) } else { self.store.put(cid, data) }
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
    }
}

impl OpHeadsStore for Poor {
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

impl Store for Poor {}

#[test]
fn a_target_without_side_tables_is_refused_untouched() {
    let from = MemoryStore::new();
    fill(&from);
    let to = Poor::default();
    assert_eq!(copy(&from, &to, &mut unwatched).unwrap_err().kind(), Some(ErrorKind::Unsupported));
    assert_eq!(cids(&to), []);
}

#[test]
fn the_proof_finds_a_block_that_the_target_lost() {
    let from = MemoryStore::new();
    let lost = from.put_as(RAW, Bytes::from_static(b"will be lost")).unwrap();
    from.put_as(RAW, Bytes::from_static(b"will be kept")).unwrap();
    let to = Poor { loses: Some(lost), ..Poor::default() };
    let error = copy(&from, &to, &mut unwatched).unwrap_err();
    assert!(matches!(error, CopyError::Differs { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("the target lacks block {lost}")), "{error}");
}

#[test]
fn the_proof_finds_a_source_that_was_written_to() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let error = copy(&from, &to, &mut |progress| {
        if progress.stage == Stage::Tables {
            from.put_as(RAW, Bytes::from_static(b"late")).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert!(error.to_string().contains("the target lacks block"));
}
