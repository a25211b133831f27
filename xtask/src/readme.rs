//! The README's two commands: the first does the main job, as typed; the second is what continuous integration runs.

use anyhow::{Context, Result, ensure};
use xshell::cmd;

/// The README's second command.
pub(crate) const TESTS: &str = "cargo test --workspace";

const STORE: &str = "animals.redb";
const HEAD: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";

/// Runs the command in the workspace's root, then reads the store it made.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    let readme = sh.read_file("README.md")?;
    let command = readme
        .lines()
        .map(|line| line.trim().trim_start_matches("$ "))
        .find(|line| line.starts_with("cargo run ") && line.contains(" import "))
        .context("README.md has no line that begins with 'cargo run' and imports an archive")?;
    ensure!(command.contains(STORE), "the README's command does not write {STORE}");
    ensure!(
        readme.lines().any(|line| line.trim().trim_start_matches("$ ") == TESTS),
        "README.md does not show '{TESTS}'"
    );
    sh.remove_path(STORE)?;
    cmd!(sh, "sh -c {command}").run()?;
    let tool = "target/release/mnem-store";
    let tool = std::env::var("CARGO_TARGET_DIR").map_or(tool.into(), |dir| format!("{dir}/release/mnem-store"));
    let heads = cmd!(sh, "{tool} heads --store {STORE}").read()?;
    ensure!(heads == HEAD, "the imported store has the heads {heads}");
    cmd!(sh, "{tool} verify --store {STORE}").run()?;
    sh.remove_path(STORE)?;
    Ok(())
}
