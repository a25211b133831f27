//! Collections with every backend: which blocks are removed, which stay, and which stores are refused. Tests inside the
//! crate cover random graphs.

use std::{collections::BTreeSet, ops::ControlFlow};

use mnem_storage::{
    Bytes, Cid, CollectError, CollectOptions, CollectReport, ErrorKind, RAW, Stage, Store, StoreError, WriteBatch,
    cid_of, collect,
    knn::{self, DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId},
    unwatched,
};

use crate::fixtures::{Block, node, opaque, raw, stores};

fn cids(store: &dyn Store) -> BTreeSet<Cid> {
    store.cids().unwrap().map(Result::unwrap).collect()
}

fn run(store: &dyn Store, options: &CollectOptions) -> Result<CollectReport, CollectError> {
    collect(store, options, &mut unwatched)
}

/// Two heads with a common leaf, and an old operation with its own leaf. Returns the blocks of the heads, and those of
/// the old operation.
fn fill(store: &dyn Store) -> ([Block; 3], [Block; 2]) {
    let (shared, lost) = (raw("shared"), raw("lost"));
    let (one, other) = (node(&[shared.0]), node(&[shared.0, shared.0]));
    let old = node(&[lost.0, shared.0]);
    let (live, dead) = ([one, other, shared], [old, lost]);
    let mut batch = WriteBatch::new();
    for (cid, data) in live.iter().chain(&dead) {
        batch.put(*cid, data.clone());
    }
    store.commit(batch.update_all([live[0].0, live[1].0], [])).unwrap();
    (live, dead)
}

#[test]
fn what_no_head_reaches_goes() {
    for subject in stores() {
        let (store, name) = (&*subject.store, subject.name);
        let (live, dead) = fill(store);
        let dead_bytes = dead.iter().map(|(_, data)| data.len() as u64).sum();
        let counted = run(store, &CollectOptions::new().dry_run(true)).expect(name);
        assert_eq!(
            (counted.blocks, counted.dead, counted.dead_bytes, counted.removed),
            (5, 2, dead_bytes, 0),
            "{name}"
        );
        assert_eq!(cids(store).len(), 5, "{name}: a dry run removes nothing");
        let mut stages = Vec::new();
        let report = collect(store, &CollectOptions::new(), &mut |progress| {
            stages.push(progress.stage);
            ControlFlow::Continue(())
        })
        .expect(name);
        assert_eq!((report.dead, report.dead_bytes, report.removed), (2, dead_bytes, 2), "{name}");
        assert_eq!(report.heads, store.heads().unwrap());
        assert_eq!(cids(store), live.iter().map(|(cid, _)| *cid).collect(), "{name}");
        stages.dedup();
        assert_eq!(stages, [Stage::Counting, Stage::Links, Stage::Sweep], "{name}");
        assert_eq!(run(store, &CollectOptions::new()).expect(name).dead, 0, "{name}: again");
    }
}

/// Its handle does not even mark it as open.
#[cfg(feature = "redb")]
#[test]
fn a_file_without_a_dead_block_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let (cid, data) = raw("live");
    let store = mnem_storage::open_or_init(&path).unwrap();
    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    store.close().unwrap();
    drop(store);
    let before = std::fs::read(&path).unwrap();
    let store = mnem_storage::open_or_init(&path).unwrap();
    assert_eq!(run(&*store, &CollectOptions::new()).unwrap().blocks, 1);
    assert!(std::fs::read(&path).unwrap() == before, "the file was written to");
}

#[test]
fn what_is_to_be_kept_stays_with_what_it_reaches() {
    for subject in stores() {
        let store = &*subject.store;
        let (live, dead) = fill(store);
        run(store, &CollectOptions::new().keep([dead[0].0])).expect(subject.name);
        assert_eq!(cids(store).len(), live.len() + dead.len(), "{}", subject.name);
    }
}

#[test]
fn a_store_without_heads_is_refused_unless_something_is_to_be_kept() {
    for subject in stores() {
        let store = &*subject.store;
        let (keep, other) = (raw("keep"), raw("other"));
        for (cid, data) in [&keep, &other] {
            store.put(cid, data.clone()).unwrap();
        }
        let error = run(store, &CollectOptions::new()).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument), "{}", subject.name);
        assert_eq!(cids(store).len(), 2);
        run(store, &CollectOptions::new().keep([keep.0])).expect(subject.name);
        assert_eq!(cids(store), BTreeSet::from([keep.0]), "{}", subject.name);
    }
}

