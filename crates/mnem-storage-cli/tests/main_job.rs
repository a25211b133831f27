//! From an archive to a verified store, to another backend, and back.

use crate::support::{Place, ROOT, animals, ran};

#[test]
fn import_heads_verify_copy_export() {
    let place = Place::new();
    let car = animals();
    let car = car.to_str().expect("a path of text");

    let said = place.run(&["import", car, "--heads", "--store", "animals.redb"]).ok();
    assert!(said.starts_with("imported 4,077 blocks (1.1 MiB) into animals.redb\n"), "{said}");
    assert!(said.contains("new            4,077\npresent        0\nmissing roots  0\n"), "{said}");
    assert!(said.ends_with(&format!("heads          1 (1 new)\n  {ROOT}\n")), "{said}");

    assert_eq!(place.run(&["heads", "--store", "animals.redb"]).ok(), format!("{ROOT}\n"));

    let said = place.run(&["verify", "--store", "animals.redb"]).ok();
    assert!(said.starts_with("0 faults in 4,077 blocks (1.1 MiB); 1 head reaches 4,077 blocks"), "{said}");

    let said = place.run(&["copy", "animals.redb", "animals.simple/"]).ok();
    assert!(said.contains("proved   the CID sets are equal: 4,077 blocks in both\n"), "{said}");
    assert!(said.contains(&format!("proved   the heads are equal: 1 head in both\n  {ROOT}\n")), "{said}");
    assert!(place.path("animals.simple/objects").is_dir());
    assert!(place.run(&["verify", "--store", "animals.simple"]).ok().starts_with("0 faults in 4,077 blocks"));

    let archives = ["animals.simple", "animals.simple", "animals.redb"]
        .map(|store| place.run(&["export", "-", "--store", store]).exits(0).out);
    let [first, again, from_redb] = &archives;
    assert_eq!(first.len(), 1_265_137);
    assert!(first == again, "exporting twice gives the same bytes");
    assert!(first == from_redb, "either backend gives the same bytes");

    place.write("out.car", first);
    let said = place.run(&["import", "out.car", "--heads", "--store", "animals.redb"]).ok();
    assert!(said.contains("new            0\npresent        4,077\n"), "{said}");
    assert!(said.ends_with(&format!("heads          1\n  {ROOT}\n")), "{said}");

    let said = place.run(&["import", "out.car", "--heads", "--store", "fresh.redb"]).ok();
    assert!(said.contains("new            4,077\n"), "out.car holds the same blocks: {said}");
    assert_eq!(place.run(&["export", "-", "--store", "fresh.redb"]).exits(0).out, *first);
}

#[test]
fn the_store_may_come_from_the_environment_and_options_from_before_the_command() {
    let place = Place::new();
    place.small_store("a.redb");
    place.small_store("b.redb");
    let in_a = place.run(&["--store", "a.redb", "--json", "ls"]).ok();
    assert_eq!(in_a.lines().count(), 3);
    let out = place.command(&["ls", "--json"]).env("MNEM_STORE", "a.redb").output().expect("runs").stdout;
    assert_eq!(String::from_utf8_lossy(&out), in_a);
    // The option takes precedence over the variable, and an empty variable counts as unset.
    ran(place.command(&["ls", "--store", "b.redb"]).env("MNEM_STORE", "nowhere")).ok();
    ran(place.command(&["ls"]).env("MNEM_STORE", "")).fails(2);
}

#[test]
fn long_work_tells_its_progress_only_where_asked() {
    let place = Place::new();
    let car = animals();
    let car = car.to_str().expect("a path of text");
    let silent = place.run(&["import", car, "--heads", "--store", "a.redb"]).exits(0);
    let note = "note: links were not followed; run `mnem-store verify` to check that the graph is complete\n";
    assert_eq!(silent.err, note, "standard error is no terminal");
    let told = place.run(&["import", car, "--heads", "--store", "b.redb", "--progress", "always"]).exits(0);
    assert!(told.err.starts_with("import: blocks: "), "{}", told.err);
    for args in [&["verify", "--store", "a.redb"][..], &["copy", "a.redb", "c.redb"]] {
        let told = place.run(&[args, &["--progress", "always"]].concat()).exits(0).err;
        assert!(told.contains(&format!("{}: counting: 1 block\n", args[0])), "{told}");
        assert!(told.contains(&format!("{}: blocks: 0 of 4,077 blocks\n", args[0])), "{told}");
    }
    let quiet = place.run(&["import", car, "--heads", "--store", "a.redb", "-q"]).exits(0);
    assert_eq!((quiet.out(), &*quiet.err), ("", ""));
    let verbose = place.run(&["heads", "--store", "a.redb", "-v"]).exits(0);
    assert_eq!(verbose.err, "note: opening a.redb for reading\n");
}
