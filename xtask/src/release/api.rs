//! Compares the public API of the crates that others build on with the committed snapshots, so that a diff shows every
//! change.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use xshell::{Shell, cmd};

use super::{Outcome, tools};

/// The crates with a snapshot, and the features that show all of their API.
const CRATES: [(&str, &[&str]); 3] =
    [("mnem-store-traits", &["--features", "conformance"]), ("mnem-storage", &["--all-features"]), ("mnem-car", &[])];

pub(super) fn check() -> Result<Outcome> {
    let sh = crate::shell()?;
    if !can_list(&sh) {
        return Ok(Outcome::Skipped("cargo public-api and a nightly toolchain".into()));
    }
    let mut changes = Vec::new();
    for (name, features) in CRATES {
        let snapshot = snapshot(name);
        let differences = differences(&sh.read_file(&snapshot)?, &listed(&sh, name, features)?);
        changes.extend(differences.into_iter().map(|line| format!("{snapshot}: {line}")));
    }
    ensure!(
        changes.is_empty(),
        "{} lines of public API differ; if that is meant, `cargo xtask public-api` writes them:\n{}",
        changes.len(),
        changes.join("\n")
    );
    Ok(Outcome::Passed)
}

/// `cargo xtask public-api`: writes the snapshots.
pub(crate) fn write() -> Result<()> {
    let sh = crate::shell()?;
    if !can_list(&sh) {
        bail!("this needs a nightly toolchain, and `cargo install cargo-public-api`");
    }
    for (name, features) in CRATES {
        sh.write_file(snapshot(name), listed(&sh, name, features)?)?;
    }
    Ok(())
}

/// One line per public item, as `cargo public-api` prints them.
fn snapshot(name: &str) -> String {
    format!("crates/{name}/public-api.txt")
}

/// Whether the tool, and the nightly toolchain that it needs, are installed.
fn can_list(sh: &Shell) -> bool {
    tools::installed(sh, "public-api") && tools::toolchain(sh, "nightly")
}

fn listed(sh: &Shell, name: &str, features: &[&str]) -> Result<String> {
    let leave_out = "blanket-impls,auto-trait-impls,auto-derived-impls";
    Ok(cmd!(sh, "cargo public-api -p {name} {features...} --omit {leave_out}").read()? + "\n")
}

fn differences(before: &str, now: &str) -> Vec<String> {
    let of = |own: &str, other: &str, sign: char| -> Vec<String> {
        let other: BTreeSet<&str> = other.lines().collect();
        own.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [of(before, now, '-'), of(now, before, '+')].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_and_what_went_is_told() {
        assert_eq!(differences("a\nb\n", "b\nc\n"), ["- a", "+ c"]);
        assert!(differences("a\n", "a\n").is_empty());
    }

    #[test]
    fn every_crate_has_its_snapshot() {
        let sh = crate::shell().expect("the workspace");
        for (name, _) in CRATES {
            let committed = sh.read_file(snapshot(name)).expect("a snapshot");
            let module = format!("pub mod {}", name.replace('-', "_"));
            assert_eq!(committed.lines().next(), Some(module.as_str()));
        }
    }
}
