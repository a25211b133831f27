//! Every module begins with a sentence that states its purpose.

use super::workspace::Workspace;

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    for (file, text) in workspace.with_extension("rs") {
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not begin with a module document (//!)", file.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::said;

    #[test]
    fn a_module_without_a_document_is_named() {
        let files = [("a.rs", "//! Says what it is.\n"), ("b.rs", "use std::fs;\n//! Too late.\n"), ("c.md", "text")];
        let said = said(super::check, &files);
        assert_eq!(said, ["b.rs: does not begin with a module document (//!)"]);
    }
}
