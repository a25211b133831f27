//! The published packages, built with and without the drop-in, and their program run.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

const PACKAGES: [&str; 3] = ["mnem-cli", "mnem-http", "mnem-mcp"];
const VERSION: &str = "0.1.7";
/// A test that moves the head to a block that nobody has put, and expects success: the drop-in refuses that.
const MEANT: &str = "remote_advance_head_success_counter_increments";

/// The program `mnem` on either backend, and the folder for everything.
pub(super) struct Programs {
    pub(super) published: PathBuf,
    pub(super) ours: PathBuf,
    pub(super) folder: PathBuf,
}

/// A profile of cargo.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    Dev,
    Release,
}

impl Programs {
    pub(super) fn build(sh: &Shell, profile: Profile) -> Result<Self> {
        let workspaces = Workspaces::make(sh)?;
        let [published, ours] = workspaces.both().map(|workspace| workspaces.program(sh, workspace, profile));
        Ok(Self { published: published?, ours: ours?, folder: workspaces.folder })
    }

    /// Both, with their names.
    pub(super) fn both(&self) -> [(&'static str, &Path); 2] {
        [("published", &self.published), ("ours", &self.ours)]
    }
}

/// Runs the tests that the packages ship, on either backend. Those that fail on both are not ours to judge.
pub(super) fn run_tests(sh: &Shell) -> Result<()> {
    let workspaces = Workspaces::make(sh)?;
    let mut failed = Vec::new();
    for name in workspaces.both() {
        let mut names = Vec::new();
        for package in PACKAGES {
            let output = workspaces.tests(sh, name, package)?;
            let ending = |end| output.lines().filter(move |line| line.starts_with("test ") && line.ends_with(end));
            let wrong: Vec<_> = ending("... FAILED").map(|line| format!("{package}: {line}")).collect();
            let passed = ending("... ok").count();
            println!("{package}, {name}: {passed} passed, {} failed", wrong.len());
            ensure!(passed > 0, "{package}, {name}: no test ran");
            names.extend(wrong);
        }
        failed.push(names);
    }
    println!("failed on the published backend: {:#?}", failed[0]);
    let mut only_ours: Vec<_> = failed[1].iter().filter(|test| !failed[0].contains(test)).collect();
    only_ours.retain(|test| !test.contains(MEANT));
    ensure!(only_ours.is_empty(), "these fail on the drop-in only: {only_ours:#?}");
    Ok(())
}

/// Two workspaces of the packages as shipped, one of which takes the drop-in.
struct Workspaces {
    folder: PathBuf,
}

impl Workspaces {
    fn make(sh: &Shell) -> Result<Self> {
        let root = sh.current_dir();
        let target = std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root.join("target"), |path| root.join(path));
        let folder = target.join("upstream");
        sh.create_dir(&folder)?;
        let sources = fetch(sh, &folder)?;
        let dropin = root.join("dropin/mnem-backend-redb").display().to_string();
        let patch = format!("[patch.crates-io]\nmnem-backend-redb = {{ path = {dropin:?} }}\n");
        let workspaces = Self { folder };
        for (name, patch) in workspaces.both().into_iter().zip(["", &patch]) {
            workspaces.fill(sh, name, &sources, patch)?;
        }
        Ok(workspaces)
    }

    const fn both(&self) -> [&'static str; 2] {
        ["published", "ours"]
    }

    fn fill(&self, sh: &Shell, name: &str, sources: &[(&'static str, PathBuf)], patch: &str) -> Result<()> {
        let workspace = self.folder.join(name);
        sh.remove_path(&workspace)?;
        sh.create_dir(&workspace)?;
        for (package, source) in sources {
            let copy = workspace.join(package);
            cmd!(sh, "cp -rp {source} {copy}").quiet().run()?;
            sh.remove_path(copy.join("Cargo.lock"))?;
        }
        let members = PACKAGES.map(|name| format!("{name:?}")).join(", ");
        let profile = "[profile.dev]\ndebug = 0\nincremental = false\n";
        sh.write_file(
            workspace.join("Cargo.toml"),
            format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n{profile}{patch}"),
        )?;
        Ok(sh.copy_file(self.folder.join("fetch/Cargo.lock"), workspace.join("Cargo.lock"))?)
    }

    /// The program `mnem` of a workspace.
    fn program(&self, sh: &Shell, name: &str, profile: Profile) -> Result<PathBuf> {
        let (profile, built) = match profile {
            Profile::Dev => ("dev", "debug/mnem"),
            Profile::Release => ("release", "release/mnem"),
        };
        let target = self.folder.join("target");
        let _in = sh.push_dir(self.folder.join(name));
        // The default embedder, which is bundled, downloads a model.
        cmd!(sh, "cargo build --profile {profile} -p mnem-cli --no-default-features --target-dir {target}").run()?;
        Self::check_backend(sh, name)?;
        let program = self.folder.join(format!("mnem-{name}"));
        sh.copy_file(target.join(built), &program)?;
        Ok(program)
    }

    /// What `cargo test` says of a package.
    fn tests(&self, sh: &Shell, name: &str, package: &str) -> Result<String> {
        let target = self.folder.join("target");
        let _in = sh.push_dir(self.folder.join(name));
        let tests = ["--no-default-features", "--no-fail-fast"];
        let tests = cmd!(sh, "cargo test -p {package} {tests...} --target-dir {target}").ignore_status();
        let output = tests.output()?;
        Self::check_backend(sh, name)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Cargo leaves out a patch that a lock file speaks against, and says no more than a warning.
    fn check_backend(sh: &Shell, name: &str) -> Result<()> {
        let patched = sh.read_file("Cargo.lock")?.contains("name = \"mnem-core-bridge\"");
        ensure!(patched == (name == "ours"), "{name}: cargo took the other backend");
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

/// `mnem` with `args` in `folder`, without the settings and the input of whoever runs this.
pub(super) fn command(program: &Path, folder: &Path, args: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new(program);
    command.args(args.iter().map(AsRef::as_ref)).current_dir(folder);
    command.env("HOME", folder).env("MNEM_GLOBAL_DIR", folder.join("global")).env("MNEM_NO_WIZARD", "1");
    for variable in ["MNEM_REDB_SHARING", "MNEM_REDB_LOCK_WAIT_MS", "RUST_BACKTRACE", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit status of a command, and what it wrote to both outputs.
pub(super) fn run(mut command: Command) -> Result<(Option<i32>, String)> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok((output.status.code(), text.concat()))
}

/// What a command wrote, if it succeeded.
pub(super) fn answer(program: &Path, folder: &Path, args: &[impl AsRef<str>]) -> Result<String> {
    let (code, text) = run(command(program, folder, args))?;
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    ensure!(code == Some(0), "{} {args:?}: {text}", program.display());
    Ok(text)
}

/// The words of a command.
pub(super) fn words(args: &str) -> Vec<&str> {
    args.split(' ').collect()
}
