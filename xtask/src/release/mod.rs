//! Checks whether a release may be published: `cargo xtask release-check [--strict] [--only TEXT]`.

mod api;
mod changelog;
mod packages;
mod redb;
mod tools;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub(crate) use api::write as write_public_api;

/// The result of a check that did not fail.
pub(crate) enum Outcome {
    Passed,
    /// The tool that is not installed.
    Skipped(String),
}

type Check = (&'static str, fn() -> Result<Outcome>);

/// In order: checks that fail fast come first.
const CHECKS: &[Check] = &[
    ("format", || passed(crate::ci::format)),
    ("tidy", || passed(crate::tidy::run)),
    ("lock files", || passed(crate::dependencies::lock_files)),
    ("dependency trees", || passed(crate::dependencies::trees)),
    ("versions agree", || passed(packages::versions)),
    ("changelog", || passed(changelog::check)),
    ("redb is the one that was soaked", || passed(redb::check)),
    ("licences and sources", tools::deny),
    ("clippy", || passed(crate::ci::clippy)),
    ("documentation", || passed(crate::ci::documentation)),
    ("feature powerset", || passed(crate::ci::feature_matrix)),
    ("minimum Rust version", tools::msrv),
    ("public API of traits, facade and mnem-car", api::check),
    ("semantic versioning", tools::semver),
    ("packages build from what is packed", || passed(packages::build)),
    ("backend of a third party", || passed(tools::third_party)),
    ("golden stores", || passed(tools::golden)),
    ("README in a clean clone: both commands, all tests", || passed(crate::readme::in_a_clean_clone)),
];

fn passed(check: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    check().map(|()| Outcome::Passed)
}

struct Line {
    name: &'static str,
    result: Result<Outcome>,
    took: Duration,
}

/// The arguments.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    /// A skipped check counts as failed.
    strict: bool,
    /// Run only checks whose names contain this text. A release needs all of them.
    only: Option<String>,
}

impl Asked {
    fn of(args: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match (arg.as_str(), &asked.only) {
                ("--strict", _) => asked.strict = true,
                ("--only", None) => asked.only = args.next().cloned(),
                _ => bail!("usage: cargo xtask release-check [--strict] [--only TEXT]"),
            }
        }
        Ok(asked)
    }

    fn checks(&self) -> Result<Vec<&'static Check>> {
        let named = |check: &&Check| self.only.as_ref().is_none_or(|text| check.0.contains(text.as_str()));
        let checks: Vec<_> = CHECKS.iter().filter(named).collect();
        if checks.is_empty() {
            let names: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
            bail!("no check has this in its name; they are:\n{}", names.join("\n"));
        }
        Ok(checks)
    }
}

/// Runs every check, even after failures, and prints a table.
pub(crate) fn run(args: Vec<String>) -> Result<()> {
    let asked = Asked::of(&args)?;
    let lines: Vec<Line> = asked.checks()?.into_iter().map(look).collect();
    println!("\n{:<52}{:>8}", "check", "seconds");
    for line in &lines {
        println!("{}", line.told());
    }
    let failed = lines.iter().filter(|line| line.stops(asked.strict)).count();
    if failed > 0 {
        bail!("{failed} of {} checks stand against a release", lines.len());
    }
    println!("{}", if asked.only.is_none() { "a release may go out" } else { "nothing here stands against a release" });
    Ok(())
}

fn look(&(name, check): &Check) -> Line {
    eprintln!("== {name}");
    let start = Instant::now();
    let line = Line { name, result: check(), took: start.elapsed() };
    if let Err(error) = &line.result {
        eprintln!("== {name}: {error:#}");
    }
    println!("{}", line.told());
    line
}

impl Line {
    fn told(&self) -> String {
        let result = match &self.result {
            Ok(Outcome::Passed) => "ok".to_owned(),
            Ok(Outcome::Skipped(what)) => format!("skipped: not installed: {what}"),
            Err(error) => format!("FAILED: {}", error.to_string().lines().next().unwrap_or_default()),
        };
        format!("{:<52}{:>8.1}  {result}", self.name, self.took.as_secs_f64())
    }

    fn stops(&self, strict: bool) -> bool {
        match &self.result {
            Ok(Outcome::Passed) => false,
            Ok(Outcome::Skipped(_)) => strict,
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(result: Result<Outcome>) -> Line {
        Line { name: "a check", result, took: Duration::from_millis(1500) }
    }

    #[test]
    fn a_check_that_was_skipped_stops_a_strict_release_alone() {
        let skipped = line(Ok(Outcome::Skipped("a tool".into())));
        assert!(!skipped.stops(false) && skipped.stops(true));
        assert!(skipped.told().ends_with("1.5  skipped: not installed: a tool"), "{}", skipped.told());
    }

    #[test]
    fn a_check_that_failed_stops_every_release() {
        let failed = line(Err(anyhow::anyhow!("it is wrong\nin two lines")));
        assert!(failed.stops(false) && failed.stops(true));
        assert!(failed.told().ends_with("FAILED: it is wrong"));
        assert!(!line(Ok(Outcome::Passed)).stops(true));
    }

    #[test]
    fn an_argument_that_nobody_knows_is_refused() {
        assert!(run(vec!["--strickt".into()]).is_err());
        let asked = Asked::of(&["--only".into(), "clippy".into(), "--strict".into()]).unwrap();
        assert_eq!(asked.checks().unwrap().len(), 1);
        assert!(asked.strict);
        assert!(Asked { strict: false, only: Some("tea".into()) }.checks().is_err());
    }
}
