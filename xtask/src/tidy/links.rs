//! Every relative Markdown link leads to an existing file, and to an existing heading if it names one.

use std::path::Path;

use super::{markdown::Markdown, workspace::Workspace};

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    for (file, text) in workspace.with_extension("md") {
        for (line, prose) in Markdown::of(text).prose {
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets.filter(|target| !leads(workspace, file, target)) {
                wrong.push(format!("{}:{line}: a link leads nowhere: {target}", file.display()));
            }
        }
    }
}

fn leads(workspace: &Workspace, file: &Path, target: &str) -> bool {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    if path.contains("://") || path.contains(char::is_whitespace) {
        return true;
    }
    let to = if path.is_empty() {
        Some(file.to_owned())
    } else {
        Workspace::resolve(file.parent().unwrap_or(Path::new("")), path)
    };
    let Some(to) = to.filter(|to| workspace.has(to)) else { return false };
    let is_markdown = to.extension().is_some_and(|extension| extension == "md");
    match workspace.text(&to) {
        Some(text) if is_markdown && !heading.is_empty() => {
            Markdown::of(text).anchors().iter().any(|found| found == heading)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::said;

    #[test]
    fn a_link_to_nowhere_is_named() {
        let page = "[a](b.md) [b](../x.md#a-b) [c](#here) [d](https://example.org/x)\n# Here\n```text\n[e](f)\n```\n";
        let files = |page| [("docs/a.md", page), ("docs/b.md", ""), ("x.md", "## A: b\n")];
        assert!(said(super::check, &files(page)).is_empty());
        for (page, target) in [
            ("text\n[a](c.md)", "c.md"),
            ("text\n![a](x.md)", "x.md"),
            ("text\n[a](../x.md#b)", "../x.md#b"),
            ("text\n[a](#there)", "#there"),
            ("text\n[a](../../x.md)", "../../x.md"),
        ] {
            assert_eq!(said(super::check, &files(page)), [format!("docs/a.md:2: a link leads nowhere: {target}")]);
        }
    }
}
