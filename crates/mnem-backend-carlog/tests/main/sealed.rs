//! The end of one segment and the beginning of the next: damage, failed commits, readers in between.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, Outcome, RAW, Store, cid_of};

use crate::{
    damage::{is_told, read_all},
    hooked::{Call, Hooked},
    support::{Content, Place, SEGMENT, block, commit, len},
};

const NEXT: &str = "seg-000002.car";

fn options() -> OpenOptions {
    OpenOptions::new().segment_bytes(1_500).index_thread(false)
}

fn put(store: &CarlogStore, n: u32) {
    let (cid, data) = block(n);
    store.put(&cid, data).unwrap();
}

fn large(n: u32) -> (Cid, Bytes) {
    let data = Bytes::from(vec![n as u8; 100_000]);
    (cid_of(RAW, &data), data)
}

/// Commits until the second segment has this many commits, and kills the store. Returns the content, the length of the
/// first segment before its last commit, and `state` as it was before that.
fn two_segments(place: &Place, commits_in_next: u32) -> (Content, usize, Vec<u8>) {
    let store = options().create(true).open(place.store()).unwrap();
    let (mut n, mut last) = (0, (0, Vec::new()));
    while !place.file(NEXT).exists() {
        let before = place.files();
        let end = before.get(SEGMENT).map_or(0, Vec::len);
        commit(&store, n);
        n += 1;
        if !place.file(NEXT).exists() {
            last = (end, before.get("state").cloned().unwrap_or_default());
        }
    }
    (1..commits_in_next).for_each(|more| commit(&store, n + more));
    let content = Content::of(&store);
    std::mem::forget(store);
    (content, last.0, last.1)
}

/// The last commit of the first segment is damaged, with `state` as it should be, old, or missing. That the next segment
/// begins shows that the commit was whole.
#[test]
fn a_damaged_end_of_a_segment_is_never_taken_for_a_crash() {
    for commits_in_next in [1, 2] {
        let place = Place::new();
        let (expected, end, old) = two_segments(&place, commits_in_next);
        let whole = place.files();
        let states = [whole.get("state").cloned(), Some(old), None];
        let copy = Place::new();
        let bytes = whole[SEGMENT].len();
        let mut only_a_block = [0; 3];
        for (at, (which, state)) in (end..=bytes).zip(states.iter().enumerate().cycle()) {
            let mut files = whole.clone();
            files.remove("state");
            files.extend(state.clone().map(|state| ("state".to_owned(), state)));
            let segment = files.get_mut(SEGMENT).unwrap();
            match segment.get_mut(at) {
                Some(byte) => *byte ^= 1 << (at % 8),
                None => segment.truncate(bytes - 1),
            }
            for read_only in [true, false] {
                copy.restore(&files);
                let opened = options().read_only(read_only).open(copy.store());
                let is_open = opened.is_ok();
                match read_all(opened, &expected) {
                    // A part of a MAC that another MAC makes unnecessary.
                    Ok(()) => {}
                    Err(error) => {
                        assert!(is_told(error.kind()), "byte {at}: {error}");
                        only_a_block[which] += usize::from(is_open && error.kind() == ErrorKind::Corrupt);
                    }
                }
                assert!(len(&copy.file(SEGMENT)) as usize >= files[SEGMENT].len(), "byte {at}");
            }
        }
        assert!(!only_a_block.contains(&0), "damaged data of a block cost that block only: {only_a_block:?}");
    }
}

/// The second write of a commit fails, and the next commit goes to the next segment. A power cut then undoes whatever
/// was not synced, which would include the truncation of the failed commit.
#[test]
fn a_failed_commit_is_cut_off_durably() {
    let place = Place::new();
    let (is_armed, writes) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let written = Arc::new(Mutex::new(None));
    let (armed, at_failure) = (is_armed.clone(), written.clone());
    let files = Hooked::new(move |call, path| {
        if !path.ends_with(SEGMENT) {
            return Ok(());
        }
        match call {
            Call::Write if armed.load(SeqCst) && writes.fetch_add(1, SeqCst) == 1 => {
                armed.store(false, SeqCst);
                *at_failure.lock().unwrap() = Some(fs::read(path)?);
                Err(io::ErrorKind::StorageFull.into())
            }
            Call::Sync => {
                *at_failure.lock().unwrap() = None;
                Ok(())
            }
            _ => Ok(()),
        }
    });
    let options = || OpenOptions::new().segment_bytes(3 << 20).index_thread(false);
    let store = options().create(true).open_on(files, place.store()).unwrap();
    put(&store, 0);
    is_armed.store(true, SeqCst);
    let failed = store.put_many(&mut (0..15).map(large).map(Ok)).unwrap_err();
    assert_eq!(failed.outcome(), Outcome::NotApplied);
    assert!(!is_armed.load(SeqCst));
    store.put_many(&mut (20..55).map(large).map(Ok)).unwrap();
    assert!(place.file(NEXT).exists());
    drop(store);
    if let Some(bytes) = written.lock().unwrap().take() {
        fs::write(place.file(SEGMENT), bytes).unwrap();
    }
    for read_only in [true, false] {
        let store = options().read_only(read_only).open(place.store()).unwrap();
        assert!(store.has(&block(0).0).unwrap() && store.has(&large(54).0).unwrap());
    }
}

