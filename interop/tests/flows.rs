//! A repository's life over each of our stores is, block by block, the one over the published backend.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
    thread,
};

use mnem_backend_redb::{Layout, OpenOptions as Redb};
use mnem_backend_simple::OpenOptions as Simple;
use mnem_core_bridge::{Bridge, Options};
use mnem_interop::{
    flow::{Contents, check, first_half, second_half},
    graph::{Result, Stores, halves, init, node, node_id, open, options},
};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{MemoryStore, Store};
use published_core::{
    id::{Cid, NodeId},
    objects::RefTarget,
    repo::ReadonlyRepo,
    store::{MemoryBlockstore, MemoryOpHeadsStore},
};

use crate::tool::published;

/// The life over the published backend, which syncs thousands of times: once for all tests.
fn expected() -> &'static (Vec<Cid>, Contents) {
    static EXPECTED: LazyLock<(Vec<Cid>, Contents)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        live(|| published(&folder.path().join("published.redb"))).expect("the published backend")
    });
    &EXPECTED
}

/// Opens one of our stores, anew each time.
type Open = Box<dyn Fn() -> Arc<dyn Store>>;

fn ours(folder: &Path) -> [(&'static str, Open); 4] {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let [native, mnem01, simple] = ["native.redb", "mnem01.redb", "a.simple"].map(|name| folder.join(name));
    [
        ("memory", Box::new(move || Arc::clone(&memory))),
        ("redb", Box::new(move || Arc::new(Redb::new().create(true).open(&native).expect("redb")))),
        (
            "redb, published layout",
            Box::new(move || Arc::new(Redb::new().create(true).layout(Layout::Mnem01).open(&mnem01).expect("redb"))),
        ),
        ("simple", Box::new(move || Arc::new(Simple::new().create(true).open(&simple).expect("simple")))),
    ]
}

/// The life of a repository, with the store opened again in the middle and at the end.
fn live(open: impl Fn() -> Stores) -> Result<(Vec<Cid>, Contents)> {
    let mut operations = first_half(&open())?;
    operations.extend(second_half(&open())?);
    let stores = open();
    check(&stores)?;
    Ok((operations, Contents::of(&stores)?))
}

#[test]
fn every_cid_is_that_of_the_published_backend() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected();
    assert!(
        expected.1.blocks.len() > 300 && expected.0.len() == 20,
        "{} {}",
        expected.1.blocks.len(),
        expected.0.len()
    );
    let theirs: Stores = (Arc::new(MemoryBlockstore::new()), Arc::new(MemoryOpHeadsStore::new()));
    assert_eq!(live(|| theirs.clone()).unwrap(), *expected, "their own memory store");
    for (name, open) in ours(folder.path()) {
        let lived = live(|| halves(Bridge::new(open()))).unwrap();
        assert_eq!(lived.0, expected.0, "operations over {name}");
        assert_eq!(lived.1, expected.1, "contents of {name}");
        // What our own walk reaches from the head is what theirs does, in whatever order.
        let store = open();
        let mut walked: Vec<Vec<u8>> = mnem_store_traits::Walk::from_roots(&store, store.heads().unwrap())
            .map(|block| block.unwrap().0.to_bytes())
            .collect();
        let mut theirs: Vec<Vec<u8>> = expected.1.walk.iter().map(Cid::to_bytes).collect();
        walked.sort();
        theirs.sort();
        assert_eq!(walked, theirs, "{name}");
    }
}

/// Every way of staging leaves the same.
#[test]
fn bounds_change_nothing() {
    let expected = expected();
    for bytes in [0, 1000, 50_000] {
        let store = MemoryStore::new();
        let options = Options::new().staged_bytes_max(bytes).staged_time_max(Some(std::time::Duration::ZERO));
        let bridge = || Bridge::with_options(Arc::new(store.clone()), &options);
        assert_eq!(live(|| halves(bridge())).unwrap(), *expected, "{bytes}");
    }
}

