//! Names of tables, files and folders stand in `tables.rs` of their backend and nowhere else in it; limits stand in `limits.rs` of their crate.

use std::path::Path;

use super::workspace::Workspace;

/// Bounds that an encoding gives and nobody chose: they stand where the encoding is read.
const OF_ENCODINGS: [&str; 4] = [
    "crates/mnem-backend-redb/src/keys.rs",
    "crates/mnem-car/src/section.rs",
    "crates/mnem-car/src/v2.rs",
    "crates/mnem-car/src/varint.rs",
];

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    for (file, text) in workspace.with_extension("rs") {
        if !file.starts_with("crates") || !file.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        let names = table_names(workspace, file);
        for (number, line) in lines {
            let place = format!("{}:{}", file.display(), number + 1);
            for name in literals(line).filter(|name| names.contains(name)) {
                wrong.push(format!("{place}: spells {name:?}: the names of tables and files are in tables.rs"));
            }
            if let Some(limit) = limit(line).filter(|_| may_not_have_limits(workspace, file)) {
                wrong.push(format!("{place}: {limit} is a limit: they are in limits.rs"));
            }
        }
    }
}

/// The names that `tables.rs` of the same backend spells. None for that file itself, and for crates without one.
fn table_names<'a>(workspace: &'a Workspace, file: &Path) -> Vec<&'a str> {
    let tables = workspace.crate_of(file).join("src/tables.rs");
    if file == tables {
        return Vec::new();
    }
    let code = workspace.text(&tables).and_then(|text| text.split("#[cfg(test)]").next()).unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_name =
        |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
    lines.flat_map(literals).filter(is_name).collect()
}

/// Texts in quotes, but for the names of operations, which are verbs: `at("lock", …)`.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    let pieces: Vec<&str> = line.split('"').collect();
    let quoted = (1..pieces.len()).step_by(2).filter(|&n| !pieces[n - 1].ends_with("at(")).map(|n| pieces[n]);
    quoted.collect::<Vec<_>>().into_iter()
}

/// The name of a limit that this line makes, at the outermost level.
fn limit(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("const ")?;
    let name = rest.split(':').next()?;
    let is_limit = ["_MAX", "_MIN", "_DEFAULT"].iter().any(|end| name.ends_with(end));
    (is_limit && (before.is_empty() || before.starts_with("pub"))).then_some(name)
}

/// The bounds of the suite, and of crates that are not published, are of tests.
fn may_not_have_limits(workspace: &Workspace, file: &Path) -> bool {
    let manifest = workspace.text(&workspace.crate_of(file).join("Cargo.toml")).unwrap_or_default();
    !manifest.contains("publish = false")
        && !file.ends_with("limits.rs")
        && !OF_ENCODINGS.iter().any(|listed| file == Path::new(listed))
        && !file.components().any(|part| part.as_os_str() == "conformance")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    const MANIFEST: (&str, &str) = ("crates/a/Cargo.toml", "");
    const TABLES: (&str, &str) = ("crates/a/src/tables.rs", "const OBJECTS: &str = \"objects\";\n");

    #[test]
    fn a_name_that_is_spelt_elsewhere_is_named() {
        let fine = "//! Of \"objects\".\nlet x = at(\"objects\", \"things\");\n#[cfg(test)]\nlet y = \"objects\";\n";
        let files =
            |text| [MANIFEST, TABLES, ("crates/a/src/b.rs", text), ("crates/c/src/b.rs", "let x = \"objects\";")];
        assert_eq!(said(check, &files(fine)), [""; 0]);
        let said = said(check, &files("//! B.\nopen(\"objects\")"));
        assert_eq!(said, ["crates/a/src/b.rs:2: spells \"objects\": the names of tables and files are in tables.rs"]);
    }

    #[test]
    fn a_limit_that_stands_elsewhere_is_named() {
        let limit = "pub(crate) const BLOCK_BYTES_MAX: u64 = 1;\n";
        let inner = "impl A {\n    const TRIES_MAX: u32 = 1;\n}\nconst MAXIMAL: u8 = 1;\n";
        let fine = [("crates/a/src/limits.rs", limit), ("crates/a/src/b.rs", inner), (OF_ENCODINGS[0], limit)];
        assert_eq!(said(check, &fine), [""; 0]);
        let unpublished = [("crates/a/Cargo.toml", "publish = false\n"), ("crates/a/src/b.rs", limit)];
        assert_eq!(said(check, &unpublished), [""; 0]);
        let said = said(check, &[("crates/a/src/b.rs", limit)]);
        assert_eq!(said, ["crates/a/src/b.rs:1: BLOCK_BYTES_MAX is a limit: they are in limits.rs"]);
    }
}
