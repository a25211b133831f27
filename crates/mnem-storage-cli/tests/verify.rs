//! `verify` and `copy` with damaged or incomplete stores.

use mnem_storage::{OpHeadsStore as _, Store as _};

use crate::support::{ABSENT, BACKENDS, EMPTY_CAR, Place, ran, snapshot};

#[test]
fn every_fault_has_a_line() {
    let place = Place::new();
    for backend in BACKENDS {
        let name = &*format!("a.{backend}");
        let (root, [a, b]) = place.small_store(name);
        let store = place.store(name);
        store.update(&ABSENT.parse().expect("a CID"), &[]).expect("a head without its block");
        store.close().expect("closed");
        drop(store);
        for leaf in [a, b] {
            place.run(&["rm", &leaf.to_string(), "--store", name]).ok();
        }
        let before = snapshot(&place.path(name));
        let ran = place.run(&["verify", "--store", name]).exits(3);
        let mut lines: Vec<&str> = ran.out().lines().collect();
        let summary = lines.pop().expect("a summary");
        assert!(summary.starts_with("3 faults in 1 block ("), "{summary}");
        lines.sort_unstable();
        let mut expected = vec![
            format!("missing_head: head {ABSENT} has no block"),
            format!("missing_link: block {a} is missing; {root} links to it"),
            format!("missing_link: block {b} is missing; {root} links to it"),
        ];
        expected.sort_unstable();
        assert_eq!(lines, expected, "{backend}");
        assert!(snapshot(&place.path(name)) == before, "verify changes nothing");
        // With -q, the summary is omitted, but not the faults.
        assert_eq!(place.run(&["verify", "-q", "--store", name]).exits(3).out().lines().count(), 3);
    }
}

#[test]
fn copying_onto_itself_or_into_something_else_is_refused() {
    let place = Place::new();
    place.small_store("a.simple");
    place.run(&["copy", "a.simple", "a.simple/"]).fails(2);
    for inside in ["a.simple/sub.simple", "a.simple/tables/sub.redb"] {
        let before = snapshot(&place.path("a.simple"));
        for args in
            [&["copy", "a.simple", inside][..], &["init", "--store", inside], &["import", "-", "--store", inside]]
        {
            let said = place.run_with_input(args, EMPTY_CAR).fails(1);
            assert!(said.contains("cannot create a store inside another"), "{args:?}: {said}");
        }
        assert!(snapshot(&place.path("a.simple")) == before);
        assert!(!place.path(inside).exists());
    }
    place.run(&["init", "--store", "b.redb"]).ok();
    let own = place.run_with_input(&["put", "-", "--store", "b.redb"], b"of its own").ok();
    let own = own.trim_end();
    place.run(&["heads", "update", own, "--store", "b.redb"]).ok();
    let said = place.run(&["copy", "nothing.redb", "c.redb"]).fails(10);
    assert!(
        said.ends_with("hint: check the path of the source; the source comes first: `mnem-store copy FROM TO`\n"),
        "{said}"
    );
    assert!(!place.path("c.redb").exists());
    let said = place.run(&["copy", "a.simple", "b.redb"]).fails(1);
    assert!(said.starts_with("error: cannot copy a.simple to b.redb\n  caused by: "), "{said}");
    assert!(said.contains(own) && said.contains("--merge-heads"), "{said}");
    let said = place.run(&["copy", "a.simple", "b.redb", "--merge-heads"]).ok();
    assert!(said.contains("\nproved   the copy holds everything present at the start: 3 blocks\n"), "{said}");
    assert!(said.ends_with(&format!("\nkept     {own}\n")), "{said}");
    assert_eq!(place.run(&["heads", "--store", "b.redb"]).ok().lines().count(), 2);
    let said = place.run(&["copy", "--reachable", "a.simple", "b.redb"]).fails(1);
    assert!(said.contains("--merge-heads"), "{said}");
    let said = place.run(&["copy", "--reachable", "--merge-heads", "a.simple", "b.redb"]).ok();
    assert!(said.contains("\nproved   the copy has the heads that the source had at the start: 1 head\n"), "{said}");
}

#[test]
fn the_next_copy_takes_what_is_new_and_moves_the_heads() {
    let place = Place::new();
    for (from, to) in [("a.redb", "b.simple"), ("c.simple", "d.redb")] {
        let (root, [leaf, _]) = place.small_store(from);
        let (root, leaf) = (&*root.to_string(), &*leaf.to_string());
        place.run(&["copy", from, to]).ok();
        place.run_with_input(&["put", "-", "--store", from], b"new").ok();
        place.run(&["heads", "swap", leaf, "--expected", root, "--store", from]).ok();
        let said = place.run(&["copy", from, to]).ok();
        assert!(
            said.contains("\nnew      1, 3 bytes\npresent  3\n") && said.ends_with(&format!("\nreplaced {root}\n")),
            "{said}"
        );
        assert_eq!(place.run(&["heads", "--store", to]).ok(), format!("{leaf}\n"));
        place.run(&["copy", "--compare", from, to]).ok();
    }
}

