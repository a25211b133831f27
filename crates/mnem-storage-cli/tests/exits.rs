//! Every exit status, with each backend that can cause it.

use crate::support::{ABSENT, BACKENDS, EMPTY_CAR, Place, animals, ran};

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
    assert_eq!(place.run(&["ls"]).fails(2), "error: no store given\nhint: give --store PATH or set MNEM_STORE\n");
    for args in [
        &["frobnicate"][..],
        &["ls", "--store"],
        &["ls", "--store", "a.redb", "--frobnicate"],
        &["--store", "a.redb", "ls", "--store", "b.redb"],
        &["--store=a.redb", "ls", "--store=b.redb"],
        &["--store", "a.redb", "heads", "--store", "a.redb", "swap", "--", "--store"],
        &["copy", "a.redb", "b.redb", "--store", "c.redb"],
        &["--store", "c.redb", "copy", "a.redb", "b.redb"],
        &["help", "frobnicate"],
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
    let said = place.run(&["--store", "a.redb", "ls", "--store", "b.redb"]).fails(2);
    assert!(said.starts_with("error: --store is given twice, before and after the command"), "{said}");
    let said = place.run(&["copy", "a.redb", "b.redb", "--store", "c.redb"]).fails(2);
    assert!(said.contains("FROM TO"), "{said}");
    // After `--` nothing is an option, and the environment variable is not a second store.
    place.run(&["has", "--store", "a.redb", "--", "--store"]).fails(2);
    ran(place.command(&["--store", "a.redb", "has", ABSENT]).env("MNEM_STORE", "b.redb")).fails(10);
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
        for args in [["get", ABSENT], ["size", ABSENT], ["rm", ABSENT], ["walk", ABSENT], ["show", ABSENT]] {
            let said = place.run(&[&args[..], &["--store", &store]].concat()).fails(4);
            assert_eq!(
                said,
                format!(
                    "error: no block {ABSENT} in {store}\nhint: run `mnem-store ls --store {store}` to list the blocks\n"
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
        &["walk"],
        &["show", ABSENT],
        &["heads"],
        &["heads", "update", ABSENT],
        &["heads", "swap", ABSENT],
        &["stat"],
        &["verify"],
        &["put", "small.car"],
        &["export", "-"],
    ] {
        let said = place.run(&[args, &["--store", "no store.redb"]].concat()).fails(10);
        assert!(said.starts_with("error: no store at no store.redb: it does not exist\n"), "{said}");
        assert!(
            said.contains(
                "hint: check the path; run `mnem-store init --store 'no store.redb'` to create an empty store"
            ),
            "{said}"
        );
        assert!(!place.path("no store.redb").exists(), "{args:?} made something");
    }
    place.run(&["copy", "nothing.redb", "copy.redb"]).fails(10);
    assert!(!place.path("copy.redb").exists(), "no copy of nothing");
}

#[test]
fn a_redb_file_is_shared_by_those_who_say_so() {
    let place = Place::new();
    let options = mnem_storage::OpenOptions::new().create(true).sharing(mnem_storage::driver::Sharing::MultiWriter);
    let store = options.open(place.path("a.redb")).expect("a new store");
    place.run(&["heads", "--store", "a.redb"]).fails(11);
    place.write("note", b"from another process");
    place.run(&["put", "note", "--store", "a.redb", "--sharing", "single-writer"]).fails(11);
    let shared = ["--store", "a.redb", "--sharing", "multi-writer"];
    let said = place.run(&[&["put", "note", "--codec", "raw"][..], &shared].concat()).ok();
    assert!(store.has(&said.trim().parse().expect("a CID")).expect("has"));
    place.run(&[&["ls"][..], &shared].concat()).ok();
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
             hint: end the process that has the store open, or wait for it with --lock-wait 10\n"
        );
    }
    // A sufficiently long wait ends when the other process closes the store.
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
        assert!(said.contains("hint: use the version of mnem-store that wrote the store, or a newer one"), "{said}");
    }
    assert_eq!(place.read("a.simple/format"), newer.as_bytes());
}

#[test]
fn a_newer_or_older_redb_file() {
    let place = Place::new();
    for version in ["0", "2"] {
        let name = format!("{version}.redb");
        let database = redb::Database::create(place.path(&name)).expect("a file of redb");
        let write = database.begin_write().expect("a transaction");
        let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
        let format = format!("mnem-backend-redb {version}");
        write.open_table(meta).expect("a table").insert("format", format.as_bytes()).expect("inserted");
        write.commit().expect("committed");
        drop(database);
        let before = place.read(&name);
        for args in [&["ls"][..], &["verify"], &["verify", "--recover"], &["import", "-"], &["stat"]] {
            let said = place.run_with_input(&[args, &["--store", &name]].concat(), EMPTY_CAR).fails(12);
            assert!(said.starts_with(&format!("error: store format {format} is not supported")), "{args:?}: {said}");
            assert!(
                said.contains("hint: use the version of mnem-store that wrote the store, or a newer one"),
                "{said}"
            );
        }
        assert!(place.read(&name) == before, "left as it was");
    }
}

#[test]
fn a_simple_store_whose_heads_are_being_written() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.simple");
    let lock = std::fs::File::options().write(true).open(place.path("a.simple/lock")).expect("the lock");
    lock.lock().expect("locked");
    let leaf = leaf.to_string();
    let update = &["heads", "update", &leaf, "--store", "a.simple"][..];
    let said = place.run(&[update, &["--lock-wait", "0"]].concat()).fails(11);
    assert!(
        said.contains("a.simple is locked by another process")
            && said.contains("hint: end the process that has the store open"),
        "{said}"
    );
    place.run(&["heads", "--store", "a.simple", "--lock-wait", "0"]).ok();
    lock.unlock().expect("unlocked");
    place.run(update).ok();
}

#[test]
fn an_unclean_store_is_read_without_touching_it_and_recovered_on_demand() {
    let place = Place::new();
    let store = place.store("live.redb");
    let (blocks, root, _) = crate::support::small_graph();
    let mut batch = mnem_storage::WriteBatch::new();
    batch.extend(blocks);
    store.commit(batch.update(root, [])).expect("committed");
    // The file of an open store is what a kill leaves.
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
