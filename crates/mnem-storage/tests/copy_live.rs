//! Copies of stores that change meanwhile. The copy has everything that was present at the start and not deleted, and
//! everything that its heads reach.

use std::{
    collections::BTreeSet,
    env,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use mnem_storage::{
    Cid, CollectOptions, CopyOptions, Durability, ErrorKind, MemoryStore, OpHeadsStore as _, OpenOptions,
    ReachableOptions, Stage, Store, StoreError, Walk, WriteBatch, collect, copy, copy_reachable, copy_with,
    driver::Sharing, unwatched,
};

use crate::{
    COPIED_DRIVERS,
    fixtures::{Block, json_node, raw},
};

/// The number of copies of each kind of source in memory. Stores on disk make many syncs, and take fewer copies unless
/// `MNEM_SOAK_ROUNDS` is set, as by `cargo xtask soak copies`.
const ROUNDS: u64 = 100;

/// The number of copies of each kind of source on disk.
const ROUNDS_ON_DISK: u64 = 6;

/// The number of copies into one target, before a new target is used.
const ROUNDS_OF_A_TARGET: u64 = 8;

/// The maximum number of writer turns during one copy, which keeps stores small.
const TURNS_OF_A_ROUND: u64 = 4;

/// How to open stores of one kind.
#[derive(Clone, Copy)]
struct Open<'a> {
    at: &'a dyn Fn(&Path) -> Arc<dyn Store>,
    /// Whether several handles may write to one store.
    is_shared: bool,
}

impl Open<'_> {
    fn at(&self, path: impl AsRef<Path>) -> Arc<dyn Store> {
        (self.at)(path.as_ref())
    }
}

