//! The published crates: their versions agree, and their packages build.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::cmd;

/// A crate that is published to the registry.
struct Published {
    name: String,
    version: String,
    /// Its `rust-version`.
    rust: String,
    /// The versions that it requires of other crates of this workspace.
    asks: Vec<(String, String)>,
}

fn metadata() -> Result<Value> {
    let sh = crate::shell()?;
    Ok(serde_json::from_str(&cmd!(sh, "cargo metadata --locked --no-deps --format-version 1").quiet().read()?)?)
}

fn published(metadata: &Value) -> Result<Vec<Published>> {
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    // `publish = false` is an empty list of registries.
    let public = packages.iter().filter(|package| package["publish"].is_null());
    public.map(|package| read(package).context("a package without a name, a version or a rust-version")).collect()
}

fn read(package: &Value) -> Option<Published> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let dependencies = package["dependencies"].as_array()?;
    let ours = dependencies.iter().filter(|dependency| !dependency["path"].is_null() && dependency["kind"].is_null());
    let asks = ours.filter_map(|dependency| Some((text(&dependency["name"])?, text(&dependency["req"])?)));
    let (name, version, rust) = (text(&package["name"])?, text(&package["version"])?, text(&package["rust_version"])?);
    Some(Published { name, version, rust, asks: asks.collect() })
}

/// The version that the storage crates share.
pub(super) fn workspace_version() -> Result<String> {
    let crates = published(&metadata()?)?;
    let traits = crates.iter().find(|package| package.name == "mnem-store-traits");
    Ok(traits.context("there is no mnem-store-traits")?.version.clone())
}

/// Checks that every published crate has that version, and requires it of the others.
pub(super) fn versions() -> Result<()> {
    let version = workspace_version()?;
    agree(&published(&metadata()?)?, &version)
}

fn agree(crates: &[Published], version: &str) -> Result<()> {
    for package in crates {
        ensure!(package.version == version, "{} is at {}, not at {version}", package.name, package.version);
        for (name, asked) in &package.asks {
            ensure!(asked == &format!("^{version}"), "{} asks for {name} {asked}, not ^{version}", package.name);
        }
    }
    Ok(())
}

/// Each `rust-version` of the published crates, with the crates that declare it.
pub(super) fn by_rust() -> Result<BTreeMap<String, Vec<String>>> {
    let mut crates: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for package in published(&metadata()?)? {
        // Dependencies of tools include older versions of crates with the same names.
        crates.entry(package.rust).or_default().push(format!("{}@{}", package.name, package.version));
    }
    Ok(crates)
}

/// Packages every published crate, with its licence and README, and builds each from its package, dependencies first.
/// Nothing is uploaded.
pub(super) fn build() -> Result<()> {
    let sh = crate::shell()?;
    let changed = cmd!(sh, "git status --porcelain").quiet().read()?;
    ensure!(changed.is_empty(), "what is packed has to be committed:\n{changed}");
    let names: &Vec<String> =
        &by_rust()?.into_values().flatten().flat_map(|package| ["-p".to_owned(), package]).collect();
    // Start with an empty folder: otherwise cargo would reuse what it unpacked of the same version before.
    let folder = sh.create_temp_dir()?;
    let target = folder.path();
    cmd!(sh, "cargo package --locked {names...} --target-dir {target}").run()?;
    let packed = cmd!(sh, "cargo package --locked --list {names...}").quiet().read()?;
    let crates = names.len() / 2;
    for needed in ["LICENSE", "README.md"] {
        let found = packed.lines().filter(|line| *line == needed).count();
        ensure!(found == crates, "{found} of {crates} packages have a {needed}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(version: &str, asked: &str) -> Published {
        Published {
            name: "a".into(),
            version: version.into(),
            rust: "1.90".into(),
            asks: vec![("b".into(), asked.into())],
        }
    }

    #[test]
    fn versions_that_differ_are_named() {
        agree(&[package("1.2.0", "^1.2.0")], "1.2.0").expect("they agree");
        let told = |package| agree(&[package], "1.2.0").expect_err("they differ").to_string();
        assert_eq!(told(package("1.1.0", "^1.2.0")), "a is at 1.1.0, not at 1.2.0");
        assert_eq!(told(package("1.2.0", "^1.1.0")), "a asks for b ^1.1.0, not ^1.2.0");
    }

    #[test]
    fn tools_are_not_published_and_crates_are() {
        let names: Vec<_> = published(&metadata().unwrap()).unwrap().into_iter().map(|package| package.name).collect();
        assert!(names.contains(&"mnem-storage".to_owned()) && !names.contains(&"xtask".to_owned()), "{names:?}");
    }
}
