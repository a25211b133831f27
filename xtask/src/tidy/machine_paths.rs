//! No text contains a path of one machine.

use super::workspace::Workspace;

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    let private = private();
    let texts = workspace.texts().filter(|(file, _)| file.file_name().is_some_and(|name| name != "Cargo.lock"));
    for (file, text) in texts {
        for (number, line) in text.lines().enumerate() {
            if private.iter().any(|path| line.contains(path.as_str())) {
                wrong.push(format!("{}:{}: a path of one machine", file.display(), number + 1));
            }
        }
    }
}

/// The pieces are joined here, so that this file does not contain the paths.
fn private() -> [String; 3] {
    [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn a_path_of_one_machine_is_named() {
        for path in private() {
            let text = format!("fine\nsee {path}notes\n");
            assert_eq!(said(check, &[("a.md", &text), ("Cargo.lock", &text)]), ["a.md:2: a path of one machine"]);
        }
        assert!(said(check, &[("a.md", "see docs/notes")]).is_empty());
    }
}
