//! Compaction frees the space of deleted blocks, and changes nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_car::SectionOffsets;
use mnem_store_traits::{
    Blockstore, Bytes, Cid, ErrorKind, Outcome, RAW, Store, WriteBatch, cid::multihash::Multihash, cid_of,
};

use crate::{
    hooked::{Call, Hooked},
    support::{Content, Place, SEGMENT, block, commit, commits, small_runs},
};

/// A block of 300 bytes.
fn large(n: u32) -> (Cid, Bytes) {
    let data = Bytes::from(format!("{n:0300}"));
    (cid_of(RAW, &data), data)
}

/// Small bounds, so that there are several segments and runs.
fn options() -> OpenOptions {
    small_runs().create(true).segment_bytes(3_000).index_thread(false)
}

/// A store with several segments and a side table, in which half of the blocks were deleted and a row was replaced.
fn filled(place: &Place) -> (CarlogStore, Content) {
    let store = options().open(place.store()).unwrap();
    commits(&store, 60);
    let table = store.side_table("t").unwrap();
    table.write(&[("a".into(), "old".into()), ("b".into(), "gone".into())], &[]).unwrap();
    table.write(&[("a".into(), "new".into())], &["b".into()]).unwrap();
    (0..38).step_by(2).for_each(|n| store.delete(&block(n).0).unwrap());
    let content = Content::of(&store);
    (store, content)
}

fn check(store: &CarlogStore, expected: &Content) {
    assert_eq!(Content::of(store), *expected);
    (0..120).for_each(|n| assert_eq!(store.has(&block(n).0).unwrap(), expected.blocks.contains(&block(n).0), "{n}"));
    let table = store.side_table("t").unwrap();
    assert_eq!(table.get(b"a").unwrap().unwrap(), "new");
    assert_eq!(table.keys(b"").unwrap().count(), 1);
}

/// The total length of the store's files.
fn bytes(place: &Place) -> u64 {
    place.files().values().map(|bytes| bytes.len() as u64).sum()
}

#[test]
fn deleted_blocks_give_their_space_back() {
    let place = Place::new();
    let store = place.open();
    for n in 0..80 {
        store.put_many(&mut (100 * n..100 * n + 100).map(|n| Ok(large(n)))).unwrap();
    }
    store.delete_many(&mut (0..8_000).filter(|n| n % 2 > 0).map(|n| Ok(large(n).0))).unwrap();
    let before = store.info().unwrap();
    assert_eq!(before.free_bytes, 4_000 * 338);
    let reclaimed = store.compact().unwrap();
    assert_eq!((reclaimed.before_bytes, reclaimed.nothing_to_do), (before.file_bytes, None));
    let after = store.info().unwrap();
    assert_eq!((after.blocks, after.free_bytes, after.file_bytes), (4_000, 0, reclaimed.after_bytes));
    store.close().unwrap();
    let (live, on_disk) = (4_000 * 300, bytes(&place));
    assert!(on_disk * 100 <= live * 120, "{on_disk} bytes on disk for {live}");
    // Neither a close nor an opening makes it longer, and another compaction does nothing.
    let store = place.open();
    let again = store.compact().unwrap();
    assert!(again.nothing_to_do.is_some(), "{again:?}");
    assert_eq!(again.after_bytes, reclaimed.after_bytes);
    (0..8_000).for_each(|n| assert_eq!(store.has(&large(n).0).unwrap(), n % 2 == 0, "{n}"));
}

/// A store of many small commits consists mostly of records.
#[test]
fn many_small_commits_become_few() {
    let place = Place::new();
    let store = place.open();
    let expected = commits(&store, 200);
    assert_eq!(store.info().unwrap().free_bytes, 0);
    let reclaimed = store.compact().unwrap();
    assert!(reclaimed.after_bytes * 5 < reclaimed.before_bytes * 4, "{reclaimed:?}");
    assert!(store.compact().unwrap().nothing_to_do.is_some());
    assert_eq!(Content::of(&store), expected);
    assert_eq!(Content::of(&place.read_only()), expected);
}

