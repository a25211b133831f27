//! Interrupted compactions: the process is killed before any change, or the power is cut after any change. The store
//! keeps its content, even if its index is lost; no deleted block comes back, and no leftover file stays.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_crash_tests::{Chance, Cuts as _, Kill, Medium};
use mnem_store_traits::{Blockstore, ErrorKind, Store};

use super::{
    creation::images,
    disk::{Disk, Process, ROOT},
    faults::Held,
    survivors::Image,
};
use crate::support::{block, commit};

fn open(process: Process) -> CarlogStore {
    let options = OpenOptions::new().create(true).segment_bytes(2_000).index_bounds(6, 1_500).index_thread(false);
    options.open_on(Arc::new(process), ROOT).unwrap()
}

/// Several segments, in which every third block and row is live.
fn fill(store: &CarlogStore) -> Held {
    (0..12).for_each(|n| commit(store, n));
    let table = store.side_table("t").unwrap();
    for n in 0..6_u8 {
        table.write(&[(vec![n / 3].into(), block(n.into()).1)], &[]).unwrap();
    }
    let heads = [block(22).0];
    (0..24).map(block).filter(|(cid, _)| !heads.contains(cid)).enumerate().filter(|(at, _)| at % 3 > 0).for_each(
        |(_, (cid, _))| {
            store.delete(&cid).unwrap();
        },
    );
    // Deleted, put again, and deleted again, so it is in the log twice.
    for _ in 0..2 {
        store.put(&block(2).0, block(2).1).unwrap();
        store.delete(&block(2).0).unwrap();
    }
    Held::read(store).unwrap()
}

/// The names of the segments in the folder, and of those that the manifest does not name.
fn segments(image: &Image) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let manifest = &image.files[image.names[&Path::new(ROOT).join("manifest")]];
    let lines = str::from_utf8(manifest).unwrap().lines();
    let named = lines.filter_map(|line| line.strip_prefix("segment ")?.split(' ').next()?.parse::<u32>().ok());
    let named: BTreeSet<PathBuf> = named.map(|number| Path::new(ROOT).join(format!("seg-{number:06}.car"))).collect();
    let is_segment = |name: &PathBuf| name.extension().is_some_and(|extension| extension == "car");
    let there: BTreeSet<PathBuf> = image.names.keys().filter(|name| is_segment(name)).cloned().collect();
    assert!(named.is_subset(&there), "{named:?} of {there:?}");
    let unnamed = there.difference(&named).cloned().collect();
    (there, unnamed)
}

/// The image without its index.
fn without_index(image: &Image) -> Image {
    let mut image = image.clone();
    image.names.retain(|name, _| {
        let name = name.file_name().unwrap().to_str().unwrap();
        !name.starts_with("run-") && !name.starts_with("rows-")
    });
    image
}

/// Checks that the store in this image has the expected content, for a reader and a writer, with its index and without.
/// Returns its segments afterwards.
fn check(image: &Image, held: &Held, when: &str) -> BTreeSet<PathBuf> {
    let mut after = BTreeSet::new();
    for image in [image.clone(), without_index(image)] {
        let disk = Disk::of(image, None);
        let reader = OpenOptions::new().read_only(true).open_on(Arc::new(disk.process()), ROOT);
        let reader = reader.unwrap_or_else(|error| panic!("{when}: read-only: {error}: {:?}", error.kind()));
        assert_eq!(Held::read(&reader).unwrap(), *held, "{when}: read-only");
        let store = open(disk.process());
        assert_eq!(Held::read(&store).unwrap(), *held, "{when}");
        assert_eq!(Held::read(&reader).unwrap(), *held, "{when}: a reader beside the recovery");
        drop(store);
        for left in images(&disk) {
            let store = open(Disk::of(left, None).process());
            assert_eq!(Held::read(&store).unwrap(), *held, "{when}, then after a recovery");
        }
        after.extend(segments(&images(&disk)[1]).0);
    }
    after
}