#[test]
fn copying_again_finds_everything_there() {
    let place = Place::new();
    for (from, to) in [("a.redb", "b.simple"), ("c.simple", "d.redb"), ("e.redb", "f.redb")] {
        let (root, _) = place.small_store(from);
        let said = place.run(&["copy", from, to]).ok();
        assert!(said.contains("new      3, 87 bytes\npresent  0\n"), "{said}");
        let said = place.run(&["copy", from, to]).ok();
        assert!(said.contains("new      0, 0 bytes\npresent  3\n"), "{said}");
        assert_eq!(place.run(&["heads", "--store", to]).ok(), format!("{root}\n"));
    }
}

#[test]
fn side_tables_are_copied_and_counted() {
    let place = Place::new();
    place.small_store("a.redb");
    let store = place.store("a.redb");
    let table = store.side_table("knn_edges").expect("a table");
    table.write(&[(vec![1].into(), vec![2; 10].into())], &[]).expect("written");
    drop(table);
    store.close().expect("closed");
    drop(store);
    assert!(place.run(&["stat", "--store", "a.redb"]).ok().contains("\ntable       knn_edges: 1 key, "));
    let said = place.run(&["copy", "a.redb", "b.simple"]).ok();
    assert!(said.contains("table    knn_edges: 1 key, 10 bytes\n"), "{said}");
    assert!(place.run(&["verify", "--store", "b.simple"]).ok().contains("1 row in side tables"));
}

#[test]
fn a_damaged_block_of_the_target_is_named_and_healed() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.redb");
    place.run(&["copy", "a.redb", "b.simple"]).ok();
    let leaf = leaf.to_string();
    let file = format!("b.simple/objects/{}/{leaf}", &leaf[leaf.len() - 3..leaf.len() - 1]);
    std::fs::remove_file(place.path(&file)).expect("removed");
    place.write(&file, b"\x61z");
    place.run(&["copy", "a.redb", "b.simple"]).ok();
    let said = place.run(&["copy", "--compare", "a.redb", "b.simple"]).fails(1);
    assert!(said.contains(&format!("caused by: block {leaf} in the simple store is damaged")), "{said}");
    let hint = format!(
        "hint: run `mnem-store rm {leaf} --store b.simple` (with --force if it is a head), then `mnem-store copy a.redb b.simple` again\n"
    );
    assert!(said.ends_with(&hint), "{said}");
    place.run(&["rm", &leaf, "--store", "b.simple"]).ok();
    let said = place.run(&["copy", "a.redb", "b.simple"]).ok();
    assert!(said.contains("new      1, 2 bytes\npresent  2\n"), "{said}");
    place.run(&["verify", "--store", "b.simple"]).ok();
}

#[test]
fn the_hint_of_a_copy_names_the_store_that_failed() {
    let place = Place::new();
    place.small_store("whole.redb");
    place.small_store("bad.simple");
    std::fs::remove_file(place.path("bad.simple/op_heads")).expect("removed");
    for (from, to) in [("whole.redb", "bad.simple"), ("bad.simple", "new.redb")] {
        let said = place.run(&["copy", from, to]).fails(1);
        assert!(said.starts_with(&format!("error: cannot copy {from} to {to}\n  caused by: ")), "{said}");
        assert!(
            said.contains("or `mnem-store copy --salvage bad.simple NEW` to copy what is still readable"),
            "{said}"
        );
        assert!(said.contains("hint: run `mnem-store verify --store bad.simple` to list the damage"), "{said}");
    }
    assert!(!place.path("new.redb").exists());
    let said = ran(place.command(&["copy", "whole.redb", "no/b.redb"]).env("MNEM_STORE", "other.redb")).fails(10);
    assert!(said.ends_with("hint: run `mkdir -p no`, then the same command again\n"), "{said}");
}

#[test]
fn recovering_a_damaged_file_tells_the_damage() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let text = b"a text that is easily found in the file";
    place.run_with_input(&["put", "-", "--store", "a.redb"], text).ok();
    let mut bytes = place.read("a.redb");
    let at = bytes.windows(text.len()).position(|window| window == text).expect("the block's bytes");
    bytes[at] ^= 1;
    place.write("a.redb", &bytes);
    for args in [&["verify"][..], &["verify", "--recover"]] {
        let ran = place.run(&[args, &["--store", "a.redb"]].concat()).exits(3);
        assert!(ran.out().starts_with("structure: "), "{args:?}: {}", ran.out());
    }
}

