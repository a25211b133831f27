//! Indexes of k-NN edges in whole stores: verified, copied, counted.

use mnem_storage::{
    Bytes, Cid, FaultKind, MemoryStore, RAW, SideTable, Store, VerifyOptions, VerifyReport, cid_of, copy,
    knn::{self, DistanceMetric, KnnEdgeIndex, NodeId},
    unwatched, verify,
};

use crate::fixtures::stores;

/// Each node has its neighbours on both sides. Larger indexes have several chunks and pages.
fn index(nodes: u16) -> KnnEdgeIndex {
    let ids: Vec<NodeId> = (0..nodes)
        .map(|n| NodeId([[n.to_be_bytes()[0]; 8], [n.to_be_bytes()[1]; 8]].concat().try_into().unwrap()))
        .collect();
    let points: Vec<[f32; 1]> = (0..nodes).map(|n| [f32::from(n)]).collect();
    let edges = knn::derive(&ids, &points, 4, DistanceMetric::L2).unwrap();
    KnnEdgeIndex::new(cid_of(RAW, b"the root"), 4, DistanceMetric::L2, edges).unwrap()
}

/// Stores one index in each format, and returns their CIDs: packed, then the row.
fn fill(store: &dyn Store) -> [Cid; 2] {
    let table = store.side_table(knn::TABLE).unwrap();
    [knn::store(&*table, &index(2000)).unwrap(), knn::store_row(&*table, &index(9)).unwrap()]
}

/// The store, and the format of its indexes.
#[cfg(any(feature = "redb", feature = "simple"))]
fn open(options: &mnem_storage::OpenOptions, path: &std::path::Path) -> (std::sync::Arc<dyn Store>, knn::Format) {
    let store = options.open_managed(path).unwrap();
    let format = knn::Format::of_store(store.format());
    (store.into_store(), format)
}

fn look(store: &dyn Store) -> VerifyReport {
    verify(store, &VerifyOptions::new(), &mut unwatched).unwrap()
}

fn faults(report: &VerifyReport) -> Vec<(FaultKind, Option<Cid>)> {
    report.faults.iter().map(|fault| (fault.kind, fault.cid)).collect()
}

fn write(store: &dyn Store, key: Vec<u8>, value: impl Into<Bytes>) {
    store.side_table(knn::TABLE).unwrap().write(&[(key.into(), value.into())], &[]).unwrap();
}

/// The keys of an index's parts in format 2.
fn parts(store: &dyn Store) -> Vec<Bytes> {
    store.side_table(knn::TABLE).unwrap().keys(&[2]).unwrap().map(Result::unwrap).collect()
}

#[test]
fn whole_indexes_are_counted_and_no_fault() {
    for subject in stores() {
        let store = &*subject.store;
        assert_eq!(look(store).knn_indexes, 0);
        fill(store);
        let report = look(store);
        assert_eq!((faults(&report), report.knn_indexes, report.knn_unchecked), (vec![], 2, 0), "{}", subject.name);
        assert_eq!((report.rows, report.knn_unfinished), (2 + parts(store).len() as u64, vec![]));
    }
}

#[test]
fn damage_is_found_and_names_the_index() {
    for subject in stores() {
        let store = &*subject.store;
        let [packed, row] = fill(store);
        let parts = parts(store);
        assert!(parts.len() > 5, "several pages and chunks");
        let table = store.side_table(knn::TABLE).unwrap();
        for part in &parts {
            let whole = table.get(part).unwrap().unwrap();
            let mut changed = whole.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            write(store, part.to_vec(), changed);
            assert_eq!(faults(&look(store)), [(FaultKind::KnnIndex, Some(packed))], "{}", subject.name);
            table.write(&[], std::slice::from_ref(part)).unwrap();
            let report = look(store);
            assert_eq!(faults(&report), [(FaultKind::KnnIndex, Some(packed))], "{}", subject.name);
            assert!(report.faults[0].what.contains(&packed.to_string()), "{}", report.faults[0].what);
            write(store, part.to_vec(), whole);
        }
        // A valid row of another index under this key.
        write(store, row.to_bytes(), index(8).canonical_bytes());
        let no_cid = [&[0x01, 0x55, 0x12, 0x20][..], b"cut off"].concat();
        write(store, no_cid, "a row");
        let report = look(store);
        let mut found = faults(&report);
        found.sort();
        assert_eq!(found, [(FaultKind::KnnIndex, None), (FaultKind::KnnIndex, Some(row))], "{}", subject.name);
        assert_eq!(report.knn_indexes, 2);
    }
}

