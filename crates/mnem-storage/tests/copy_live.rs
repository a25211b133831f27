//! Copies of stores that are written to meanwhile: what was there at the start, and was not deleted, is in the copy; and
//! what the heads of the copy reach is whole.

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

/// Copies of each kind of source in memory. Stores on disk sync much, and take fewer unless `MNEM_SOAK_ROUNDS` is set, as by
/// `cargo xtask soak copies`.
const ROUNDS: u64 = 100;

/// Copies of each kind of source on disk.
const ROUNDS_ON_DISK: u64 = 6;

/// Copies into the same target, before a new one is taken.
const ROUNDS_OF_A_TARGET: u64 = 8;

/// Turns of the writer beside one copy, at most: stores stay small.
const TURNS_OF_A_ROUND: u64 = 4;

/// How stores of one kind are opened.
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

/// Runs with every driver under test, in the mode that it has by default and with several writers, and the reference in memory.
fn on_every_driver(run: impl Fn(&str, Open<'_>)) {
    run("memory", Open { at: &|_| Arc::new(MemoryStore::new()), is_shared: false });
    for driver in COPIED_DRIVERS {
        let options = OpenOptions::new().drivers(COPIED_DRIVERS.iter().copied()).backend(driver.name()).create(true);
        for (mode, sharing) in [("", Sharing::ExclusiveWriter), (", several writers", Sharing::MultiWriter)] {
            // A carlog store has one writing handle in every mode.
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

/// An operation with leaves of its own, and links to these. The head comes last.
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

/// Everything that the heads reach is there.
fn assert_whole(store: &dyn Store, who: &str) {
    for block in Walk::from_roots(store, store.heads().unwrap()) {
        block.unwrap_or_else(|error| panic!("{who}: {error}"));
    }
}

/// What a writer does with the source, in the turn of this number.
type Turn = fn(&dyn Store, u64) -> Result<(), StoreError>;

/// Each operation links to the one before, and is put together with blocks that nothing reaches.
fn goes_on(store: &dyn Store, number: u64) -> Result<(), StoreError> {
    let loose = raw(format!("loose {number}"));
    store.put(&loose.0, loose.1)?;
    let heads = store.heads()?;
    commit(store, number, &heads, &heads).map(drop)
}

/// As `goes_on`, and the loose blocks of earlier turns are deleted again.
fn deletes(store: &dyn Store, number: u64) -> Result<(), StoreError> {
    goes_on(store, number)?;
    store.delete(&raw(format!("loose {}", number / 2)).0)
}

/// Each operation takes the place of all before it, which are collected at once.
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

/// Copies while a writer takes turns, on a handle of its own where there may be several. `check` sees what was there before a copy, the source and the target.
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

/// Heads of earlier copies that were collected stay.
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

/// The collection comes when nothing but the heads has been read.
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

/// A collection that has removed only a leaf of the old head by the time when the copy lists.
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

/// A copy that was killed has left the head in the target and not what it links to. The next one finds the head there; then the source is
/// collected, and whatever the old head reached is gone before it is listed.
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

/// What the old head reached goes with a collection while the copy runs: the heads of now lack nothing.
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

/// Of a source that only ever loses what its heads reach, no copy is made.
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
