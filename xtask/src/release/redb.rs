//! The rule for upgrading redb: first its crash and damage suites run at full size, and `docs/DURABILITY.md` names the
//! version to which its numbers apply.

use anyhow::{Context, Result, ensure};
use xshell::cmd;

const PAGE: &str = "docs/DURABILITY.md";

pub(super) fn check() -> Result<()> {
    let sh = crate::shell()?;
    let tree =
        cmd!(sh, "cargo tree --locked -p mnem-storage --features redb -i redb --depth 0 --prefix none").read()?;
    let version = tree.split_whitespace().nth(1).and_then(|text| text.strip_prefix('v'));
    soaked(&sh.read_file(PAGE)?, version.context("cargo tree names no redb")?)
}

fn soaked(page: &str, version: &str) -> Result<()> {
    let line = page.lines().find_map(|line| line.strip_prefix("Soaked with redb "));
    let of = line.with_context(|| format!("{PAGE} has no line that begins 'Soaked with redb '"))?;
    ensure!(
        of.split([' ', ',', ':']).next() == Some(version),
        "{PAGE} has the numbers of redb {of:?} and {version} is built in: run `cargo xtask soak crash-redb`, `faults-redb`, `damage` and `kills`, and write them there"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::soaked;

    #[test]
    fn the_numbers_are_of_the_version_that_is_built_in() {
        soaked("# D\nSoaked with redb 4.6.0: a million\n", "4.6.0").expect("the same");
        assert!(soaked("# D\nSoaked with redb 4.6.0: a million\n", "4.6.1").is_err());
        assert!(soaked("# D\nSoaked with redb 4.6.01\n", "4.6.0").is_err());
        assert!(soaked("# D\n", "4.6.0").is_err());
    }
}
