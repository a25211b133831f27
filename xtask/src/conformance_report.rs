//! Reports which laws each backend of this workspace keeps, as one table.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::cmd;

/// Runs the suite of every fixture with a report, and writes one row per fixture. The reports stay in
/// `target/conformance`.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    let folder = sh.current_dir().join("target/conformance");
    sh.remove_path(&folder)?;
    sh.create_dir(&folder)?;
    let _folder = sh.push_env("MNEM_CONFORMANCE_REPORT", &folder);
    let suites = ["--test", "conformance", "--test", "main", "--test", "minimal"];
    let result =
        cmd!(sh, "cargo test --locked --quiet --workspace {suites...} --no-fail-fast ::report -- --ignored").run();
    let mut files = sh.read_dir(&folder)?;
    files.sort();
    print!("{}", table(&sh, &files)?);
    eprintln!("the reports, law by law: {}", folder.display());
    Ok(result?)
}

fn table(sh: &xshell::Shell, files: &[PathBuf]) -> Result<String> {
    ensure!(!files.is_empty(), "no suite wrote a report");
    let mut table = String::from(
        "| backend | contract | kept | declined | broken | not run | conforms to |\n|---|---|---|---|---|---|---|\n",
    );
    for file in files {
        let report: Value = serde_json::from_str(&sh.read_file(file)?)?;
        table.push_str(&row(&report).with_context(|| format!("{} is no report", file.display()))?);
    }
    Ok(table)
}

fn row(report: &Value) -> Option<String> {
    let profiles: Vec<&str> = report["conforms_to"].as_array()?.iter().filter_map(Value::as_str).collect();
    let profiles = if profiles.is_empty() { "nothing".to_owned() } else { profiles.join(", ") };
    let [passed, declined, failed, not_run] =
        ["passed", "declined", "failed", "not_run"].map(|key| report[key].as_u64());
    Some(format!(
        "| {} | {} | {} | {} | {} | {} | {profiles} |\n",
        report["backend"].as_str()?,
        report["contract_version"].as_u64()?,
        passed?,
        declined?,
        failed?,
        not_run?
    ))
}
