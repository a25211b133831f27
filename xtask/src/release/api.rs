//! The public API of the traits crate, against the one that is committed: whoever changes it sees it in the diff.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

use super::{Outcome, tools};

/// One line for each public item, as `cargo public-api` writes them.
const SNAPSHOT: &str = "crates/mnem-store-traits/public-api.txt";

pub(super) fn check() -> Result<Outcome> {
    let sh = crate::shell()?;
    let Some(now) = listed(&sh)? else {
        return Ok(Outcome::Skipped("cargo public-api and a nightly toolchain".into()));
    };
    let committed = sh.read_file(SNAPSHOT)?;
    let changes = differences(&committed, &now);
    ensure!(
        changes.is_empty(),
        "{} lines differ from {SNAPSHOT}; if that is meant, `cargo xtask public-api` writes it:\n{}",
        changes.len(),
        changes.join("\n")
    );
    Ok(Outcome::Passed)
}

/// `cargo xtask public-api`: writes the snapshot.
pub(crate) fn write() -> Result<()> {
    let sh = crate::shell()?;
    let now = listed(&sh)?;
    let Some(now) = now else { anyhow::bail!("this needs a nightly toolchain, and `cargo install cargo-public-api`") };
    Ok(sh.write_file(SNAPSHOT, now)?)
}

/// `None` without the tool, or the nightly toolchain that it needs.
fn listed(sh: &Shell) -> Result<Option<String>> {
    if !tools::installed(sh, "public-api") || !tools::toolchain(sh, "nightly") {
        return Ok(None);
    }
    let leave_out = "blanket-impls,auto-trait-impls,auto-derived-impls";
    let features = ["--features", "conformance"];
    let api = cmd!(sh, "cargo public-api -p mnem-store-traits {features...} --omit {leave_out}").read()?;
    Ok(Some(api + "\n"))
}

fn differences(before: &str, now: &str) -> Vec<String> {
    let of = |own: &str, other: &str, sign: char| -> Vec<String> {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        own.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [of(before, now, '-'), of(now, before, '+')].concat()
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn what_came_and_what_went_is_told() {
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert!(differences("a\n", "a\n").is_empty());
    }
}
