//! Checks that the changelog informs each group of readers about this version.

use anyhow::{Context, Result, ensure};

const SECTIONS: [&str; 3] = ["### For callers", "### For implementers", "### On disk"];

pub(super) fn check() -> Result<()> {
    let sh = crate::shell()?;
    let version = super::packages::workspace_version()?;
    complete(&sh.read_file("CHANGELOG.md")?, &version)
}

/// Fails unless the newest entry is for this version and none of its sections is empty. A section without changes says
/// so.
fn complete(changelog: &str, version: &str) -> Result<()> {
    let (_, newest) = changelog.split_once("\n## ").context("CHANGELOG.md has no entry")?;
    let newest = newest.split("\n## ").next().unwrap_or(newest);
    let title = newest.lines().next().unwrap_or_default();
    ensure!(
        title == version || title.strip_prefix(version).is_some_and(|rest| rest.starts_with(' ')),
        "the newest entry of CHANGELOG.md is {title:?}, not of {version}"
    );
    for section in SECTIONS {
        let (_, text) =
            newest.split_once(section).with_context(|| format!("the entry of {version} lacks {section:?}"))?;
        let text = text.split("\n### ").next().unwrap_or(text);
        ensure!(
            !text.trim().is_empty(),
            "in the entry of {version}, {section:?} is empty: say what changed, or that nothing did"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::complete;

    const GOOD: &str = "# C\n\n## 1.2.0 (today)\n\n### For callers\n- a\n\n### For implementers\nNothing.\n\n### On disk\nNothing.\n\n## 1.1.0\n";

    #[test]
    fn a_whole_entry_of_this_version_is_asked_for() {
        complete(GOOD, "1.2.0").expect("whole");
        assert!(complete(GOOD, "1.2").is_err(), "a version that begins like this one");
        assert!(complete(GOOD, "1.1.0").is_err(), "an older one");
        assert!(complete(&GOOD.replace("- a\n", ""), "1.2.0").is_err(), "an empty section");
        assert!(complete(&GOOD.replace("### On disk\nNothing.\n", ""), "1.2.0").is_err(), "a missing section");
        assert!(complete("# C\n", "1.2.0").is_err());
    }
}