#[test]
fn a_store_without_blocks_is_compacted_to_one_segment() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    let heads = commits(&store, 20).heads;
    (0..40).for_each(|n| store.delete(&block(n).0).unwrap());
    store.compact().unwrap();
    assert_eq!(place.files().keys().filter(|name| name.ends_with(".car")).count(), 1);
    let expected = Content { blocks: BTreeSet::new(), heads };
    assert_eq!(Content::of(&store), expected);
    store.close().unwrap();
    let store = options().open(place.store()).unwrap();
    assert_eq!(Content::of(&store), expected);
    store.put(&block(3).0, block(3).1).unwrap();
    assert_eq!(store.get(&block(3).0).unwrap(), Some(block(3).1));
}

/// The ranges of all copies of a block in the log.
fn places_of(log: &[u8], cid: &Cid) -> Vec<Range<usize>> {
    let (mut offset, mut found) = (u64::from(log[0]) + 1, Vec::new());
    while let Ok(section) = SectionOffsets::parse(log.get(offset as usize..).unwrap_or_default(), offset) {
        if section.cid == *cid {
            found.push(section.data_offset as usize..section.end() as usize);
        }
        offset = section.end();
    }
    found
}

/// Changes a byte in each copy of a block in the log.
fn rot(place: &Place, cid: &Cid) {
    for (name, mut log) in place.files().into_iter().filter(|(name, _)| name.ends_with(".car")) {
        places_of(&log, cid).into_iter().for_each(|range| log[range.start] ^= 1);
        fs::write(place.file(&name), log).unwrap();
    }
}

#[test]
fn a_damaged_block_or_row_stops_a_compaction_and_nothing_changes() {
    let place = Place::new();
    let (store, expected) = filled(&place);
    // Damage in a deleted block does not matter.
    rot(&place, &block(2).0);
    rot(&place, &cid_of(RAW, b"old"));
    let whole = place.files();
    for (cid, kind) in [(block(21).0, ErrorKind::Corrupt), (cid_of(RAW, b"new"), ErrorKind::Damaged)] {
        rot(&place, &cid);
        let before = place.files();
        let error = store.compact().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied));
        assert!(kind == ErrorKind::Damaged || error.to_string().contains(&cid.to_string()), "{error}");
        assert_eq!(place.files(), before);
        rot(&place, &cid);
        assert_eq!(place.files(), whole);
    }
    store.compact().unwrap();
    check(&store, &expected);
}

/// Each change of the disk up to the switch fails in turn, as on a full disk. The store and its files stay unchanged.
#[test]
fn a_full_disk_stops_a_compaction_and_its_space_is_given_back() {
    for calls in 0.. {
        let place = Place::new();
        let (store, expected) = filled(&place);
        store.close().unwrap();
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let counted = left.clone();
        let files = Hooked::new(move |call, path| {
            use crate::hooked::Call::{Create, Write};
            let may_be_full = matches!(call, Create | Write) && !path.ends_with("state");
            match may_be_full.then(|| counted.load(Ordering::SeqCst)) {
                Some(0) => Err(io::ErrorKind::StorageFull.into()),
                Some(left) => {
                    counted.store(left - 1, Ordering::SeqCst);
                    Ok(())
                }
                None => Ok(()),
            }
        });
        let store = options().open_on(files, place.store()).unwrap();
        let before = place.files();
        left.store(calls, Ordering::SeqCst);
        let compacted = store.compact();
        left.store(usize::MAX, Ordering::SeqCst);
        check(&store, &expected);
        if compacted.is_ok() {
            assert!(calls > 20, "a compaction makes {calls} changes");
            return;
        }
        let error = compacted.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied), "change {calls}");
        assert_eq!(place.files().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "change {calls}");
        assert_eq!(place.files(), before, "change {calls}");
        // The handle continues to work, and compacts when there is room.
        commit(&store, 70);
        store.compact().unwrap();
        assert!(store.has(&block(140).0).unwrap());
    }
}

