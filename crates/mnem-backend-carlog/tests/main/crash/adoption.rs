//! Interrupted adoptions: the process is killed before any change, or the power is cut after any change. All blocks of
//! the commit are there, or none.

use std::{collections::HashSet, sync::Arc};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_crash_tests::{Chance, Cuts as _, Kill, Medium};
use mnem_store_traits::{Bytes, Cid, Store};

use super::{
    creation::images,
    disk::{Disk, Process, ROOT},
    faults::Held,
    survivors::Image,
};
use crate::support::{block, commit};

/// Segments that hold two of the adopted commits, and runs of a few blocks.
fn open(process: Process) -> CarlogStore {
    let options = OpenOptions::new().create(true).segment_bytes(4_000).index_bounds(6, 1_500).index_thread(false);
    options.open_on(Arc::new(process), ROOT).unwrap()
}

/// Two commits, with a block that is there already and one that comes twice.
fn archive() -> [Vec<(Cid, Bytes)>; 2] {
    [(20..35).chain([1, 20]).map(block).collect(), (35..50).chain([20, 36]).map(block).collect()]
}

/// What the store holds before, after the first commit, and after both.
fn contents() -> Vec<Held> {
    let disk = Disk::of(Image::default(), None);
    let store = open(disk.process());
    (0..4).for_each(|n| commit(&store, n));
    let mut contents = vec![Held::read(&store).unwrap()];
    for blocks in archive() {
        assert_eq!(store.adopt(&blocks).unwrap(), 15);
        contents.push(Held::read(&store).unwrap());
    }
    contents
}

/// How many of the commits the store in this image has. It must be writable.
fn found(image: &Image, contents: &[Held], when: &str) -> usize {
    let disk = Disk::of(image.clone(), None);
    let reader = OpenOptions::new().read_only(true).open_on(Arc::new(disk.process()), ROOT);
    let held = Held::read(&reader.unwrap_or_else(|error| panic!("{when}: read-only: {error}"))).unwrap();
    let store = open(disk.process());
    assert_eq!(Held::read(&store).unwrap(), held, "{when}");
    let at = contents.iter().position(|content| *content == held);
    let at = at.unwrap_or_else(|| panic!("{when}: a part of a commit: {held:?}"));
    let added: u64 = archive().iter().map(|blocks| store.adopt(blocks).unwrap()).sum();
    assert_eq!(added, 15 * (2 - at as u64), "{when}: what was there is left out");
    assert_eq!(Held::read(&store).unwrap(), contents[2], "{when}: adopted again");
    store.close().unwrap();
    at
}

#[test]
fn a_kill_at_any_change_leaves_whole_commits() {
    let contents = contents();
    let mut seen = HashSet::new();
    for changes in 0.. {
        let disk = Disk::of(Image::default(), None);
        let process = disk.process();
        let store = open(process.clone());
        (0..4).for_each(|n| commit(&store, n));
        process.kill_during(Some(Kill::After(changes)));
        let acknowledged = archive().iter().take_while(|blocks| store.adopt(blocks).is_ok()).count();
        let is_done = !mnem_crash_tests::Process::is_dead(&process);
        mnem_crash_tests::Process::kill(&process);
        drop(store);
        let when = format!("killed before change {changes}");
        let at = found(&images(&disk)[1], &contents, &when);
        assert!(at >= acknowledged, "{when}: {acknowledged} commits were acknowledged, {at} are there");
        seen.insert(at);
        if is_done {
            assert_eq!(seen.len(), 3);
            return;
        }
    }
}

#[test]
fn a_power_cut_at_any_change_leaves_whole_commits_and_what_was_acknowledged() {
    let contents = contents();
    let disk = Disk::of(Image::default(), None);
    let store = open(disk.process());
    (0..4).for_each(|n| commit(&store, n));
    // Where the log of changes stood when each commit was acknowledged.
    let mut acknowledged = vec![disk.entries()];
    for blocks in archive() {
        store.adopt(&blocks).unwrap();
        acknowledged.push(disk.entries());
    }
    let (mut cuts, mut seen) = (disk.cuts(), HashSet::new());
    for cut in acknowledged[0]..=cuts.entries() {
        let least = acknowledged.iter().filter(|entries| **entries <= cut).count() - 1;
        for way in 0..4 * cuts.ways(cut) {
            let ways = cuts.ways(cut);
            let (image, mark) = cuts.image(cut, way % ways, &mut Chance::new(cut as u64, way as u64));
            if seen.insert((mark, least)) {
                let at = found(&image, &contents, &format!("cut {cut}, way {way}"));
                assert!(at >= least, "cut {cut}, way {way}: {least} commits were acknowledged, {at} are there");
            }
        }
    }
    assert!(seen.len() > 60, "{}", seen.len());
}
