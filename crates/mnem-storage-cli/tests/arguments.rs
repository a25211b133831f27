//! Unlikely arguments: the program rejects or accepts them, and never panics.

use std::{ffi::OsString, io::Write as _, process::Stdio};

use proptest::prelude::*;

use crate::support::{ABSENT, BACKENDS, Place, ROOT, ran};

/// All exit statuses, except that of a panic.
const STATUSES: [i32; 9] = [0, 1, 2, 3, 4, 10, 11, 12, 13];

/// Commands, options and values. Without `conformance`, which takes a minute.
const WORDS: [&str; 63] = [
    "init",
    "import",
    "export",
    "put",
    "get",
    "has",
    "size",
    "rm",
    "ls",
    "walk",
    "heads",
    "update",
    "swap",
    "stat",
    "log",
    "verify",
    "copy",
    "diff",
    "gc",
    "--keep",
    "compact",
    "knn",
    "build",
    "list",
    "show",
    "neighbors",
    "completions",
    "man",
    "help",
    "--store",
    "--store=",
    "--json",
    "-q",
    "-v",
    "-qv",
    "--progress",
    "always",
    "--lock-wait",
    "0",
    "1e300",
    "-1",
    "NaN",
    "--",
    "-",
    "--heads",
    "--force",
    "--allow-empty",
    "--max-block",
    "16EiB",
    "18446744073709551616",
    "--backend",
    "simple",
    "--root",
    ROOT,
    ABSENT,
    "a.redb",
    "b.simple/",
    "notes.txt",
    "",
    " ",
    "--k",
    "--recover",
    "--out",
];

/// A word from the list, or any bytes that do not lead out of the folder.
fn argument() -> impl Strategy<Value = OsString> {
    let word = (0..WORDS.len()).prop_map(|at| OsString::from(WORDS[at]));
    prop_oneof![8 => word, 1 => any_bytes()]
}

#[cfg(unix)]
fn any_bytes() -> impl Strategy<Value = OsString> {
    let byte = any::<u8>().prop_filter("no path, and no end of the text", |byte| !b"/\0".contains(byte));
    prop::collection::vec(byte, 0..12).prop_map(std::os::unix::ffi::OsStringExt::from_vec)
}

#[cfg(not(unix))]
fn any_bytes() -> impl Strategy<Value = OsString> {
    "[^/\\\\:\0]{0,12}".prop_map(OsString::from)
}

#[test]
fn every_command_is_among_the_words() {
    let help = Place::new().run(&["--help"]).ok();
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of commands");
    let commands = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let absent: Vec<&str> = commands.filter(|name| *name != "conformance" && !WORDS.contains(name)).collect();
    assert_eq!(absent, [""; 0], "add these commands to WORDS");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_arguments_make_it_panic(args in prop::collection::vec(argument(), 0..9)) {
        let place = Place::new();
        place.write("notes.txt", b"notes");
        place.store("a.redb").close().expect("closed");
        let mut command = place.command(&[]);
        command.args(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let _ = child.stdin.take().expect("a pipe").write_all(b"some input");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        prop_assert!(!said.contains("panicked"), "{said}");
        prop_assert!(output.status.code().is_some_and(|status| STATUSES.contains(&status)), "{:?}: {said}", output.status);
        if output.status.code() != Some(0) {
            prop_assert!(!said.is_empty() || !output.stdout.is_empty(), "it failed without a word");
        }
    }
}

#[test]
fn numbers_beyond_all_measure() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = format!("a.{backend}");
        place.small_store(&store);
        for (args, exit) in [
            (&["ls", "--lock-wait", "18446744073709549568"][..], 0),
            (&["ls", "--lock-wait", "18446744073709551616"], 2),
            (&["ls", "--lock-wait", "1e308"], 2),
            (&["ls", "--lock-wait", "-1"], 2),
            (&["ls", "--lock-wait", "inf"], 2),
            (&["import", "-", "--max-block", "18446744073709551615"], 1),
            (&["import", "-", "--max-block", "18446744073709551616"], 2),
            (&["import", "-", "--max-block", "99999999999999999999999EiB"], 1),
            (&["import", "-", "--max-block", "-1"], 2),
            (&["knn", "build", "--vectors", "v.jsonl", "--k", "4294967295"], 0),
            (&["knn", "build", "--vectors", "v.jsonl", "--k", "4294967296"], 2),
        ] {
            let vectors = "{\"id\":\"00000000000000000000000000000001\",\"vector\":[1]}\n";
            place.write("v.jsonl", vectors.as_bytes());
            let ran = place.run_with_input(&[args, &["--store", &store]].concat(), b"no archive");
            assert_eq!(ran.exit, Some(exit), "{args:?}: {}", ran.err);
            assert!(!ran.err.contains("panicked"), "{args:?}: {}", ran.err);
        }
    }
    let laws = ["conformance", "--only", "blocks::put_twice", "--seed", "18446744073709551615", "--rounds", "0"];
    place.run(&laws).ok();
}

#[cfg(unix)]
#[test]
fn paths_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let path = std::ffi::OsStr::from_bytes;
    for store in [path(b"\xff.redb"), path(b"\xfe.simple")] {
        let run = |args: &[&str]| ran(place.command(args).arg("--store").arg(store));
        run(&["init"]).ok();
        run(&["heads", "-q"]).ok();
        let stat = run(&["verify", "--json"]).ok();
        assert!(stat.contains("\"fault_count\":0"), "{stat}");
        let said = run(&["init"]).fails(1);
        assert!(said.starts_with("error: \u{fffd}.") && said.contains(" is already a "), "{said}");
        let said = run(&["import", "-", "--json"]).exits(1).err;
        assert!(serde_json::from_str::<serde_json::Value>(&said).is_ok(), "{said}");
    }
    ran(place.command(&["export", "--allow-empty"]).arg(path(b"\xfd.car")).args(["--store"]).arg(path(b"\xff.redb")))
        .ok();
    assert!(place.path("").join(path(b"\xfd.car")).exists());
    ran(place.command(&["copy"]).arg(path(b"\xff.redb")).arg(path(b"\xfc.simple"))).ok();
    ran(place.command(&["get", "--store", "a.redb"]).arg(path(b"\xff"))).fails(2);
    ran(place.command(&[]).arg(path(b"\xff"))).fails(2);
}