/// The hash of a block cannot be computed, so only the MAC of its commit shows that it is damaged.
#[test]
fn a_damaged_block_under_an_unknown_hash_stops_a_compaction() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    let (known, data) = large(1);
    let hash = Multihash::wrap(0x00ff_ff01, known.hash().digest()).unwrap();
    let unknown = Cid::new_v1(RAW, hash);
    store.put(&large(0).0, large(0).1).unwrap();
    store.put_trusted(&unknown, data.clone()).unwrap();
    commits(&store, 20);
    store.delete(&large(0).0).unwrap();
    rot(&place, &unknown);
    let before = place.files();
    let error = store.compact().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Damaged, Outcome::NotApplied), "{error}");
    assert_eq!(place.files(), before);
    rot(&place, &unknown);
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    assert_eq!(store.get(&unknown).unwrap(), Some(data));
}

/// Nothing speaks against the block whose hash cannot be computed: another one explains why its commit is not whole.
#[test]
fn a_damaged_deleted_block_beside_an_unknown_hash_stops_no_compaction() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    let (known, data) = large(1);
    let unknown = Cid::new_v1(RAW, Multihash::wrap(0x00ff_ff01, known.hash().digest()).unwrap());
    let deleted = large(0);
    let mut batch = WriteBatch::new();
    batch.put(large(2).0, large(2).1).put(deleted.0, deleted.1).put_trusted(unknown, data.clone());
    store.commit(&batch).unwrap();
    commits(&store, 20);
    store.delete(&deleted.0).unwrap();
    rot(&place, &deleted.0);
    // A live block that is damaged stops it all the same.
    rot(&place, &large(2).0);
    assert_eq!(store.compact().unwrap_err().kind(), ErrorKind::Corrupt);
    rot(&place, &large(2).0);
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    assert_eq!(store.get(&unknown).unwrap(), Some(data));
    assert!(!store.has(&deleted.0).unwrap());
}

/// Too many files are open, wherever that shows: nothing was lost, so the handle goes on.
#[test]
fn too_many_open_files_stop_a_compaction_and_nothing_else() {
    const EMFILE: i32 = 24;
    let is_armed = Arc::new(AtomicBool::new(false));
    for kind in [Call::Create, Call::Sync] {
        let place = Place::new();
        let (store, expected) = filled(&place);
        store.close().unwrap();
        let armed = is_armed.clone();
        let files = Hooked::new(move |call, path| {
            let opens = match call {
                Call::Create => true,
                Call::Sync => path.is_dir(),
                _ => false,
            };
            let fails = opens && call == kind && armed.load(Ordering::SeqCst);
            if fails { Err(io::Error::from_raw_os_error(EMFILE)) } else { Ok(()) }
        });
        let store = options().open_on(files, place.store()).unwrap();
        let before = place.files();
        is_armed.store(true, Ordering::SeqCst);
        let error = store.compact().unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied), "{kind:?}");
        assert_eq!(place.files(), before, "{kind:?}");
        // Nor does a new segment do harm.
        let refused = (0..20).map(|n| store.put(&large(n).0, large(n).1)).find_map(Result::err).expect("a new segment");
        assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Backend, Outcome::NotApplied), "{kind:?}");
        is_armed.store(false, Ordering::SeqCst);
        (0..20).for_each(|n| store.put(&large(n).0, large(n).1).unwrap());
        (0..20).for_each(|n| store.delete(&large(n).0).unwrap());
        store.compact().unwrap();
        check(&store, &expected);
    }
}

/// The log is replaced, so an error would be wrong.
#[test]
fn after_the_switch_a_compaction_does_not_fail() {
    let place = Place::new();
    let (store, expected) = filled(&place);
    store.close().unwrap();
    let is_switched = Arc::new(AtomicBool::new(false));
    let switched = is_switched.clone();
    let files = Hooked::new(move |call, path| match call {
        Call::Renamed if path.ends_with("manifest") => {
            switched.store(true, Ordering::SeqCst);
            Ok(())
        }
        Call::Length if switched.load(Ordering::SeqCst) => Err(io::Error::other("no answer")),
        _ => Ok(()),
    });
    let store = options().open_on(files, place.store()).unwrap();
    is_switched.store(false, Ordering::SeqCst);
    let reclaimed = store.compact().unwrap();
    assert!(is_switched.swap(false, Ordering::SeqCst));
    assert_eq!(reclaimed.after_bytes, store.info().unwrap().file_bytes);
    check(&store, &expected);
}

