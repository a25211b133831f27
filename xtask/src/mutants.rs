//! Mutation testing: each small change to a store's code must break a law, or at least a test of its package.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

/// A store to mutate, and the tests that must notice.
struct Mutated {
    name: &'static str,
    package: &'static str,
    files: &'static [&'static str],
    /// The laws that run first, as a filter of cargo-nextest.
    laws: &'static str,
    /// The test targets of its package that run on a mutant that breaks no law.
    tests: &'static [&'static str],
}

/// Each law once, not again through the wrappers.
const LAWS: &str = "binary(conformance) - test(/::(forwarded|buffered|reopened|buffered_reopened|second_handle)::/)";

/// Besides the suite's proof of itself.
const STORES: &[&str] = &["--test=stores"];

const BACKEND: &[&str] = &["--lib", "--test=main"];

const ALL: &[Mutated] = &[
    Mutated {
        name: "memory",
        package: "mnem-store-traits",
        files: &["crates/mnem-store-traits/src/memory.rs"],
        laws: LAWS,
        tests: STORES,
    },
    Mutated {
        name: "buffered",
        package: "mnem-store-traits",
        files: &["crates/mnem-store-traits/src/buffered.rs"],
        laws: "binary(conformance) & test(/buffered/)",
        tests: STORES,
    },
    Mutated {
        name: "simple",
        package: "mnem-backend-simple",
        files: &["crates/mnem-backend-simple/src/**"],
        laws: LAWS,
        tests: BACKEND,
    },
    Mutated {
        name: "redb",
        package: "mnem-backend-redb",
        files: &["crates/mnem-backend-redb/src/**"],
        laws: LAWS,
        tests: BACKEND,
    },
];

/// For all tests of a package, on a machine that does other work too.
const SECONDS_A_MUTANT: &str = "3600";

/// The part of the mutants to test, such as 0/4.
pub(crate) const SHARD: &str = "MNEM_SOAK_SHARD";

/// Mutates a copy of the workspace, one place at a time, and runs the tests up to the first failure.
/// `.cargo/mutants.toml` lists the mutants that may survive, each with its reason.
pub(crate) fn run(sh: &Shell, only: &str) -> Result<()> {
    let names = || ALL.iter().map(|mutated| mutated.name).collect::<Vec<_>>().join(", ");
    ensure!(only.is_empty() || ALL.iter().any(|mutated| mutated.name == only), "--only takes one of {}", names());
    for tool in ["mutants", "nextest"] {
        let there = cmd!(sh, "cargo {tool} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
        ensure!(there, "needs cargo-{tool}: cargo install --locked cargo-{tool}");
    }
    sh.set_var("CARGO_PROFILE_DEV_DEBUG", "0");
    sh.set_var("NEXTEST_PROFILE", "mutants");
    let mut survivors = Vec::new();
    for mutated in ALL.iter().filter(|mutated| only.is_empty() || mutated.name == only) {
        let broke_no_law = mutated.unnoticed_by_laws(sh)?;
        if !broke_no_law.is_empty() {
            survivors.extend(mutated.unnoticed_by_tests(sh, &broke_no_law)?);
        }
    }
    ensure!(survivors.is_empty(), "no test noticed these changes:\n{}", survivors.join("\n"));
    Ok(())
}

impl Mutated {
    fn unnoticed_by_laws(&self, sh: &Shell) -> Result<Vec<String>> {
        let shard = sh.var(SHARD).ok();
        let shard = shard.iter().flat_map(|shard| ["--sharding", "round-robin", "--shard", shard]);
        let which: Vec<&str> = shard.collect();
        self.unnoticed(sh, "laws", &which, &["--test=conformance"], self.laws)
    }

    fn unnoticed_by_tests(&self, sh: &Shell, changes: &[String]) -> Result<Vec<String>> {
        let names: Vec<String> = changes.iter().map(|change| format!("^{}$", escaped(change))).collect();
        let which: Vec<&str> = names.iter().flat_map(|name| ["--re", name]).collect();
        self.unnoticed(sh, "tests", &which, self.tests, "all()")
    }

    /// Tests the mutants. Returns those that passed.
    fn unnoticed(&self, sh: &Shell, step: &str, which: &[&str], targets: &[&str], tests: &str) -> Result<Vec<String>> {
        let (name, package) = (self.name, self.package);
        let output = format!("target/mutants/{name}/{step}");
        sh.create_dir(&output)?;
        let files = self.files.iter().flat_map(|file| ["--file", file]);
        let targets = targets.iter().map(|target| format!("--cargo-arg={target}"));
        let how = ["--test-tool", "nextest", "--timeout", SECONDS_A_MUTANT, "--caught", "--output", &output];
        let mut mutants: Command =
            cmd!(sh, "cargo mutants --package {package} {files...} {which...} {how...} {targets...} -- -E {tests}")
                .into();
        let status = mutants.status().context("cargo mutants")?;
        // 2: some survived. 3: the tests of some did not end.
        let (2 | 3) = status.code().unwrap_or(1) else {
            if status.success() {
                let caught = sh.read_file(format!("{output}/mutants.out/caught.txt"))?;
                let unviable = sh.read_file(format!("{output}/mutants.out/unviable.txt"))?;
                ensure!(
                    !(caught.is_empty() && unviable.is_empty()),
                    "{name}, {step}: cargo mutants found nothing to change"
                );
                return Ok(Vec::new());
            }
            bail!("cargo mutants failed on {name}: see {output}/mutants.out")
        };
        let lists = ["missed", "timeout"].map(|list| sh.read_file(format!("{output}/mutants.out/{list}.txt")));
        let lists = lists.into_iter().collect::<xshell::Result<Vec<_>>>()?;
        Ok(lists.iter().flat_map(|list| list.lines()).map(str::to_owned).collect())
    }
}

/// A regular expression that matches only this text.
fn escaped(text: &str) -> String {
    let escaped = |c: char| if r"\.+*?()|[]{}^$#&-~".contains(c) { format!(r"\{c}") } else { c.to_string() };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_change_is_no_pattern() {
        let change = "src/memory.rs:200:40: replace && with || in <impl Store for MemoryStore>::commit";
        let pattern = r"src/memory\.rs:200:40: replace \&\& with \|\| in <impl Store for MemoryStore>::commit";
        assert_eq!(escaped(change), pattern);
    }
}
