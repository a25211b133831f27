//! Soak runs of whole stores: writers that are killed, files that are damaged. Their bounded size is part of every test run.

use anyhow::Result;
use xshell::{Shell, cmd};

pub(crate) const KILLS: &str = "writing processes killed at random moments, so many for each backend (--only redb or simple); 1,000 take 5 minutes";

pub(crate) fn kills(sh: &Shell, rounds: u32) -> Result<()> {
    storage_test(sh, rounds, "kills::soak")
}

/// Runs an ignored test of the facade for so many rounds.
fn storage_test(sh: &Shell, rounds: u32, name: &str) -> Result<()> {
    let _rounds = sh.push_env("MNEM_SOAK_ROUNDS", rounds.to_string());
    let test = ["--all-features", "-p", "mnem-storage", "--test", "main"];
    let to_the_test = ["--exact", name, "--ignored", "--nocapture"];
    cmd!(sh, "cargo test --release --locked --quiet {test...} -- {to_the_test...}").run()?;
    Ok(())
}