/// What takes the time of day has CIDs of its own in every run: it is compared by what it does.
#[test]
fn steps_at_the_time_of_day() {
    let folder = tempfile::tempdir().unwrap();
    for (name, open_store) in ours(folder.path()) {
        let (id, commit) = at_the_time_of_day(&halves(Bridge::new(open_store()))).unwrap();
        let repo = open(&halves(Bridge::new(open_store()))).unwrap();
        assert!(repo.lookup_node(&id).unwrap().is_some(), "{name}");
        assert_eq!(repo.view().active_branch(), Some("refs/heads/side"), "{name}");
        assert_eq!(repo.view().refs.get("refs/heads/side"), Some(&RefTarget::normal(commit)), "{name}");
    }
}

/// Each step of it takes the time itself. Returns a node that was made and the commit that it is in.
fn at_the_time_of_day(stores: &Stores) -> Result<(NodeId, Cid)> {
    let repo = ReadonlyRepo::init(Arc::clone(&stores.0), Arc::clone(&stores.1))?;
    let mut transaction = repo.start_transaction();
    let id = transaction.commit_memory("Note", "made now", [])?;
    let repo = transaction.commit("somebody", "now")?;
    let commit = repo.view().heads.first().ok_or("no commit")?.clone();
    let target = RefTarget::normal(commit.clone());
    let repo = repo.update_ref("refs/heads/side", None, Some(target), "somebody")?;
    repo.switch_branch(commit.clone(), "refs/heads/side", "somebody")?;
    Ok((id, commit))
}

/// Threads commit at the same time, on top of the same operation; the next to open merges. Several rounds.
#[test]
fn concurrent_committers() {
    const THREADS: u16 = 6;
    const ROUNDS: u16 = 4;
    let folder = tempfile::tempdir().unwrap();
    for (name, open_store) in ours(folder.path()) {
        let bridge = Bridge::new(open_store());
        let stores = bridge.stores();
        init(&stores).unwrap();
        for round in 0..ROUNDS {
            let base = open(&stores).unwrap();
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (base, number) = (base.clone(), round * THREADS + thread);
                    scope.spawn(move || {
                        let mut transaction = base.start_transaction();
                        transaction.add_node(&node(number)).unwrap();
                        transaction.commit_opts(options(number)).unwrap();
                    });
                }
            });
            assert_eq!(stores.1.current().unwrap().len(), usize::from(THREADS), "{name}");
        }
        let merged = open(&stores).unwrap();
        let missing: Vec<u16> =
            (0..ROUNDS * THREADS).filter(|&n| merged.lookup_node(&node_id(n)).unwrap().is_none()).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        drop((merged, stores));
        bridge.close().unwrap();
    }
}

/// Two handles as two processes have them, a bridge over each: both commit on top of the same operation, and each sees what the other landed.
#[test]
fn bridges_over_two_handles_of_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let (file, plain) = (folder.path().join("shared.redb"), folder.path().join("shared.simple"));
    let redb = || -> Arc<dyn Store> {
        let options = Redb::new().create(true).sharing(Sharing::MultiWriter);
        Arc::new(options.open(&file).unwrap())
    };
    let simple = || -> Arc<dyn Store> { Arc::new(Simple::new().create(true).open(&plain).unwrap()) };
    for (name, handles) in [("redb", [redb(), redb()]), ("simple", [simple(), simple()])] {
        let sides = handles.map(|store| halves(Bridge::new(store)));
        init(&sides[0]).unwrap();
        let begun = sides.each_ref().map(|side| open(side).unwrap().start_transaction());
        for (number, mut transaction) in (0..).zip(begun) {
            transaction.add_node(&node(number)).unwrap();
            transaction.commit_opts(options(number)).unwrap();
        }
        let heads = sides.each_ref().map(|side| side.1.current().unwrap());
        assert!(heads[0].len() == 2 && heads[0] == heads[1], "{name}: {heads:?}");
        let merged = sides.each_ref().map(|side| open(side).unwrap());
        assert_eq!(merged[0].op_id(), merged[1].op_id(), "{name}");
        for number in 0..2 {
            assert!(merged.iter().all(|repo| repo.lookup_node(&node_id(number)).unwrap().is_some()), "{name}");
        }
    }
}
