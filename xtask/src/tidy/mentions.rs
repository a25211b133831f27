//! Every file that a text mentions exists: in Markdown and in comments of Rust, words in backticks that look like a
//! path.

use std::path::Path;

use super::{markdown::Markdown, workspace::Workspace};

/// Extensions that make a word with a slash the path of a file of this workspace.
const ENDINGS: [&str; 7] = [".rs", ".md", ".toml", ".sh", ".svg", ".car", ".jsonl"];

/// Prefixes that make a word such a path, whatever its extension.
const BEGINNINGS: [&str; 5] = ["benches/", "crates/", "docs/", "interop/", "xtask/"];

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    for (file, text) in workspace.with_extension("md") {
        for (line, prose) in Markdown::of(text).prose {
            look(workspace, file, line, prose, wrong);
        }
    }
    for (file, text) in workspace.with_extension("rs") {
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                look(workspace, file, number + 1, line, wrong);
            }
        }
    }
}

fn look(workspace: &Workspace, file: &Path, line: usize, prose: &str, wrong: &mut Vec<String>) {
    let mentioned = prose.split('`').skip(1).step_by(2).filter(|word| is_path(word));
    for path in mentioned.filter(|path| !is_there(workspace, file, path)) {
        wrong.push(format!("{}:{line}: mentions {path}, which is not there", file.display()));
    }
}

fn is_path(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) && !word.contains("...");
    let looks = BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
        || (word.contains('/') && ENDINGS.iter().any(|ending| word.ends_with(ending)));
    plain && looks && !word.starts_with('/')
}

/// Looks in the file's folder, its crate, and the root. For a document outside the crates, looks in every crate,
/// because its text says which one.
fn is_there(workspace: &Workspace, file: &Path, path: &str) -> bool {
    let mut folders = vec![file.parent().unwrap_or(Path::new("")).to_owned(), workspace.crate_of(file), "".into()];
    if workspace.crate_of(file).as_os_str().is_empty() {
        folders.extend(workspace.crates());
    }
    folders.iter().filter_map(|folder| Workspace::resolve(folder, path)).any(|path| workspace.has(&path))
}

#[cfg(test)]
mod tests {
    use crate::tidy::said;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        fn files(text: &str) -> [(&str, &str); 6] {
            [
                ("crates/a/README.md", text),
                ("crates/a/Cargo.toml", ""),
                ("crates/a/src/lib.rs", ""),
                ("crates/a/src/b/mod.rs", "/// As `b/c.rs`.\nlet x = \"`b/d.rs`\";\n"),
                ("crates/a/src/b/b/c.rs", ""),
                ("docs/x.md", ""),
            ]
        }
        let fine = "`src/lib.rs` `crates/a/src` `docs/x.md` `and/or` `a/<b>.rs` `https://example.org/a.md` `lib.rs`";
        assert_eq!(said(super::check, &files(fine)), [""; 0]);
        assert_eq!(said(super::check, &[("a/Cargo.toml", ""), ("a/src/b.rs", ""), ("d/x.md", "`src/b.rs`")]), [""; 0]);
        for absent in ["src/gone.rs", "crates/b", "docs/y.md", "../b/src/lib.rs"] {
            let text = format!("text\nsee `{absent}`");
            let said = said(super::check, &files(&text));
            assert_eq!(said, [format!("crates/a/README.md:2: mentions {absent}, which is not there")]);
        }
    }

    #[test]
    fn comments_are_looked_at_and_code_is_not() {
        let said = said(super::check, &[("a.rs", "// See `src/b.rs`.\nlet path = \"`src/c.rs`\";\n")]);
        assert_eq!(said, ["a.rs:1: mentions src/b.rs, which is not there"]);
    }
}
