//! The index on disk: an opening reads only the end of the log, and a missing or wrong run is rebuilt.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, Bytes, Cid, OpHeadsStore, Store, WriteBatch};

use crate::{
    hooked::{Call, Hooked},
    support::{Content, Place, SEGMENT, block, commit, commits, len, small_runs},
};

/// Files that count the bytes read from them.
fn counted() -> (Arc<Hooked>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counts = count.clone();
    let files = Hooked::new(move |call, _| {
        if let Call::Read(bytes) = call {
            counts.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Ok(())
    });
    (files, count)
}

/// The names of the store's runs, in ascending order.
fn runs(place: &Place) -> Vec<String> {
    place.files().into_keys().filter(|name| name.starts_with("run-")).collect()
}

/// Puts `count` blocks in one commit, beginning with the number `first`.
fn put(store: &CarlogStore, first: u32, count: u32) {
    store.put_many(&mut (first..first + count).map(|n| Ok(block(n)))).unwrap();
}

#[test]
fn opening_reads_the_end_of_the_log_alone() {
    let place = Place::new();
    let options = || OpenOptions::new().create(true).index_bounds(500, 100_000);
    let store = options().open(place.store()).unwrap();
    (0..60).for_each(|n| put(&store, 100 * n, 100));
    let expected = Content::of(&store);
    std::mem::forget(store);
    let killed = place.files();
    let copy = Place::new();
    copy.restore(&killed);
    options().open(copy.store()).unwrap().close().unwrap();
    let log = len(&place.file(SEGMENT));
    for (place, most) in [(&place, 150_000), (&copy, 50_000)] {
        let (files, read) = counted();
        let options = OpenOptions::new().read_only(true).index_bounds(500, 100_000);
        let reader = options.open_on(files, place.store()).unwrap();
        let bytes = read.swap(0, Ordering::Relaxed);
        assert!(log > 400_000 && bytes < most, "opening read {bytes} bytes of {log}");
        assert_eq!(Content::of(&reader), expected);
        // Finding a block takes one read of it, and looking for an absent one almost none.
        read.swap(0, Ordering::Relaxed);
        (0..1_000).for_each(|n| assert!(!reader.has(&block(100_000 + n).0).unwrap()));
        let bytes = read.swap(0, Ordering::Relaxed) - 1_000 * 64;
        assert!(bytes < 100_000, "1,000 lookups of absent blocks read {bytes} bytes");
    }
}

/// Puts, deletes and puts again, with openings after a close and after a kill.
#[test]
fn a_random_history_agrees_with_a_model() {
    for seed in 0..4 {
        let place = Place::new();
        let mut chance = mnem_crash_tests::Chance::new(seed, 7);
        let mut store = place.open_with_runs();
        let (mut model, mut rows) = (BTreeSet::new(), BTreeMap::new());
        for step in 0..250 {
            let n = chance.below(60) as u32;
            let (cid, data) = block(n);
            match chance.below(10) {
                0..4 => {
                    store.put(&cid, data).unwrap();
                    model.insert(cid);
                }
                4..7 => {
                    store.delete(&cid).unwrap();
                    model.remove(&cid);
                }
                7 => {
                    let key = Bytes::from(vec![n as u8 % 8]);
                    store.side_table("t").unwrap().write(&[(key.clone(), data.clone())], &[]).unwrap();
                    rows.insert(key, data);
                }
                8 => {
                    let key = Bytes::from(vec![n as u8 % 8]);
                    store.side_table("t").unwrap().write(&[], std::slice::from_ref(&key)).unwrap();
                    rows.remove(&key);
                }
                _ => {
                    if chance.one_in(2) {
                        store.close().unwrap();
                    } else {
                        kill(store);
                    }
                    store = place.open_with_runs();
                }
            }
            let when = format!("seed {seed}, step {step}");
            assert_eq!(store.has(&cid).unwrap(), model.contains(&cid), "{when}");
            if step % 10 == 0 {
                for store in [&store, &small_runs().read_only(true).open(place.store()).unwrap()] {
                    assert_eq!(Content::of(store).blocks, model, "{when}");
                    (0..60).for_each(|n| assert_eq!(store.has(&block(n).0).unwrap(), model.contains(&block(n).0)));
                    let table = store.side_table("t").unwrap();
                    let keys: Vec<_> = table.keys(b"").unwrap().map(Result::unwrap).collect();
                    assert!(keys.iter().eq(rows.keys()), "{when}");
                    assert!(rows.iter().all(|(key, value)| table.get(key).unwrap().as_ref() == Some(value)), "{when}");
                }
            }
        }
        let found = runs(&place);
        assert!((1..12).contains(&found.len()), "seed {seed}: {found:?}");
    }
}

/// Imitates a process that dies: nothing more is written, and its lock is released.
fn kill(store: CarlogStore) {
    drop(store);
}

/// Each index file is removed, truncated, and replaced by one of another store or an earlier time. All blocks are
/// found, also by a reader, and after the next close there are valid runs again.
#[test]
fn a_run_that_is_missing_or_wrong_is_built_again_from_the_log() {
    let (place, other, copy) = (Place::new(), Place::new(), Place::new());
    let stores = [&place, &other].map(|place| {
        let store = place.open_with_runs();
        store.side_table("t").unwrap().write(&[("k".into(), "v".into())], &[]).unwrap();
        let early = place.files();
        let expected = commits(&store, 9);
        store.close().unwrap();
        (early, place.files(), expected)
    });
    let [(early, whole, expected), (_, foreign, _)] = stores;
    let index: Vec<&String> =
        whole.keys().filter(|name| name.starts_with("run-") || name.starts_with("rows-")).collect();
    assert!(index.len() >= 3, "{index:?}");
    for name in &index {
        let bytes = &whole[*name];
        let any_run = index.iter().find(|other| other.starts_with("run-") && *other != name).unwrap();
        let mut wrong =
            vec![None, Some(bytes[..bytes.len() - 1].to_vec()), Some(Vec::new()), Some([&bytes[..], b"x"].concat())];
        wrong.push(Some(whole[*any_run].clone()));
        wrong.push(foreign.get(*name).cloned());
        wrong.push(early.get(*name).filter(|early| *early != bytes).cloned());
        for (at, wrong) in wrong.into_iter().enumerate() {
            let mut files = whole.clone();
            match wrong {
                Some(bytes) => drop(files.insert((*name).clone(), bytes)),
                None => drop(files.remove(*name)),
            }
            copy.restore(&files);
            let check = |store: CarlogStore| {
                assert_eq!(Content::of(&store), expected, "{name}, change {at}");
                let table = store.side_table("t").unwrap();
                assert_eq!(table.get(b"k").unwrap().unwrap(), "v", "{name}, change {at}");
                store.close().unwrap();
            };
            check(small_runs().read_only(true).open(copy.store()).unwrap());
            assert_eq!(copy.files(), files, "a reader changes nothing");
            check(small_runs().open(copy.store()).unwrap());
            let repaired = copy.files();
            check(small_runs().read_only(true).open(copy.store()).unwrap());
            assert!(repaired["manifest"] != whole["manifest"], "{name}, change {at}: no new index was written");
        }
    }
}

/// A manifest was changed, and its checksum was updated to match.
#[test]
fn a_manifest_that_leaves_out_a_run_or_mixes_them_up_hides_no_block() {
    let (place, copy) = (Place::new(), Place::new());
    let store = place.open_with_runs();
    let expected = commits(&store, 9);
    store.close().unwrap();
    let whole = place.files();
    let manifest = str::from_utf8(&whole["manifest"]).unwrap();
    let lines: Vec<&str> = manifest.lines().filter(|line| !line.starts_with("sha256 ")).collect();
    let runs: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with("run ")).collect();
    assert!(runs.len() > 1, "{manifest}");
    let mut changed: Vec<Vec<&str>> = Vec::new();
    for run in &runs {
        let mut without = lines.clone();
        without.remove(*run);
        changed.push(without);
        let mut twice = lines.clone();
        twice.insert(*run, lines[*run]);
        changed.push(twice);
    }
    let mut swapped = lines.clone();
    swapped.swap(runs[0], runs[1]);
    changed.push(swapped);
    for lines in changed {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let digest = mnem_store_traits::cid_of(mnem_store_traits::RAW, text.as_bytes());
        let digest: String = digest.hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut files = whole.clone();
        files.insert("manifest".into(), format!("{text}sha256 {digest}\n").into_bytes());
        for read_only in [true, false] {
            copy.restore(&files);
            let store = small_runs().read_only(read_only).open(copy.store()).unwrap();
            assert!(expected.blocks.iter().all(|cid| store.has(cid).unwrap()), "{text}");
            assert_eq!(Content::of(&store), expected, "{text}");
        }
    }
}

