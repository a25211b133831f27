//! The steps of continuous integration. Prints one line with its duration for each.

use std::time::Instant;

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{dependencies, readme::TESTS};

type Step = (&'static str, fn() -> Result<()>);

/// In the order in which they run: the cheapest first.
const STEPS: &[Step] = &[
    ("format", format),
    ("tidy", crate::tidy::run),
    ("lock-files", dependencies::lock_files),
    ("dependency-trees", dependencies::trees),
    ("clippy", clippy),
    ("documentation", documentation),
    ("feature-matrix", feature_matrix),
    ("tests", tests),
    ("readme", crate::readme::run),
    ("soak", crate::soak::share),
];

/// Runs the named steps, or every step, and stops at the first failure.
pub(crate) fn run(names: Vec<String>) -> Result<()> {
    let all: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
    for name in &names {
        anyhow::ensure!(all.contains(&name.as_str()), "there is no step {name:?}; there are {}", all.join(", "));
    }
    let asked = |step: &str| names.is_empty() || names.iter().any(|name| name == step);
    STEPS.iter().filter(|(name, _)| asked(name)).try_for_each(|(name, run)| step(name, *run))
}

fn tests() -> Result<()> {
    let sh = crate::shell()?;
    Ok(cmd!(sh, "sh -c {TESTS}").run()?)
}

fn step(name: &str, run: fn() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    run().with_context(|| format!("step '{name}' failed"))?;
    eprintln!("== {name}: ok, {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

pub(crate) fn format() -> Result<()> {
    let sh = crate::shell()?;
    Ok(cmd!(sh, "cargo fmt --all --check").run()?)
}

pub(crate) fn clippy() -> Result<()> {
    let sh = crate::shell()?;
    Ok(cmd!(sh, "cargo clippy --locked --workspace --all-targets -- -D warnings").run()?)
}

pub(crate) fn documentation() -> Result<()> {
    let sh = crate::shell()?;
    let _denied = sh.push_env("RUSTDOCFLAGS", "-D warnings");
    cmd!(sh, "cargo doc --locked --workspace --no-deps --document-private-items").run()?;
    Ok(())
}

/// Builds each backend alone, several, and none. The embedders' examples must compile unchanged, and run or name the
/// feature that they lack. Also builds the benches without the compare tool, and with the peers' stores in it, and the
/// program with each backend alone and with none.
pub(crate) fn feature_matrix() -> Result<()> {
    let sh = crate::shell()?;
    for features in
        ["redb", "simple", "carlog", "bucket", "redb,simple", "blake2b", "redb,simple,carlog,bucket,blake2b", ""]
    {
        let check = ["-p", "mnem-storage", "--no-default-features", "--features", features];
        cmd!(sh, "cargo clippy --locked {check...} --all-targets -- -D warnings").run()?;
        for example in ["embed", "agent", "collector"] {
            let folder = sh.create_temp_dir()?;
            let store = folder.path().join("memory");
            let example = cmd!(sh, "cargo run --locked --quiet {check...} --example {example} -- {store}");
            if matches!(features, "" | "blake2b") {
                let output = example.ignore_status().output()?;
                let text = String::from_utf8_lossy(&output.stderr);
                anyhow::ensure!(!output.status.success(), "a build without a backend opened a store");
                anyhow::ensure!(text.contains("feature"), "the error does not name the missing feature: {text}");
            } else {
                example.run()?;
            }
        }
    }
    // Without blake2b-256: the hash functions of every build, and their laws.
    cmd!(sh, "cargo clippy --locked -p mnem-store-traits --no-default-features --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo test --locked --quiet -p mnem-store-traits --no-default-features --test main hash").run()?;
    for backend in ["mnem-backend-bucket", "mnem-backend-carlog", "mnem-backend-redb", "mnem-backend-simple"] {
        cmd!(sh, "cargo clippy --locked -p {backend} --no-default-features -- -D warnings").run()?;
    }
    cmd!(sh, "cargo clippy --locked -p mnem-backend-bucket --features services --all-targets -- -D warnings").run()?;
    let of_buckets = ["bucket::", "documents::operations_in_a_bucket"];
    cmd!(sh, "cargo test --locked --quiet -p mnem-storage-cli --features bucket --test main -- {of_buckets...}")
        .run()?;
    cmd!(sh, "cargo clippy --locked -p mnem-benches --no-default-features --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo clippy --locked -p mnem-benches --features peers,bucket --all-targets -- -D warnings").run()?;
    crate::cli_features::run()
}
