//! What the packages depend on: lock files that are not stale, and the sizes of their trees that `docs/DESIGN.md` tells.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

const PAGE: &str = "docs/DESIGN.md";

/// Of the workspaces.
const MANIFESTS: [&str; 4] =
    ["Cargo.toml", "dropin/mnem-backend-redb/Cargo.toml", "fuzz/Cargo.toml", "interop/redb41/Cargo.toml"];

/// Packages outside of the workspace have lock files of their own, which go stale when our dependencies change.
pub(crate) fn lock_files() -> Result<()> {
    let sh = crate::shell()?;
    for manifest in MANIFESTS {
        let metadata = cmd!(sh, "cargo metadata --locked --format-version 1 --manifest-path {manifest}");
        metadata.quiet().ignore_stdout().run().with_context(|| format!("run `cargo metadata` for {manifest}"))?;
    }
    Ok(())
}

/// The page says of each published crate how many packages are in its tree.
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

/// A row that holds the name of one of our crates and a number.
fn row(line: &str) -> Option<(&str, usize)> {
    let (name, number) = line.strip_prefix("| `mnem-")?.split_once("` | ")?;
    let name = line.get("| `".len()..)?.get(.."mnem-".len() + name.len())?;
    Some((name, number.strip_suffix(" |")?.parse().ok()?))
}

/// With its default features, on this platform, itself included.
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
