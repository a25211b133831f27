//! Salvages of damaged stores: everything readable, and nothing else.

#[cfg(feature = "redb")]
mod raw_pages;
#[cfg(feature = "redb")]
mod redb_file;
#[cfg(feature = "carlog")]
mod segments;
#[cfg(feature = "simple")]
mod simple_files;

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use mnem_storage::{
    Blockstore as _, Bytes, Cid, CopyError, ErrorKind, FaultKind, MemoryStore, OpHeadsStore as _, Progress,
    SalvageOptions, SalvageReport, Stage, Store, VerifyOptions, WriteBatch,
    car::{self, ImportOptions},
    cid_of, salvage, salvage_at, unwatched, verify,
};

use crate::fixtures::{Block, animals, animals_root, node, raw};

/// Every file below a folder or file, with its bytes.
fn snapshot(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| files.extend(snapshot(&entry.unwrap().path())));
    } else {
        files.push((path.to_owned(), fs::read(path).unwrap()));
    }
    files.sort();
    files
}

/// Salvages a store on disk, and checks that its files do not change.
fn rescue(path: &Path) -> (MemoryStore, SalvageReport) {
    let before = snapshot(path);
    let rescued = MemoryStore::new();
    let report = salvage_at(path, &rescued, &SalvageOptions::new(), &mut unwatched).unwrap();
    assert!(snapshot(path) == before, "the source was touched");
    assert_eq!(report.fault_count, report.faults.len() as u64);
    assert_eq!(blocks_of(&rescued).len() as u64, report.blocks);
    let told: Vec<_> = report.tables.iter().map(|table| (table.name.clone(), table.keys, table.bytes)).collect();
    assert_eq!(told, tables_of(&rescued), "{report:?}");
    (rescued, report)
}

/// The side tables, with the number of their rows and the bytes of their values.
fn tables_of(store: &dyn Store) -> Vec<(String, u64, u64)> {
    let counted = |name: String| {
        let table = store.side_table(&name).unwrap();
        let value_bytes = |key: Bytes| table.get(&key).unwrap().expect("it is listed").len() as u64;
        let rows: Vec<u64> = table.keys(&[]).unwrap().map(|key| value_bytes(key.unwrap())).collect();
        (name, rows.len() as u64, rows.iter().sum())
    };
    store.side_tables().unwrap().into_iter().map(counted).collect()
}

fn blocks_of(store: &dyn Store) -> BTreeSet<Block> {
    let block = |cid: Cid| (cid, store.get(&cid).unwrap().expect("it is listed"));
    store.cids().unwrap().map(|cid| block(cid.unwrap())).collect()
}

/// Checks that the store has exactly the blocks of `all` except `lost`.
fn assert_all_but(rescued: &dyn Store, all: &[Block], lost: &[Cid]) {
    let expected: BTreeSet<Block> = all.iter().filter(|(cid, _)| !lost.contains(cid)).cloned().collect();
    let found = blocks_of(rescued);
    let missing: Vec<_> = expected.difference(&found).map(|(cid, _)| cid).collect();
    assert!(found == expected, "{} blocks, not {}; not there: {missing:?}", found.len(), expected.len());
}

fn faults(report: &SalvageReport) -> Vec<(FaultKind, Option<Cid>)> {
    report.faults.iter().map(|fault| (fault.kind, fault.cid)).collect()
}

/// The faults of a salvaged store: links to blocks that were not salvaged.
fn verified(store: &dyn Store) -> Vec<(FaultKind, Option<Cid>)> {
    let report = verify(store, &VerifyOptions::new(), &mut unwatched).unwrap();
    report.faults.iter().map(|fault| (fault.kind, fault.cid)).collect()
}

fn fill_with_animals(store: &dyn Store) -> Vec<Block> {
    car::import(store, &animals()[..], &ImportOptions::new().heads(true), &mut unwatched).unwrap();
    blocks_of(store).into_iter().collect()
}

