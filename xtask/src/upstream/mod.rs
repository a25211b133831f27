//! Runs the published programs on our storage: the same session on the published backend and on the drop-in, compared.
//! Opt-in: it downloads packages from crates.io and builds some 400 of them, some of them twice.

mod kills;
mod normal;
mod programs;
mod session;

use anyhow::{Result, bail, ensure};

use self::programs::Programs;

/// An intended difference, with its reason.
struct Expected {
    step: &'static str,
    reason: &'static str,
}

/// Nothing else may differ, and each of these must.
const EXPECTED: &[Expected] = &[
    Expected { step: "truncated file", reason: "published: a panic; ours: an error that names the file" },
    Expected { step: "text file", reason: "the error is ours, and names the file" },
    Expected { step: "empty file", reason: "published makes a database of it; ours refuses what may be a lost file" },
];

/// One row of the table.
struct Row {
    step: String,
    published: String,
    ours: String,
    /// The difference between the two.
    difference: Option<String>,
}

/// Builds both programs, runs everything and prints a table. Fails at a difference that is not on the list.
pub(crate) fn run(args: Vec<String>) -> Result<()> {
    let tests = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--tests"] => true,
        _ => bail!("upstream takes --tests, which also runs the tests that the packages ship, and nothing else"),
    };
    let sh = crate::shell()?;
    let programs = Programs::build(&sh)?;
    let mut rows = session::run(&sh, &programs)?;
    rows.extend(kills::run(&sh, &programs)?);
    print(&rows);
    judge(&rows)?;
    if tests {
        programs.run_tests(&sh)?;
    }
    Ok(())
}

fn print(rows: &[Row]) {
    println!("| step | published | ours | |\n|---|---|---|---|");
    for row in rows {
        let verdict = match (&row.difference, expected(row)) {
            (None, _) => "same",
            (Some(_), Some(expected)) => expected.reason,
            (Some(_), None) => "DIFFERENT",
        };
        println!("| {} | {} | {} | {verdict} |", row.step, row.published, row.ours);
    }
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
