//! Builds the published packages with and without the drop-in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

const PACKAGES: [&str; 3] = ["mnem-cli", "mnem-http", "mnem-mcp"];
const VERSION: &str = "0.1.7";

/// The program `mnem` on either backend, and the folder for everything.
pub(super) struct Programs {
    pub(super) published: PathBuf,
    pub(super) ours: PathBuf,
    pub(super) folder: PathBuf,
}

impl Programs {
    pub(super) fn build(sh: &Shell) -> Result<Self> {
        let root = sh.current_dir();
        let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root.join("target"), |path| root.join(path));
        let folder = target.join("upstream");
        sh.create_dir(&folder)?;
        let sources = fetch(sh, &folder)?;
        let dropin = root.join("dropin/mnem-backend-redb");
        let patch = format!("[patch.crates-io]\nmnem-backend-redb = {{ path = {:?} }}\n", dropin.display().to_string());
        let published = build(sh, &folder, "published", &sources, "")?;
        let ours = build(sh, &folder, "ours", &sources, &patch)?;
        Ok(Self { published, ours, folder })
    }

    /// Both, with their names.
    pub(super) fn both(&self) -> [(&'static str, &Path); 2] {
        [("published", &self.published), ("ours", &self.ours)]
    }

    /// Runs the tests that the packages ship, on either backend. Ignores those that fail on both.
    pub(super) fn run_tests(&self, sh: &Shell) -> Result<()> {
        let mut failed = Vec::new();
        for (name, _) in self.both() {
            let _in = sh.push_dir(self.folder.join(name));
            let _target = sh.push_env("CARGO_TARGET_DIR", self.folder.join("target"));
            let tests = cmd!(sh, "cargo test --workspace --no-default-features --no-fail-fast").ignore_status();
            let output = String::from_utf8_lossy(&tests.output()?.stdout).into_owned();
            let ends = |line: &&str, end| line.starts_with("test ") && line.ends_with(end);
            let passed = output.lines().filter(|line| ends(line, "... ok")).count();
            let mut names: Vec<String> =
                output.lines().filter(|line| ends(line, "... FAILED")).map(str::to_owned).collect();
            names.sort();
            println!("upstream's own tests, {name}: {passed} passed, {} failed", names.len());
            failed.push(names);
        }
        let only_ours: Vec<_> = failed[1].iter().filter(|test| !failed[0].contains(test)).collect();
        ensure!(only_ours.is_empty(), "these fail on the drop-in only: {only_ours:#?}");
        Ok(())
    }
}

/// The folders where cargo keeps the sources of the packages; fetches them if necessary.
fn fetch(sh: &Shell, folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let package = folder.join("fetch");
    let needs: String = PACKAGES.map(|name| format!("{name} = \"={VERSION}\"\n")).concat();
    let manifest = format!("[workspace]\n[package]\nname = \"fetch\"\nedition = \"2024\"\n[dependencies]\n{needs}");
    sh.write_file(package.join("Cargo.toml"), manifest)?;
    sh.write_file(package.join("src/lib.rs"), "")?;
    let _in = sh.push_dir(&package);
    // `cargo metadata` does not list packages without a library, but cargo fetches them.
    cmd!(sh, "cargo fetch").quiet().run()?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).context("find cargo's folder")?;
    let registries = sh.read_dir(home.join("registry/src"))?;
    PACKAGES
        .into_iter()
        .map(|name| {
            let mut folders = registries.iter().map(|registry| registry.join(format!("{name}-{VERSION}")));
            let found = folders.find(|folder| folder.is_dir());
            Ok((name, found.with_context(|| format!("find the source of {name}"))?))
        })
        .collect()
}

/// Builds a workspace of the packages as shipped. Returns the program.
fn build(sh: &Shell, folder: &Path, name: &str, sources: &[(&'static str, PathBuf)], patch: &str) -> Result<PathBuf> {
    let workspace = folder.join(name);
    sh.remove_path(&workspace)?;
    sh.create_dir(&workspace)?;
    for (package, source) in sources {
        let copy = workspace.join(package);
        cmd!(sh, "cp -r {source} {copy}").quiet().run()?;
        sh.remove_path(copy.join("Cargo.lock"))?;
    }
    let members = PACKAGES.map(|name| format!("{name:?}")).join(", ");
    let profile = "[profile.dev]\ndebug = 0\nincremental = false\n";
    sh.write_file(
        workspace.join("Cargo.toml"),
        format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n{profile}{patch}"),
    )?;
    sh.copy_file(folder.join("fetch/Cargo.lock"), workspace.join("Cargo.lock"))?;
    let target = folder.join("target");
    let _in = sh.push_dir(&workspace);
    // The default embedder, which is bundled, downloads a model.
    cmd!(sh, "cargo build -p mnem-cli --no-default-features --target-dir {target}").run()?;
    let locked = sh.read_file("Cargo.lock")?;
    let patched = locked.contains("name = \"mnem-core-bridge\"");
    ensure!(patched != patch.is_empty(), "{name}: cargo took the other backend");
    let program = folder.join(format!("mnem-{name}"));
    sh.copy_file(target.join("debug/mnem"), &program)?;
    Ok(program)
}
