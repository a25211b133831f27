//! Examples in documents run: commands in the test that lists the documents, Rust code as doctests of the crate that
//! includes it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    markdown::{Block, Markdown},
    workspace::Workspace,
};

/// The test that runs commands. Its calls `run("…")` are the list.
const DOCUMENTS: &str = "crates/mnem-storage-cli/tests/documents.rs";

/// Documents whose commands and code a test of their own runs, because they need more than a folder.
const OF_THEIR_OWN: [(&str, &str); 1] = [("docs/MIGRATING.md", "interop/tests/migrating.rs")];

/// Commands of this program must never be skipped.
const PROGRAM: &str = "$ mnem-store ";

/// Documents whose Rust code is not compiled, with the reason.
const NOT_COMPILED: [(&str, &str); 1] = [(
    "crates/mnem-store-traits/README.md",
    "one line for the tests of another crate; WRITING-A-BACKEND.md has it in full",
)];

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    let (run, compiled) = (documents_run(workspace), documents_compiled(workspace));
    for (file, text) in workspace.with_extension("md") {
        for block in Markdown::of(text).blocks {
            let fault = match language(&block) {
                "console" if is_ignored(&block) => ignored_commands(&block),
                "console" if !run.contains(file) => Some(format!("its commands are not run: list it in {DOCUMENTS}")),
                "rust" if is_ignored(&block) => ignored_code(file),
                "rust" if !compiled.contains(file) => {
                    Some("its code is not compiled: #[cfg(doctest)] #[doc = include_str!(…)] in a crate".to_owned())
                }
                "" | "text" if block.lines.iter().any(|line| line.starts_with("$ ")) => {
                    Some("has commands: mark it console, or console,ignore".to_owned())
                }
                _ => None,
            };
            wrong.extend(fault.map(|fault| format!("{}:{}: {fault}", file.display(), block.line)));
        }
    }
}

fn language<'a>(block: &Block<'a>) -> &'a str {
    block.info.split(',').next().unwrap_or_default()
}

fn is_ignored(block: &Block<'_>) -> bool {
    block.info.split(',').any(|word| word == "ignore")
}

fn ignored_commands(block: &Block<'_>) -> Option<String> {
    let ours = block.lines.iter().find(|line| line.starts_with(PROGRAM))?;
    Some(format!("{ours:?} is ignored, and could be run"))
}

fn ignored_code(file: &Path) -> Option<String> {
    let listed = NOT_COMPILED.iter().any(|(listed, _)| file == Path::new(listed));
    (!listed).then(|| "its code is ignored, and tidy does not say why".to_owned())
}

fn documents_run(workspace: &Workspace) -> BTreeSet<PathBuf> {
    let test = workspace.text(Path::new(DOCUMENTS)).unwrap_or_default();
    named(test, "run(\"").map(PathBuf::from).chain(documents_of_their_own(workspace)).collect()
}

fn documents_of_their_own(workspace: &Workspace) -> impl Iterator<Item = PathBuf> {
    let reads = |&(document, test): &(&str, &str)| {
        let test = workspace.text(Path::new(test)).unwrap_or_default();
        named(test, "text(\"").any(|named| named == document).then(|| document.into())
    };
    OF_THEIR_OWN.iter().filter_map(reads)
}

fn documents_compiled(workspace: &Workspace) -> BTreeSet<PathBuf> {
    let sources = workspace.with_extension("rs");
    let included = sources.flat_map(|(file, text)| {
        let folder = file.parent().unwrap_or(Path::new(""));
        named(text, "include_str!(\"").filter_map(move |path| Workspace::resolve(folder, path))
    });
    included.chain(documents_of_their_own(workspace)).collect()
}

/// The quoted texts after each `call`, in lines that are not comments.
fn named<'a>(text: &'a str, call: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(move |line| line.split(call).skip(1)).filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    fn said_of(page: &str) -> Vec<String> {
        let sources =
            [(DOCUMENTS, "//! `run(\"b.md\")`\nrun(\"docs/run.md\", x)"), ("a/lib.rs", "include_str!(\"../c.md\")")];
        let both = "```console\n$ a\n```\n```rust\nlet a = 1;\n```\n";
        let pages = [("b.md", page), ("docs/run.md", "```console\n$ a\n```\n"), ("c.md", "```rust,no_run\n```\n")];
        assert_eq!(said(check, &[("d.md", both)]).len(), 2, "without a list nothing is run");
        said(check, &[&sources[..], &pages].concat())
    }

    #[test]
    fn examples_that_nothing_runs_are_named() {
        for (page, fault) in [
            ("```console\n$ a\n```", "its commands are not run: list it in"),
            (
                "```console,ignore\n$ cargo test\n$ mnem-store ls\n```",
                "\"$ mnem-store ls\" is ignored, and could be run",
            ),
            ("```rust\nlet a = 1;\n```", "its code is not compiled"),
            ("```rust,ignore\nlet a = 1;\n```", "its code is ignored, and tidy does not say why"),
            ("```text\n$ a\n```", "has commands"),
            ("```\nb\n$ a\n```", "has commands"),
        ] {
            let said = said_of(&format!("text\n{page}\n"));
            assert!(said.len() == 1 && said[0].starts_with(&format!("b.md:2: {fault}")), "{page}: {said:?}");
        }
    }

    #[test]
    fn other_examples_are_left_alone() {
        for page in ["```console,ignore\n$ cargo test\n```", "```toml\na = 1\n```", "```text\nanswer\n```", "`$ a`"] {
            assert_eq!(said_of(page), [""; 0], "{page}");
        }
    }
}
