//! Lists kept by hand are complete: the index of documents has every document, and the reasons for dependencies cover
//! every dependency of a published crate.

use std::path::Path;

use super::workspace::Workspace;

const INDEX: &str = "docs/README.md";
const REASONS: &str = "docs/DESIGN.md";

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    documents(workspace, wrong);
    dependencies(workspace, wrong);
}

fn documents(workspace: &Workspace, wrong: &mut Vec<String>) {
    let index = workspace.text(Path::new(INDEX)).unwrap_or_default();
    for (file, _) in workspace.with_extension("md").filter(|(file, _)| *file != Path::new(INDEX)) {
        let Ok(name) = file.strip_prefix("docs") else { continue };
        if !index.contains(&format!("]({})", name.display())) {
            wrong.push(format!("{}: is not listed in {INDEX}", file.display()));
        }
    }
}

fn dependencies(workspace: &Workspace, wrong: &mut Vec<String>) {
    let reasons = workspace.text(Path::new(REASONS)).unwrap_or_default();
    let listed: Vec<&str> = reasons.lines().filter_map(|row| row.strip_prefix("| `")?.split(" | ").next()).collect();
    let manifests = workspace.with_extension("toml").filter(|(file, _)| file.starts_with("crates"));
    for (file, manifest) in manifests.filter(|(_, manifest)| !manifest.contains("publish = false")) {
        for name in direct(manifest).filter(|name| !name.starts_with("mnem-")) {
            if !listed.iter().any(|row| row.split('`').any(|word| word == name)) {
                wrong.push(format!("{}: {REASONS} has no row for the dependency {name}", file.display()));
            }
        }
    }
}

/// The names below `[dependencies]`, including those of one platform.
fn direct(manifest: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    let names = manifest.lines().filter_map(move |line| {
        if let Some(table) = line.strip_prefix('[') {
            within = table == "dependencies]" || table.ends_with(".dependencies]");
            return None;
        }
        let name = line.split(['.', '=', ' ']).next()?;
        (within && !name.is_empty() && !name.starts_with('#')).then_some(name)
    });
    names.collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn a_document_that_the_index_lacks_is_named() {
        let index = (INDEX, "[a](A.md) [data](data/README.md)");
        let files = [index, ("docs/A.md", ""), ("docs/data/README.md", ""), ("B.md", "")];
        assert_eq!(said(check, &files), [""; 0]);
        assert_eq!(said(check, &[index, ("docs/B.md", "")]), ["docs/B.md: is not listed in docs/README.md"]);
    }

    #[test]
    fn a_dependency_without_a_reason_is_named() {
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\n# A reason.\ncid.workspace = true\nmnem-b = \"1\"\n\n\
                        [target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n\n[dev-dependencies]\ntempfile = \"3\"\n";
        let files = |reasons| [("crates/a/Cargo.toml", manifest), (REASONS, reasons), (INDEX, "[](DESIGN.md)")];
        assert_eq!(said(check, &files("| `cid` 0.11, `rustix` | MIT |\n")), [""; 0]);
        let lacks = "crates/a/Cargo.toml: docs/DESIGN.md has no row for the dependency rustix";
        assert_eq!(said(check, &files("| `cid` | MIT |\nIn prose: `rustix`.\n")), [lacks]);
        let unpublished = format!("publish = false\n{manifest}");
        let files = [("crates/a/Cargo.toml", unpublished.as_str()), (REASONS, ""), (INDEX, "[](DESIGN.md)")];
        assert_eq!(said(check, &files), [""; 0]);
    }
}
