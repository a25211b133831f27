//! Defects made by machine: each small change of a store's code has to break a law.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

/// What is changed, and the tests that have to notice.
struct Mutated {
    name: &'static str,
    package: &'static str,
    files: &'static [&'static str],
    tests: &'static [&'static str],
}

const ALL: &[Mutated] = &[
    Mutated {
        name: "memory",
        package: "mnem-store-traits",
        files: &["crates/mnem-store-traits/src/memory.rs"],
        tests: &["conformance"],
    },
    Mutated {
        name: "buffered",
        package: "mnem-store-traits",
        files: &["crates/mnem-store-traits/src/buffered.rs"],
        tests: &["conformance", "main"],
    },
    Mutated {
        name: "simple",
        package: "mnem-backend-simple",
        files: &["crates/mnem-backend-simple/src/**"],
        tests: &["conformance", "main"],
    },
    Mutated {
        name: "redb",
        package: "mnem-backend-redb",
        files: &["crates/mnem-backend-redb/src/**"],
        tests: &["conformance", "main"],
    },
];

/// A deadlock takes each of its laws a minute.
const SECONDS_A_MUTANT: &str = "900";

/// Which part of them, as 1/4.
pub(crate) const SHARD: &str = "MNEM_SOAK_SHARD";

/// Changes a copy of the workspace, one place at a time, and runs the tests. What survives and may is listed in `.cargo/mutants.toml`, with the reason.
pub(crate) fn run(sh: &Shell, only: &str) -> Result<()> {
    let names = || ALL.iter().map(|mutated| mutated.name).collect::<Vec<_>>().join(", ");
    ensure!(only.is_empty() || ALL.iter().any(|mutated| mutated.name == only), "--only takes one of {}", names());
    let there = cmd!(sh, "cargo mutants --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    ensure!(there, "needs cargo-mutants: cargo install --locked cargo-mutants");
    let shard = sh.var(SHARD).ok();
    let shard = shard.iter().flat_map(|shard| ["--shard", shard]);
    let shard: Vec<&str> = shard.collect();
    let mut survived = Vec::new();
    for Mutated { name, package, files, tests } in ALL.iter().filter(|mutated| only.is_empty() || mutated.name == only)
    {
        let files = files.iter().flat_map(|file| ["--file", file]);
        let tests = tests.iter().flat_map(|test| ["--test", test]);
        let output = format!("target/mutants/{name}");
        sh.create_dir(&output)?;
        let shard = &shard;
        let done = cmd!(
            sh,
            "cargo mutants --package {package} {files...} {shard...} --timeout {SECONDS_A_MUTANT} --output {output} -- {tests...}"
        );
        if done.run().is_err() {
            survived.push(format!("{output}/mutants.out/missed.txt"));
        }
    }
    ensure!(
        survived.is_empty(),
        "changes that no test noticed, or that never ended, are listed in {}",
        survived.join(", ")
    );
    Ok(())
}