/// Runs with every driver, in its default mode and with several writers, and with the reference store in memory.
fn on_every_driver(run: impl Fn(&str, Open<'_>)) {
    run("memory", Open { at: &|_| Arc::new(MemoryStore::new()), is_shared: false });
    for driver in COPIED_DRIVERS {
        let options = OpenOptions::new().drivers(COPIED_DRIVERS.iter().copied()).backend(driver.name()).create(true);
        for (mode, sharing) in [("", Sharing::ExclusiveWriter), (", several writers", Sharing::MultiWriter)] {
            // A carlog store allows only one writing handle.
            if driver.name() == "carlog" && sharing == Sharing::MultiWriter {
                continue;
            }
            // Nothing here cuts the power.
            let options = options.clone().sharing(sharing).durability(Durability::Process);
            let who = format!("{}{mode}", driver.name());
            let at = |path: &Path| options.open(path).unwrap_or_else(|error| panic!("{who}: {error}"));
            run(&who, Open { at: &at, is_shared: sharing == Sharing::MultiWriter });
        }
    }
}

/// An operation with its own leaves and these links. The head comes last.
fn operation(number: u64, parents: &[Cid]) -> Vec<Block> {
    let mut blocks: Vec<Block> = (0..4).map(|n| raw(format!("leaf {n} of {number}"))).collect();
    let inner = json_node(&blocks.iter().map(|block| block.0).collect::<Vec<_>>(), &format!("inner {number}"));
    let head = json_node(&[&[inner.0], parents].concat(), &format!("operation {number}"));
    blocks.extend([inner, head]);
    blocks
}

fn commit(store: &dyn Store, number: u64, parents: &[Cid], supersedes: &[Cid]) -> Result<Cid, StoreError> {
    let blocks = operation(number, parents);
    let head = blocks.last().map(|block| block.0).expect("a head");
    let mut batch = WriteBatch::new();
    batch.extend(blocks);
    store.commit(batch.update(head, supersedes.iter().copied()))?;
    Ok(head)
}

fn cids(store: &dyn Store) -> BTreeSet<Cid> {
    store.cids().unwrap().map(Result::unwrap).collect()
}

/// Checks that everything is there that the heads reach.
fn assert_whole(store: &dyn Store, who: &str) {
    for block in Walk::from_roots(store, store.heads().unwrap()) {
        block.unwrap_or_else(|error| panic!("{who}: {error}"));
    }
}

/// One turn of the writer on the source, with its number.
type Turn = fn(&dyn Store, u64) -> Result<(), StoreError>;

/// Each operation links to the previous one, and is put together with unreachable blocks.
fn goes_on(store: &dyn Store, number: u64) -> Result<(), StoreError> {
    let loose = raw(format!("loose {number}"));
    store.put(&loose.0, loose.1)?;
    let heads = store.heads()?;
    commit(store, number, &heads, &heads).map(drop)
}

/// Like `goes_on`, but deletes the unreachable blocks of earlier turns.
fn deletes(store: &dyn Store, number: u64) -> Result<(), StoreError> {
    goes_on(store, number)?;
    store.delete(&raw(format!("loose {}", number / 2)).0)
}

/// Each operation replaces all earlier ones, which are collected at once.
fn collects(store: &dyn Store, number: u64) -> Result<(), StoreError> {
    let heads = store.heads()?;
    commit(store, number, &[], &heads)?;
    collect(store, &CollectOptions::new(), &mut unwatched).expect("a collection");
    Ok(())
}

fn rounds(who: &str) -> u64 {
    let set = env::var("MNEM_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    set.unwrap_or(if who == "memory" { ROUNDS } else { ROUNDS_ON_DISK })
}

/// Copies while a writer takes turns, on its own handle if there may be several. `check` gets the state before the
/// copy, the source and the target.
fn race(
    who: &str,
    open: Open<'_>,
    turn: Turn,
    take: &dyn Fn(&dyn Store, &dyn Store),
    check: &dyn Fn(&BTreeSet<Cid>, &dyn Store),
) {
    let folder = tempfile::tempdir().unwrap();
    let from = open.at(folder.path().join("from"));
    commit(&*from, 0, &[], &[]).unwrap();
    let of_writer = if open.is_shared { open.at(folder.path().join("from")) } else { Arc::clone(&from) };
    thread::scope(|scope| {
        let (turns, may_go_on) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let (from, of_writer) = (&*from, &*of_writer);
        scope.spawn(move || {
            for (number, ()) in (1..).zip(may_go_on) {
                turn(of_writer, number).expect("a turn");
                done.send(()).expect("somebody copies");
            }
        });
        let mut to = open.at(folder.path().join("to"));
        for round in 0..rounds(who) {
            if round % ROUNDS_OF_A_TARGET == 0 {
                to = open.at(folder.path().join(format!("to {round}")));
            }
            let before = cids(from);
            (0..TURNS_OF_A_ROUND).for_each(|_| turns.send(()).expect("a writer waits"));
            take(from, &*to);
            assert_whole(&*to, &format!("{who}, round {round}"));
            check(&before, &*to);
            (0..TURNS_OF_A_ROUND).for_each(|_| is_done.recv().expect("a turn is over"));
        }
    });
}

/// Copies, and keeps heads of earlier copies that were collected in the source.
fn take(from: &dyn Store, to: &dyn Store) {
    let report = copy_with(from, to, &CopyOptions::new().merge_heads(true), &mut unwatched).unwrap();
    let heads: BTreeSet<Cid> = report.heads.into_iter().chain(report.heads_merged).collect();
    assert_eq!(to.heads().unwrap(), heads.into_iter().collect::<Vec<_>>());
}

fn take_reached(from: &dyn Store, to: &dyn Store) {
    let options = ReachableOptions::new().merge_heads(true);
    let report = copy_reachable(from, to, &options, &mut unwatched).unwrap().copied;
    assert!(report.heads.iter().all(|head| to.heads().unwrap().contains(head)));
}

fn holds(before: &BTreeSet<Cid>, to: &dyn Store) {
    let lacks: Vec<_> = before.iter().filter(|cid| !to.has(cid).unwrap()).collect();
    assert!(lacks.is_empty(), "{lacks:?}");
}

#[test]
fn beside_commits_everything_that_was_there_is_copied() {
    on_every_driver(|who, open| race(who, open, goes_on, &take, &holds));
}

#[test]
fn beside_deletes_everything_else_is_copied() {
    on_every_driver(|who, open| {
        let loose: BTreeSet<Cid> =
            (0..rounds(who) * TURNS_OF_A_ROUND).map(|number| raw(format!("loose {number}")).0).collect();
        race(who, open, deletes, &take, &|before, to| {
            holds(&before.difference(&loose).copied().collect(), to);
        });
    });
}

#[test]
fn beside_collections_what_the_heads_reach_is_whole() {
    on_every_driver(|who, open| race(who, open, collects, &take, &|_, _| ()));
}

#[test]
fn what_the_heads_reach_is_copied_beside_all_of_them() {
    for turn in [goes_on, deletes, collects] {
        on_every_driver(|who, open| race(who, open, turn, &take_reached, &|_, _| ()));
    }
}

/// The collection runs when only the heads have been read.
#[test]
fn a_head_that_is_collected_before_it_is_copied_is_not_set() {
    on_every_driver(|who, open| {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (open.at(folder.path().join("from")), open.at(folder.path().join("to")));
        let old = commit(&*from, 0, &[], &[]).unwrap();
        let mut collected = false;
        let report = copy(&*from, &*to, &mut |_| {
            if !collected {
                collected = true;
                collects(&*from, 1).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_ne!(report.heads, [old], "{who}");
        assert_eq!(to.heads().unwrap(), from.heads().unwrap(), "{who}");
        assert_whole(&*to, who);
    });
}

/// When the copy lists the blocks, the collection has removed only a leaf of the old head.
#[test]
fn a_head_that_is_collected_in_part_is_not_set() {
    on_every_driver(|who, open| {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (open.at(folder.path().join("from")), open.at(folder.path().join("to")));
        let old = commit(&*from, 0, &[], &[]).unwrap();
        let mut moved = false;
        copy(&*from, &*to, &mut |_| {
            if !moved {
                moved = true;
                commit(&*from, 1, &[], &[old]).unwrap();
                from.delete(&raw("leaf 2 of 0").0).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(to.heads().unwrap(), from.heads().unwrap(), "{who}");
        assert_whole(&*to, who);
    });
}

/// A killed copy has left the head in the target without the blocks that it links to. The next copy finds the head
/// there. Then the source is collected, so the blocks of the old head are gone before they are listed.
#[test]
fn a_head_of_an_interrupted_copy_is_followed_too() {
    on_every_driver(|who, open| {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (open.at(folder.path().join("from")), open.at(folder.path().join("to")));
        let old = commit(&*from, 0, &[], &[]).unwrap();
        to.put(&old, from.get(&old).unwrap().expect("the head")).unwrap();
        let mut collected = false;
        copy(&*from, &*to, &mut |_| {
            if !collected {
                collected = true;
                collects(&*from, 1).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(to.heads().unwrap(), from.heads().unwrap(), "{who}");
        assert_whole(&*to, who);
    });
}

/// A collection removes the blocks of the old head during the copy. The current heads lack nothing.
#[test]
fn nothing_is_left_out_that_only_a_head_of_before_lacks() {
    on_every_driver(|who, open| {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (open.at(folder.path().join("from")), open.at(folder.path().join("to")));
        let old = commit(&*from, 0, &[], &[]).unwrap();
        let mut moved = false;
        let report = copy_reachable(&*from, &*to, &ReachableOptions::new().skip_missing(true), &mut |_| {
            if !moved {
                moved = true;
                commit(&*from, 1, &[], &[old]).unwrap();
                from.delete(&raw("leaf 2 of 0").0).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!((report.missing_count, to.heads().unwrap()), (0, from.heads().unwrap()), "{who}");
    });
}

/// If the source keeps losing blocks that its heads reach, the copy fails.
#[test]
fn a_source_that_never_rests_is_given_up() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let mut number = 0;
    commit(&from, number, &[], &[]).unwrap();
    let error = copy(&from, &to, &mut |progress| {
        if progress.stage == Stage::Blocks {
            number += 1;
            collects(&from, number).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::MissingBlock));
    assert_eq!(to.heads().unwrap(), []);
}