/// The remains of a writer that was killed between the run and the manifest, beside files that do not belong to the
/// store.
#[test]
fn unfinished_index_files_are_removed_and_others_stay() {
    let place = Place::new();
    let store = place.open_with_runs();
    let expected = commits(&store, 5);
    store.close().unwrap();
    let before = place.files();
    let (left, foreign) =
        (["run-999999", "rows-000777", "run-0000001"], ["run-1", "rows-x", "run-000001.bak", "notes"]);
    left.iter().chain(&foreign).for_each(|name| fs::write(place.file(name), "x").unwrap());
    small_runs().read_only(true).open(place.store()).unwrap();
    assert_eq!(place.files().len(), before.len() + left.len() + foreign.len());
    drop(place.open_with_runs());
    let after: BTreeSet<_> = place.files().into_keys().collect();
    let expected_names = before.into_keys().chain(foreign.map(str::to_owned)).collect();
    assert_eq!(after, expected_names);
    assert_eq!(Content::of(&place.open_with_runs()), expected);
}

/// The writer removes merged runs while the reader uses them, or before the reader opens them.
#[test]
fn a_reader_follows_while_runs_are_written_and_removed() {
    let place = Place::new();
    let store = place.open_with_runs();
    let open = || small_runs().read_only(true).open(place.store()).unwrap();
    let (reader, asleep) = (open(), open());
    let mut early = None;
    for n in 0..200 {
        commit(&store, n);
        if n == 50 {
            early = Some(open());
        }
        let expected = [block(2 * n).0];
        assert_eq!(reader.heads().unwrap(), expected);
        assert!(reader.has(&block(2 * n + 1).0).unwrap());
        assert!(reader.has(&block(n).0).unwrap());
        assert!(!reader.has(&block(1_000).0).unwrap());
    }
    let expected = Content::of(&store);
    for reader in [reader, asleep, early.unwrap(), open()] {
        assert_eq!(Content::of(&reader), expected);
    }
}

