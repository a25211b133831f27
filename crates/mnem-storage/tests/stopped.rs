//! Long calls that their callback stops: they end between two blocks, report what was kept, and can be repeated.

use std::ops::ControlFlow;

use mnem_storage::{
    Bytes, CopyError, MemoryStore, OpHeadsStore as _, Progress, Stage, Store, VerifyError, VerifyOptions,
    car::{self, ExportError, ExportOptions, ImportError, ImportErrorKind, ImportOptions},
    copy,
    knn::{self, DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId},
    unwatched, verify,
};

use crate::fixtures::{ANIMALS_BLOCKS, animals, animals_root, stores};

/// A callback that continues while the condition holds.
fn while_so(so: impl Fn(Progress) -> bool) -> impl FnMut(Progress) -> ControlFlow<()> {
    move |progress| if so(progress) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn heads() -> ImportOptions {
    ImportOptions::new().heads(true)
}

fn blocks(store: &dyn Store) -> u64 {
    store.cids().unwrap().map(Result::unwrap).count() as u64
}

/// The animals, rows of a side table, and an index of neighbours.
fn source() -> MemoryStore {
    let store = MemoryStore::new();
    car::import(&store, &animals()[..], &heads(), &mut unwatched).unwrap();
    let rows = [1, 2, 3].map(|n| (Bytes::from(vec![n]), Bytes::from(vec![n; 10])));
    store.side_table("notes").unwrap().write(&rows, &[]).unwrap();
    let edge = KnnEdge { src: NodeId([1; 16]), dst: NodeId([2; 16]), weight: 0.5 };
    let index = KnnEdgeIndex::new(animals_root(), 1, DistanceMetric::Cosine, vec![edge]).unwrap();
    knn::store(&*store.side_table(knn::TABLE).unwrap(), &index).unwrap();
    store
}

#[test]
fn an_import_keeps_what_it_says_and_goes_on_from_there() {
    for subject in stores() {
        let (store, archive, mut before) = (&*subject.store, animals(), 0);
        for stop_at in [0, 1, 1000, ANIMALS_BLOCKS] {
            let mut watch = while_so(|progress| progress.blocks < stop_at);
            let error = car::import(store, &archive[..], &heads(), &mut watch).unwrap_err();
            let ImportError::Stopped { offset, kept } = error else { panic!("{}: {error}", subject.name) };
            // After the stop, blocks that were read are stored for a moment longer.
            assert!(kept.blocks <= stop_at && (kept.blocks > 0) == (stop_at > 0), "{}: {kept:?}", subject.name);
            before += kept.new;
            assert_eq!(blocks(store), before, "{}", subject.name);
            assert!(offset > 0 && offset <= archive.len() as u64);
            assert_eq!(store.heads().unwrap(), [], "{}", subject.name);
        }
        let report = car::import(store, &archive[..], &heads(), &mut unwatched).unwrap();
        let new = ANIMALS_BLOCKS - before;
        assert_eq!((report.new, report.heads_set), (new, vec![animals_root()]), "{}", subject.name);
    }
}

#[test]
fn what_an_import_kept_is_told_by_its_error() {
    let mut watch = while_so(|progress| progress.blocks < 10);
    let error = car::import(&MemoryStore::new(), &animals()[..], &heads(), &mut watch).unwrap_err();
    assert_eq!((error.kind(), error.kept().blocks, error.kept().new), (ImportErrorKind::Stopped, 10, 10));
    let text = error.to_string();
    assert!(text.contains("10 verified blocks in the store, 10 new; the heads are unchanged"), "{text}");
}

#[test]
fn an_export_writes_no_further_block() {
    let store = source();
    let mut whole = Vec::new();
    car::export(&store, &mut whole, &ExportOptions::new(), &mut unwatched).unwrap();
    for stop_at in [0, 7, ANIMALS_BLOCKS] {
        let mut archive = Vec::new();
        let mut watch = while_so(|progress| progress.blocks < stop_at);
        let error = car::export(&store, &mut archive, &ExportOptions::new(), &mut watch).unwrap_err();
        assert!(matches!(error, ExportError::Stopped { blocks } if blocks == stop_at), "{error}");
        assert!(whole.starts_with(&archive));
    }
}

#[test]
fn a_copy_ends_in_any_stage_and_is_finished_by_another() {
    let from = source();
    for subject in stores() {
        let (to, name) = (&*subject.store, subject.name);
        let ends = |so: &dyn Fn(Progress) -> bool| match copy(&from, to, &mut while_so(so)) {
            Err(CopyError::Stopped { blocks, new, .. }) => (blocks, new),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(ends(&|progress| progress.blocks < 50), (50, 50), "{name}");
        assert_eq!((blocks(to), to.heads().unwrap()), (50, vec![]), "{name}: what was counted is there");
        assert_eq!(ends(&|progress| progress.stage != Stage::Tables), (ANIMALS_BLOCKS, ANIMALS_BLOCKS - 50), "{name}");
        assert_eq!((blocks(to), to.heads().unwrap()), (ANIMALS_BLOCKS, vec![]), "{name}: heads come last");
        assert_eq!(ends(&|progress| progress.stage != Stage::Proof), (ANIMALS_BLOCKS, 0), "{name}");
        let report = copy(&from, to, &mut unwatched).unwrap();
        assert_eq!((report.new, report.heads, report.tables.len()), (0, vec![animals_root()], 2), "{name}");
    }
}

#[test]
fn a_copy_ends_while_it_passes_over_what_only_the_target_holds() {
    let from = MemoryStore::new();
    for subject in stores() {
        let (to, name) = (&*subject.store, subject.name);
        car::import(to, &animals()[..], &ImportOptions::new(), &mut unwatched).unwrap();
        let mut asked = 0;
        let copied = copy(&from, to, &mut |_| {
            asked += 1;
            if asked < 50 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert!(matches!(copied, Err(CopyError::Stopped { blocks: 0, new: 0 })), "{name}: {copied:?}");
    }
}

#[test]
fn a_verification_says_what_it_has_found_by_then() {
    let store = source();
    let absent = crate::fixtures::raw("absent").0;
    store.update(&absent, &[animals_root()]).unwrap();
    let ends = |options: &VerifyOptions, so: &dyn Fn(Progress) -> bool| match verify(&store, options, &mut while_so(so))
    {
        Err(VerifyError::Stopped(report)) => (report.fault_count, report.blocks, report.rows > 0),
        other => panic!("{other:?}"),
    };
    let options = VerifyOptions::new();
    assert_eq!(ends(&options, &|_| false), (0, 0, false));
    assert_eq!(ends(&options, &|progress| progress.blocks < 20), (1, 20, false), "the head is looked at first");
    assert_eq!(ends(&options, &|progress| progress.stage != Stage::Tables), (1, ANIMALS_BLOCKS, true));
    assert_eq!(ends(&options, &|progress| progress.stage != Stage::Indexes), (1, ANIMALS_BLOCKS, true));
    let counted = options.count(true);
    assert_eq!(ends(&counted, &|progress| progress.stage != Stage::Counting), (0, 0, false));
    let mut totals = Vec::new();
    let report = verify(&store, &counted, &mut |progress| {
        if progress.stage == Stage::Blocks {
            totals.push(progress.total_blocks);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().blocks, ANIMALS_BLOCKS);
    assert!(
        totals.iter().all(|total| *total == Some(ANIMALS_BLOCKS)) && totals.len() > 4000,
        "known from the beginning"
    );
}
