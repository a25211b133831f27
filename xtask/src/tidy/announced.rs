//! The changelog keeps up with what users see. Every command is in it, and whoever changes the public API changes it
//! too.

use std::path::Path;

use anyhow::Result;
use xshell::{Shell, cmd};

use super::{cookbook, workspace::Workspace};

const CHANGELOG: &str = "CHANGELOG.md";

/// Names every command that the changelog does not.
pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    let changelog = workspace.text(Path::new(CHANGELOG)).unwrap_or_default();
    for command in cookbook::commands(workspace) {
        let family = command.split(' ').next().unwrap_or(&command);
        if !changelog.contains(&format!("`{family}`")) && !changelog.contains(&format!("`{command}`")) {
            wrong.push(format!("{CHANGELOG}: does not announce the command `{command}`"));
        }
    }
}

/// Names every snapshot of the public API that was changed after the changelog: in a commit that the newest change of
/// the changelog does not contain, or in the working tree alone. A clone without that history has nothing to compare.
pub(super) fn is_newest(sh: &Shell) -> Result<Vec<String>> {
    if !cmd!(sh, "git status --porcelain -- {CHANGELOG}").quiet().read()?.is_empty() {
        return Ok(Vec::new());
    }
    let last = cmd!(sh, "git rev-list -1 HEAD -- {CHANGELOG}").quiet().read()?;
    let range = format!("{last}..HEAD");
    let committed = cmd!(sh, "git log --format= --name-only {range} -- *public-api.txt").quiet().read()?;
    let pending = cmd!(sh, "git diff --name-only HEAD -- *public-api.txt").quiet().read()?;
    let mut files: Vec<&str> = committed.lines().chain(pending.lines()).filter(|file| !file.is_empty()).collect();
    files.sort_unstable();
    files.dedup();
    let told = |file: &&str| format!("{file}: changed after {CHANGELOG}: say there what users of the API will notice");
    Ok(files.iter().map(told).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn a_command_that_was_never_announced_is_named() {
        let files = |changelog| {
            [
                ("crates/mnem-storage-cli/src/commands/ls.rs", ""),
                ("crates/mnem-storage-cli/src/commands/knn/mod.rs", "#[derive(Subcommand)]"),
                ("crates/mnem-storage-cli/src/commands/knn/rm.rs", ""),
                (CHANGELOG, changelog),
            ]
        };
        assert_eq!(said(check, &files("`ls`, `knn`")), [""; 0]);
        assert_eq!(said(check, &files("`knn rm`, ls")), [format!("{CHANGELOG}: does not announce the command `ls`")]);
    }

    #[test]
    fn an_api_that_is_newer_than_the_changelog_is_named() -> Result<()> {
        let sh = crate::shell()?;
        let folder = sh.create_temp_dir()?;
        sh.change_dir(folder.path());
        // Within a hook of git, variables name the repository of the hook; these name the one of this test.
        for (variable, place) in [
            ("GIT_DIR", ".git"),
            ("GIT_COMMON_DIR", ".git"),
            ("GIT_OBJECT_DIRECTORY", ".git/objects"),
            ("GIT_INDEX_FILE", ".git/index"),
            ("GIT_WORK_TREE", "."),
        ] {
            sh.set_var(variable, folder.path().join(place));
        }
        let api = "crates/a/public-api.txt";
        let change = |file: &str, text: &str| sh.write_file(file, text);
        let commit = || -> Result<()> {
            cmd!(sh, "git add --all").quiet().run()?;
            let who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.hooksPath=/dev/null"];
            Ok(cmd!(sh, "git {who...} commit --quiet --no-gpg-sign --message change").quiet().run()?)
        };
        cmd!(sh, "git init --quiet").quiet().run()?;
        change(CHANGELOG, "1")?;
        change(api, "1")?;
        commit()?;
        assert_eq!(is_newest(&sh)?, [""; 0], "changed together");

        change(api, "2")?;
        assert_eq!(is_newest(&sh)?.len(), 1, "in the working tree alone");
        commit()?;
        change("other", "1")?;
        commit()?;
        let told = is_newest(&sh)?;
        assert!(matches!(&*told, [line] if line.starts_with(api)), "{told:?}");

        change(CHANGELOG, "2")?;
        assert_eq!(is_newest(&sh)?, [""; 0], "a change that is not committed yet counts");
        commit()?;
        assert_eq!(is_newest(&sh)?, [""; 0]);
        Ok(())
    }
}
