//! Long runs that measure what chance decides: `cargo xtask soak KIND`.

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{fuzz, hardening};

/// One kind of soak run.
struct Kind {
    name: &'static str,
    does: &'static str,
    /// Rounds of the full size.
    rounds: u32,
    run: fn(&Shell, u32) -> Result<()>,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "races",
        does: "natural races: how often the law made for each sees it, and how often naive stress does; 100 rounds take 5 minutes",
        rounds: 100,
        run: races,
    },
    Kind { name: "kills", does: hardening::KILLS, rounds: 1000, run: hardening::kills },
    Kind { name: "damage", does: hardening::DAMAGE, rounds: 2_000_000, run: hardening::damage },
    Kind { name: "fuzz", does: fuzz::DOES, rounds: 60, run: fuzz::run },
];

/// Runs the kind that the arguments name.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let name = args.next().unwrap_or_default();
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else { bail!("{}", usage()) };
    let (mut rounds, mut only) = (kind.rounds, None);
    while let Some(option) = args.next() {
        match (option.as_str(), args.next()) {
            ("--rounds", Some(number)) => {
                rounds = number.parse().with_context(|| format!("--rounds takes a number, not {number:?}"))?;
            }
            ("--only", Some(name)) => only = Some(name),
            _ => bail!("{}", usage()),
        }
    }
    let sh = crate::shell()?;
    let _only = only.map(|name| sh.push_env("MNEM_SOAK_ONLY", name));
    (kind.run)(&sh, rounds)
}

fn usage() -> String {
    let kinds: Vec<String> = KINDS.iter().map(|kind| format!("  {:<10}{}", kind.name, kind.does)).collect();
    format!("usage: cargo xtask soak KIND [--rounds N] [--only NAME]\n\n{}", kinds.join("\n"))
}

/// The bounded size of the same runs in every test run of the crate, as a check that they work.
fn races(sh: &Shell, rounds: u32) -> Result<()> {
    const SOAK: &str = "saboteurs::races::soak::soak";
    let _rounds = sh.push_env("MNEM_SOAK_ROUNDS", rounds.to_string());
    let to_the_test = ["--exact", SOAK, "--ignored", "--nocapture"];
    cmd!(sh, "cargo test --release --locked --quiet -p mnem-store-traits --test main -- {to_the_test...}").run()?;
    Ok(())
}