/// Damages an intact store. Returns the expected error, and the options with which the collection continues.
type Trouble =
    (&'static str, fn(&dyn Store, &[Block; 3]), fn(&CollectError) -> bool, fn(CollectOptions) -> CollectOptions);

fn add_head(store: &dyn Store, (cid, data): Block) {
    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
}

const TROUBLES: [Trouble; 4] = [
    (
        "a missing leaf",
        |store, live| store.delete(&live[2].0).unwrap(),
        |error| matches!(error.store_error(), Some(StoreError::MissingBlock { linked_from: Some(_), .. })),
        |options| options.allow_missing(true),
    ),
    (
        "a damaged block",
        |store, live| {
            let head = node(&[live[0].0]);
            store.commit(WriteBatch::new().put(head.0, head.1).update(head.0, [live[0].0])).unwrap();
            store.delete(&live[0].0).unwrap();
            store.put_trusted(&live[0].0, Bytes::from_static(b"damage")).unwrap();
        },
        |error| error.kind() == Some(ErrorKind::Corrupt),
        |options| options.allow_missing(true),
    ),
    (
        "a block that is not valid in its codec",
        |store, _| {
            let data = Bytes::from_static(b"\xff");
            let malformed = (cid_of(mnem_storage::DAG_CBOR, &data), data);
            store.put(&malformed.0, malformed.1.clone()).unwrap();
            add_head(store, node(&[malformed.0]));
        },
        |error| error.kind() == Some(ErrorKind::Malformed),
        |options| options.allow_missing(true),
    ),
    (
        "a block whose links are not followed",
        |store, _| {
            let opaque = opaque("who knows");
            store.put(&opaque.0, opaque.1.clone()).unwrap();
            add_head(store, node(&[opaque.0]));
        },
        |error| matches!(error, CollectError::Opaque { .. }),
        |options| options.opaque_leaves(true),
    ),
];

#[test]
fn what_might_lose_a_live_block_is_refused_unless_it_is_allowed() {
    for (what, make, is_expected, allow) in TROUBLES {
        for subject in stores() {
            let (store, name) = (&*subject.store, format!("{what}, {}", subject.name));
            let (live, dead) = fill(store);
            make(store, &live);
            let before = cids(store);
            let error = run(store, &CollectOptions::new()).expect_err(&name);
            assert!(is_expected(&error), "{name}: {error:?}");
            assert_eq!(cids(store), before, "{name}");
            let report = run(store, &allow(CollectOptions::new())).expect(&name);
            assert_eq!(report.opaque + report.missing_count + report.unreadable_count, 1, "{name}: {report:?}");
            assert_eq!(report.missing.len() + report.unreadable.len(), usize::from(report.opaque == 0), "{name}");
            let dead = dead.map(|(cid, _)| cid);
            assert_eq!(cids(store), before.into_iter().filter(|cid| !dead.contains(cid)).collect(), "{name}");
        }
    }
}

#[test]
fn a_head_without_a_whole_block_is_never_passed_over() {
    for subject in stores() {
        let store = &*subject.store;
        let (live, _) = fill(store);
        let before = cids(store);
        let options = CollectOptions::new().allow_missing(true).opaque_leaves(true);
        let error = run(store, &options.clone().keep([raw("nowhere").0])).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::MissingBlock), "{}: to be kept", subject.name);
        store.delete(&live[0].0).unwrap();
        assert_eq!(run(store, &options).unwrap_err().kind(), Some(ErrorKind::MissingBlock), "{}", subject.name);
        store.put_trusted(&live[0].0, Bytes::from_static(b"damage")).unwrap();
        assert_eq!(run(store, &options).unwrap_err().kind(), Some(ErrorKind::Corrupt), "{}", subject.name);
        assert_eq!(cids(store), before, "{}", subject.name);
    }
}

#[test]
fn a_dead_block_that_is_damaged_goes_too() {
    for subject in stores() {
        let store = &*subject.store;
        let (live, dead) = fill(store);
        store.delete(&dead[0].0).unwrap();
        store.put_trusted(&dead[0].0, Bytes::from_static(b"damage")).unwrap();
        run(store, &CollectOptions::new()).expect(subject.name);
        assert_eq!(cids(store).len(), live.len(), "{}", subject.name);
    }
}

#[test]
fn a_block_that_came_meanwhile_stays_and_a_head_that_moved_ends_it() {
    for subject in stores() {
        let store = &*subject.store;
        let (_, dead) = fill(store);
        let came = raw("came");
        let during = |stage: Stage, act: &dyn Fn()| {
            let mut acted = false;
            collect(store, &CollectOptions::new(), &mut |progress| {
                if progress.stage == stage && !acted {
                    acted = true;
                    act();
                }
                ControlFlow::Continue(())
            })
        };
        let moved = during(Stage::Links, &|| store.update(&dead[0].0, &[]).unwrap()).unwrap_err();
        assert_eq!(moved.kind(), Some(ErrorKind::HeadsMoved), "{}", subject.name);
        assert!(dead.iter().all(|(cid, _)| store.has(cid).unwrap()), "{}", subject.name);
        store.put(&came.0, came.1.clone()).unwrap();
        store.swap(&store.heads().unwrap(), &came.0).unwrap();
        let late = raw("late");
        let report = during(Stage::Links, &|| store.put(&late.0, late.1.clone()).unwrap()).expect(subject.name);
        assert_eq!(report.removed, 5, "{}", subject.name);
        assert_eq!(cids(store), BTreeSet::from([came.0, late.0]), "{}", subject.name);
    }
}