#[test]
fn a_block_that_the_target_does_not_take_costs_that_block() {
    let folder = tempfile::tempdir().unwrap();
    let from = mnem_storage::open_or_init(folder.path().join("a")).unwrap();
    let all = fill_with_animals(&*from);
    let data = Bytes::from(vec![7; 17 << 20]);
    let large = cid_of(mnem_storage::RAW, &data);
    from.put(&large, data).unwrap();
    let to = MemoryStore::new();
    let report = salvage(&*from, &to, &SalvageOptions::new(), &mut unwatched).unwrap();
    assert_eq!(faults(&report), [(FaultKind::Unreadable, Some(large))]);
    assert_all_but(&to, &all, &[]);
    assert_eq!(to.heads().unwrap(), [animals_root()]);
}

#[test]
fn a_whole_store_comes_over_whole() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let all = fill_with_animals(&from);
    let loose = raw("no head reaches this");
    from.put(&loose.0, loose.1.clone()).unwrap();
    let rows = [(Bytes::from_static(b"k"), Bytes::from_static(b"v"))];
    from.side_table("notes").unwrap().write(&rows, &[]).unwrap();
    let report = salvage(&from, &to, &SalvageOptions::new(), &mut unwatched).unwrap();
    assert_eq!((faults(&report), report.walked), (vec![], 0));
    assert_eq!((report.heads, report.tables[0].keys), (vec![animals_root()], 1));
    assert_all_but(&to, &[all, vec![loose]].concat(), &[]);
    assert_eq!(to.heads().unwrap(), from.heads().unwrap());
    assert_eq!(to.side_table("notes").unwrap().get(b"k").unwrap(), Some(Bytes::from_static(b"v")));
}

#[test]
fn only_an_empty_store_is_salvaged_into() {
    let from = MemoryStore::new();
    let head = cid_of(0x55, b"a head");
    let to: [fn(&MemoryStore, &Cid); 3] = [
        |to, _| to.put(&raw("there").0, raw("there").1).unwrap(),
        |to, head| to.update(head, &[]).unwrap(),
        |to, _| to.side_table("t").unwrap().write(&[("k".into(), "v".into())], &[]).unwrap(),
    ];
    for fill in to {
        let to = MemoryStore::new();
        fill(&to, &head);
        let error = salvage(&from, &to, &SalvageOptions::new(), &mut unwatched).unwrap_err();
        assert!(matches!(error, CopyError::Target(_)), "{error:?}");
        assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument));
    }
}

#[test]
fn what_a_head_lacks_is_named_once_and_the_head_comes_over_without() {
    let from = MemoryStore::new();
    let (gone, damaged, whole) = (raw("gone"), raw("damaged"), raw("whole"));
    let top = node(&[gone.0, damaged.0, whole.0]);
    let no_block = raw("a head without a block").0;
    from.put_trusted(&damaged.0, Bytes::from_static(b"other bytes")).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(whole.0, whole.1.clone()).put(top.0, top.1.clone());
    from.commit(batch.update(top.0, [])).unwrap();
    from.update(&no_block, &[]).unwrap();
    let to = MemoryStore::new();
    let report = salvage(&from, &to, &SalvageOptions::new(), &mut unwatched).unwrap();
    let mut found = faults(&report);
    found.sort();
    let mut expected = vec![
        (FaultKind::Corrupt, Some(damaged.0)),
        (FaultKind::MissingHead, Some(no_block)),
        (FaultKind::MissingLink, Some(gone.0)),
    ];
    expected.sort();
    assert_eq!(found, expected);
    assert!(!report.structure_damaged);
    assert_all_but(&to, &[top.clone(), whole], &[]);
    assert_eq!((to.heads().unwrap(), report.heads), (vec![top.0], vec![top.0]));
    let few = SalvageOptions::new().faults_max(1);
    let report = salvage(&from, &MemoryStore::new(), &few, &mut unwatched).unwrap();
    assert_eq!((report.fault_count, report.faults.len()), (3, 1));
}

#[test]
fn it_stops_when_asked_and_sets_no_head() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill_with_animals(&from);
    let mut stop_at_100 = |progress: Progress| match progress {
        Progress { stage: Stage::Blocks, blocks: 100, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = salvage(&from, &to, &SalvageOptions::new(), &mut stop_at_100).unwrap_err();
    assert!(matches!(stopped, CopyError::Stopped { blocks: 100, new: 100 }), "{stopped:?}");
    assert_eq!((blocks_of(&to).len(), to.heads().unwrap()), (100, vec![]));
}
