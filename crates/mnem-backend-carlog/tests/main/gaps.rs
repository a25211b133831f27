//! Copies of a store that lack a segment, and a `state` that is older than the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use mnem_backend_carlog::OpenOptions;
use mnem_store_traits::{Blockstore, ErrorKind};

use crate::{
    hooked::{Call, Hooked},
    support::{Content, Place, block, commits},
};

type Files = BTreeMap<String, Vec<u8>>;

/// One manifest names only the first segment, until a compaction.
fn options() -> OpenOptions {
    OpenOptions::new().segment_bytes(1_500).index_thread(false)
}

fn segments(files: &Files) -> Vec<String> {
    files.keys().filter(|name| name.ends_with(".car")).cloned().collect()
}

/// Opens the files in every way: each must report damage and change nothing.
fn is_damage(files: &Files, what: &str) {
    for (read_only, with_state) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut files = files.clone();
        files.retain(|name, _| with_state || name != "state");
        let copy = Place::new();
        copy.restore(&files);
        let error = options().read_only(read_only).open(copy.store()).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
        files.entry("lock".to_owned()).or_default();
        let mut left = copy.files();
        left.entry("lock".to_owned()).or_default();
        assert_eq!(left, files, "{what}");
    }
}

#[test]
fn a_log_without_a_segment_in_the_middle_is_damage() {
    let place = Place::new();
    let store = options().create(true).open(place.store()).unwrap();
    let expected = commits(&store, 20);
    std::mem::forget(store);
    let whole = place.files();
    let names = segments(&whole);
    assert!(names.len() > 4);
    for name in &names[..names.len() - 1] {
        let mut files = whole.clone();
        files.remove(name);
        is_damage(&files, &format!("without {name}"));
        files.insert(name.clone(), Vec::new());
        is_damage(&files, &format!("with an empty {name}"));
    }
    // With an empty file that was made for a commit, nothing is missing.
    let copy = Place::new();
    let mut files = whole.clone();
    files.insert(format!("seg-{:06}.car", names.len() + 1), Vec::new());
    copy.restore(&files);
    for read_only in [true, false] {
        assert_eq!(Content::of(&options().read_only(read_only).open(copy.store()).unwrap()), expected);
    }
}

/// The last segment of the old log is missing, and the new log is there already, but not its manifest.
#[test]
fn a_copy_beside_a_compaction_without_the_end_of_the_old_log_is_damage() {
    let place = Place::new();
    let copied: Arc<Mutex<Files>> = Arc::default();
    let (to, from) = (copied.clone(), place.store());
    let files = Hooked::new(move |call, path| {
        if call == Call::Write && path.ends_with("manifest.new") {
            let entries = fs::read_dir(&from).unwrap().map(|entry| entry.unwrap());
            let files =
                entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
            *to.lock().unwrap() = files.collect();
        }
        Ok(())
    });
    let store = options().create(true).open_on(files, place.store()).unwrap();
    commits(&store, 20);
    store.delete(&block(3).0).unwrap();
    let expected = Content::of(&store);
    let old = segments(&place.files());
    store.compact().unwrap();
    let whole = std::mem::take(&mut *copied.lock().unwrap());
    assert!(segments(&whole).len() > old.len() && whole["manifest"].len() < 200);
    for name in &old[1..] {
        let mut files = whole.clone();
        files.remove(name);
        is_damage(&files, &format!("without {name}"));
    }
    // With all of the old log, the remains of the new one do not matter.
    let copy = Place::new();
    copy.restore(&whole);
    for read_only in [true, false] {
        assert_eq!(Content::of(&options().read_only(read_only).open(copy.store()).unwrap()), expected);
    }
}

/// After a power cut, `state` names a commit in the first segment. A reader has read it when the next writer compacts.
#[test]
fn a_reader_with_a_state_older_than_the_log_misses_nothing() {
    let place = Place::new();
    let store = options().create(true).open(place.store()).unwrap();
    store.put(&block(0).0, block(0).1).unwrap();
    let stale = place.files()["state"].clone();
    (1..60).for_each(|n| store.put(&block(n).0, block(n).1).unwrap());
    assert!(segments(&place.files()).len() > 3);
    drop(store);
    fs::write(place.file("state"), stale).unwrap();
    let (path, is_done) = (place.store(), AtomicBool::new(false));
    let files = Hooked::new(move |call, file| {
        let is_log = file.extension().is_some_and(|end| end == "car");
        if matches!(call, Call::Read(_)) && is_log && !is_done.swap(true, Ordering::SeqCst) {
            let store = options().open(&path).unwrap();
            store.delete(&block(1).0).unwrap();
            assert!(store.compact().unwrap().nothing_to_do.is_none());
        }
        Ok(())
    });
    let reader = options().read_only(true).open_on(files, place.store()).unwrap();
    let listed = reader.cids().unwrap().collect::<Result<BTreeSet<_>, _>>().unwrap();
    assert_eq!(listed, (0..60).filter(|n| *n != 1).map(|n| block(n).0).collect());
}
