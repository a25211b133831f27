//! A simple store with damaged or missing files, or without any.

use std::{fs, path::Path, path::PathBuf};

use mnem_storage::{
    Blockstore as _, Bytes, Cid, ErrorKind, FaultKind, OpHeadsStore as _, OpenOptions, RAW, Store as _, VerifyOptions,
    cid_of, detect,
    knn::{self, DistanceMetric, KnnEdgeIndex, NodeId},
    unwatched, verify_at,
};
use tempfile::TempDir;

use super::{assert_all_but, faults, fill_with_animals, rescue, snapshot, verified};
use crate::fixtures::{Block, animals_root};

fn sample() -> (TempDir, PathBuf, Vec<Block>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.simple");
    let store = OpenOptions::new().create(true).open(&path).unwrap();
    let all = fill_with_animals(&*store);
    store.side_table("notes").unwrap().write(&[("k".into(), "v".into())], &[]).unwrap();
    (folder, path, all)
}

fn file_of(store: &Path, cid: &Cid) -> PathBuf {
    let name = cid.to_string();
    store.join("objects").join(&name[name.len() - 3..name.len() - 1]).join(name)
}

#[test]
fn what_is_left_of_a_folder_comes_over() {
    let (_folder, path, all) = sample();
    let (damaged, missing, no_file) = (all[10].0, all[20].0, all[30].0);
    fs::write(file_of(&path, &damaged), b"other bytes").unwrap();
    fs::remove_file(file_of(&path, &missing)).unwrap();
    fs::remove_file(file_of(&path, &no_file)).unwrap();
    fs::create_dir(file_of(&path, &no_file)).unwrap();
    fs::remove_file(path.join("format")).unwrap();
    let (rescued, report) = rescue(&path);
    assert!(report.structure_damaged);
    let mut found = faults(&report);
    found.sort();
    let mut expected = vec![
        (FaultKind::Structure, None),
        (FaultKind::Corrupt, Some(damaged)),
        (FaultKind::MissingLink, Some(missing)),
        (FaultKind::MissingLink, Some(no_file)),
    ];
    expected.sort();
    assert_eq!(found, expected);
    assert_all_but(&rescued, &all, &[damaged, missing, no_file]);
    assert_eq!((rescued.heads().unwrap(), report.tables.len()), (vec![animals_root()], 1));
    let mut links: Vec<_> = verified(&rescued).into_iter().map(|(kind, cid)| (kind, cid.unwrap())).collect();
    links.sort();
    let mut expected = [damaged, missing, no_file].map(|cid| (FaultKind::MissingLink, cid));
    expected.sort();
    assert_eq!(links, expected);
}

#[test]
fn without_heads_the_blocks_come_over_and_what_they_link_to_is_looked_for() {
    let (_folder, path, all) = sample();
    let missing = all[20].0;
    fs::remove_file(file_of(&path, &missing)).unwrap();
    let mut heads = fs::read(path.join("op_heads")).unwrap();
    heads[10] ^= 1;
    fs::write(path.join("op_heads"), heads).unwrap();
    let (rescued, report) = rescue(&path);
    assert_eq!(faults(&report), [(FaultKind::Heads, None), (FaultKind::MissingLink, Some(missing))]);
    assert_all_but(&rescued, &all, &[missing]);
    assert_eq!((rescued.heads().unwrap(), report.heads), (vec![], vec![]));
}

#[test]
fn a_folder_of_blocks_that_is_a_file_costs_those_alone() {
    let (_folder, path, all) = sample();
    let shard = file_of(&path, &all[0].0).parent().unwrap().to_owned();
    let lost: Vec<Cid> =
        all.iter().map(|(cid, _)| *cid).filter(|cid| file_of(&path, cid).starts_with(&shard)).collect();
    fs::remove_dir_all(&shard).unwrap();
    fs::write(&shard, b"").unwrap();
    for part in ["format", "op_heads", "tables", "lock", "tmp"] {
        let part = path.join(part);
        if part.is_dir() { fs::remove_dir_all(part).unwrap() } else { fs::remove_file(part).unwrap() }
    }
    let (rescued, report) = rescue(&path);
    assert_all_but(&rescued, &all, &lost);
    let kinds: Vec<FaultKind> = report.faults.iter().map(|fault| fault.kind).collect();
    for kind in [FaultKind::Structure, FaultKind::Listing, FaultKind::Heads, FaultKind::SideTable] {
        assert!(kinds.contains(&kind), "{kind:?}: {:?}", report.faults);
    }
    for cid in lost {
        assert!(report.faults.iter().any(|fault| fault.cid == Some(cid)) || cid == animals_root());
    }
}