#[test]
fn an_empty_format_file_is_damage() {
    let place = Place::new();
    place.small_store("a.simple");
    place.write("a.simple/format", b"");
    let ran = place.run(&["verify", "--store", "a.simple"]).exits(3);
    assert!(ran.out().starts_with("structure: simple store is damaged: a.simple/format"), "{}", ran.out());
    let said = place.run(&["ls", "--store", "a.simple"]).fails(1);
    assert!(said.contains("hint: run `mnem-store verify --store a.simple` to list the damage"), "{said}");
}

#[test]
fn unfinished_files_are_counted_and_foreign_ones_named() {
    let place = Place::new();
    place.small_store("a.simple");
    for name in ["00112233445566778899aabbccddeeff", "ff112233445566778899aabbccddeeff"] {
        place.write(&format!("a.simple/tmp/{name}"), b"half a block");
    }
    std::fs::write(place.path("a.simple").join("tmp").join("notes"), b"").expect("written");
    let ran = place.run(&["verify", "--store", "a.simple"]).exits(0);
    assert!(ran.err.contains("note: 2 unfinished files of running or killed writers"), "{}", ran.err);
    assert_eq!(ran.err.matches("does not belong").count(), 1, "{}", ran.err);
    assert!(ran.err.contains("tmp/notes\" does not belong"), "{}", ran.err);
}

#[test]
fn a_broken_structure_comes_with_what_to_do() {
    let place = Place::new();
    place.small_store("a.redb");
    let mut bytes = place.read("a.redb");
    bytes.truncate(5000);
    place.write("a.redb", &bytes);
    let ran = place.run(&["verify", "--store", "a.redb"]).exits(3);
    assert!(
        ran.err.contains(
            "note: the structure is damaged: restore the store from a copy or an archive, or run `mnem-store copy --salvage a.redb NEW`"
        ),
        "{}",
        ran.err
    );
}

/// The message, the hint and `verify` agree about extra bytes after the end of a store.
#[test]
fn appended_bytes_are_to_be_cut_off() {
    let place = Place::new();
    place.small_store("a.redb");
    let whole = place.read("a.redb");
    place.write("a.redb", &[&whole[..], &[7; 5000]].concat());
    let said = place.run_with_input(&["put", "-", "--store", "a.redb"], b"more").fails(1);
    let cut = format!("truncate -s {}", whole.len());
    assert!(said.contains(&format!("appended from outside: `{cut}` removes them")), "{said}");
    assert!(
        said.ends_with(&format!(
            "hint: run `{cut} a.redb` to cut these bytes off; `mnem-store verify` and `copy` ignore them\n"
        )),
        "{said}"
    );
    place.run(&["verify", "--store", "a.redb"]).ok();
    place.run(&["copy", "a.redb", "b.redb"]).ok();
    place.write("a.redb", &whole);
    place.run_with_input(&["put", "-", "--store", "a.redb"], b"more").ok();
}

/// Only `verify` would read the damaged block. These commands rely on the whole structure, so they check it first.
#[test]
fn commands_that_rely_on_the_structure_refuse_a_damaged_page_that_they_would_not_read() {
    let place = Place::new();
    let (root, _) = place.small_store("a.redb");
    let unread = b"a leaf that no head reaches";
    place.run_with_input(&["put", "-", "--store", "a.redb"], unread).ok();
    let mut bytes = std::fs::read(place.path("a.redb")).expect("a file");
    let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(unread)).collect();
    assert!(!at.is_empty(), "the block is not in the file as it is");
    at.iter().for_each(|at| bytes[*at] ^= 1);
    std::fs::write(place.path("a.redb"), &bytes).expect("written");
    place.run(&["export", "--root", &root.to_string(), "root.car", "--store", "a.redb"]).ok();
    for args in [
        &["export", "all.car", "--store", "a.redb"][..],
        &["gc", "--store", "a.redb"],
        &["gc", "--dry-run", "--store", "a.redb"],
        &["copy", "a.redb", "b.redb"],
        &["copy", "--reachable", "a.redb", "b.redb"],
        &["compact", "--store", "a.redb"],
    ] {
        let said = place.run(args).fails(1);
        assert!(said.contains("damaged"), "{args:?}: {said}");
        assert!(!place.path("all.car").exists() && !place.path("b.redb").exists(), "{args:?}");
    }
    assert!(std::fs::read(place.path("a.redb")).expect("a file") == bytes, "nothing was written");
}