#[test]
fn what_is_unfinished_is_told_and_no_fault() {
    let store = MemoryStore::new();
    let [packed, _] = fill(&store);
    store.side_table(knn::TABLE).unwrap().write(&[], &[packed.to_bytes().into()]).unwrap();
    let report = look(&store);
    assert_eq!((faults(&report), report.knn_indexes, report.knn_unfinished), (vec![], 1, vec![packed]));
}

/// A program with the published crate may store more than `k` edges of a node. The row matches its CID.
#[test]
fn edges_that_make_no_index_are_no_damage() {
    let store = MemoryStore::new();
    let index = index(9);
    let mut row = index.canonical_bytes();
    let k = row.windows(3).position(|bytes| bytes == b"\x61k\x04").unwrap() + 2;
    row[k] = 3;
    let named =
        [&b"mnem/knn-edge/v1"[..], &index.root_cid().to_bytes(), &3_u32.to_be_bytes(), &[index.metric().tag()], &row];
    let cid = cid_of(RAW, &named.concat());
    write(&store, cid.to_bytes(), row.clone());
    assert!(knn::load(&*store.side_table(knn::TABLE).unwrap(), &cid).is_err());
    let report = look(&store);
    assert_eq!((faults(&report), report.knn_indexes, report.knn_unchecked), (vec![], 1, 0));
    *row.last_mut().unwrap() ^= 1;
    write(&store, cid.to_bytes(), row);
    assert_eq!(faults(&look(&store)), [(FaultKind::KnnIndex, Some(cid))]);
}

/// A program of a later version stored an index. It is counted, and it is neither a fault nor checked.
#[test]
fn an_index_of_a_later_format_is_not_checked_and_no_damage() {
    const MAGIC_AND_SUM: usize = 16;
    for subject in stores() {
        let store = &*subject.store;
        let [packed, row] = fill(store);
        let mut manifest = store.side_table(knn::TABLE).unwrap().get(&packed.to_bytes()).unwrap().unwrap().to_vec();
        let format = manifest.windows(8).position(|bytes| bytes == b"\x66format\x02").unwrap() + 7;
        manifest[format] = 3;
        let damaged = faults(&{
            write(store, packed.to_bytes(), manifest.clone());
            look(store)
        });
        assert_eq!(damaged, [(FaultKind::KnnIndex, Some(packed))], "{}: under the old checksum", subject.name);
        let mut sum = blake3::Hasher::new();
        sum.update(&packed.to_bytes()).update(&manifest[MAGIC_AND_SUM..]);
        manifest[MAGIC_AND_SUM - 8..MAGIC_AND_SUM].copy_from_slice(&sum.finalize().as_bytes()[..8]);
        write(store, packed.to_bytes(), manifest.clone());
        let report = look(store);
        assert_eq!((faults(&report), report.knn_indexes, report.knn_unchecked), (vec![], 1, 1), "{}", subject.name);
        let error = knn::load(&*store.side_table(knn::TABLE).unwrap(), &packed).unwrap_err();
        assert!(error.to_string().contains("k-NN edge rows 3"), "{error}");
        assert!(knn::load(&*store.side_table(knn::TABLE).unwrap(), &row).unwrap().is_some());
    }
}

#[test]
fn copies_carry_indexes_of_both_formats() {
    for from in stores() {
        let [packed, row] = fill(&*from.store);
        for to in stores() {
            copy(&*from.store, &*to.store, &mut unwatched).unwrap();
            let table = to.store.side_table(knn::TABLE).unwrap();
            for (cid, index, format) in [(packed, index(2000), knn::Format::Packed), (row, index(9), knn::Format::Row)]
            {
                let name = format!("{} to {}", from.name, to.name);
                assert_eq!(knn::load(&*table, &cid).unwrap().as_ref(), Some(&index), "{name}");
                assert_eq!(knn::open(table.clone(), &cid).unwrap().unwrap().format(), format, "{name}");
            }
            assert_eq!(look(&*to.store).knn_indexes, 2);
        }
    }
}