/// Files of an earlier log, left by a crash or put there by somebody, and files that do not belong to the store.
#[test]
fn the_next_writer_removes_an_earlier_log_and_nothing_else() {
    let (place, other) = (Place::new(), Place::new());
    let (store, expected) = filled(&place);
    let old = place.files();
    store.compact().unwrap();
    store.close().unwrap();
    let (foreign_store, _) = filled(&other);
    foreign_store.close().unwrap();
    let before = place.files();
    for (name, bytes) in old.iter().filter(|(name, _)| name.ends_with(".car")) {
        fs::write(place.file(name), bytes).unwrap();
    }
    let foreign = ["seg-1.car", "seg-0000001.car", "seg-000001.car.bak", "seg-000099.car", "notes"];
    foreign.iter().for_each(|name| fs::write(place.file(name), &other.files()[SEGMENT]).unwrap());
    let with_all = place.files();
    check(&options().create(false).read_only(true).open(place.store()).unwrap(), &expected);
    assert_eq!(place.files(), with_all, "a reader changes nothing");
    check(&options().open(place.store()).unwrap(), &expected);
    let names: BTreeSet<_> = place.files().into_keys().collect();
    assert_eq!(names, before.into_keys().chain(foreign.map(str::to_owned)).collect());
}

/// An old or missing manifest must not restore the old log: deleted blocks would come back, and later ones would be
/// lost.
#[test]
fn a_rename_that_fails_after_it_took_effect_removes_neither_log() {
    let place = Place::new();
    let (store, expected) = filled(&place);
    store.close().unwrap();
    let files = Hooked::new(|call, _| match call {
        Call::Renamed => Err(io::Error::other("the answer was lost")),
        _ => Ok(()),
    });
    let store = options().open_on(files, place.store()).unwrap();
    assert_eq!(store.compact().unwrap_err().outcome(), Outcome::Unknown);
    check(&store, &expected);
    let refused = store.put(&large(1).0, large(1).1).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Poisoned);
    drop(store);
    check(&options().open(place.store()).unwrap(), &expected);
}

