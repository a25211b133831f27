//! Logs with holes, changed entries, objects of others, later formats: each is a named error, or does no harm.

use mnem_backend_bucket::BucketStore;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::{
    medium::{Medium, quick},
    protocol::{block, open},
};

const FIRST: &str = "log/00000000000000000000.car";
const SECOND: &str = "log/00000000000000000001.car";
const THIRD: &str = "log/00000000000000000002.car";

/// A store of three entries, each with a block, a head and a row.
fn stored() -> Medium {
    let medium = Medium::default();
    let store = open(&medium);
    for n in 0..3 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    }
    store.close().unwrap();
    medium
}

fn try_open(medium: &Medium) -> Result<BucketStore, StoreError> {
    quick().create(false).open_in(medium.connect(), "")
}

fn refusal(medium: &Medium) -> (ErrorKind, String) {
    let error = try_open(medium).unwrap_err();
    (error.kind(), error.in_full().to_string())
}

#[test]
fn a_hole_in_the_log_is_named() {
    for (missing, name) in [(FIRST, "0"), (SECOND, "1")] {
        let medium = stored();
        medium.remove(missing);
        let (kind, text) = refusal(&medium);
        assert_eq!(kind, ErrorKind::Damaged, "{name}");
        assert!(text.contains(missing) && text.contains(THIRD), "{text}");
    }
}

#[test]
fn every_changed_byte_of_an_entry_is_named_or_harmless() {
    let medium = stored();
    let sound = medium.read(SECOND).unwrap();
    let mut harmless = 0;
    for at in 0..sound.len() {
        let mut changed = sound.to_vec();
        changed[at] ^= 0x10;
        medium.write(SECOND, changed);
        match try_open(&medium) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
                assert!(error.to_string().contains(SECOND), "byte {at}: {error}");
            }
            Ok(store) => {
                harmless += 1;
                assert_eq!(store.heads().unwrap().len(), 3);
                for n in 0..3 {
                    match store.get(&block(n).0) {
                        Err(error) => assert_eq!((error.kind(), n), (ErrorKind::Corrupt, 1), "byte {at}"),
                        found => assert_eq!(found.unwrap(), Some(block(n).1), "byte {at}"),
                    }
                }
            }
        }
    }
    // The block, and what stands before it.
    assert_eq!(harmless, 1 + 36 + block(1).1.len());
}

#[test]
fn an_entry_that_is_cut_lengthened_empty_or_of_another_slot_or_store_is_damage() {
    let other = stored();
    let medium = stored();
    let sound = medium.read(SECOND).unwrap();
    let longer = [&sound[..], b"x"].concat();
    let wrong: [Bytes; 6] = [
        sound.slice(..sound.len() - 1),
        longer.into(),
        Bytes::new(),
        medium.read(FIRST).unwrap(),
        other.read(SECOND).unwrap(),
        Bytes::from_static(b"<html>a proxy</html>"),
    ];
    for (number, bytes) in wrong.into_iter().enumerate() {
        medium.write(SECOND, bytes);
        let (kind, text) = refusal(&medium);
        assert_eq!(kind, ErrorKind::Damaged, "{number}: {text}");
        assert!(text.contains(SECOND), "{number}: {text}");
    }
}

/// An entry that was forked off an earlier state does not follow the one before it.
#[test]
fn an_entry_that_does_not_follow_is_damage() {
    let medium = stored();
    let fork = stored();
    fork.write("mnem", medium.read("mnem").unwrap());
    for name in [FIRST, SECOND, THIRD] {
        fork.remove(name);
    }
    let store = open(&fork);
    for n in [7, 1] {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    }
    medium.write(SECOND, fork.read(SECOND).unwrap());
    let (kind, text) = refusal(&medium);
    assert_eq!(kind, ErrorKind::Damaged);
    assert!(text.contains("does not follow"), "{text}");
}

#[test]
fn damage_under_an_open_handle_is_named_and_what_is_known_is_read() {
    let medium = stored();
    let store = open(&medium);
    medium.write("log/00000000000000000003.car", &b"rubbish"[..]);
    assert_eq!(store.heads().unwrap_err().kind(), ErrorKind::Damaged);
    let (cid, data) = block(9);
    let error = store.put(&cid, data).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let cold = medium.clone();
    cold.remove("log/00000000000000000003.car");
    assert_eq!(open(&cold).get(&block(1).0).unwrap(), Some(block(1).1));
}

#[test]
fn later_formats_are_refused_by_name() {
    let medium = stored();
    let format = String::from_utf8(medium.read("mnem").unwrap().to_vec()).unwrap();
    medium.write("mnem", format.replace("mnem-backend-bucket 1", "mnem-backend-bucket 2"));
    let (kind, text) = refusal(&medium);
    assert_eq!(kind, ErrorKind::UnsupportedFormat);
    assert!(text.contains("mnem-backend-bucket 2"), "{text}");
    medium.write("mnem", "something else\n");
    assert_eq!(refusal(&medium).0, ErrorKind::NotAStore);
    medium.write("mnem", format.replace("lease-ms 2", "lease-ms 3"));
    assert_eq!(refusal(&medium).0, ErrorKind::Damaged);
    medium.write("mnem", vec![b'a'; 5000]);
    assert_eq!(refusal(&medium).0, ErrorKind::NotAStore);
}

#[test]
fn other_objects_do_no_harm_to_a_store_and_prevent_a_new_one() {
    let medium = stored();
    for name in ["log/00000000000000000007.car.bak", "log/notes.txt", "notes.txt", "more/notes.txt"] {
        medium.write(name, "notes");
    }
    assert_eq!(open(&medium).heads().unwrap().len(), 3);
    for name in ["notes.txt", "more/notes.txt"] {
        let medium = Medium::default();
        medium.write(name, "notes");
        let error = quick().open_in(medium.connect(), "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAStore);
        assert_eq!(medium.names(), [name], "nothing was changed");
    }
    // Below another prefix there is room.
    quick().open_in(medium.connect(), "another").unwrap();
}

#[test]
fn a_log_without_its_format_object_is_damage_and_no_place_for_a_new_store() {
    let medium = stored();
    medium.remove("mnem");
    assert_eq!(refusal(&medium).0, ErrorKind::Damaged);
    assert_eq!(quick().open_in(medium.connect(), "").unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_creation_that_was_cut_off_is_finished_by_the_next() {
    let medium = Medium::default();
    medium.write("probe", "mnem-backend-bucket\n");
    open(&medium);
    assert!(medium.read("mnem").is_some());
}

/// Records above the part of an object that is read first.
#[test]
fn an_entry_with_a_long_record_is_read() {
    let medium = Medium::default();
    let store = open(&medium);
    let rows = store.side_table("rows").unwrap();
    let keys: Vec<Bytes> = (0..20_000).map(|n| Bytes::from(format!("{n:0100}"))).collect();
    let puts: Vec<_> = keys.iter().map(|key| (key.clone(), Bytes::from_static(b"v"))).collect();
    rows.write(&puts, &[]).unwrap();
    assert!(medium.read(FIRST).unwrap().len() > 2 << 20);
    let again = open(&medium);
    let rows = again.side_table("rows").unwrap();
    assert_eq!(rows.keys(b"").unwrap().count(), keys.len());
    assert_eq!(rows.get(&keys[19_999]).unwrap(), Some(Bytes::from_static(b"v")));
}
