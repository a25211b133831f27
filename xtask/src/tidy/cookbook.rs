//! Operations runs every command and has advice for every kind of error; `JSON.md` documents the JSON output of each
//! command.

use std::path::Path;

use super::{markdown::Markdown, workspace::Workspace};

const PAGE: &str = "docs/OPERATIONS.md";
const JSON: &str = "crates/mnem-storage-cli/JSON.md";
const COMMANDS: &str = "crates/mnem-storage-cli/src/commands";
const ERRORS: &str = "crates/mnem-store-traits/src/error.rs";

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    let page = workspace.text(Path::new(PAGE)).unwrap_or_default();
    let blocks = Markdown::of(page).blocks;
    let run: Vec<&str> = blocks.iter().filter(|block| block.info == "console").flat_map(|b| b.lines.clone()).collect();
    let json = workspace.text(Path::new(JSON)).unwrap_or_default();
    for command in commands(workspace) {
        if !json.contains(&format!("`{command}")) {
            wrong.push(format!("{JSON}: does not say what `{command}` answers"));
        }
        let typed = [format!("$ mnem-store {command} "), format!("$ mnem-store {command}")];
        if !run.iter().any(|line| line.starts_with(&typed[0]) || *line == typed[1]) {
            wrong.push(format!("{PAGE}: does not run `mnem-store {command}`"));
        }
    }
    for kind in kinds(workspace.text(Path::new(ERRORS)).unwrap_or_default()) {
        if !page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{kind}`"))) {
            wrong.push(format!("{PAGE}: has no row that says what to do about `{kind}`"));
        }
    }
}

/// The name of the file. A folder is a command too: the files in it are its subcommands if it has any, otherwise its
/// parts.
pub(super) fn commands(workspace: &Workspace) -> impl Iterator<Item = String> {
    let files =
        workspace.with_extension("rs").filter_map(|(file, text)| Some((file.strip_prefix(COMMANDS).ok()?, text)));
    files.filter_map(|(file, text)| {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let has_commands = |text: &str| text.contains("Subcommand");
        let command = match folder {
            None if file.ends_with("mod.rs") => return None,
            None => file.with_extension(""),
            Some(folder) if file.ends_with("mod.rs") && !has_commands(text) => folder.to_owned(),
            Some(folder) => {
                let of_folder = workspace.text(&Path::new(COMMANDS).join(folder).join("mod.rs")).unwrap_or_default();
                (has_commands(of_folder) && !file.ends_with("mod.rs")).then(|| file.with_extension(""))?
            }
        };
        Some(command.to_string_lossy().replace('/', " "))
    })
}

/// The variants of the enum, one per line.
fn kinds(source: &str) -> impl Iterator<Item = &str> {
    let inside = source.split("pub enum ErrorKind {").nth(1).and_then(|rest| rest.split('}').next());
    let lines = inside.unwrap_or_default().lines().map(str::trim);
    lines.filter_map(|line| line.strip_suffix(',')).filter(|line| line.chars().all(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn a_command_that_is_not_run_and_an_error_without_a_row_are_named() {
        fn files(page: &str) -> [(&str, &str); 9] {
            [
                (JSON, "### `ls`, `knn rm`, `copy`"),
                ("crates/mnem-storage-cli/src/commands/ls.rs", ""),
                ("crates/mnem-storage-cli/src/commands/knn/rm.rs", ""),
                ("crates/mnem-storage-cli/src/commands/knn/mod.rs", "#[derive(Subcommand)]"),
                ("crates/mnem-storage-cli/src/commands/copy/mod.rs", ""),
                ("crates/mnem-storage-cli/src/commands/copy/part.rs", ""),
                ("crates/mnem-storage-cli/src/commands/mod.rs", ""),
                (ERRORS, "pub enum ErrorKind {\n    Locked,\n    /// Not there.\n    NotAStore,\n}\n"),
                (PAGE, page),
            ]
        }
        let whole = "| `NotAStore`, `Locked` | wait |\n```console\n$ mnem-store ls\n$ mnem-store knn rm CID\n$ mnem-store copy A B\n```\n";
        assert_eq!(said(check, &files(whole)), [""; 0]);
        for (part, other, fault) in [
            ("`Locked`", "Locked", "has no row that says what to do about `Locked`"),
            ("$ mnem-store ls", "$ mnem-store lsx", "does not run `mnem-store ls`"),
            ("console", "console,ignore", "does not run `mnem-store ls`"),
            ("knn rm", "rm", "does not run `mnem-store knn rm`"),
            ("copy A", "A", "does not run `mnem-store copy`"),
        ] {
            let said = said(check, &files(&whole.replace(part, other)));
            assert!(said.contains(&format!("{PAGE}: {fault}")), "{part}: {said:?}");
        }
        let mut files = files(whole);
        files[0].1 = "### `ls`, `copy`";
        assert_eq!(said(check, &files), [format!("{JSON}: does not say what `knn rm` answers")]);
    }
}
