//! Every workload on every store of this workspace.

use std::path::Path;

use mnem_benches::{
    Block, Blocks, RECORDED, Trace, WorkloadError, bulk_import, commit, commit_as, concurrent_puts,
    delete_every_second, enumerate, get_all_threads, has_all_threads, import_archive, put_many, put_present, reopen,
    reopen_after_kill, single_puts,
};
use mnem_storage::OpenOptions;
use mnem_store_traits::{MemoryStore, Store};

type Workload = fn(&dyn Store) -> Result<(), WorkloadError>;

/// The workloads, each for an empty store.
pub(crate) const WORKLOADS: [(&str, Workload); 15] = [
    ("single_puts", |store| single_puts(store, &mut Blocks::new(1, 300), 9).map(drop)),
    ("put_present", |store| put_present(store, &filled(store)?).map(drop)),
    ("concurrent_puts", |store| concurrent_puts(store, 2, 3, 4).map(drop)),
    ("commit", |store| commit(store, &mut Blocks::new(3, 300), 9).map(drop)),
    ("commit_as", |store| commit_as(store, &mut Blocks::new(3, 300), 9, &mut |batch| store.commit(batch)).map(drop)),
    ("put_many", |store| put_many(store, &mut Blocks::new(4, 300), 50).map(drop)),
    ("bulk_import", |store| bulk_import(store, &mut Blocks::new(5, 300), 90, 40).map(drop)),
    ("import_archive", |store| {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/data/wordnet-animals.car");
        import_archive(store, &archive).map(drop)
    }),
    ("get_all", |store| get_all_threads(store, &filled(store)?, 2).map(drop)),
    ("has_all, present", |store| has_all_threads(store, &filled(store)?, true, 2).map(drop)),
    ("enumerate", |store| enumerate(store, filled(store)?.len() as u64).map(drop)),
    ("delete_every_second", |store| delete_every_second(store, &filled(store)?, 7).map(drop)),
    ("reopen", |store| {
        let known = filled(store)?;
        reopen(|| Ok(store), &known).map(drop)
    }),
    ("reopen_after_kill", |store| {
        let mut blocks = Blocks::new(7, 300);
        for _ in 0..3 {
            commit(store, &mut blocks, 5)?;
        }
        // The process may have been killed before it could report its last commit.
        reopen_after_kill(|| Ok(store), 7, 3)?;
        reopen_after_kill(|| Ok(store), 7, 2).map(drop)
    }),
    ("trace", |store| {
        let [(_, text), ..] = RECORDED;
        let trace: Trace = text.parse().unwrap();
        trace.prepare(store)?;
        trace.replay(store).map(drop)
    }),
];

fn filled(store: &dyn Store) -> Result<Vec<Block>, WorkloadError> {
    let known: Vec<_> = Blocks::new(6, 300).take(30).collect();
    store.put_many(&mut known.iter().cloned().map(Ok))?;
    Ok(known)
}

fn all(mut store: impl FnMut(&str) -> Box<dyn Store>) {
    for (name, workload) in WORKLOADS {
        if let Err(error) = workload(&*store(name)) {
            panic!("{name}: {error:?}");
        }
    }
}

#[test]
fn every_workload_on_memory() {
    all(|_| Box::new(MemoryStore::new()));
}

#[test]
fn every_workload_on_redb() {
    let folder = tempfile::tempdir().unwrap();
    all(|name| open(&folder.path().join(name), "redb"));
}

#[test]
fn every_workload_on_simple() {
    let folder = tempfile::tempdir().unwrap();
    all(|name| open(&folder.path().join(name), "simple"));
}

fn open(path: &Path, backend: &'static str) -> Box<dyn Store> {
    Box::new(OpenOptions::new().create(true).backend(backend).open(path).unwrap())
}

#[test]
fn absent_blocks_are_asked_for_too() {
    let store = MemoryStore::new();
    let known = filled(&store).unwrap();
    let absent: Vec<_> = Blocks::new(8, 300).take(30).collect();
    has_all_threads(&store, &absent, false, 2).unwrap();
    assert!(matches!(has_all_threads(&store, &known, false, 1), Err(WorkloadError::Wrong(_))));
}
