//! Writes the tables as Markdown into `docs/BENCHMARKS.md`, between its markers.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    groups::{GROUPS, Group},
    results::{Results, Unit},
    stores::{self, LIMIT, PUBLISHED},
    summary::{Aim, Line, gain},
};

const BEGIN: &str = "<!-- tables: written by `compare` -->";
const END: &str = "<!-- end of tables -->";

/// Three digits and a suitable unit.
pub(crate) fn show(unit: Unit, value: f64) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let (factor, name) =
            steps.iter().find(|(factor, _)| value >= *factor).or(steps.last()).copied().unwrap_or((1.0, ""));
        format!("{} {name}", digits(value / factor))
    };
    match unit {
        Unit::Seconds => scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]),
        Unit::Bytes => scaled(&[(1024.0 * 1024.0, "MiB"), (1024.0, "KiB"), (1.0, "B")]),
        Unit::PerSecond => format!("{}/s", digits(value)),
        Unit::Count => digits(value),
        Unit::Dollars => format!("${value:.2}"),
    }
}

/// Three significant digits, or all digits before the decimal point.
pub(crate) fn digits(value: f64) -> String {
    let before_the_point = if value.abs() >= 1.0 { value.abs().log10().floor() as usize + 1 } else { 1 };
    format!("{value:.*}", 3_usize.saturating_sub(before_the_point))
}

/// All tables.
pub(crate) fn tables(results: &Results, lines: &[Line]) -> String {
    let mut text = summary(lines);
    for group in GROUPS {
        text.push_str(&table(results, &group));
    }
    text
}

pub(crate) fn summary(lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "## Ours against the published backend\n\n![How many times as good](benchmarks.svg)\n\n\
         | | published 0.1.7 | ours | times as good | aim | | the plain log, times as good as published |\n|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let theirs = line.theirs.map_or("—".into(), |theirs| show(line.unit, theirs));
        let times = |gain: Option<f64>| gain.map_or("—".into(), digits);
        let aim = match line.aim {
            Aim::Times(times) => format!("at least {}", digits(times)),
            Aim::AtMost(most) => format!("at most {}", show(line.unit, most)),
            Aim::Shown => String::new(),
        };
        let reached = line.reached().map_or("", |yes| if yes { "reached" } else { "**missed**" });
        let (ours, gain, limit) = (show(line.unit, line.ours), times(line.gain), times(line.limit_gain));
        let _ = writeln!(text, "| {} | {theirs} | {ours} | {gain} | {aim} | {reached} | {limit} |", line.what);
    }
    text
}

/// The columns for which a group has samples, in the order of the stores; then samples under names that are not stores.
fn columns(results: &Results, group: &str) -> Vec<String> {
    let in_group = || results.series.iter().filter(|series| series.group == group);
    let mut columns: Vec<String> = stores::all().iter().map(|subject| subject.name.to_owned()).collect();
    columns.retain(|name| in_group().any(|series| series.subject == *name));
    for series in in_group() {
        if !columns.contains(&series.subject) {
            columns.push(series.subject.clone());
        }
    }
    columns
}

fn rows<'a>(results: &'a Results, group: &str) -> Vec<(&'a str, Unit)> {
    let mut rows = Vec::new();
    for series in results.series.iter().filter(|series| series.group == group) {
        if !rows.contains(&(series.row.as_str(), series.unit)) {
            rows.push((series.row.as_str(), series.unit));
        }
    }
    rows
}

pub(crate) fn table(results: &Results, group: &Group) -> String {
    let columns = columns(results, group.name);
    let rows = rows(results, group.name);
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\n## {}\n\n{}\n\n", group.title, group.about);
    let header = |text: &mut String, columns: &[&String]| {
        let names: Vec<&str> = columns.iter().map(|name| name.as_str()).collect();
        let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    };
    header(&mut text, &columns.iter().collect::<Vec<_>>());
    for (row, unit) in &rows {
        let cell = |name: &String| results.find(row, name).map_or("—".into(), |series| show(*unit, series.median()));
        let cells: Vec<String> = columns.iter().map(cell).collect();
        let _ = writeln!(text, "| {row} | {} |", cells.join(" | "));
    }
    let compared: Vec<&String> = columns.iter().filter(|name| *name != LIMIT && *name != PUBLISHED).collect();
    if columns.iter().any(|name| name == PUBLISHED || name == LIMIT) && !compared.is_empty() {
        text.push_str("\nTimes as good as the published backend · as the log:\n\n");
        header(&mut text, &compared);
        for (row, unit) in &rows {
            let cells: Vec<String> = compared.iter().map(|name| ratios(results, row, *unit, name)).collect();
            let _ = writeln!(text, "| {row} | {} |", cells.join(" | "));
        }
    }
    if let Some((_, note)) = results.notes.iter().find(|(name, _)| name == group.name) {
        let _ = writeln!(text, "\n{note}");
    }
    text
}

fn ratios(results: &Results, row: &str, unit: Unit, name: &str) -> String {
    let Some(own) = results.find(row, name) else { return "—".into() };
    let against = |other: &str| {
        let ratio = results.find(row, other).map(|other| gain(unit, own.median(), other.median()));
        ratio.filter(|ratio| ratio.is_finite()).map_or("—".into(), digits)
    };
    format!("{} · {}", against(PUBLISHED), against(LIMIT))
}

/// Explains the columns.
pub(crate) fn legend() -> String {
    let mut text = String::from("\n## The stores\n\n| column | what it is |\n|---|---|\n");
    for subject in stores::all() {
        let _ = writeln!(text, "| {} | {} |", subject.name, subject.about);
    }
    text
}

/// Writes `tables` between the markers of the document.
pub(crate) fn write(path: &Path, tables: &str) -> Result<()> {
    let page = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (before, rest) = page.split_once(BEGIN).context("the page has no marker where the tables begin")?;
    let (_, after) = rest.split_once(END).context("the page has no marker where the tables end")?;
    fs::write(path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", tables.trim()))?;
    Ok(())
}
