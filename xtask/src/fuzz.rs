//! The fuzzer: builds the targets in `fuzz/` with nightly Rust and runs them one after the other.

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

/// Minutes per target.
pub(crate) const MINUTES: &str = "MNEM_FUZZ_MINUTES";

/// The coverage instrumentation that libFuzzer needs, as `cargo fuzz` requests it.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

/// Longest input, in bytes. Inputs longer than the corpora find little and take long.
const INPUT_BYTES_MAX: u32 = 4096;

pub(crate) fn run(sh: &Shell) -> Result<()> {
    let minutes: u64 = sh.var(MINUTES)?.parse()?;
    let only = sh.var("MNEM_SOAK_ONLY").ok();
    let all = targets(sh)?;
    let asked: Vec<_> = all.iter().filter(|name| only.as_ref().is_none_or(|only| only == *name)).collect();
    ensure!(!asked.is_empty(), "there is no such target; there are {}", all.join(", "));
    let root = sh.current_dir();
    sh.change_dir("fuzz");
    let host = host(sh)?;
    {
        let _flags = sh.push_env("RUSTFLAGS", FLAGS);
        // Naming the host keeps the flags away from build scripts.
        cmd!(sh, "cargo +nightly build --locked --release --target {host}")
            .run()
            .context("the targets need nightly")?;
    }
    let seconds = minutes * 60;
    for target in asked {
        let program = root.join("fuzz/target").join(&host).join("release").join(target);
        // New inputs go to the first folder, which is not kept. The committed corpus is only read.
        let grown = root.join("fuzz/target/corpus").join(target);
        let found = root.join("fuzz/target/found");
        sh.create_dir(&grown)?;
        sh.create_dir(&found)?;
        let corpus = root.join("fuzz/corpus").join(target);
        let artifacts = format!("-artifact_prefix={}/{target}-", found.display());
        let limits = [
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            "-timeout=25".into(),
            "-rss_limit_mb=2048".into(),
        ];
        eprintln!("== {target}");
        cmd!(sh, "{program} {limits...} {artifacts} -print_final_stats=1 {grown} {corpus}").run()?;
    }
    Ok(())
}

/// The targets, one file each, ascending.
fn targets(sh: &Shell) -> Result<Vec<String>> {
    let files = sh.read_dir("fuzz/fuzz_targets")?;
    Ok(files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect())
}

fn host(sh: &Shell) -> Result<String> {
    let told = cmd!(sh, "rustc +nightly -vV").read().context("rustup toolchain install nightly")?;
    told.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).context("rustc names no host")
}