#[test]
fn a_path_without_its_option_leads_to_the_option() {
    let place = Place::new();
    for args in [&["init", "animals.redb"][..], &["ls", "animals.redb"], &["get", ABSENT, "animals.redb"]] {
        let said = place.run(args).fails(2);
        assert!(said.contains("tip: name the store with --store: `--store animals.redb`"), "{said}");
        let said = place.run(&[args, &["--json"]].concat()).exits(2).err;
        assert!(said.contains(r#""hint":"name the store with --store: "#), "{said}");
    }
    for args in [&["knn", "build", "v.jsonl"][..], &["knn", "list", "v.jsonl"]] {
        let said = place.run(args).fails(2);
        assert!(said.contains("tip: `knn build` takes a file of vectors: `--vectors v.jsonl`"), "{said}");
    }
    let said = place.run(&["knn", "build", ABSENT]).fails(2);
    assert!(said.contains("`export` and `knn build` take --root CID"), "{said}");
    let said = place.run(&["init", "--stor", "animals.redb"]).fails(2);
    assert!(said.contains("exists: '--store'") && !said.contains("name the store"), "{said}");
}

#[test]
fn a_cid_where_none_belongs_leads_to_what_takes_one() {
    let place = Place::new();
    for cid in [ABSENT, &ABSENT[..12]] {
        let said = place.run(&["verify", cid]).fails(2);
        assert!(said.contains("tip: this command takes no CID") && !said.contains("--store"), "{said}");
    }
}

#[test]
fn a_bad_number_is_answered_with_the_range() {
    let place = Place::new();
    for wrong in ["x", "", "-1", "+1", "1.5", "0", "100001", "1,000", "99999999999999999999"] {
        let said = place.run(&["stat", &format!("--largest={wrong}")]).fails(2);
        assert!(said.contains("expected a whole number from 1 to 100,000"), "{wrong}: {said}");
    }
    let said = place.run(&["knn", "build", "--vectors", "-", "--k", "many"]).fails(2);
    assert!(said.contains("expected a whole number from 1 to 4,294,967,295"), "{said}");
}

#[test]
fn what_belongs_to_another_command_leads_there() {
    let place = Place::new();
    for (args, tip) in [
        (&["ls", "--expected"][..], "--expected is an option of `heads swap`"),
        (
            &["get", "--out", "f"],
            "--out is an option of `man`; other commands write to standard output: redirect it with `> FILE`",
        ),
        (&["verify", "a.car"], "import archives one at a time: `mnem-store import a.car --store STORE`"),
        (&["heads", "list"], "`mnem-store heads` lists the heads"),
        (&["knn", "delete"], "`mnem-store knn rm CID` removes an index"),
    ] {
        let said = place.run(args).fails(2);
        assert!(said.contains(&format!("\n  tip: {tip}\n")) && !said.contains("as a value"), "{said}");
    }
}

#[test]
fn no_store_gets_the_name_of_an_archive() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let said = place.run(&["copy", "a.redb", "b.car"]).fails(2);
    assert!(said.contains("hint: run `mnem-store export b.car --store a.redb` to write an archive"), "{said}");
    place.run(&["init", "--store", "b.zip"]).fails(2);
    assert!(!place.path("b.car").exists() && !place.path("b.zip").exists());
    place.run(&["init", "--store", "b.car", "--backend", "redb"]).ok();
    place.run(&["copy", "a.redb", "b.car"]).ok();
}

#[test]
fn only_an_archive_is_to_be_imported() {
    let place = Place::new();
    for (file, is_archive) in [("a.car", true), ("A.CAR", true), ("a.redb.zst", false), ("a.tar", false)] {
        place.write(file, b"not a store\n");
        let said = place.run(&["copy", file, "new.redb"]).fails(10);
        let advice = format!("hint: run `mnem-store import {file} --store new.redb` to read an archive\n");
        assert_eq!(said.contains(&advice), is_archive, "{said}");
        assert_eq!(said.contains("import"), is_archive, "{said}");
    }
}

#[test]
fn common_words_are_answered_with_the_right_command() {
    let place = Place::new();
    for (word, command) in [
        ("cat", "get CID"),
        ("fsck", "verify"),
        ("prune", "gc"),
        ("history", "log"),
        ("tree", "walk"),
        ("info", "stat"),
        ("CHECK", "verify"),
        ("backup", "copy FROM TO"),
        ("delete", "rm CID"),
    ] {
        let said = place.run(&[word, "--store", "a.redb"]).fails(2);
        let tip = format!("\n  tip: `mnem-store {command}");
        assert!(said.contains(&tip) && said.matches("tip: ").count() == 1, "{said}");
        let said = place.run(&[word, "--json"]).exits(2).err;
        assert!(said.contains(&format!(r#""hint":"`mnem-store {command}"#)), "{said}");
    }
}

#[test]
fn a_slash_after_a_file_is_to_be_left_out() {
    let place = Place::new();
    place.small_store("a.redb");
    let said = place.run(&["stat", "--store", "a.redb/"]).fails(10);
    assert!(said.ends_with("hint: omit the trailing slash, the store is a file: a.redb\n"), "{said}");
}
