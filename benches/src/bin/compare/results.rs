//! The samples, and the file that stores them: `docs/benchmarks.tsv`.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds per operation; less is better.
    Seconds,
    /// Operations per second; more is better.
    PerSecond,
    /// Less is better.
    Bytes,
    /// A count of something that costs; less is better.
    Count,
    /// Less is better.
    Dollars,
}

const UNITS: [(Unit, &str); 5] = [
    (Unit::Seconds, "s"),
    (Unit::PerSecond, "per s"),
    (Unit::Bytes, "bytes"),
    (Unit::Count, "count"),
    (Unit::Dollars, "dollars"),
];

impl Unit {
    fn text(self) -> &'static str {
        UNITS.iter().find(|(unit, _)| *unit == self).map_or("", |(_, text)| text)
    }
}

/// The samples of one store in one workload.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) group: String,
    pub(crate) row: String,
    pub(crate) unit: Unit,
    pub(crate) subject: String,
    pub(crate) samples: Vec<f64>,
}

impl Series {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
            (Some(a), Some(b)) if sorted.len().is_multiple_of(2) => (a + b) / 2.0,
            (_, Some(b)) => *b,
            _ => f64::NAN,
        }
    }
}

/// All series, in the order in which they were first recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    pub(crate) series: Vec<Series>,
    /// For each group, when and how it was run.
    pub(crate) notes: Vec<(String, String)>,
}

impl Results {
    pub(crate) fn record(&mut self, group: &str, row: &str, unit: Unit, subject: &str, value: f64) {
        let same = |series: &&mut Series| series.group == group && series.row == row && series.subject == subject;
        match self.series.iter_mut().find(same) {
            Some(series) => series.samples.push(value),
            None => self.series.push(Series {
                group: group.into(),
                row: row.into(),
                unit,
                subject: subject.into(),
                samples: vec![value],
            }),
        }
    }

    pub(crate) fn find(&self, row: &str, subject: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.row == row && series.subject == subject)
    }

    /// Adds the groups of an earlier run that are not in this one.
    pub(crate) fn fill_from(&mut self, earlier: Self) {
        let run: Vec<String> = self.notes.iter().map(|(group, _)| group.clone()).collect();
        self.series.extend(earlier.series.into_iter().filter(|series| !run.contains(&series.group)));
        self.notes.extend(earlier.notes.into_iter().filter(|(group, _)| !run.contains(group)));
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from("# group\trow\tunit\tstore\tsamples in the order of the rounds\n");
        for (group, note) in &self.notes {
            let _ = writeln!(text, "run\t{group}\t{note}");
        }
        for Series { group, row, unit, subject, samples } in &self.series {
            let samples: Vec<String> = samples.iter().map(|sample| format!("{sample:.3e}")).collect();
            let _ = writeln!(text, "{group}\t{row}\t{}\t{subject}\t{}", unit.text(), samples.join(" "));
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the results of an earlier run; empty if there was none. Skips lines that it cannot parse.
    pub(crate) fn read(path: &Path) -> Self {
        let mut results = Self::default();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            match *line.split('\t').collect::<Vec<_>>().as_slice() {
                ["run", group, note] => results.notes.push((group.into(), note.into())),
                [group, row, unit, subject, samples] => {
                    let Some((unit, _)) = UNITS.iter().find(|(_, text)| *text == unit) else { continue };
                    let samples = samples.split(' ').filter_map(|sample| sample.parse().ok());
                    samples.for_each(|sample: f64| results.record(group, row, *unit, subject, sample));
                }
                _ => {}
            }
        }
        results
    }
}
