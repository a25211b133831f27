//! `cargo xtask`: checks of the whole workspace, and the tools around them.

mod blockstore_tests;
mod bucket;
mod ci;
mod cli_features;
mod conformance_report;
mod dependencies;
mod fuzz;
mod interop;
mod mutants;
mod pages;
mod readme;
mod release;
mod soak;
mod tidy;
mod upstream;

use std::process::ExitCode;

use anyhow::Result;

/// A command and the arguments that it accepts.
enum Run {
    Alone(fn() -> Result<()>),
    With(&'static str, fn(Vec<String>) -> Result<()>),
}

use Run::{Alone, With};

const COMMANDS: &[(&str, Run, &str)] = &[
    ("ci", With("[STEP…]", ci::run), "everything that continuous integration checks, or the named steps"),
    (
        "release-check",
        With("[--strict] [--only TEXT]", release::run),
        "check that a release can be published; with --strict, a missing tool is a failure",
    ),
    (
        "public-api",
        Alone(release::write_public_api),
        "write the public APIs of mnem-store-traits, mnem-storage and mnem-car, which release-check compares; needs cargo public-api",
    ),
    ("conformance-report", Alone(conformance_report::run), "run the suite of every backend and write one table"),
    ("bench", With("[ARGUMENTS]", bench), "compare with other stores: docs/BENCHMARKS.md says how to read it"),
    (
        "tidy",
        Alone(tidy::run),
        "check rules that the compiler cannot check: file names, module documents, links, paths",
    ),
    ("man", Alone(pages::man), "write the manual pages of mnem-store into target/"),
    ("completions", Alone(pages::completions), "write the completion scripts of mnem-store into target/"),
    ("readme", Alone(readme::run), "run the first command of README.md as written, and check the result"),
    (
        "blockstore-tests",
        Alone(blockstore_tests::run),
        "run the JavaScript suite interface-blockstore-tests on our backends; needs npm",
    ),
    ("soak", With("KIND [OPTIONS]", soak::run), "long randomised and crash tests; `cargo xtask soak` lists them"),
    (
        "bucket",
        With("[--only TEXT]", bucket::run),
        "the bucket backend over a real object store: all laws, 8 processes that write, and the program; needs python3 and PyPI",
    ),
    (
        "interop",
        Alone(interop::run),
        "exchange archives and carlog segments with ipfs-car (npm) and carbox (PyPI); needs npm and python3",
    ),
    (
        "upstream",
        With("[--release | --tests | --bench]", upstream::run),
        "the published mnem-cli on the published backend and on the drop-in, compared; builds packages from crates.io",
    ),
];

fn usage() -> String {
    let mut usage = String::from("usage: cargo xtask COMMAND\n");
    for (name, run, does) in COMMANDS {
        let takes = match run {
            Alone(_) => "",
            With(takes, _) => takes,
        };
        usage.push_str(&format!("\n  {}\n            {does}", format!("{name} {takes}").trim_end()));
    }
    usage
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let asks_for_help = |arg: &String| matches!(arg.as_str(), "--help" | "-h" | "help");
    // The arguments after `bench` belong to another program, which has its own help.
    if args.iter().any(asks_for_help) {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    if args.is_empty() {
        eprintln!("{}", usage());
        return ExitCode::from(2);
    }
    let name = args.remove(0);
    let result = match COMMANDS.iter().find(|(command, ..)| *command == name) {
        Some((_, Alone(run), _)) if args.is_empty() => run(),
        Some((_, With(_, run), _)) => run(args),
        Some(_) => return refused(&format!("{name} takes no arguments, not {:?}", args.join(" "))),
        None => return refused(&format!("there is no command {name:?}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refused(why: &str) -> ExitCode {
    eprintln!("error: {why}: `cargo xtask --help` lists them all");
    ExitCode::from(2)
}

/// Runs the compare program in a release build, with the given arguments.
fn bench(args: Vec<String>) -> Result<()> {
    let sh = shell()?;
    let compare = ["-p", "mnem-benches", "--features", "peers", "--bin", "compare"];
    Ok(xshell::cmd!(sh, "cargo run --locked --release {compare...} -- {args...}").run()?)
}

/// A shell in the workspace's root folder.
fn shell() -> Result<xshell::Shell> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let shell = xshell::Shell::new()?;
    shell.change_dir(root.parent().unwrap_or(root));
    Ok(shell)
}
