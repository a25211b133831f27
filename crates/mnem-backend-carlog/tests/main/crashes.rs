//! A log that is cut off at any byte, as after a crash.

use std::fs;

use mnem_backend_carlog::OpenOptions;
use mnem_store_traits::{ErrorKind, OpHeadsStore, Store};

use crate::support::{Content, Place, SEGMENT, block, commit, commits, len};

/// Restores a `state` file that fits the truncated log: a power cut also loses the unsynced later one.
fn forget_state(place: &Place) {
    fs::write(place.file("state"), []).unwrap();
}

#[test]
fn cut_at_any_byte_it_holds_every_whole_commit() {
    let place = Place::new();
    let store = place.open();
    let (mut ends, mut contents) = (vec![0], vec![Content::of(&store)]);
    for n in 0..6 {
        commit(&store, n);
        contents.push(Content::of(&store));
        ends.push(len(&place.file(SEGMENT)));
    }
    std::mem::forget(store);
    let whole = place.files();
    let log = whole[SEGMENT].clone();
    assert_eq!(ends.last(), Some(&(log.len() as u64)));
    let copy = Place::new();
    for cut in 0..=log.len() {
        copy.restore(&whole);
        fs::write(copy.file(SEGMENT), &log[..cut]).unwrap();
        forget_state(&copy);
        let expected = &contents[ends.iter().rposition(|end| *end <= cut as u64).unwrap()];
        assert_eq!(Content::of(&copy.read_only()), *expected, "read after byte {cut}");
        assert_eq!(len(&copy.file(SEGMENT)), cut as u64, "a reader changes nothing");
        let store = copy.open();
        assert_eq!(Content::of(&store), *expected, "opened after byte {cut}");
        let (cid, data) = block(1000);
        store.commit(mnem_store_traits::WriteBatch::new().put(cid, data).update(cid, store.heads().unwrap())).unwrap();
        store.close().unwrap();
        assert_eq!(copy.read_only().heads().unwrap(), [cid], "written on after byte {cut}");
    }
}

/// The same bytes are missing, but it is known that they had been synced.
#[test]
fn acknowledged_commits_that_are_gone_are_damage() {
    let place = Place::new();
    let store = place.open();
    commits(&store, 3);
    let end = len(&place.file(SEGMENT));
    commits(&store, 5);
    std::mem::forget(store);
    let whole = place.files();
    let copy = Place::new();
    let restored = |cut: u64| {
        copy.restore(&whole);
        let log = fs::read(copy.file(SEGMENT)).unwrap();
        fs::write(copy.file(SEGMENT), &log[..cut as usize]).unwrap();
    };
    for cut in [end, end + 1, 0, 70] {
        restored(cut);
        for read_only in [false, true] {
            let error = OpenOptions::new().read_only(read_only).open(copy.store()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{cut}: {error}");
            assert_eq!(len(&copy.file(SEGMENT)), cut, "nothing is cut off");
        }
    }
}

#[test]
fn a_creation_that_was_cut_off_is_finished_by_the_next() {
    let place = Place::new();
    place.open().close().unwrap();
    let whole = place.files();
    for missing in ["format", "manifest", "state", "lock", SEGMENT] {
        let copy = Place::new();
        copy.restore(&whole);
        fs::remove_file(copy.file("format")).unwrap();
        let _ = fs::remove_file(copy.file(missing));
        fs::write(copy.file("format.new"), b"half").unwrap();
        let error = OpenOptions::new().open(copy.store()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAStore);
        commits(&copy.open(), 2);
        assert_eq!(Content::of(&copy.read_only()).blocks.len(), 4, "without {missing}");
    }
}