/// A reader that has not read for long takes over the writer's index, and reads only the end of the log.
#[test]
fn a_reader_that_slept_does_not_read_the_log() {
    let place = Place::new();
    let options = || OpenOptions::new().index_bounds(500, 100_000);
    let store = options().create(true).open(place.store()).unwrap();
    let (files, read) = counted();
    let reader = options().read_only(true).open_on(files, place.store()).unwrap();
    (0..60).for_each(|n| put(&store, 100 * n, 100));
    read.swap(0, Ordering::Relaxed);
    assert!(reader.has(&block(0).0).unwrap() && reader.has(&block(5_999).0).unwrap());
    let (bytes, log) = (read.swap(0, Ordering::Relaxed), len(&place.file(SEGMENT)));
    assert!(log > 400_000 && bytes < 150_000, "read {bytes} bytes of {log}");
}

/// One thread writes while readers in other threads reopen the store again and again.
#[test]
fn openings_beside_a_writer_find_every_acknowledged_block() {
    let place = Place::new();
    let store = place.open_with_runs();
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while written.load(Ordering::Acquire) < 300 {
                    let acknowledged = written.load(Ordering::Acquire) as u32;
                    let reader = small_runs().read_only(true).open(place.store()).unwrap();
                    (0..acknowledged).for_each(|n| assert!(reader.has(&block(n).0).unwrap(), "{n} of {acknowledged}"));
                }
            });
        }
        for n in 0..300 {
            let (cid, data) = block(n);
            store.commit(WriteBatch::new().put(cid, data)).unwrap();
            written.store(u64::from(n) + 1, Ordering::Release);
        }
    });
}

/// 200 processes that each make one commit and close.
#[test]
fn many_short_lived_writers_leave_few_files() {
    let place = Place::new();
    for n in 0..200 {
        let store = small_runs().create(true).open(place.store()).unwrap();
        commit(&store, n);
        store.close().unwrap();
    }
    let files = place.files();
    assert!(files.len() < 16, "{:?}", files.keys());
    let cids: BTreeSet<Cid> = Content::of(&place.read_only()).blocks;
    assert_eq!(cids.len(), 400);
}