/// An index has the same CID in both formats. A complete one stays unchanged, and is not copied in the other format.
#[test]
fn a_copy_leaves_an_index_that_is_there_in_the_other_format() {
    for (here, there) in [(knn::Format::Row, knn::Format::Packed), (knn::Format::Packed, knn::Format::Row)] {
        let store = |table: &dyn SideTable, format| match format {
            knn::Format::Row => knn::store_row(table, &index(600)).unwrap(),
            _ => knn::store(table, &index(600)).unwrap(),
        };
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        let cid = store(&*from.side_table(knn::TABLE).unwrap(), here);
        let table = to.side_table(knn::TABLE).unwrap();
        store(&*table, there);
        copy(&from, &to, &mut unwatched).unwrap();
        assert_eq!(knn::format_of(&*table, &cid).unwrap(), Some(there));
        assert_eq!(knn::load(&*table, &cid).unwrap(), Some(index(600)));
        let report = look(&to);
        assert_eq!((faults(&report), report.knn_indexes, report.knn_unfinished), (vec![], 1, vec![]));

        // An incomplete index is copied.
        write(&to, cid.to_bytes(), "no index");
        copy(&from, &to, &mut unwatched).unwrap();
        assert_eq!(knn::load(&*table, &cid).unwrap(), Some(index(600)));
    }
}

#[cfg(feature = "redb")]
mod layouts {
    use mnem_backend_redb::Layout;
    use mnem_storage::{OpenOptions, info_at};

    use super::*;

    fn made(path: &std::path::Path, layout: Layout) {
        mnem_backend_redb::OpenOptions::new().create(true).layout(layout).open(path).unwrap().close().unwrap();
    }

    /// The row of the published crate keeps its format, whatever store is in between.
    #[test]
    fn a_row_goes_from_their_layout_to_ours_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let [theirs, ours, back] = ["theirs.redb", "ours.redb", "back.redb"].map(|name| folder.path().join(name));
        for (path, layout) in [(&theirs, Layout::Mnem01), (&ours, Layout::Native), (&back, Layout::Mnem01)] {
            made(path, layout);
        }
        let options = OpenOptions::new();
        let (source, format) = super::open(&options, &theirs);
        assert_eq!(format, knn::Format::Row);
        let cids = fill(&*source);
        let (between, format) = super::open(&options, &ours);
        assert_eq!(format, knn::Format::Packed);
        let target = options.open(&back).unwrap();
        copy(&*source, &*between, &mut unwatched).unwrap();
        copy(&*between, &*target, &mut unwatched).unwrap();
        let table = target.side_table(knn::TABLE).unwrap();
        assert_eq!(table.get(&cids[1].to_bytes()).unwrap().unwrap(), index(9).canonical_bytes());
        assert_eq!(knn::load(&*table, &cids[0]).unwrap().unwrap(), index(2000));
        for store in [&source, &between, &target] {
            assert_eq!((faults(&look(&**store)), look(&**store).knn_indexes), (vec![], 2));
            store.close().unwrap();
        }
        drop((source, between, target, table));
        for path in [&theirs, &ours, &back] {
            assert_eq!(info_at(path, &options).unwrap().knn_indexes, 2);
        }
    }
}

#[cfg(feature = "simple")]
#[test]
fn a_folder_is_counted_too() {
    use mnem_storage::{OpenOptions, info_at};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.simple");
    let options = OpenOptions::new();
    let create = options.clone().create(true).backend("simple");
    let (store, format) = open(&create, &path);
    assert_eq!((format, info_at(&path, &options).unwrap().knn_indexes), (knn::Format::Packed, 0));
    fill(&*store);
    store.side_table("other").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::from_static(b"v"))], &[]).unwrap();
    assert_eq!(info_at(&path, &options).unwrap().knn_indexes, 2);
}
