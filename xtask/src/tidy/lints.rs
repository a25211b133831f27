//! Every silenced lint has a reason. Every package has the workspace's lints, one of which requires the same of
//! compiled code. Wrappers around stores have the lint that makes them forward every method.

use std::path::Path;

use super::workspace::Workspace;

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    for (file, text) in workspace.with_extension("rs") {
        for (line, attribute) in attributes(text) {
            let silences = attribute.contains("allow(") || attribute.contains("expect(");
            if silences && !attribute.contains("reason = ") {
                wrong.push(format!("{}:{line}: silences a lint without a reason = \"…\"", file.display()));
            }
        }
    }
    for (file, text) in workspace.with_extension("rs").filter(|(file, _)| is_source(file)) {
        for line in wrappers_without_the_lint(text) {
            let lint = "#[deny(clippy::missing_trait_methods)]";
            wrong.push(format!(
                "{}:{line}: wraps a store without {lint}: a lost override would compile",
                file.display()
            ));
        }
    }
    for (file, text) in workspace.with_extension("toml") {
        if is_member(workspace, file, text) && !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{}: has not the lints of the workspace: [lints] workspace = true", file.display()));
        }
    }
}

/// Whether this code is shipped or measured. Tests may wrap stores as they like.
fn is_source(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "src")
}

/// The lines at which a type that holds a generic store implements a store trait without the lint.
fn wrappers_without_the_lint(text: &str) -> Vec<usize> {
    const TRAITS: [&str; 4] = ["Blockstore", "OpHeadsStore", "Store", "SideTable"];
    const LINT: &str = "deny(clippy::missing_trait_methods";
    if text.contains(&format!("#![{LINT}")) {
        return Vec::new();
    }
    let is_wrapper = |line: &str| {
        line.starts_with("impl<")
            && TRAITS.iter().any(|name| line.contains(&format!("> {name} for ")))
            && TRAITS.iter().any(|name| line.contains(&format!(": {name}")))
    };
    let mut found = Vec::new();
    let mut has_lint = false;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with("#[") {
            has_lint |= line.contains(LINT);
            continue;
        }
        if is_wrapper(line) && !has_lint {
            found.push(number + 1);
        }
        has_lint = false;
    }
    found
}

/// Whether this is the manifest of a package of this workspace. A package that is excluded, or has a workspace of its
/// own, cannot inherit.
fn is_member(workspace: &Workspace, file: &Path, text: &str) -> bool {
    let root = workspace.text(Path::new("Cargo.toml")).unwrap_or_default();
    let left_out = root.lines().find(|line| line.starts_with("exclude = ")).unwrap_or_default();
    let folder = file.parent().unwrap_or(Path::new("")).display();
    let is_package = file.file_name().is_some_and(|name| name == "Cargo.toml") && file != Path::new("Cargo.toml");
    is_package && !text.lines().any(|line| line == "[workspace]") && !left_out.contains(&format!("\"{folder}\""))
}

/// Attributes with the number of their first line. They may span several lines.
fn attributes(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut attribute = line.trim().to_owned();
        if !attribute.starts_with("#[") && !attribute.starts_with("#![") {
            continue;
        }
        while !is_whole(&attribute) {
            let Some((_, line)) = lines.next() else { break };
            attribute.push_str(line.trim());
        }
        found.push((number + 1, attribute));
    }
    found
}

fn is_whole(attribute: &str) -> bool {
    attribute.matches('[').count() <= attribute.matches(']').count()
}

#[cfg(test)]
mod tests {
    use crate::tidy::said;

    #[test]
    fn a_lint_that_is_silenced_without_a_reason_is_named() {
        let bad = "a.rs:2: silences a lint without a reason = \"…\"";
        for attribute in [
            "#[allow(dead_code)]",
            "    #[expect(unused)] fn f() {}",
            "#![allow(missing_docs)]",
            "#[cfg_attr(test, allow(dead_code))]",
            "#[expect(\n    dead_code\n)]",
        ] {
            assert_eq!(said(super::check, &[("a.rs", &format!("//! A.\n{attribute}\n"))]), [bad], "{attribute}");
        }
        for attribute in [
            "#[expect(dead_code, reason = \"serde reads it\")]",
            "#[expect(\n    dead_code,\n    reason = \"serde reads it\"\n)]",
            "#[derive(Debug)]",
            "let text = \"#[allow(dead_code)]\";",
        ] {
            assert_eq!(said(super::check, &[("a.rs", &format!("//! A.\n{attribute}\n"))]), [""; 0], "{attribute}");
        }
    }

    #[test]
    fn a_wrapper_that_may_lose_an_override_is_named() {
        let bare = "impl<S: Store> Blockstore for Counted<S> {}\n";
        let lint = "#[deny(clippy::missing_trait_methods)]";
        let said = |file: &str, text: &str| said(super::check, &[(file, text)]);
        let found = said("a/src/a.rs", &format!("//! A.\n{lint}\nimpl<S: Store> Store for A<S> {{}}\n{bare}"));
        assert_eq!(found, [format!("a/src/a.rs:4: wraps a store without {lint}: a lost override would compile")]);
        for whole in [
            format!("{lint}\n#[cfg(unix)]\n{bare}"),
            format!("#![deny(clippy::missing_trait_methods)]\n{bare}"),
            "impl Store for Memory {}\nimpl<K: Kv> Store for KvStore<K> {}\nimpl<S: Store> Debug for A<S> {}\n"
                .to_owned(),
        ] {
            assert_eq!(said("a/src/a.rs", &whole), [""; 0], "{whole}");
        }
        assert_eq!(said("a/tests/a.rs", bare), [""; 0]);
    }

    #[test]
    fn a_package_without_the_lints_is_named() {
        let said = said(
            super::check,
            &[
                ("Cargo.toml", "[workspace]\nexclude = [\"c\"]\n"),
                ("a/Cargo.toml", "[package]\n"),
                ("b/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"),
                ("c/Cargo.toml", "[package]\n"),
                ("d/Cargo.toml", "[workspace]\n[package]\n"),
            ],
        );
        assert_eq!(said, ["a/Cargo.toml: has not the lints of the workspace: [lints] workspace = true"]);
    }
}
