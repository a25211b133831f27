//! Stores with altered files: reads give right bytes or a named error, `verify` finds and names the damage, and nothing
//! panics.

#[cfg(feature = "redb")]
mod redb_file;
#[cfg(feature = "simple")]
mod simple_files;

use std::{
    env,
    fmt::{self, Write as _},
    ops::AddAssign,
};

use mnem_storage::{
    Bytes, Cid, FaultKind, RAW, Store, StoreError, VerifyReport, WriteBatch,
    knn::{self, DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId},
};

use crate::fixtures::{Block, cid_with_hash, node, raw};
use crate::random::Random;

/// The number of damaged files to try: `ordinary`, or `MNEM_SOAK_ROUNDS` in the long run.
fn rounds(ordinary: usize) -> usize {
    env::var("MNEM_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ordinary)
}

fn seed() -> u64 {
    env::var("MNEM_DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125)
}

/// The content of every store that is damaged here. The heads reach every block.
struct Content {
    blocks: Vec<Block>,
    heads: Vec<Cid>,
    rows: Vec<(Bytes, Bytes)>,
    edges: KnnEdgeIndex,
}

const NOTES: &str = "notes";

impl Content {
    fn new() -> Self {
        let mut leaves: Vec<Block> = (0..36).map(|n| raw(format!("{n} ").repeat(1 + n * n))).collect();
        leaves.push(raw(vec![9; 9_000]));
        leaves.push(raw(Vec::new()));
        leaves.push((cid_with_hash(RAW, 0, b"inline"), Bytes::from_static(b"inline")));
        let inner: Vec<Block> =
            leaves.chunks(13).map(|chunk| node(&chunk.iter().map(|(cid, _)| *cid).collect::<Vec<_>>())).collect();
        let mut heads: Vec<Cid> = inner.iter().map(|(cid, _)| *cid).collect();
        heads.sort();
        let rows =
            (0..20_u8).map(|n| (Bytes::from(vec![b'k', n]), Bytes::from(vec![n; usize::from(n) * 40]))).collect();
        Self { blocks: [inner, leaves].concat(), edges: edges(heads[0]), heads, rows }
    }

    fn fill(&self, store: &dyn Store) {
        for chunk in self.blocks.chunks(9) {
            let mut batch = WriteBatch::new();
            batch.extend(chunk.iter().cloned());
            store.commit(&batch).expect("commit");
        }
        for head in &self.heads {
            store.update(head, &[]).expect("update");
        }
        store.side_table(NOTES).expect("a side table").write(&self.rows, &[]).expect("write rows");
        knn::store(&*store.side_table(knn::TABLE).expect("edges"), &self.edges).expect("store edges");
    }
}

fn edges(root: Cid) -> KnnEdgeIndex {
    let id = |n: u8| NodeId([n; 16]);
    let edge = |n: u8| KnnEdge { src: id(n), dst: id(n + 1), weight: f32::from(n) / 64.0 };
    KnnEdgeIndex::new(root, 1, DistanceMetric::Dot, (0..60).map(edge).collect()).expect("a valid index")
}

/// The results for damaged files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcomes {
    files: u64,
    /// The store did not open, a read failed with a named error, or `verify` found a fault.
    detected: u64,
    /// Everything was unchanged.
    harmless: u64,
    /// Something was reported as absent, or a row of a side table had another value, and no read noticed.
    unnoticed: u64,
    /// A panic escaped.
    panicked: u64,
    /// Wrong bytes, or wrong heads.
    wrong: u64,
}

impl AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.detected += other.detected;
        self.harmless += other.harmless;
        self.unnoticed += other.unnoticed;
        self.panicked += other.panicked;
        self.wrong += other.wrong;
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, detected, harmless, unnoticed, panicked, wrong } = self;
        write!(f, "{files:>9} |{detected:>9} |{harmless:>9} |{unnoticed:>10} |{panicked:>9} |{wrong:>6}")
    }
}

