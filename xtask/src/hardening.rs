//! Soak runs of whole stores: writers that are killed, files that are damaged. Their bounded size is part of every test run.

use anyhow::Result;
use xshell::{Shell, cmd};

pub(crate) const KILLS: &str = "writing processes killed at random moments, so many for each backend (--only redb or simple); 1,000 take 5 minutes";

pub(crate) fn kills(sh: &Shell, rounds: u32) -> Result<()> {
    storage_test(sh, rounds, "kills::soak")
}

pub(crate) const DAMAGE: &str =
    "damaged files of stores, so many of each backend (--only redb or simple); 2,000,000 of redb take an hour";

pub(crate) fn damage(sh: &Shell, rounds: u32) -> Result<()> {
    // redb's panics are contained, and many: no backtrace for each.
    let _quiet = sh.push_env("RUST_BACKTRACE", "0");
    let only = sh.var("MNEM_SOAK_ONLY").unwrap_or_default();
    if only != "simple" {
        storage_test(sh, rounds, "damaged::redb_file::soak")?;
    }
    if only != "redb" {
        storage_test(sh, rounds.min(SIMPLE_STORES_MAX), "damaged::simple_files::soak")?;
    }
    Ok(())
}

/// Each takes the file system a few milliseconds.
const SIMPLE_STORES_MAX: u32 = 100_000;

/// Runs an ignored test of the facade for so many rounds.
fn storage_test(sh: &Shell, rounds: u32, name: &str) -> Result<()> {
    let _rounds = sh.push_env("MNEM_SOAK_ROUNDS", rounds.to_string());
    let test = ["--all-features", "-p", "mnem-storage", "--test", "main"];
    let to_the_test = ["--exact", name, "--ignored", "--nocapture"];
    cmd!(sh, "cargo test --release --locked --quiet {test...} -- {to_the_test...}").run()?;
    Ok(())
}
