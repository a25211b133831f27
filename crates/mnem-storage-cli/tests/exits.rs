//! Every exit status, on either backend where both can give it.

use crate::support::{ABSENT, BACKENDS, Place, animals};

#[test]
fn failed() {
    let place = Place::new();
    let said = place.run(&["import", "nothing.car", "--store", "a.redb"]).fails(1);
    assert!(said.starts_with("error: cannot open nothing.car\n  caused by: No such file"), "{said}");
    assert!(!place.path("a.redb").exists(), "no store was made for an archive that is not there");
}

#[test]
fn usage() {
    let place = Place::new();
    assert_eq!(place.run(&["ls"]).fails(2), "error: no store was named\nhint: give --store PATH, or set MNEM_STORE\n");
    for args in [
        &["frobnicate"][..],
        &["ls", "--store"],
        &["ls", "--store", "a.redb", "--frobnicate"],
        &["get", "--store", "a.redb"],
        &["ls", "--store", "a.redb", "-q", "-v"],
        &["ls", "--store", "a.redb", "--progress", "perhaps"],
        &["ls", "--store", "a.redb", "--lock-wait", "-1"],
        &["ls", "--store", "a.redb", "--lock-wait", "NaN"],
        &["init", "--store", "a.redb", "--backend", "sqlite"],
        &["import", "a.car", "--store", "a.redb", "--max-block", "much"],
    ] {
        place.run(args).fails(2);
    }
    assert!(place.run(&[]).exits(2).err.contains("Usage: mnem-store"));
    assert!(!place.path("a.redb").exists());
}

#[test]
fn damage_found() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.redb");
    place.run(&["rm", &leaf.to_string(), "--store", "a.redb"]).ok();
    let ran = place.run(&["verify", "--store", "a.redb"]).exits(3);
    assert!(ran.out().starts_with(&format!("missing_link: block {leaf} is missing")), "{}", ran.out());
    assert!(ran.out().contains("\n1 fault in 2 blocks"), "{}", ran.out());
}

#[test]
fn no_such_block() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = format!("a.{backend}");
        let (_, [leaf, _]) = place.small_store(&store);
        for args in [["get", ABSENT], ["size", ABSENT], ["rm", ABSENT], ["walk", ABSENT]] {
            let said = place.run(&[&args[..], &["--store", &store]].concat()).fails(4);
            assert_eq!(
                said,
                format!(
                    "error: no block {ABSENT} in {store}\nhint: `mnem-store ls --store {store}` lists the blocks that are there\n"
                )
            );
        }
        let said = place.run(&["export", "-", "--root", ABSENT, "--store", &store]).exits(4).err;
        assert!(said.starts_with("error: cannot export root ") && said.contains(ABSENT), "{said}");
        let absent = place.run(&["has", ABSENT, "--store", &store]).exits(4);
        assert_eq!((absent.out(), &*absent.err), ("no\n", ""));
        place.run(&["rm", &leaf.to_string(), "--store", &store]).ok();
        place.run(&["export", "-", "--store", &store]).exits(4);
    }
}

#[test]
fn no_store_here() {
    let place = Place::new();
    let car = animals();
    place.write("small.car", &std::fs::read(car).expect("an archive"));
    for args in [
        &["ls"][..],
        &["get", ABSENT],
        &["has", ABSENT],
        &["size", ABSENT],
        &["rm", ABSENT],
        &["walk", ABSENT],
        &["heads"],
        &["heads", "update", ABSENT],
        &["heads", "swap", ABSENT],
        &["stat"],
        &["verify"],
        &["put", "small.car"],
        &["export", "-"],
    ] {
        let said = place.run(&[args, &["--store", "no store.redb"]].concat()).fails(10);
        assert!(said.starts_with("error: no store at no store.redb: nothing is there\n"), "{said}");
        assert!(said.contains("hint: `mnem-store init --store 'no store.redb'` makes an empty store"), "{said}");
        assert!(!place.path("no store.redb").exists(), "{args:?} made something");
    }
    place.run(&["copy", "nothing.redb", "copy.redb"]).fails(10);
    assert!(!place.path("copy.redb").exists(), "no copy of nothing");
}

#[test]
fn locked() {
    let place = Place::new();
    let store = place.store("a.redb");
    for args in [&["ls"][..], &["put", "-"], &["verify"], &["stat"]] {
        let said = place.run(&[args, &["--store", "a.redb"]].concat()).fails(11);
        assert_eq!(
            said,
            "error: store a.redb is locked by another process or handle\n\
             hint: wait for the other process to end, or try again with --lock-wait 10\n"
        );
    }
    // A wait that is long enough ends with the other's close.
    let waiting =
        place.command(&["ls", "--store", "a.redb", "--lock-wait", "600"]).spawn().expect("the program starts");
    store.close().expect("closed");
    drop(store);
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    place.run(&["ls", "--store", "a.redb"]).ok();
}

#[test]
fn wrong_or_newer_format() {
    let place = Place::new();
    place.small_store("a.simple");
    let format = place.read("a.simple/format");
    let newer = String::from_utf8(format).expect("text").replace('1', "2");
    place.write("a.simple/format", newer.as_bytes());
    for args in [&["ls"][..], &["verify"], &["import", "-"]] {
        let said = place.run_with_input(&[args, &["--store", "a.simple"]].concat(), EMPTY_CAR).fails(12);
        assert!(said.starts_with("error: store format "), "{said}");
        assert!(said.contains("hint: use a newer mnem-store"), "{said}");
    }
    assert_eq!(place.read("a.simple/format"), newer.as_bytes());
}

/// A CARv1 without roots and blocks.
const EMPTY_CAR: &[u8] = b"\x11\xa2eroots\x80gversion\x01";

#[test]
fn an_unclean_store_is_read_without_touching_it_and_recovered_on_demand() {
    let place = Place::new();
    let store = place.store("live.redb");
    let (blocks, root, _) = crate::support::small_graph();
    let mut batch = mnem_storage::WriteBatch::new();
    batch.extend(blocks);
    store.commit(batch.update(root, [])).expect("committed");
    // What a kill leaves: the file while it is open.
    let unclean = place.read("live.redb");
    place.write("unclean.redb", &unclean);
    for args in [&["heads"][..], &["ls"], &["stat"], &["export", "-"]] {
        place.run(&[args, &["--store", "unclean.redb"]].concat()).exits(0);
        assert!(place.read("unclean.redb") == unclean, "{args:?} changed the file");
    }
    assert_eq!(place.run(&["heads", "--store", "unclean.redb"]).ok(), format!("{root}\n"));
    let said = place.run(&["verify", "--recover", "--store", "unclean.redb"]).ok();
    assert!(said.starts_with("0 faults in 3 blocks"), "{said}");
    assert!(place.read("unclean.redb") != unclean, "recovered");
}
