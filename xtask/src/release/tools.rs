//! Checks by other programs.

use anyhow::Result;
use xshell::{Shell, cmd};

use super::{Outcome, packages};

/// Whether `cargo NAME` is installed.
pub(super) fn installed(sh: &Shell, name: &str) -> bool {
    cmd!(sh, "cargo {name} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

/// Whether rustup has this toolchain.
pub(super) fn toolchain(sh: &Shell, name: &str) -> bool {
    let name = format!("+{name}");
    cmd!(sh, "rustc {name} --version")
        .env("RUSTUP_AUTO_INSTALL", "0")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_ok()
}

/// `deny.toml` defines what is allowed.
pub(super) fn deny() -> Result<Outcome> {
    let sh = crate::shell()?;
    if !installed(&sh, "deny") {
        return Ok(Outcome::Skipped("cargo deny".into()));
    }
    cmd!(sh, "cargo deny --locked --workspace check bans licenses sources").run()?;
    Ok(Outcome::Passed)
}

/// Builds each published crate with its `rust-version`. The lint `incompatible_msrv` looks for newer parts of std in
/// every build.
pub(super) fn msrv() -> Result<Outcome> {
    let sh = crate::shell()?;
    let mut missing = Vec::new();
    for (version, crates) in packages::by_rust()? {
        if !toolchain(&sh, &version) {
            missing.push(format!("Rust {version}"));
            continue;
        }
        let toolchain = format!("+{version}");
        let crates = crates.into_iter().flat_map(|name| ["-p".to_owned(), name]);
        cmd!(sh, "cargo {toolchain} check --locked {crates...} --target-dir target/msrv").run()?;
    }
    Ok(if missing.is_empty() { Outcome::Passed } else { Outcome::Skipped(missing.join(", ")) })
}

/// Compares with the version on the registry.
pub(super) fn semver() -> Result<Outcome> {
    let sh = crate::shell()?;
    if !installed(&sh, "semver-checks") {
        return Ok(Outcome::Skipped("cargo semver-checks".into()));
    }
    cmd!(sh, "cargo semver-checks --package mnem-backend-redb --baseline-version 0.1.7").run()?;
    Ok(Outcome::Passed)
}

/// The backend written by following the guide compiles and keeps the contract.
pub(super) fn third_party() -> Result<()> {
    let sh = crate::shell()?;
    Ok(cmd!(sh, "cargo test --locked --quiet -p mnem-example-sqlite").run()?)
}

/// Stores of every released format open and are intact.
pub(super) fn golden() -> Result<()> {
    let sh = crate::shell()?;
    Ok(cmd!(sh, "cargo test --locked --quiet -p mnem-storage --test main golden").run()?)
}
