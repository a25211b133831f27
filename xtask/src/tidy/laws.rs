//! The list of laws and the table in the contract name the same. A test of the crate compares them word for word; this one needs no build.

use std::{collections::BTreeSet, path::Path};

use super::workspace::Workspace;

const LIST: &str = "crates/mnem-store-traits/src/conformance/list.rs";
const CONTRACT: &str = "crates/mnem-store-traits/CONTRACT.md";

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    let text = |path| workspace.text(Path::new(path)).unwrap_or_default();
    let (listed, promised) = (listed(text(LIST)), promised(text(CONTRACT)));
    if listed.is_empty() {
        wrong.push(format!("{LIST}: no law is found in it"));
    }
    for law in listed.difference(&promised) {
        wrong.push(format!(
            "{CONTRACT}: does not list the law {law}: run the tests of the crate with UPDATE_CONTRACT=1"
        ));
    }
    for law in promised.difference(&listed) {
        wrong.push(format!("{CONTRACT}: lists {law}, which is no law"));
    }
}

/// `group { level topic law [needs] …`.
fn listed(list: &str) -> BTreeSet<String> {
    let mut group = "";
    let mut laws = BTreeSet::new();
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, "{"] => group = name,
            ["must" | "should", _, law, ..] => {
                laws.insert(format!("{group}::{law}"));
            }
            _ => {}
        }
    }
    laws
}

/// The first column of the table.
fn promised(contract: &str) -> BTreeSet<String> {
    let rows = contract.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).filter(|law| law.contains("::")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    const LAWS: &str =
        "blocks {\n    must get absent_is_none [Blocks]\n}\nheads {\n    should swap one_wins [Heads]\n}\n";

    #[test]
    fn a_law_that_the_contract_lacks_and_one_that_is_none_are_named() {
        let contract = "| `blocks::absent_is_none` | must |\n| `heads::one_wins` | should |\n";
        assert_eq!(said(check, &[(LIST, LAWS), (CONTRACT, contract)]), [""; 0]);
        let other = contract.replace("one_wins", "two_win");
        let said = said(check, &[(LIST, LAWS), (CONTRACT, &other)]);
        assert_eq!(said.len(), 2);
        assert!(said[0].contains("does not list the law heads::one_wins"), "{said:?}");
        assert!(said[1].ends_with("lists heads::two_win, which is no law"), "{said:?}");
    }

    #[test]
    fn a_list_that_cannot_be_read_is_named() {
        assert_eq!(said(check, &[]), [format!("{LIST}: no law is found in it")]);
    }
}
