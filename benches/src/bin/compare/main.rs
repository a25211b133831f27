//! Compares all stores in one run: `compare [OPTION…] [WORKLOAD…]`.
//!
//! Without a workload, all except the opt-in ones run. A store that fails or gives a wrong answer is left out of that
//! workload, and the exit code is 1.
//!
//! | option | meaning |
//! |---|---|
//! | `--write` | write the samples to `docs/benchmarks.tsv`, and from them the tables in `docs/BENCHMARKS.md` and the chart `docs/benchmarks.svg`; workloads that did not run keep their old samples |
//! | `--rounds N` | rounds in which each store takes its turn; default 5 |
//! | `--scale N`, `--quick` | divide the sizes by N; by 10 |
//! | `--stores NAME,…` | measure only these stores |
//! | `--folder PATH` | folder for the stores; default: the system's folder for temporary files |
//! | `--archive CAR` | archive for the workload `wordnet`, made by `benches/wordnet.sh` |
//! | `--docs PATH` | folder for `--write`; default: the workspace's `docs` |

mod chart;
mod child;
mod groups;
mod page;
mod results;
mod run;
mod stores;
mod summary;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use crate::{
    groups::{GROUPS, Group},
    results::Results,
    run::{Options, Run},
};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, rest @ ..] if first == child::ARGUMENT => child::main(rest).map(|()| true),
        all => compare(all),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace in which this program was built.
fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn parse(arguments: &[OsString]) -> Result<(Options, Vec<Group>)> {
    let archive = workspace().join("target/wordnet.car");
    let docs = workspace().join("docs");
    let mut options = Options { scale: 1, rounds: 5, only: Vec::new(), folder: None, archive, write: false, docs };
    let mut named = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let argument = argument.to_str().context("an argument is not UTF-8")?;
        let mut value =
            || arguments.next().and_then(|value| value.to_str()).with_context(|| format!("{argument} what?"));
        match argument {
            "--quick" => options.scale = 10,
            "--write" => options.write = true,
            "--rounds" => options.rounds = value()?.parse().context("--rounds takes a number")?,
            "--scale" => options.scale = value()?.parse().context("--scale takes a number")?,
            "--docs" => options.docs = value()?.into(),
            "--stores" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--folder" => options.folder = Some(value()?.into()),
            "--archive" => options.archive = value()?.into(),
            name => {
                let group = GROUPS.into_iter().find(|group| group.name == name);
                let names = GROUPS.map(|group| group.name).join(", ");
                named.push(group.with_context(|| format!("no workload {name}; there are {names}"))?);
            }
        }
    }
    for name in &options.only {
        ensure!(stores::named(name).is_some(), "no store {name}");
    }
    ensure!(options.rounds > 0 && options.scale > 0, "no rounds, no numbers");
    let groups = if named.is_empty() { GROUPS.into_iter().filter(|group| !group.opt_in).collect() } else { named };
    Ok((options, groups))
}

fn compare(arguments: &[OsString]) -> Result<bool> {
    let (options, groups) = parse(arguments)?;
    let note = note(&options, arguments);
    let mut run = Run::new(options)?;
    // In the order of the document, whatever the order of the arguments, because some workloads read stores that others
    // have filled.
    for group in GROUPS.into_iter().filter(|group| groups.iter().any(|named| named.name == group.name)) {
        let start = Instant::now();
        eprintln!("{}…", group.name);
        (group.run)(&mut run).with_context(|| format!("workload {}", group.name))?;
        run.results.notes.push((group.name.into(), note.clone()));
        println!("{}", page::table(&run.results, &group));
        eprintln!("{}: {:.0} s", group.name, start.elapsed().as_secs_f64());
        if run.options.write {
            publish(&run)?;
        }
    }
    let size = |full| run.size(full);
    println!("{}", page::summary(&summary::lines(&run.results, &size)));
    for failure in &run.failures {
        eprintln!("failed: {failure}");
    }
    Ok(run.failures.is_empty())
}

/// Writes the documents. Called after each workload, so that an interrupted run is not lost.
fn publish(run: &Run) -> Result<()> {
    let docs = &run.options.docs;
    let samples = docs.join("benchmarks.tsv");
    let mut results = run.results.clone();
    results.fill_from(Results::read(&samples));
    results.write(&samples)?;
    let lines = summary::lines(&results, &|full| run.size(full));
    fs::write(docs.join("benchmarks.svg"), chart::draw(&lines))?;
    page::write(&docs.join("BENCHMARKS.md"), &(page::tables(&results, &lines) + &page::legend()))
}

/// Machine, date, command.
fn note(options: &Options, arguments: &[OsString]) -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let date = date.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let features = match (cfg!(feature = "peers"), cfg!(feature = "bucket")) {
        (true, true) => " --features peers,bucket",
        (true, false) => " --features peers",
        (false, true) => " --features bucket",
        (false, false) => "",
    };
    format!(
        "{date}, {}, medians of {} rounds, `cargo run --release -p mnem-benches{features} --bin compare -- {}`.",
        machine(),
        options.rounds,
        words.join(" ")
    )
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let cpu =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map_or("", |(_, name)| name);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} × {}, {} {}", cpu.trim(), std::env::consts::OS, kernel.trim())
}
