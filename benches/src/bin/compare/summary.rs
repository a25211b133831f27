//! Compares our stores with the published backend: one line per promise.

use crate::{
    groups::{
        commits, imports, puts, reads,
        trace::{BYTES, DURABLE, TIME},
        wordnet,
    },
    results::{Results, Series, Unit},
    stores::{IMPORT_CACHE, LIMIT, ONE_PHASE, PUBLISHED, REDB, SMALL_CACHE},
};

/// The aim of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// This many times better than the published backend.
    Times(f64),
    /// At most this, whatever the published backend does.
    AtMost(f64),
    /// No promise; the value is only shown.
    Shown,
}

/// One line of the summary.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) ours: f64,
    pub(crate) theirs: Option<f64>,
    /// How many times better than the published backend.
    pub(crate) gain: Option<f64>,
    /// How many times better the plain log is than the published backend.
    pub(crate) limit_gain: Option<f64>,
    pub(crate) aim: Aim,
}

impl Line {
    /// Whether the aim is reached; `None` if there is no aim, or nothing to compare with.
    pub(crate) fn reached(&self) -> Option<bool> {
        match self.aim {
            Aim::Times(times) => self.gain.map(|gain| gain >= times),
            Aim::AtMost(most) => Some(self.ours <= most),
            Aim::Shown => None,
        }
    }
}

/// How many times better `ours` is than `theirs`.
pub(crate) fn gain(unit: Unit, ours: f64, theirs: f64) -> f64 {
    if unit == Unit::PerSecond { ours / theirs } else { theirs / ours }
}

struct Claim {
    what: String,
    ours: (String, &'static str),
    theirs: String,
    aim: Aim,
}

fn claim(what: impl Into<String>, row: impl Into<String>, subject: &'static str, aim: Aim) -> Claim {
    let row = row.into();
    Claim { what: what.into(), ours: (row.clone(), subject), theirs: row, aim }
}

fn claims(size: &dyn Fn(usize) -> usize) -> Vec<Claim> {
    use Aim::{AtMost, Shown, Times};
    let (many, million) = (size(100_000), size(1_000_000));
    let edge = "1 edge on 1,000 nodes + 1,000 edges";
    let mut claims = vec![
        claim("client: 1 edge on a graph, time in the store", format!("{edge}: {TIME}"), REDB, Times(40.0)),
        claim("client: 1 edge on a graph, durable calls", format!("{edge}: {DURABLE}"), REDB, AtMost(2.0)),
        claim("client: 1 edge on a graph, bytes written", format!("{edge}: {BYTES}"), REDB, Times(100.0)),
    ];
    for nodes in ["1 node", "100 nodes", "1,000 nodes"] {
        claims.push(claim(format!("client: {nodes}, time in the store"), format!("{nodes}: {TIME}"), REDB, Shown));
    }
    for (blocks, times) in [(5, 2.5), (50, 7.0), (500, 13.0), (5_000, 22.0)] {
        claims.push(claim(commits::row(blocks), commits::row(blocks), REDB, Times(times)));
    }
    let batch = size(imports::LARGE_BATCH);
    let import = imports::row(million, batch);
    claims.extend([
        claim("16 concurrent durable puts, throughput", puts::row(16), REDB, Times(3.0)),
        claim("get, two threads", reads::row("get", many, 2), REDB, Times(1.4)),
        claim("has, present", reads::row("has, present", many, 1), REDB, Times(2.0)),
        claim("has, absent", reads::row("has, absent", many, 1), REDB, Times(1.5)),
        claim("put of a present block", puts::PRESENT, REDB, Times(100.0)),
        claim(reads::list_row(million), reads::list_row(million), REDB, Times(2.0)),
        claim(reads::list_memory_row(million), reads::list_memory_row(million), SMALL_CACHE, AtMost(LISTING_BYTES)),
        claim("single durable put, one phase", puts::SINGLE, ONE_PHASE, Times(1.0)),
        claim("single durable put, two phases (default)", puts::SINGLE, REDB, Times(1.0 / 1.7)),
        Claim {
            what: format!("{import} with a cache of 64 MiB, against theirs by 10,000"),
            ours: (import, IMPORT_CACHE),
            theirs: imports::row(million, 10_000),
            aim: Times(2.5),
        },
        claim(
            "the same: peak memory",
            imports::memory_row(million, batch),
            IMPORT_CACHE,
            AtMost(512.0 * 1024.0 * 1024.0),
        ),
        claim(wordnet::ROW, wordnet::ROW, REDB, Shown),
    ]);
    claims
}

/// The cache of 16 MiB, and the memory that a process needs to start.
const LISTING_BYTES: f64 = 24.0 * 1024.0 * 1024.0;

/// The lines for which there are results. Lines of workloads that did not run are left out.
pub(crate) fn lines(results: &Results, size: &dyn Fn(usize) -> usize) -> Vec<Line> {
    let line = |Claim { what, ours: (row, subject), theirs, aim }| {
        let ours = results.find(&row, subject)?;
        let unit = ours.unit;
        let ours = ours.median();
        let published = results.find(&theirs, PUBLISHED).map(Series::median);
        let limit = results.find(&row, LIMIT).map(Series::median);
        let against = |value: f64| published.map(|theirs| gain(unit, value, theirs));
        let (gain, limit_gain) = (against(ours), limit.and_then(against));
        Some(Line { what, unit, ours, theirs: published, gain, limit_gain, aim })
    };
    claims(size).into_iter().filter_map(line).collect()
}
