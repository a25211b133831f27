//! Callers at the same time share commits: what each one committed is whole or absent, and there once it was acknowledged to that one.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mnem_backend_redb::RedbStore;
use mnem_store_traits::Store;

use super::{
    chance::Chance,
    disk::{Disk, Entry},
    explore::{Scope, explore_as, options},
    history::{Allowed, History, State},
    image::Image,
    life::Life,
    writes::Write,
};

const SEED: u64 = 808;
const CALLERS: u64 = 4;
const COMMITS: usize = 5;

/// Images of each history. Threads make another log each time, so that a seed does not bring one back.
const IMAGES: usize = if cfg!(debug_assertions) { 400 } else { 4_000 };

/// A commit of one caller, with its place in the log of the disk.
struct Commit {
    write: Write,
    begun: usize,
    acknowledged: usize,
}

/// All that one caller commits, each with a head in place of its last one.
fn call(store: &RedbStore, disk: &Disk, mut chance: Chance, together: &Barrier, came: &AtomicU64) -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    let mut last = None;
    for _ in 0..COMMITS {
        let blocks = chance.blocks(3);
        let new = blocks[0].0;
        let write = Write::Commit { blocks, new, supersedes: last.into_iter().collect() };
        last = Some(new);
        together.wait();
        let begun = disk.entries();
        came.fetch_add(1, Ordering::SeqCst);
        write.perform(store).expect("a disk without faults");
        commits.push(Commit { write, begun, acknowledged: disk.entries() });
    }
    commits
}

/// A sync lasts until all callers have come, and have had many turns to queue up behind it.
fn until_all_came(came: &AtomicU64) {
    while !came.load(Ordering::SeqCst).is_multiple_of(CALLERS) {
        thread::yield_now();
    }
    (0..200).for_each(|_| thread::yield_now());
}

/// What a crash may leave: of each caller, what was acknowledged to it, with or without what was under way.
fn allowed(callers: &[Vec<Commit>], cut: usize) -> Allowed {
    let mut states = vec![State::default()];
    for commits in callers {
        let done = commits.partition_point(|commit| commit.acknowledged <= cut);
        states.iter_mut().for_each(|state| commits[..done].iter().for_each(|commit| commit.write.apply(state)));
        if let Some(commit) = commits.get(done).filter(|commit| commit.begun < cut) {
            let mut with = states.clone();
            with.iter_mut().for_each(|state| commit.write.apply(state));
            states.extend(with);
        }
    }
    Allowed { states: states.into_iter().map(Arc::new).collect(), or_none: false, during: "commits of several callers" }
}

/// Looks at what crashes leave of a history of several callers; how often they synced.
fn explored(seed: u64) -> usize {
    let life = Life { seed, steps: 0, options: options(seed), broken: None };
    let disk = Disk::default();
    let store = life.options.open_medium(disk.plug_in(), "disk").expect("create");
    let created = disk.entries();
    let together = Barrier::new(CALLERS as usize);
    let came = Arc::new(AtomicU64::new(0));
    disk.at_sync({
        let came = Arc::clone(&came);
        move || until_all_came(&came)
    });
    let callers: Vec<Vec<Commit>> = thread::scope(|scope| {
        let call = |n| call(&store, &disk, Chance::new(seed, n), &together, &came);
        let callers: Vec<_> = (0..CALLERS).map(|n| scope.spawn(move || call(n))).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    store.close().expect("close");
    let history = History { start: Image::default(), log: disk.log(), before: Vec::new(), steps: Vec::new() };
    let scope = Scope { cuts: created..history.log.len() + 1, ..Scope::of(IMAGES) };
    let (counts, violation) = explore_as(&life, &history, &|cut| allowed(&callers, cut), &scope);
    assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
    assert!(counts.images >= IMAGES, "{counts:?}");
    history.log[created..].iter().filter(|entry| matches!(entry, Entry::Sync)).count()
}

#[test]
fn what_callers_commit_together_survives_for_each_of_them() {
    // Those with two phases: two syncs for each commit that is not shared.
    let syncs: Vec<usize> = (SEED..).filter(|seed| seed % 2 == 0).take(4).map(explored).collect();
    let alone = CALLERS as usize * COMMITS * 2;
    assert!(syncs.iter().any(|syncs| *syncs < alone), "no two callers ever shared a commit: {syncs:?} syncs");
}
