//! Killed jobs: imports and copies leave an intact store, and repeating them finishes the work.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use mnem_storage::{
    Blockstore as _, Bytes, Cid, MemoryStore, OpHeadsStore as _, OpenOptions, RAW, Store, StoreError, WriteBatch,
    car::{self, ImportOptions},
    cid_of, copy,
    knn::{self, DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId},
    unwatched,
};
use tempfile::TempDir;

use super::{Random, Scene, Tally, Work, stream::assert_whole, writer::open};
use crate::fixtures::{car as archive_of, node, raw};

/// Small, so that an import makes many commits.
pub(super) const BATCH_BYTES: u64 = 4_096;

/// The number of leaves in the archive.
const LEAVES: u32 = 300;

/// The number of kills before a job is allowed to finish.
const KILLS: u32 = 3;

/// What is imported and copied: an archive, and a store of each backend with the same blocks.
struct Source {
    folder: TempDir,
    root: Cid,
    blocks: u64,
}

impl Source {
    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive.car")
    }

    fn store(&self, backend: &'static str) -> PathBuf {
        self.folder.path().join(backend)
    }

    fn get() -> &'static Self {
        static SOURCE: OnceLock<Source> = OnceLock::new();
        SOURCE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let leaves: Vec<_> = (0..LEAVES).map(|n| raw(format!("{n} ").repeat(1 + n as usize % 90))).collect();
        let inner: Vec<_> =
            leaves.chunks(20).map(|chunk| node(&chunk.iter().map(|(cid, _)| *cid).collect::<Vec<_>>())).collect();
        let root = node(&inner.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
        let blocks = [vec![root.clone()], inner, leaves].concat();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = Self { folder, root: root.0, blocks: blocks.len() as u64 };
        let archive = archive_of(&[root.0], &blocks);
        fs::write(source.archive(), &archive).expect("write the archive");
        for backend in mnem_storage::DRIVERS.iter().map(|driver| driver.name()) {
            let store = open(&source.store(backend), backend);
            let options = ImportOptions::new().heads(true);
            car::import(&*store, &archive[..], &options, &mut unwatched).expect("import");
            let notes = store.side_table("notes").expect("a side table");
            let rows: Vec<_> = (0..60).map(|n| (Bytes::from(format!("{n}")), Bytes::from(vec![n; 500]))).collect();
            notes.write(&rows, &[]).expect("write rows");
            store.close().expect("close");
        }
        source
    }

    /// Another backend, if there is one.
    fn other(backend: &'static str) -> &'static str {
        mnem_storage::DRIVERS.iter().map(|driver| driver.name()).find(|other| *other != backend).unwrap_or(backend)
    }
}

pub(super) fn create(scene: &Scene, backend: &'static str, random: &mut Random, tally: &mut Tally) {
    let path = scene.path();
    let typical = scene.duration_of(|path| open(path, backend).close().expect("close"));
    for _ in 0..KILLS {
        let heard = scene.end_within(Work::Create, backend, &path, typical, random, tally);
        let there = match OpenOptions::new().open(&path) {
            Ok(store) => {
                assert_eq!((store.heads().expect("heads"), store.cids().expect("cids").count()), (vec![], 0));
                store.close().expect("close");
                true
            }
            // Nothing yet, or a folder without relevant content.
            Err(StoreError::NotAStore { .. }) => false,
            Err(error) => panic!("what a killed creation left is neither a store nor nothing: {error:?}"),
        };
        assert!(there || heard.acknowledged == 0, "an acknowledged store is gone");
        tally.landed_unsaid += u32::from(there && heard.acknowledged == 0);
    }
    let store = open(&path, backend);
    let (cid, data) = raw("the first block");
    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
    store.close().expect("close");
    assert_whole(&path);
    assert_eq!(open(&path, backend).heads().expect("heads"), [cid]);
}

fn import_into(store: &dyn Store) {
    let archive = fs::read(Source::get().archive()).expect("the archive");
    let options = ImportOptions::new().heads(true).batch_bytes(BATCH_BYTES);
    car::import(store, &archive[..], &options, &mut unwatched).expect("import");
}

fn copy_into(store: &dyn Store, backend: &'static str) {
    let path = Source::get().store(Source::other(backend));
    let source = OpenOptions::new().read_only(true).open(path).expect("the source");
    copy(&*source, store, &mut unwatched).expect("copy");
}

pub(super) fn import(scene: &Scene, backend: &'static str, random: &mut Random, tally: &mut Tally) {
    let source = Source::get().archive();
    let typical = scene.duration_of(|path| import_into(&*open(path, backend)));
    resume(scene, backend, Work::Import, &source, typical, random, tally);
    let store = open(&scene.path(), backend);
    import_into(&*store);
    assert_finished(&*store);
}