/// A reader looks while the first commit of a segment is written, which then fails. The next writer goes on in the
/// segment before.
#[test]
fn a_reader_is_not_stuck_in_a_segment_whose_first_commit_failed() {
    let place = Place::new();
    let reader: Arc<Mutex<Option<CarlogStore>>> = Arc::default();
    let (looking, writes) = (reader.clone(), AtomicUsize::new(0));
    let files = Hooked::new(move |call, path| {
        if call == Call::Write && path.ends_with(NEXT) && writes.fetch_add(1, SeqCst) == 1 {
            let reader = looking.lock().unwrap();
            assert!(reader.as_ref().unwrap().has(&block(1).0).unwrap());
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    let store = options().create(true).open_on(files, place.store()).unwrap();
    put(&store, 0);
    *reader.lock().unwrap() = Some(options().read_only(true).open(place.store()).unwrap());
    put(&store, 1);
    store.put_many(&mut (0..15).map(large).map(Ok)).unwrap_err();
    store.close().unwrap();
    drop(store);
    let store = options().open(place.store()).unwrap();
    let reader = reader.lock().unwrap().take().unwrap();
    for n in 2..40 {
        put(&store, n);
        assert!(reader.has(&block(n).0).unwrap(), "{n}");
    }
    assert!(len(&place.file(NEXT)) > 0);
}

/// The first commit of the next segment fails, and the log goes on in this one. A copy of the folder that was made before
/// and completed afterwards has the abandoned segment too.
#[test]
fn a_copy_with_an_abandoned_segment_is_not_damaged() {
    let place = Place::new();
    let (abandoned, writes) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let copied = abandoned.clone();
    let files = Hooked::new(move |call, path| {
        if call == Call::Write && path.ends_with(NEXT) && writes.fetch_add(1, SeqCst) == 1 {
            *copied.lock().unwrap() = fs::read(path)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    });
    let store = options().create(true).open_on(files, place.store()).unwrap();
    put(&store, 0);
    store.put_many(&mut (0..15).map(large).map(Ok)).unwrap_err();
    store.close().unwrap();
    drop(store);
    let store = options().open(place.store()).unwrap();
    put(&store, 1);
    let expected = Content::of(&store);
    std::mem::forget(store);
    let mut files = place.files();
    assert!(!files.contains_key(NEXT));
    files.insert(NEXT.to_owned(), abandoned.lock().unwrap().clone());
    let copy = Place::new();
    for (read_only, with_state) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut files = files.clone();
        files.retain(|name, _| with_state || name != "state");
        copy.restore(&files);
        assert_eq!(Content::of(&options().read_only(read_only).open(copy.store()).unwrap()), expected);
    }
}

/// The writer goes on to the next segment between two looks of a reader: at the length of the first segment, and for the
/// second.
#[test]
fn a_reader_beside_a_writer_that_changes_segments_sees_no_damage() {
    for more in [600, 1_200] {
        let place = Place::new();
        let store = Arc::new(options().create(true).open(place.store()).unwrap());
        (0..3).for_each(|n| put(&store, n));
        let (writer, is_done, next) = (store.clone(), AtomicBool::new(false), place.file(NEXT));
        let files = Hooked::new(move |call, path| {
            // By then the reader knows the length of the segment: its first read replays the log.
            if matches!(call, Call::Read(_)) && path.ends_with(SEGMENT) && !is_done.swap(true, SeqCst) {
                let mut n = 100;
                while fs::metadata(&next).map_or(0, |found| found.len()) < more {
                    put(&writer, n);
                    n += 1;
                }
            }
            Ok(())
        });
        let reader = options().read_only(true).open_on(files, place.store()).unwrap();
        assert_eq!(Content::of(&reader), Content::of(&store));
    }
}

/// A writer cuts off an unfinished commit and goes on, while a reader looks for later commits in those bytes.
#[test]
fn a_reader_beside_a_writer_that_cuts_the_end_off_sees_no_damage() {
    for nth in 1..=6 {
        let place = Place::new();
        let store = place.open();
        (0..3).for_each(|n| put(&store, n));
        drop(store);
        let mut log = fs::read(place.file(SEGMENT)).unwrap();
        log.resize(log.len() + (3 << 20), 0xff);
        fs::write(place.file(SEGMENT), &log).unwrap();
        let (path, reads) = (place.store(), AtomicUsize::new(0));
        let files = Hooked::new(move |call, file| {
            let is_log = matches!(call, Call::Read(_)) && file.ends_with(SEGMENT);
            if is_log && reads.fetch_add(1, SeqCst) + 1 == nth {
                let store = OpenOptions::new().index_thread(false).open(&path).unwrap();
                for (cid, data) in (0..30).map(large) {
                    store.put(&cid, data).unwrap();
                }
            }
            Ok(())
        });
        let reader = OpenOptions::new().read_only(true).open_on(files, place.store()).unwrap();
        assert!(reader.has(&block(2).0).unwrap(), "{nth}");
    }
}

/// More blocks than one commit deletes. The second commit fails.
#[test]
fn a_call_of_which_a_part_was_applied_does_not_say_that_nothing_was() {
    let place = Place::new();
    let (is_armed, writes) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let armed = is_armed.clone();
    let files = Hooked::new(move |call, path: &Path| {
        let is_log = path.extension().is_some_and(|end| end == "car");
        match call {
            Call::Write if is_log && armed.load(SeqCst) && writes.fetch_add(1, SeqCst) == 1 => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    });
    let store = OpenOptions::new().create(true).index_thread(false).open_on(files, place.store()).unwrap();
    let blocks: BTreeMap<Cid, Bytes> = (0..10_001u32)
        .map(|n| {
            let data = Bytes::from(n.to_le_bytes().to_vec());
            (cid_of(RAW, &data), data)
        })
        .collect();
    store.put_many(&mut blocks.iter().map(|(cid, data)| Ok((*cid, data.clone())))).unwrap();
    is_armed.store(true, SeqCst);
    let error = store.delete_many(&mut blocks.keys().map(|cid| Ok(*cid))).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(store.cids().unwrap().count(), 1);
}

/// The index thread's sync of the folder fails, and takes away the name of a segment that a commit has just created. The
/// system tells nobody a second time.
#[test]
fn a_sync_that_failed_in_another_thread_fails_the_commit() {
    let place = Place::new();
    let commits = thread::current().id();
    let (is_armed, is_created, has_failed) = <(Arc<AtomicBool>, Arc<AtomicBool>, Arc<AtomicBool>)>::default();
    let (armed, created, failed) = (is_armed.clone(), is_created, has_failed.clone());
    let folder = place.store();
    let files = Hooked::new(move |call, path| {
        let is_own = thread::current().id() == commits;
        let is_segment = path.extension().is_some_and(|end| end == "car");
        match call {
            _ if !armed.load(SeqCst) => {}
            Call::Sync if !is_own && path == folder => {
                while !created.load(SeqCst) {
                    thread::yield_now();
                }
                failed.store(true, SeqCst);
                return Err(io::Error::other("the sync failed"));
            }
            Call::Create if is_own && is_segment => {
                created.store(true, SeqCst);
                while !failed.load(SeqCst) {
                    thread::yield_now();
                }
            }
            _ => {}
        }
        Ok(())
    });
    let store =
        OpenOptions::new().create(true).segment_bytes(3_000).index_bounds(4, 1 << 20).open_on(files, place.store());
    let store = store.unwrap();
    is_armed.store(true, SeqCst);
    // The last one begins the segment whose name was not synced.
    let error = (0..40).find_map(|n| store.put(&block(n).0, block(n).1).err());
    let error = error.expect("a sync of the folder failed");
    assert!(has_failed.load(SeqCst) && error.kind() == ErrorKind::Backend, "{error}");
    let size = fs::metadata(place.file(NEXT)).map_or(0, |found| found.len());
    assert_eq!(size, 0, "no commit may go into a file that may lose its name");
}
