//! `-` is standard input wherever a command reads a file. It never means a file named `-`.

use crate::support::{EMPTY_CAR, Place};

const ID: &str = "000000000000000000000000000000aa";
const OTHER: &str = "000000000000000000000000000000bb";

fn lines() -> String {
    format!(
        "{{\"id\":\"{ID}\",\"label\":\"a\",\"vector\":[1]}}\n{{\"id\":\"{OTHER}\",\"label\":\"b\",\"vector\":[2]}}\n"
    )
}

/// All commands and subcommands.
fn commands(place: &Place) -> Vec<Vec<String>> {
    let mut found = vec![vec![]];
    let mut at = 0;
    while let Some(words) = found.get(at).cloned() {
        at += 1;
        let help = help(place, &words);
        let Some((_, rest)) = help.split_once("\nCommands:\n") else { continue };
        let below = rest.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
        let names = below.filter_map(|line| line[2..].split_whitespace().next().filter(|_| !line.starts_with("   ")));
        found.extend(names.filter(|name| *name != "help").map(|name| [&words[..], &[name.to_owned()]].concat()));
    }
    found
}

fn help(place: &Place, words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    place.run(&words).ok()
}

/// Every argument that the help calls a file may be standard input or standard output.
#[test]
fn every_argument_that_is_a_file_can_be_a_dash() {
    let place = Place::new();
    let mut with_files = Vec::new();
    for words in commands(&place) {
        let help = help(&place, &words);
        let (options, _) = help.split_once("\nExamples:").unwrap_or((&help, ""));
        if options.contains("<FILE") {
            assert_eq!(options.matches("<FILE").count(), options.matches("<FILE|->").count(), "{words:?}: {options}");
            with_files.push(words.join(" "));
        }
    }
    with_files.sort_unstable();
    assert_eq!(with_files, ["export", "import", "knn build", "knn neighbors", "put"], "each has a case below");
}

#[test]
fn what_is_read_from_a_file_is_read_from_standard_input() {
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["init", "--store", "b.redb"]).ok();
    // This file must never be read.
    place.write("-", b"a file of that name");
    place.write("v.jsonl", lines().as_bytes());
    place.write("empty.car", EMPTY_CAR);
    let lines = lines();
    let build = |file| place.run(&["knn", "build", "--vectors", file, "--metric", "l2", "--store", "a.redb"]).ok();
    let cid = build("v.jsonl");
    let cases: [(&[&str], &str, &[u8]); 4] = [
        (&["knn", "build", "--metric", "l2", "--store", "a.redb", "--vectors"], "v.jsonl", lines.as_bytes()),
        (&["knn", "neighbors", cid.trim_end(), "a", "--store", "a.redb", "--labels"], "v.jsonl", lines.as_bytes()),
        (&["put", "--store", "b.redb"], "v.jsonl", lines.as_bytes()),
        (&["import", "--store", "b.redb"], "empty.car", EMPTY_CAR),
    ];
    for (args, file, bytes) in cases {
        let with = |last| [args, &[last]].concat();
        assert_eq!(place.run_with_input(&with("-"), bytes).ok(), place.run(&with(file)).ok(), "{args:?}");
    }
}

#[test]
fn faults_of_standard_input_name_it() {
    let place = Place::new();
    place.small_store("a.redb");
    let build = ["knn", "build", "--vectors", "-", "--metric", "l2", "--store", "a.redb"];
    let said = place.run_with_input(&build, b"{\"id\":\"aa\",\"vector\":[1]}\n").fails(1);
    assert!(said.starts_with("error: standard input, line 1: invalid id \"aa\""), "{said}");
    let said = place.run_with_input(&build, b"").fails(1);
    assert!(said.starts_with("error: no vectors in standard input\n"), "{said}");
    let cid = place.run_with_input(&build, lines().as_bytes()).ok();
    let neighbors = ["knn", "neighbors", cid.trim_end(), "a", "--labels", "-", "--store", "a.redb"];
    let said = place.run_with_input(&neighbors, b"[]\n").fails(1);
    assert!(said.starts_with("error: standard input, line 1: "), "{said}");
}