pub(super) fn copy_over(scene: &Scene, backend: &'static str, random: &mut Random, tally: &mut Tally) {
    let source = Source::get().store(Source::other(backend));
    let typical = scene.duration_of(|path| copy_into(&*open(path, backend), backend));
    resume(scene, backend, Work::Copy, &source, typical, random, tally);
    let store = open(&scene.path(), backend);
    // The copy itself proves that both stores hold the same.
    copy_into(&*store, backend);
    assert_eq!(store.side_table("notes").expect("the side table").keys(&[]).expect("keys").count(), 60);
    assert_finished(&*store);
}

/// Kills the job repeatedly. The remains must be intact, and the head must be there with everything or not at all.
fn resume(
    scene: &Scene,
    backend: &'static str,
    work: Work,
    source: &Path,
    typical: u64,
    random: &mut Random,
    tally: &mut Tally,
) {
    let path = scene.path();
    let mut acknowledged = false;
    for _ in 0..KILLS {
        let heard = scene.end_within(work, backend, source, typical, random, tally);
        acknowledged |= heard.acknowledged > 0;
        if random.below(4) == 0 {
            tally.in_a_row += 1;
            continue;
        }
        let store = open(&path, backend);
        let heads = store.heads().expect("heads");
        assert!(heads.is_empty() || heads == [Source::get().root], "{heads:?}");
        assert!(!acknowledged || !heads.is_empty(), "an acknowledged head is gone");
        tally.landed_unsaid += u32::from(!acknowledged && !heads.is_empty());
        store.close().expect("close");
        drop(store);
        assert_whole(&path);
    }
}

fn assert_finished(store: &dyn Store) {
    let source = Source::get();
    assert_eq!(store.heads().expect("heads"), [source.root]);
    assert_eq!(store.cids().expect("cids").count() as u64, source.blocks);
    let whole = MemoryStore::new();
    copy(store, &whole, &mut unwatched).expect("every block can be read");
    store.close().expect("close");
}

/// An index of a different size for each number. Some have several chunks.
fn index(number: u64) -> KnnEdgeIndex {
    let nodes = 5 + (number * 37 % 900) as u16;
    let id = |n: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        NodeId(bytes)
    };
    let weight = |n: u16| f32::from(n % 100) / 100.0;
    let edges = (0..nodes - 3).flat_map(|n| (1..4).map(move |step| (n, n + step)));
    let edges = edges.map(|(src, dst)| KnnEdge { src: id(src), dst: id(dst), weight: weight(src + dst) }).collect();
    let root = cid_of(RAW, &number.to_be_bytes());
    KnnEdgeIndex::new(root, 3, DistanceMetric::Cosine, edges).expect("a valid index")
}

/// Even operations store an index; odd ones delete the last but one.
pub(super) fn perform_knn(store: &dyn Store, operation: u64) -> Result<(), StoreError> {
    let table = store.side_table(knn::TABLE)?;
    let number = operation / 2;
    match (operation % 2, number.checked_sub(2)) {
        (0, _) => knn::store(&*table, &index(number)).map(drop),
        (_, Some(old)) => knn::delete(&*table, &index(old).compute_cid()),
        (_, None) => Ok(()),
    }
}

pub(super) fn knn(scene: &Scene, backend: &'static str, random: &mut Random, tally: &mut Tally) {
    let path = scene.path();
    let mut done = 0;
    for _ in 0..KILLS {
        let mut writer = scene.start(Work::Knn, backend, &path, done);
        writer.listen(random.below(12));
        let heard = scene.end(writer, 8_000, random, tally);
        done = heard.next.unwrap_or(done);
        if !path.exists() {
            assert_eq!(done, 0, "an acknowledged store is gone");
            continue;
        }
        let store = open(&path, backend);
        check_knn(&*store, done);
        perform_knn(&*store, done).expect("the store takes new indexes");
        done += 1;
        check_knn(&*store, done);
        store.close().expect("close");
        drop(store);
        assert_whole(&path);
    }
}

fn check_knn(store: &dyn Store, done: u64) {
    let table = store.side_table(knn::TABLE).expect("the table");
    for number in 0..=done / 2 {
        let (stored, deleted) = (number * 2, (number + 2) * 2 + 1);
        let found = knn::load(&*table, &index(number).compute_cid()).expect("whole or absent");
        if done != stored && done != deleted {
            assert_eq!(found.is_some(), done > stored && done < deleted, "index {number} after {done} operations");
        }
        assert!(found.is_none_or(|found| found == index(number)));
    }
}