#[test]
fn a_kill_at_any_change_leaves_the_old_log_or_the_new_one_and_no_other_file() {
    let (mut old, mut new) = (0, 0);
    for changes in 0.. {
        let disk = Disk::of(Image::default(), None);
        let process = disk.process();
        let store = open(process.clone());
        let held = fill(&store);
        let before = segments(&images(&disk)[1]).0;
        process.kill_during(Some(Kill::After(changes)));
        let is_done = store.compact().is_ok() && !mnem_crash_tests::Process::is_dead(&process);
        mnem_crash_tests::Process::kill(&process);
        drop(store);
        let when = format!("killed before change {changes}");
        let after = check(&images(&disk)[1], &held, &when);
        assert!(after.is_subset(&before) || after.is_disjoint(&before), "{when}: {after:?} of {before:?}");
        if after == before {
            old += 1
        } else {
            new += 1
        }
        // The next writer compacts.
        let store = open(disk.process());
        store.compact().unwrap();
        assert_eq!(Held::read(&store).unwrap(), held, "{when}: compacted by the next");
        let (there, unnamed) = segments(&images(&disk)[1]);
        assert!(there.is_disjoint(&before) && unnamed.is_empty(), "{when}: {there:?}, {unnamed:?} without a name");
        if is_done {
            assert!(old > 15 && new > 3, "{old} kills left the old log, {new} the new one");
            return;
        }
    }
}

#[test]
fn a_power_cut_at_any_change_leaves_the_old_log_or_the_new_one() {
    let disk = Disk::of(Image::default(), None);
    let store = open(disk.process());
    let held = fill(&store);
    let before = disk.entries();
    store.compact().unwrap();
    let (mut cuts, mut seen) = (disk.cuts(), HashSet::new());
    for cut in before..=cuts.entries() {
        // Of the names alone there are many ways, and few cuts.
        let ways = cuts.ways(cut);
        for way in 0..4 * ways {
            let (image, mark) = cuts.image(cut, way % ways, &mut Chance::new(cut as u64, way as u64));
            if seen.insert(mark) {
                check(&image, &held, &format!("cut {cut}, way {way}"));
            }
        }
    }
    assert!(seen.len() > 60, "{}", seen.len());
}

/// A copy that took the manifest before a compaction, and the segments at any moment of it: it is whole, or damaged. Here the manifest names
/// the first segment alone, and there is no `state` in a copy.
#[test]
fn a_copy_with_an_earlier_manifest_is_whole_or_damaged() {
    let (mut whole, mut damaged) = (0, 0);
    let open = |process: &Process| {
        let options = OpenOptions::new().create(true).segment_bytes(2_000).index_thread(false);
        options.open_on(Arc::new(process.clone()), ROOT)
    };
    let (manifest, state) = (Path::new(ROOT).join("manifest"), Path::new(ROOT).join("state"));
    for changes in 0.. {
        let disk = Disk::of(Image::default(), None);
        let process = disk.process();
        let store = open(&process).unwrap();
        let held = fill(&store);
        let before = images(&disk)[1].clone();
        process.kill_during(Some(Kill::After(changes)));
        let _ = store.compact();
        let is_done = !mnem_crash_tests::Process::is_dead(&process);
        drop(store);
        let mut copy = images(&disk)[1].clone();
        copy.names.insert(manifest.clone(), copy.files.len());
        copy.files.push(before.files[before.names[&manifest]].clone());
        copy.names.remove(&state);
        for read_only in [true, false] {
            let copied = Disk::of(copy.clone(), None);
            let options = OpenOptions::new().read_only(read_only);
            match options.open_on(Arc::new(copied.process()), ROOT) {
                Ok(store) => {
                    assert_eq!(Held::read(&store).unwrap(), held, "after {changes} changes");
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "after {changes} changes: {error}");
                    damaged += 1;
                }
            }
        }
        if is_done {
            assert!(whole > 20 && damaged > 5, "{whole} whole, {damaged} damaged");
            return;
        }
    }
}
