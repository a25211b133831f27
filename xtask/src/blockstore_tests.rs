//! Runs the JavaScript blockstore suite on each backend, through a pipe. Opt-in: it installs packages from npm into a
//! temporary folder.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xshell::cmd;

/// Number of tests in that version of the suite. Fewer would prove less.
const TESTS: u64 = 18;

const PACKAGES: [&str; 6] = [
    "interface-blockstore-tests@9.0.1",
    "multiformats@14",
    "mocha@11.7.5",
    "chai@4.5.0",
    "chai-as-promised@7.1.2",
    "chai-parentheses@0.0.2",
];

/// Runs the suite and prints the results.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    cmd!(sh, "cargo build --locked --release -p mnem-storage --features redb,simple --example json_lines").run()?;
    let root = sh.current_dir();
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let bridge = root.join(target).join("release/examples/json_lines");
    let folder = sh.create_temp_dir()?;
    sh.copy_file(root.join("xtask/js/blockstore.mjs"), folder.path())?;
    let _inside = sh.push_dir(folder.path());
    cmd!(sh, "npm install --silent --ignore-scripts --no-save --prefix . {PACKAGES...}").run()?;
    // The suite imports its assertions from a build tool with hundreds of packages.
    sh.create_dir("node_modules/aegir")?;
    sh.copy_file(root.join("xtask/js/chai.mjs"), "node_modules/aegir/chai.mjs")?;
    sh.write_file("node_modules/aegir/package.json", r#"{"name":"aegir","exports":{"./chai":"./chai.mjs"}}"#)?;
    let _bridge = sh.push_env("MNEM_BRIDGE", bridge);
    for store in ["store.redb", "store.simple"] {
        let _name = sh.push_env("MNEM_STORE_NAME", store);
        let mocha = cmd!(sh, "node_modules/.bin/mocha --reporter json blockstore.mjs").ignore_status().read()?;
        let report: Value =
            serde_json::from_str(&mocha).with_context(|| format!("mocha's report is not JSON: {mocha}"))?;
        let (passes, failures) = (report["stats"]["passes"].as_u64(), &report["failures"]);
        ensure!(passes == Some(TESTS), "{store}: {passes:?} of {TESTS} tests passed: {failures:#}");
        println!("interface-blockstore-tests 9.0.1 on {store}: {TESTS} of {TESTS} passed");
    }
    Ok(())
}