/// The rename of a compaction may be in memory alone. A commit to the new log before the manifest is written again would
/// be lost with it.
#[test]
fn no_commit_goes_to_a_log_whose_manifest_may_be_lost() {
    let place = Place::new();
    let (store, expected) = filled(&place);
    store.close().unwrap();
    let manifest_changed = Arc::new(AtomicUsize::new(0));
    let seen = manifest_changed.clone();
    let files = Hooked::new(move |call, path| match call {
        Call::Renamed if path.ends_with("manifest") => {
            seen.store(1, Ordering::Relaxed);
            Ok(())
        }
        Call::Sync if path.extension().is_some_and(|end| end == "carlog") && seen.load(Ordering::Relaxed) > 0 => {
            Err(io::Error::other("the folder was not synced"))
        }
        _ => Ok(()),
    });
    let store = options().open_on(files, place.store()).unwrap();
    assert_eq!(store.compact().unwrap_err().outcome(), Outcome::Unknown);
    drop(store);
    assert_eq!(manifest_changed.load(Ordering::Relaxed), 1);
    let full = Hooked::new(|call, path| match call {
        Call::Write if path.ends_with("manifest.new") => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    assert!(options().open_on(full, place.store()).is_err(), "a writer that could lose its commits");
    check(&options().read_only(true).create(false).open(place.store()).unwrap(), &expected);
    check(&options().open(place.store()).unwrap(), &expected);
}

#[test]
fn a_manifest_of_an_earlier_log_is_damage() {
    let place = Place::new();
    let (store, _) = filled(&place);
    let old = place.files();
    store.compact().unwrap();
    store.close().unwrap();
    for manifest in [Some(&old["manifest"]), None] {
        let mut files = place.files();
        files.remove("manifest");
        files.extend(manifest.map(|manifest| ("manifest".to_owned(), manifest.clone())));
        let copy = Place::new();
        copy.restore(&files);
        for read_only in [true, false] {
            let error = options().create(false).read_only(read_only).open(copy.store()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            assert_eq!(copy.files(), files);
        }
    }
}

/// Flips bits of a compacted log whose index and `state` are lost, so that only the manifest shows that it was synced.
/// No block is reported as absent, and nothing is truncated.
#[test]
fn damage_in_a_compacted_log_is_never_taken_for_a_crash() {
    let place = Place::new();
    let (store, expected) = filled(&place);
    store.compact().unwrap();
    drop(store);
    let mut whole = place.files();
    whole.retain(|name, _| !name.starts_with("run-") && !name.starts_with("rows-") && name != "state");
    let (copy, mut named) = (Place::new(), 0);
    for name in whole.keys().filter(|name| name.ends_with(".car")) {
        let last = whole[name].len() - 1;
        for at in (0..last).step_by(13).chain([last]) {
            let mut damaged = whole.clone();
            damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            copy.restore(&damaged);
            for read_only in [true, false] {
                let opened = options().create(!read_only).read_only(read_only).open(copy.store());
                let read = opened.and_then(|store| {
                    let listed = store.cids()?.collect::<Result<BTreeSet<_>, _>>()?;
                    assert_eq!(listed, expected.blocks, "byte {at} of {name}");
                    expected.blocks.iter().try_for_each(|cid| {
                        assert!(store.get(cid)?.is_some(), "byte {at} of {name}: {cid} is said to be absent");
                        Ok(())
                    })
                });
                named += u32::from(read.is_err());
                assert!(copy.files()[name].len() > last, "byte {at} of {name}: cut off");
            }
        }
    }
    assert!(named > 100, "{named}");
}

/// Puts, deletes, rows, compactions and openings, after closes and kills, with the index and without it.
#[test]
fn a_random_history_with_compactions_agrees_with_a_model() {
    for seed in 0..6 {
        let place = Place::new();
        let mut chance = mnem_crash_tests::Chance::new(seed, 19);
        let mut store = options().open(place.store()).unwrap();
        let reader = options().create(false).read_only(true).open(place.store()).unwrap();
        let (mut model, mut rows, mut compacted) = (BTreeSet::new(), BTreeMap::new(), 0);
        for step in 0..200 {
            let n = chance.below(60) as u32;
            let (cid, data) = block(n);
            let key = Bytes::from(vec![n as u8 % 8]);
            match chance.below(14) {
                0..5 => {
                    store.put(&cid, data).unwrap();
                    model.insert(cid);
                }
                5..9 => {
                    store.delete(&cid).unwrap();
                    model.remove(&cid);
                }
                9 => {
                    store.side_table("t").unwrap().write(&[(key.clone(), data.clone())], &[]).unwrap();
                    rows.insert(key, data);
                }
                10 => {
                    store.side_table("t").unwrap().write(&[], std::slice::from_ref(&key)).unwrap();
                    rows.remove(&key);
                }
                11 => compacted += u32::from(store.compact().unwrap().nothing_to_do.is_none()),
                kind => {
                    if chance.one_in(2) {
                        store.close().unwrap();
                    }
                    drop(store);
                    let is_index = |name: &String| name.starts_with("run-") || name.starts_with("rows-");
                    if kind == 12 {
                        let lost = place.files().into_keys().filter(is_index);
                        lost.for_each(|name| fs::remove_file(place.file(&name)).unwrap());
                    }
                    store = options().open(place.store()).unwrap();
                }
            }
            let when = format!("seed {seed}, step {step}");
            assert_eq!(store.has(&cid).unwrap(), model.contains(&cid), "{when}");
            assert_eq!(reader.has(&cid).unwrap(), model.contains(&cid), "{when}: a reader");
            if step % 10 == 0 {
                for store in [&store, &reader, &options().create(false).read_only(true).open(place.store()).unwrap()] {
                    assert_eq!(Content::of(store).blocks, model, "{when}");
                    let table = store.side_table("t").unwrap();
                    let keys: Vec<_> = table.keys(b"").unwrap().map(Result::unwrap).collect();
                    assert!(keys.iter().eq(rows.keys()), "{when}");
                    assert!(rows.iter().all(|(key, value)| table.get(key).unwrap().as_ref() == Some(value)), "{when}");
                }
            }
        }
        assert!(compacted > 3, "seed {seed}: compacted {compacted} times");
    }
}
