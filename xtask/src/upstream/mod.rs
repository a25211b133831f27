//! Runs the published programs on our storage: the same session on the published backend and on the drop-in, compared.
//! Opt-in: it downloads packages from crates.io and builds some 400 of them, some of them twice.

mod acknowledged;
mod bench;
mod front_ends;
mod kills;
mod normal;
mod programs;
mod read_only;
mod repositories;
mod requests;
mod server;
mod session;
mod tools;

use anyhow::{Result, bail, ensure};
use xshell::Shell;

use self::{
    programs::{Profile, Programs},
    repositories::Repositories,
};

/// An intended difference, with its reason.
struct Expected {
    step: &'static str,
    reason: &'static str,
}

/// Nothing else may differ, and each of these must.
const EXPECTED: &[Expected] = &[
    Expected { step: "truncated file", reason: "published: a panic; ours: an error with a next step" },
    Expected { step: "text file", reason: "ours names the file and a next step" },
    Expected { step: "empty file", reason: "published makes a database of it; ours refuses what may be a lost file" },
    Expected { step: "later format", reason: "ours names the file and a next step" },
    Expected { step: read_only::STEP, reason: "published opens every file for writing" },
    Expected { step: acknowledged::HEAD, reason: "ours refuses a head without its block" },
    Expected { step: front_ends::WAITING, reason: "published fails at once where ours waits" },
    Expected { step: front_ends::SHARED, reason: "published does not share" },
    Expected { step: front_ends::HTTP, reason: "published does not share" },
    Expected { step: front_ends::MCP, reason: "published does not share" },
];

/// One row of the table.
struct Row {
    step: String,
    published: String,
    ours: String,
    /// The difference between the two.
    difference: Option<String>,
}

/// A row, and how the two answers differ.
fn row(step: impl Into<String>, published: (String, &str), ours: (String, &str)) -> Row {
    let difference = (published.1 != ours.1).then(|| format!("--- published\n{}\n--- ours\n{}", published.1, ours.1));
    Row { step: step.into(), published: published.0, ours: ours.0, difference }
}

/// Builds both programs, runs everything and prints a table. Fails at a difference that is not on the list.
pub(crate) fn run(args: Vec<String>) -> Result<()> {
    let sh = crate::shell()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&sh, &Programs::build(&sh, Profile::Dev)?),
        ["--release"] => compare(&sh, &Programs::build(&sh, Profile::Release)?),
        ["--tests"] => programs::run_tests(&sh),
        ["--bench"] => bench::run(&sh, &Programs::build(&sh, Profile::Release)?),
        _ => bail!(
            "upstream takes --release, to compare release builds; --tests, to run the tests of the packages; or --bench"
        ),
    }
}

fn compare(sh: &Shell, programs: &Programs) -> Result<()> {
    println!("| step | published | ours | |\n|---|---|---|---|");
    let mut rows = Vec::new();
    let mut add = |new: Vec<Row>| {
        new.iter().for_each(print);
        rows.extend(new);
    };
    add(session::run(sh, programs)?);
    let repositories = Repositories::make(sh, programs)?;
    add(requests::run(sh, programs, &repositories)?);
    add(tools::run(sh, programs, &repositories)?);
    add(read_only::run(sh, programs, &repositories)?);
    add(kills::run(sh, programs)?);
    add(acknowledged::run(sh, programs, &repositories)?);
    add(front_ends::run(sh, programs, &repositories)?);
    judge(&rows)
}

fn print(row: &Row) {
    let verdict = match (&row.difference, expected(row)) {
        (None, _) => "same",
        (Some(_), Some(expected)) => expected.reason,
        (Some(_), None) => "DIFFERENT",
    };
    println!("| {} | {} | {} | {verdict} |", row.step, row.published, row.ours);
}

fn expected(row: &Row) -> Option<&'static Expected> {
    EXPECTED.iter().find(|expected| expected.step == row.step)
}

fn judge(rows: &[Row]) -> Result<()> {
    let mut wrong = 0;
    for row in rows {
        match (&row.difference, expected(row)) {
            (Some(difference), None) => {
                wrong += 1;
                eprintln!("{} differs:\n{difference}\n", row.step);
            }
            (None, Some(_)) => {
                wrong += 1;
                eprintln!("{} is on the list of differences, and does not differ", row.step);
            }
            _ => {}
        }
    }
    ensure!(wrong == 0, "{wrong} of {} steps are not as expected", rows.len());
    println!("{} steps: no difference that is not on the list", rows.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Row, judge};

    fn row(step: &str, difference: Option<&str>) -> Row {
        Row { step: step.into(), published: "0".into(), ours: "0".into(), difference: difference.map(str::to_owned) }
    }

    #[test]
    fn a_difference_is_on_the_list_or_an_error() {
        assert!(judge(&[row("log", None), row("text file", Some("other words"))]).is_ok());
        assert!(judge(&[row("log", Some("other words"))]).is_err());
        assert!(judge(&[row("text file", None)]).is_err(), "a list that is longer than the truth");
    }
}
