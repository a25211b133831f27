//! Runs the README's two commands: the first does the main job, as typed; the second is what continuous integration
//! runs.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

/// The README's second command.
pub(crate) const TESTS: &str = "cargo test --workspace";

const STORE: &str = "animals.redb";
const HEAD: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";

/// Runs the first command in the workspace's root, then reads the store that it created.
pub(crate) fn run() -> Result<()> {
    run_in(&crate::shell()?)
}

/// Runs both commands as typed in a new clone of the committed state. The build is kept in `target/clone`, so that the
/// next run is faster.
pub(crate) fn in_a_clean_clone() -> Result<()> {
    let sh = crate::shell()?;
    let (root, folder) = (sh.current_dir(), sh.create_temp_dir()?);
    let clone = folder.path().join("clone");
    cmd!(sh, "git clone --quiet {root} {clone}").run()?;
    let target = root.join("target/clone");
    sh.change_dir(&clone);
    let _target = sh.push_env("CARGO_TARGET_DIR", &target);
    run_in(&sh)?;
    Ok(cmd!(sh, "sh -c {TESTS}").run()?)
}

fn run_in(sh: &Shell) -> Result<()> {
    let readme = sh.read_file("README.md")?;
    let command = readme
        .lines()
        .map(|line| line.trim().trim_start_matches("$ "))
        .find(|line| line.starts_with("cargo run ") && line.contains(" import "))
        .context("README.md has no line that begins with 'cargo run' and imports an archive")?;
    ensure!(command.contains(STORE), "the README's command does not write {STORE}");
    ensure!(
        readme.lines().any(|line| line.trim().trim_start_matches("$ ") == TESTS),
        "README.md does not show '{TESTS}'"
    );
    let _aside = Aside::new(sh.current_dir().join(STORE))?;
    cmd!(sh, "sh -c {command}").run()?;
    let tool = "target/release/mnem-store";
    let tool = sh.var("CARGO_TARGET_DIR").map_or(tool.into(), |dir| format!("{dir}/release/mnem-store"));
    let heads = cmd!(sh, "{tool} heads --store {STORE}").read()?;
    ensure!(heads == HEAD, "the imported store has the heads {heads}");
    cmd!(sh, "{tool} verify --store {STORE}").run()?;
    Ok(())
}

/// Keeps the path of the store free. An existing file, which may be a user's store, is moved aside and moved back on
/// drop; a store created meanwhile is then removed.
struct Aside {
    store: PathBuf,
    kept: Option<PathBuf>,
}

impl Aside {
    fn new(store: PathBuf) -> Result<Self> {
        let aside = store.with_extension("aside.redb");
        ensure!(
            !aside.exists(),
            "{} is what an earlier run moved aside and did not move back: rename it to {} or to another name",
            aside.display(),
            store.display()
        );
        let kept = if store.exists() {
            fs::rename(&store, &aside).with_context(|| format!("cannot move {} aside", store.display()))?;
            Some(aside)
        } else {
            None
        };
        Ok(Self { store, kept })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // On Unix the rename alone is enough; elsewhere it does not replace.
        let _ = fs::remove_file(&self.store);
        if let Some(kept) = &self.kept
            && let Err(error) = fs::rename(kept, &self.store)
        {
            eprintln!("error: {} is still at {}: {error}", self.store.display(), kept.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_there_is_there_again() {
        let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let store = folder.path().join(STORE);
        fs::write(&store, "mine").unwrap();
        {
            let _aside = Aside::new(store.clone()).unwrap();
            assert!(!store.exists());
            fs::write(&store, "the run's").unwrap();
            assert!(Aside::new(store.clone()).is_err(), "nothing is overwritten");
        }
        assert_eq!(fs::read(&store).unwrap(), b"mine");
        fs::remove_file(&store).unwrap();
        drop(Aside::new(store.clone()).unwrap());
        fs::write(&store, "mine").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_run_made_is_removed() {
        let folder = xshell::Shell::new().unwrap().create_temp_dir().unwrap();
        let store = folder.path().join(STORE);
        let aside = Aside::new(store.clone()).unwrap();
        fs::write(&store, "the run's").unwrap();
        drop(aside);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
