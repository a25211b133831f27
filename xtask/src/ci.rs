//! What continuous integration runs, one line and one duration for each step.

use std::time::Instant;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::readme::TESTS;

/// Runs every step; the first that fails ends it.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    step("format", || Ok(cmd!(sh, "cargo fmt --all --check").run()?))?;
    step("tidy", crate::tidy::run)?;
    step("clippy", || Ok(cmd!(sh, "cargo clippy --locked --workspace --all-targets -- -D warnings").run()?))?;
    step("documentation", || documentation(&sh))?;
    step("feature matrix", || feature_matrix(&sh))?;
    step("features of the program", || crate::cli_features::run(&sh))?;
    step("tests", || Ok(cmd!(sh, "sh -c {TESTS}").run()?))?;
    step("readme", crate::readme::run)?;
    Ok(())
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    run().with_context(|| format!("step '{name}' failed"))?;
    eprintln!("== {name}: ok, {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn documentation(sh: &Shell) -> Result<()> {
    let _denied = sh.push_env("RUSTDOCFLAGS", "-D warnings");
    cmd!(sh, "cargo doc --locked --workspace --no-deps --document-private-items").run()?;
    Ok(())
}

/// Each backend alone, both, none: the embedder's example compiles unchanged, and runs, or names the feature it lacks. The benches without the
/// comparing tool, and with others' stores in it.
fn feature_matrix(sh: &Shell) -> Result<()> {
    for features in ["redb", "simple", "redb,simple", ""] {
        let check = ["-p", "mnem-storage", "--no-default-features", "--features", features];
        cmd!(sh, "cargo clippy --locked {check...} --all-targets -- -D warnings").run()?;
        let folder = sh.create_temp_dir()?;
        let store = folder.path().join("memory");
        let example = cmd!(sh, "cargo run --locked --quiet {check...} --example embed -- {store}");
        if features.is_empty() {
            let output = example.ignore_status().output()?;
            let text = String::from_utf8_lossy(&output.stderr);
            anyhow::ensure!(!output.status.success(), "a build without a backend opened a store");
            anyhow::ensure!(text.contains("feature"), "the error does not name the missing feature: {text}");
        } else {
            example.run()?;
        }
    }
    cmd!(sh, "cargo clippy --locked -p mnem-store-traits --no-default-features -- -D warnings").run()?;
    cmd!(sh, "cargo clippy --locked -p mnem-benches --no-default-features --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo clippy --locked -p mnem-benches --features peers --all-targets -- -D warnings").run()?;
    Ok(())
}