#[test]
fn a_store_that_opens_is_listed_behind_a_folder_that_cannot_be_read() {
    let (_folder, path, mut all) = sample();
    let store = OpenOptions::new().open(&path).unwrap();
    for n in 0..100 {
        let data = Bytes::from(format!("no head reaches {n}"));
        let cid = cid_of(RAW, &data);
        store.put(&cid, data.clone()).unwrap();
        all.push((cid, data));
    }
    store.close().unwrap();
    let shards = all.iter().map(|(cid, _)| file_of(&path, cid).parent().unwrap().to_owned());
    let first = shards.min().unwrap();
    let lost: Vec<Cid> =
        all.iter().map(|(cid, _)| *cid).filter(|cid| file_of(&path, cid).starts_with(&first)).collect();
    fs::remove_dir_all(&first).unwrap();
    fs::write(&first, b"").unwrap();
    let (rescued, report) = rescue(&path);
    assert!(!report.structure_damaged && report.fault_count > 0);
    assert_all_but(&rescued, &all, &lost);
}

#[test]
fn rows_of_an_index_that_is_left_behind_are_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.simple");
    let ids: Vec<NodeId> = (0..=255).map(|n| NodeId([n; 16])).collect();
    let points: Vec<[f32; 1]> = (0..=255_u8).map(|n| [f32::from(n)]).collect();
    let store = OpenOptions::new().create(true).open(&path).unwrap();
    let table = store.side_table(knn::TABLE).unwrap();
    let [hurt, whole] = [DistanceMetric::L2, DistanceMetric::Cosine].map(|metric| {
        let edges = knn::derive(&ids, &points, 4, DistanceMetric::L2).unwrap();
        let index = KnnEdgeIndex::new(animals_root(), 4, metric, edges).unwrap();
        knn::store(&*table, &index).unwrap()
    });
    store.close().unwrap();
    assert_eq!(rescue(&path).1.fault_count, 0);
    // Each row is a file named by its key. The key of the manifest ends with the digest; the keys of the parts contain
    // it.
    let rows = snapshot(&path.join("tables").join(knn::TABLE));
    let digest: String = hurt.hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
    let parts: Vec<_> = rows.iter().filter(|(path, _)| path.to_str().unwrap().contains(&digest)).collect();
    assert_eq!((parts.len(), rows.len()), (3, 6), "{digest}");
    for (part, bytes) in parts {
        fs::write(part, b"").unwrap();
        let (rescued, report) = rescue(&path);
        assert_eq!(faults(&report), [(FaultKind::KnnIndex, Some(hurt))], "{part:?}");
        let table = rescued.side_table(knn::TABLE).unwrap();
        assert!(knn::list(&*table).unwrap().map(Result::unwrap).eq([whole]));
        fs::write(part, bytes).unwrap();
    }
}

#[test]
fn a_store_without_its_format_is_damaged_and_no_empty_folder() {
    let (_folder, path, _) = sample();
    fs::remove_file(path.join("format")).unwrap();
    assert_eq!(detect(&path).unwrap().map(|driver| driver.name()), Some("simple"));
    for options in [OpenOptions::new(), OpenOptions::new().read_only(true), OpenOptions::new().create(true)] {
        let error = options.open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("its `format` file is missing, but"), "{cause}");
    }
    let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap();
    assert!(report.structure_damaged);
    assert_eq!((report.blocks, report.fault_count), (4_077, 1));
    // After restoring the file by hand, everything is as before.
    fs::write(path.join("format"), "mnem-backend-simple 1\n").unwrap();
    assert_eq!(verify_at(&path, &VerifyOptions::new(), &mut unwatched).unwrap().fault_count, 0);
    // A later format is not mistaken for damage.
    fs::write(path.join("format"), "mnem-backend-simple 2\n").unwrap();
    let error = OpenOptions::new().lenient(true).open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedFormat);
}