/// The results of a run as a table, one line for each kind.
fn table<'a>(rows: impl IntoIterator<Item = (&'a str, Outcomes)>) -> String {
    let mut text = format!("{:<38} |    files | detected | harmless | unnoticed | panicked | wrong\n", "damaged");
    let mut sum = Outcomes::default();
    for (name, outcomes) in rows {
        let _ = writeln!(text, "{name:<38} |{outcomes}");
        sum += outcomes;
    }
    let _ = writeln!(text, "{:<38} |{sum}", "all");
    text
}

/// The results of reading a damaged store.
#[derive(Debug, Default)]
struct Seen {
    errors: Vec<String>,
    /// Blocks that a read reported as damaged.
    damaged: Vec<Cid>,
    absent: Vec<Cid>,
    other_absent: Vec<String>,
    /// Rows with another value. Their owners check them, not the store.
    rows: Vec<String>,
    /// Wrong bytes of a block, or wrong heads.
    wrong: Vec<String>,
}

impl Seen {
    fn error(&mut self, error: &StoreError) {
        self.errors.push(error.to_string());
    }

    fn is_clean(&self) -> bool {
        self.errors.is_empty() && !self.is_unnoticed() && self.wrong.is_empty()
    }

    fn is_unnoticed(&self) -> bool {
        !(self.absent.is_empty() && self.other_absent.is_empty() && self.rows.is_empty())
    }
}

/// Reads all content.
fn read_all(store: &dyn Store, content: &Content) -> Seen {
    let mut seen = Seen::default();
    for (cid, data) in &content.blocks {
        match store.get(cid) {
            Ok(Some(found)) if found == *data => {}
            Ok(Some(_)) => seen.wrong.push(format!("other bytes for {cid}")),
            Ok(None) => seen.absent.push(*cid),
            Err(error) => {
                seen.damaged.push(*cid);
                seen.error(&error);
            }
        }
    }
    match store.heads() {
        Ok(heads) if heads == content.heads => {}
        Ok(heads) => seen.wrong.push(format!("heads {heads:?}")),
        Err(error) => seen.error(&error),
    }
    match store.cids().and_then(|listing| listing.collect::<Result<Vec<_>, _>>()) {
        Ok(listed) if listed.len() >= content.blocks.len() => {}
        Ok(listed) => seen.other_absent.push(format!("a listing has {} blocks", listed.len())),
        Err(error) => seen.error(&error),
    }
    read_rows(store, content, &mut seen);
    seen
}

fn read_rows(store: &dyn Store, content: &Content, seen: &mut Seen) {
    match store.side_table(knn::TABLE).and_then(|table| knn::load(&*table, &content.edges.compute_cid())) {
        Ok(Some(found)) if found == content.edges => {}
        Ok(Some(_)) => seen.wrong.push("other edges".to_owned()),
        Ok(None) => seen.other_absent.push("edges".to_owned()),
        Err(error) => seen.error(&error),
    }
    let table = match store.side_table(NOTES) {
        Ok(table) => table,
        Err(error) => return seen.error(&error),
    };
    for (key, value) in &content.rows {
        match table.get(key) {
            Ok(Some(found)) if found == *value => {}
            Ok(Some(_)) => seen.rows.push(format!("another value for row {key:?}")),
            Ok(None) => seen.other_absent.push(format!("row {key:?}")),
            Err(error) => seen.error(&error),
        }
    }
}

/// Checks that `verify` names each block that a read reported as damaged, and each absent block that heads reach,
/// unless it reported that it could not look.
fn assert_named(report: &VerifyReport, seen: &Seen, context: &str) {
    let blind = [FaultKind::Structure, FaultKind::Heads, FaultKind::Listing];
    if report.faults.iter().any(|fault| blind.contains(&fault.kind)) {
        return;
    }
    for cid in seen.damaged.iter().chain(&seen.absent) {
        let named = report.faults.iter().any(|fault| fault.cid == Some(*cid));
        // Blocks behind a damaged block are reported through that block.
        let hidden = report.faults.iter().any(|fault| fault.cid.is_some()) && seen.absent.contains(cid);
        assert!(named || hidden, "{context}: verify does not name {cid}: {:?}", report.faults);
    }
}
