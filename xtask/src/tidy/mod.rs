//! Checks that a compiler cannot make. There is one guard per file; each reports what is wrong, where, and what would
//! be right.

mod announced;
mod cookbook;
mod examples;
mod links;
mod lints;
mod listed;
mod machine_paths;
mod markdown;
mod mentions;
mod modules;
mod workspace;

use anyhow::{Result, bail};

use self::workspace::Workspace;

/// Checks the whole workspace and adds its findings.
type Guard = fn(&Workspace, &mut Vec<String>);

const GUARDS: [Guard; 9] = [
    announced::check,
    cookbook::check,
    examples::check,
    links::check,
    lints::check,
    listed::check,
    machine_paths::check,
    mentions::check,
    modules::check,
];

/// Runs every guard and reports all findings at once.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    let workspace = Workspace::tracked(&sh)?;
    let mut wrong = announced::is_newest(&sh)?;
    for guard in GUARDS {
        guard(&workspace, &mut wrong);
    }
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    if !wrong.is_empty() {
        bail!("{} things are not in order", wrong.len());
    }
    Ok(())
}

/// The findings of a guard in a workspace of these files.
#[cfg(test)]
fn said(guard: Guard, files: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    guard(&Workspace::of(files), &mut wrong);
    wrong
}