fn index(root: Cid) -> KnnEdgeIndex {
    let edge = KnnEdge { src: NodeId([1; 16]), dst: NodeId([2; 16]), weight: 0.5 };
    KnnEdgeIndex::new(root, 1, DistanceMetric::Cosine, vec![edge]).unwrap()
}

#[test]
fn an_index_whose_root_is_dead_is_listed_and_goes_if_so_wished() {
    for subject in stores() {
        let (store, name) = (&*subject.store, subject.name);
        let (live, dead) = fill(store);
        let table = store.side_table(knn::TABLE).unwrap();
        let kept = knn::store(&*table, &index(live[2].0)).unwrap();
        let packed = knn::store(&*table, &index(dead[0].0)).unwrap();
        let row = knn::store_row(&*table, &index(cid_of(RAW, b"was never here"))).unwrap();
        let unreadable = index(dead[1].0).compute_cid();
        table.write(&[(unreadable.to_bytes().into(), Bytes::from_static(b"junk"))], &[]).unwrap();
        let listed =
            |report: &CollectReport| -> BTreeSet<Cid> { report.dead_indexes.iter().map(|dead| dead.cid).collect() };
        for options in [CollectOptions::new().dry_run(true).indexes(true), CollectOptions::new()] {
            let report = run(store, &options).expect(name);
            assert_eq!(listed(&report), BTreeSet::from([packed, row]), "{name}");
            let counts = (report.dead_index_count, report.indexes_removed, report.indexes_unreadable);
            assert_eq!(counts, (2, 0, 1), "{name}");
        }
        assert_eq!(knn::list(&*table).unwrap().count(), 4, "{name}");
        let report = run(store, &CollectOptions::new().indexes(true)).expect(name);
        assert_eq!((listed(&report), report.indexes_removed), (BTreeSet::from([packed, row]), 2), "{name}");
        let left: BTreeSet<Cid> = knn::list(&*table).unwrap().map(Result::unwrap).collect();
        assert_eq!(left, BTreeSet::from([kept, unreadable]), "{name}");
        assert_eq!(knn::unfinished(&*table).unwrap(), [], "{name}");
    }
}

#[test]
fn of_very_many_dead_indexes_only_the_first_are_listed_and_all_go() {
    const DEAD: u64 = 10_003;
    let store = mnem_storage::MemoryStore::new();
    fill(&store);
    let table = store.side_table(knn::TABLE).unwrap();
    for number in 0..DEAD {
        knn::store_row(&*table, &index(cid_of(RAW, &number.to_be_bytes()))).unwrap();
    }
    let report = run(&store, &CollectOptions::new().indexes(true)).unwrap();
    assert_eq!((report.dead_index_count, report.indexes_removed), (DEAD, DEAD));
    assert!(report.dead_indexes.len() == 10_000 && report.dead_indexes.is_sorted_by_key(|index| index.cid));
    assert_eq!(knn::list(&*table).unwrap().count(), 0);
}

/// A writer is active that should have been kept away.
#[test]
fn an_index_whose_root_came_later_stays_and_none_goes_once_the_heads_have_moved() {
    for subject in stores() {
        let (store, name) = (&*subject.store, subject.name);
        fill(store);
        let table = store.side_table(knn::TABLE).unwrap();
        let late = raw("comes later");
        let kept = knn::store(&*table, &index(late.0)).unwrap();
        let dead = knn::store(&*table, &index(cid_of(RAW, b"was never here"))).unwrap();
        let options = CollectOptions::new().indexes(true);
        let at = |stage: Stage, act: &dyn Fn()| {
            let mut acted = false;
            collect(store, &options, &mut |progress| {
                if progress.stage == stage && !acted {
                    acted = true;
                    act();
                }
                ControlFlow::Continue(())
            })
        };
        let error = at(Stage::Indexes, &|| store.update(&late.0, &[]).unwrap()).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::HeadsMoved), "{name}");
        assert_eq!(knn::list(&*table).unwrap().count(), 2, "{name}");
        let heads = store.heads().unwrap();
        let others: Vec<Cid> = heads.iter().copied().filter(|head| *head != late.0).collect();
        store.update(&others[0], &[late.0]).unwrap();
        let report = at(Stage::Sweep, &|| store.put(&late.0, late.1.clone()).unwrap()).expect(name);
        let removed: Vec<Cid> = report.dead_indexes.iter().map(|dead| dead.cid).collect();
        assert_eq!((removed, report.indexes_removed), (vec![dead], 1), "{name}");
        assert!(knn::open(table, &kept).unwrap().is_some(), "{name}");
    }
}
