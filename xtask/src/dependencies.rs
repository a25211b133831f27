//! Dependencies: lock files must be current, and `docs/DESIGN.md` must give the right sizes of the dependency trees.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

const PAGE: &str = "docs/DESIGN.md";

/// The manifests of the workspaces.
const MANIFESTS: [&str; 4] =
    ["Cargo.toml", "dropin/mnem-backend-redb/Cargo.toml", "fuzz/Cargo.toml", "interop/redb41/Cargo.toml"];

/// Checks the lock files of packages outside the workspace, which become stale when our dependencies change.
pub(crate) fn lock_files() -> Result<()> {
    let sh = crate::shell()?;
    for manifest in MANIFESTS {
        let metadata = cmd!(sh, "cargo metadata --locked --format-version 1 --manifest-path {manifest}");
        metadata.quiet().ignore_stdout().run().with_context(|| format!("run `cargo metadata` for {manifest}"))?;
    }
    Ok(())
}

/// Checks the number of packages that the page gives for the dependency tree of each published crate.
pub(crate) fn trees() -> Result<()> {
    let sh = crate::shell()?;
    let page = sh.read_file(PAGE)?;
    let told: Vec<(&str, usize)> = page.lines().filter_map(row).collect();
    ensure!(!told.is_empty(), "{PAGE} has no table of trees");
    for (name, told) in told {
        let packages = packages(&sh, name)?;
        ensure!(packages == told, "{PAGE} says that the tree of {name} has {told} packages: it has {packages}");
    }
    Ok(())
}

/// A row with the name of one of our crates and a number.
fn row(line: &str) -> Option<(&str, usize)> {
    let (name, number) = line.strip_prefix("| `mnem-")?.split_once("` | ")?;
    let name = line.get("| `".len()..)?.get(.."mnem-".len() + name.len())?;
    Some((name, number.strip_suffix(" |")?.parse().ok()?))
}

/// The size of a crate's tree, with default features, on this platform, including the crate itself.
fn packages(sh: &Shell, name: &str) -> Result<usize> {
    let package = format!("{name}@{}", env!("CARGO_PKG_VERSION"));
    let tree = cmd!(sh, "cargo tree --locked -e normal -p {package} --prefix none").quiet().ignore_stderr().read()?;
    let packages: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(packages.len())
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn a_row_is_a_crate_of_ours_and_a_number() {
        assert_eq!(row("| `mnem-store-traits` | 45 |"), Some(("mnem-store-traits", 45)));
        assert_eq!(row("| `cid` 0.11 | MIT |"), None);
        assert_eq!(row("| `mnem-store-traits` | why |"), None);
    }
}
