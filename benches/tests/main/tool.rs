//! The compare tool, without the peers' stores and at a thousandth of the size.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const PAGE: &str = "# Before\n\n<!-- tables: written by `compare` -->\nold\n<!-- end of tables -->\n\nafter\n";

fn compare(docs: &Path, arguments: &[&str]) -> Output {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--scale", "1000", "--rounds", "2", "--write", "--docs"])
        .arg(docs)
        .arg("--archive")
        .arg(workspace.join("docs/data/wordnet-animals.car"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_workload_makes_its_table() {
    let docs = tempfile::tempdir().unwrap();
    let page = docs.path().join("BENCHMARKS.md");
    fs::write(&page, PAGE).unwrap();
    let output = compare(docs.path(), &["--stores", "log,redb,simple"]);
    assert!(output.status.success(), "{}", text(&output));

    let written = fs::read_to_string(&page).unwrap();
    assert!(written.starts_with("# Before\n") && written.ends_with("\nafter\n") && !written.contains("\nold\n"));
    for row in [
        "| 1 edge on 1,000 nodes + 1,000 edges: time | ",
        "| 1 edge on 1,000 nodes + 1,000 edges: durable calls | 2107 | 1.00 | 1.00 | 2107 |",
        "| commit of 5 + head | ",
        "| single put, p99 | ",
        "| 64 writers, puts | ",
        "| put of a present block | ",
        "| put_many of 20 × 64 KiB | ",
        "| import of 1,000 × 300 B by 500 | ",
        "| get, 100 blocks, 2 threads | ",
        "| list 1,000 CIDs | ",
        "| list 1,000 CIDs: growth of peak memory | ",
        "| import of the WordNet archive | ",
        "| open 100 blocks, killed | ",
        "| 64 KiB: on disk per byte, compacted | ",
        "| 300 B, half deleted: on disk per byte | ",
        "| get beside a writer in another process, 20 blocks | ",
        "| append 300 B + fdatasync | ",
    ] {
        assert!(written.contains(row), "no {row:?} in:\n{written}");
    }
    assert!(fs::read_to_string(docs.path().join("benchmarks.svg")).unwrap().ends_with("</svg>\n"));
}

#[test]
fn filled_stores_are_measured_when_they_are_named() {
    let docs = tempfile::tempdir().unwrap();
    let page = docs.path().join("BENCHMARKS.md");
    fs::write(&page, PAGE).unwrap();
    let output = compare(docs.path(), &["--stores", "log,carlog,redb", "filled"]);
    assert!(output.status.success(), "{}", text(&output));
    let written = fs::read_to_string(&page).unwrap();
    for row in [
        "| get, of 500 blocks | ",
        "| has, absent, of 500 blocks | ",
        "| list 500 CIDs | ",
        "| commit of 50 + head, into 500 blocks | ",
        "| single put into 500 blocks, median | ",
        "| 64 writers, puts into 500 blocks | ",
        "| p99 of commits of 50 without a pause, into 500 blocks | ",
        "| open 500 blocks, read one | ",
        "| open 500 blocks, read 500: peak memory | ",
    ] {
        let line = written.lines().find(|line| line.starts_with(row));
        let cells = line.map_or(0, |line| line.matches('|').count());
        assert!(cells == 5 && !line.unwrap_or_default().contains('—'), "{row:?} in:\n{written}");
    }
}

#[test]
fn what_was_not_run_stays_as_it_was() {
    let docs = tempfile::tempdir().unwrap();
    let samples = docs.path().join("benchmarks.tsv");
    fs::write(docs.path().join("BENCHMARKS.md"), PAGE).unwrap();
    assert!(compare(docs.path(), &["--stores", "log", "machine"]).status.success());
    let before = fs::read_to_string(&samples).unwrap();
    assert!(compare(docs.path(), &["--stores", "log", "batch"]).status.success());
    let after = fs::read_to_string(&samples).unwrap();
    for line in before.lines() {
        assert!(after.lines().any(|other| other == line), "{line} is gone");
    }
    assert!(after.lines().any(|line| line.starts_with("batch\tput_many of 20 × 64 KiB\ts\tlog\t")), "{after}");
}

#[test]
fn what_does_not_exist_is_refused() {
    let docs = tempfile::tempdir().unwrap();
    for (arguments, complaint) in [
        (["--stores", "nosuch"], "no store nosuch"),
        (["nosuch", "put"], "no workload nosuch"),
        (["--rounds", "0"], "no rounds"),
    ] {
        let output = compare(docs.path(), &arguments);
        assert!(!output.status.success());
        assert!(text(&output).contains(complaint), "{}", text(&output));
    }
}
