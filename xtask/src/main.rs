//! `cargo xtask`: the checks that decide whether this workspace is in order.

mod blockstore_tests;
mod ci;
mod cli_features;
mod conformance_report;
mod dependencies;
mod fuzz;
mod interop;
mod pages;
mod readme;
mod release;
mod soak;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  ci        everything that continuous integration checks
  release-check [--strict] [--only TEXT]
            whether a release may go out; under --strict, a tool that is not installed stops it
  public-api
            write the public API of mnem-store-traits, which release-check compares; needs cargo public-api
  conformance-report
            run the suite of every backend and write one table
  bench [ARGUMENTS]
            compare with other stores: docs/BENCHMARKS.md says how to read it
  tidy      what a compiler cannot check: file names, module documents, links, paths
  man, completions
            write the manual pages and the completion scripts of mnem-store into target/
  readme    run the first command of README.md as typed, and look at what it made
  blockstore-tests
            run the JavaScript suite interface-blockstore-tests on our backends; needs npm
  soak KIND [OPTIONS]
            long runs, listed by `cargo xtask soak`: of what chance decides, and of what must never happen
  interop   exchange archives with ipfs-car (npm) and carbox (PyPI); needs npm and python3";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let result = match command.as_str() {
        "ci" => ci::run(),
        "release-check" => release::run(&args.collect::<Vec<_>>()),
        "public-api" => release::write_public_api(),
        "conformance-report" => conformance_report::run(),
        "bench" => bench(args),
        "tidy" => tidy::run(),
        "man" => pages::man(),
        "completions" => pages::completions(),
        "readme" => readme::run(),
        "blockstore-tests" => blockstore_tests::run(),
        "soak" => soak::run(args),
        "interop" => interop::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The program that compares us with others, in a release build; the arguments are its own.
fn bench(args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let sh = shell()?;
    let compare = ["-p", "mnem-benches", "--features", "peers", "--bin", "compare"];
    Ok(xshell::cmd!(sh, "cargo run --locked --release {compare...} -- {args...}").run()?)
}

/// A shell in the workspace's root folder.
fn shell() -> anyhow::Result<xshell::Shell> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let shell = xshell::Shell::new()?;
    shell.change_dir(root.parent().unwrap_or(root));
    Ok(shell)
}
