//! `cargo xtask`: the checks that decide whether this workspace is in order.

mod blockstore_tests;
mod ci;
mod crash_redb;
mod interop;
mod readme;
mod soak;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  ci        everything that continuous integration checks
  tidy      what a compiler cannot check: file names, module documents, links, paths
  readme    run the first command of README.md as typed, and look at what it made
  blockstore-tests
            run the JavaScript suite interface-blockstore-tests on our backends; needs npm
  soak KIND [--rounds N]
            long runs that measure: races (how often laws and naive stress see natural races), crash-redb (what power cuts
            leave of redb stores)
  interop   exchange archives with ipfs-car (npm) and carbox (PyPI); needs npm and python3";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let result = match command.as_str() {
        "ci" => ci::run(),
        "tidy" => tidy::run(),
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

/// A shell in the workspace's root folder.
fn shell() -> anyhow::Result<xshell::Shell> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let shell = xshell::Shell::new()?;
    shell.change_dir(root.parent().unwrap_or(root));
    Ok(shell)
}
