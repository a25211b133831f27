//! How often a store makes the system sync, counted by `strace`.

use std::{ffi::OsString, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::Group;
use crate::{
    child::{self, arguments},
    results::Unit,
    run::Run,
    stores::{self, Subject},
};

pub(super) const GROUP: Group = Group {
    name: "syncs",
    title: "Syncs",
    about: "System calls that sync (`fsync`, `fdatasync`, `syncfs`, `sync_file_range`, `msync`) per operation: those \
            of many operations, without those that open and close the store, counted by `strace`. One round.",
    run,
    opt_in: true,
};

const CALLS: &str = "trace=fsync,fdatasync,syncfs,sync_file_range,msync";
const MANY: usize = 50;

fn run(run: &mut Run) -> Result<()> {
    for subject in run.subjects(0, &[]) {
        match count(run, &subject) {
            Ok(rows) => {
                for (row, value) in rows {
                    run.results.record("syncs", row, Unit::Count, subject.name, value);
                }
            }
            Err(error) => run.failed("syncs", subject.name, &*error),
        }
    }
    Ok(())
}

fn count(run: &mut Run, subject: &Subject) -> Result<Vec<(&'static str, f64)>> {
    let folder = run.folder()?;
    let store = |name: &str| folder.join(format!("{name}-{}", subject.name));
    let mut rows = Vec::new();
    let puts = store("puts");
    // Create the stores first, because that syncs more than opening them.
    child::run("puts", subject.name, &puts, &[0])?;
    let none = traced(subject, "puts", &puts, &[0])?;
    rows.push(("syncs for a put", (traced(subject, "puts", &puts, &[MANY])? - none) / MANY as f64));
    if subject.name == "blockstore" {
        return Ok(rows);
    }
    let commits = store("commits");
    child::run("commit", subject.name, &commits, &[0, 50])?;
    let none = traced(subject, "commit", &commits, &[0, 50])?;
    rows.push((
        "syncs for a commit of 50 + head",
        (traced(subject, "commit", &commits, &[MANY, 50])? - none) / MANY as f64,
    ));
    let trace = store("trace");
    let work =
        if [stores::CARLOG, stores::REDB, stores::SIMPLE].contains(&subject.name) { "trace-buffered" } else { "trace" };
    child::run("prepare", subject.name, &trace, &[])?;
    let none = traced(subject, "puts", &trace, &[0])?;
    rows.push(("syncs for 1 edge on 1,000 nodes + 1,000 edges", traced(subject, work, &trace, &[])? - none));
    Ok(rows)
}

/// The sync calls of one child, from its start to its end.
fn traced(subject: &Subject, work: &str, path: &Path, numbers: &[usize]) -> Result<f64> {
    let log = path.with_extension("strace");
    let program: OsString = std::env::current_exe()?.into();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", CALLS, "-o"])
        .arg(&log)
        .arg(program)
        .args(arguments(work, subject.name, path, numbers))
        .stdout(std::process::Stdio::null())
        .status()
        .context("strace cannot be run")?;
    ensure!(status.success(), "the child failed under strace");
    // An interrupted call takes two lines, of which the second says "resumed".
    let calls = fs::read_to_string(&log)?;
    Ok(calls.lines().filter(|line| line.contains('(') && !line.contains("resumed")).count() as f64)
}
