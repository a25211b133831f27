//! Long runs that measure what chance decides: `cargo xtask soak KIND`.

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::crash_redb;

/// One kind of soak run.
struct Kind {
    name: &'static str,
    does: &'static str,
    /// Rounds of the full size.
    rounds: u32,
    run: fn(&Shell, u32) -> Result<()>,
}

const KINDS: &[Kind] = &[Kind {
    name: "races",
    does: "natural races: how often the law made for each sees it, and how often naive stress does; 100 rounds take 5 minutes",
    rounds: 100,
    run: races,
}];

/// Runs the kind that the arguments name.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let name = args.next().unwrap_or_default();
    if name == crash_redb::NAME {
        return crash_redb::run(args);
    }
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else { bail!("{}", usage()) };
    let rounds = match (args.next().as_deref(), args.next()) {
        (None, _) => kind.rounds,
        (Some("--rounds"), Some(number)) => {
            number.parse().with_context(|| format!("--rounds takes a number, not {number:?}"))?
        }
        _ => bail!("{}", usage()),
    };
    (kind.run)(&crate::shell()?, rounds)
}

fn usage() -> String {
    let kinds: Vec<String> = KINDS.iter().map(|kind| format!("  {:<10}{}", kind.name, kind.does)).collect();
    format!("usage: cargo xtask soak KIND [--rounds N]\n\n{}\n{}", kinds.join("\n"), crash_redb::USAGE)
}

/// The bounded size of the same runs in every test run of the crate, as a check that they work.
fn races(sh: &Shell, rounds: u32) -> Result<()> {
    const SOAK: &str = "saboteurs::races::soak::soak";
    let _rounds = sh.push_env("MNEM_SOAK_ROUNDS", rounds.to_string());
    let to_the_test = ["--exact", SOAK, "--ignored", "--nocapture"];
    cmd!(sh, "cargo test --release --locked --quiet -p mnem-store-traits --test main -- {to_the_test...}").run()?;
    Ok(())
}
