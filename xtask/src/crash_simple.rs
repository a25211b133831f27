//! `cargo xtask soak crash-simple`: what crashes leave of a store of plain files, in numbers that take hours.

use anyhow::{Context, Result, bail};
use xshell::cmd;

pub(crate) const NAME: &str = "crash-simple";

pub(crate) const USAGE: &str = "\
  crash-simple [--states N] [--seed S]
            what crashes leave of stores of plain files: 60,000,000 states, or N, of workloads from seed S on; and every planted break
            of the order of writes, from the first seed on";

const STATES: u64 = 60_000_000;

/// Runs it as the arguments say.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let sh = crate::shell()?;
    sh.set_var("MNEM_CRASH_STATES", STATES.to_string());
    while let Some(option) = args.next() {
        let variable = match option.as_str() {
            "--states" => "MNEM_CRASH_STATES",
            "--seed" => "MNEM_CRASH_SEED",
            _ => bail!("usage: cargo xtask soak\n{USAGE}"),
        };
        let number = args.next().unwrap_or_default();
        number.parse::<u64>().with_context(|| format!("{option} takes a number, not {number:?}"))?;
        sh.set_var(variable, number);
    }
    let tests = ["crash_points::every_planted_break_shows_from_the_first_seed_on", "crash_points::soak"];
    let to_the_tests = ["--exact", "--ignored", "--nocapture", "--test-threads", "1"];
    cmd!(
        sh,
        "cargo test --release --locked --quiet -p mnem-backend-simple --test main -- {tests...} {to_the_tests...}"
    )
    .run()?;
    Ok(())
}
