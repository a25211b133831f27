//! The content of the log up to a commit.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use mnem_store_traits::Cid;

use crate::engine::{
    files::File,
    index::Index,
    keys::Keys,
    manifest::{Covered, Extent},
    replay::{Commit, Position},
    rows::{Tables, Value},
    state::State,
};

/// How much of the index may be in memory only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    /// Bytes of the log.
    pub(crate) tail_bytes: u64,
}

/// The content of the log up to a commit.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) index: Index,
    pub(crate) heads: BTreeSet<Cid>,
    pub(crate) tables: Arc<Tables>,
    /// All segments, in the order of the log.
    pub(crate) segments: Arc<Vec<Segment>>,
    pub(crate) epoch: Arc<Epoch>,
    /// The last segment that the manifest names. Later segments of a compaction do not belong to this log.
    pub(crate) named_to: u32,
    /// The number of the last commit that the manifest covers, even if the index that it names cannot be used.
    pub(crate) covered_seq: u64,
    pub(crate) position: Position,
    /// Readers compare this with the file `state`, and read the log only if it moved.
    pub(crate) state: State,
    /// What the manifest says about the runs. `None` if they cannot be used.
    pub(crate) covered: Option<Arc<Covered>>,
    /// The end of the part of the index that is being written as a run.
    pub(crate) frozen_to: Position,
    /// The generation of the manifest.
    pub(crate) generation: u64,
    /// The number of the next index file or manifest.
    pub(crate) next_number: u64,
    /// The index files that the manifest names, and those that the next one will name.
    pub(crate) named: BTreeSet<PathBuf>,
    /// The last commit known to have changed rows.
    pub(crate) rows_seq: u64,
    /// When to write the newest part of the index.
    pub(crate) bounds: Bounds,
    /// Runs are merged only if there are at least this many. Higher than usual after a failed merge.
    pub(crate) merged_from: usize,
}

/// The lifetime of one log, until a compaction replaces it. A reader that iterates over the log holds it, and uses the
/// index of that log however long this takes.
#[derive(Debug, Default)]
pub(crate) struct Epoch(OnceLock<Retired>);

/// The state of a log at the time when it was replaced. Its files stay open.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) index: Index,
    pub(crate) segments: Arc<Vec<Segment>>,
}

impl Epoch {
    /// Returns `None` while the log is in use.
    pub(crate) fn retired(&self) -> Option<&Retired> {
        self.0.get()
    }
}

/// One file of the log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: Arc<dyn File>,
    /// Its end. For the last segment, see [`View::position`].
    pub(crate) end: u64,
    /// The number of sections that are not blocks of the store: deleted blocks and values of rows. Records are not
    /// counted.
    pub(crate) others: u64,
}

pub(crate) fn position_of(segments: &[Segment], number: u32) -> Option<usize> {
    segments.binary_search_by_key(&number, |segment| segment.number).ok()
}

/// The file of a segment.
pub(crate) fn file_of(segments: &[Segment], number: u32) -> Option<&Arc<dyn File>> {
    segments.get(position_of(segments, number)?).map(|segment| &segment.file)
}

impl View {
    /// A view before the first commit of a log that begins with this segment.
    pub(crate) fn new(first: Segment, generation: u64, bounds: Bounds) -> Self {
        Self {
            index: Index::default(),
            heads: BTreeSet::new(),
            tables: Arc::default(),
            position: Position { segment: first.number, ..Position::default() },
            epoch: Arc::default(),
            named_to: first.number,
            covered_seq: 0,
            segments: Arc::new(vec![first]),
            state: State::default(),
            covered: None,
            frozen_to: Position::default(),
            generation,
            next_number: generation + 1,
            named: BTreeSet::new(),
            rows_seq: 0,
            bounds,
            merged_from: 0,
        }
    }

    /// The number of the first segment, which is different for each log of a store.
    pub(crate) fn first_segment(&self) -> Option<u32> {
        self.segments.first().map(|segment| segment.number)
    }

    /// Publishes another state of the store, which may be another log.
    pub(crate) fn show(&mut self, mut other: Self) {
        if other.first_segment() == self.first_segment() {
            other.epoch = self.epoch.clone();
            *self = other;
        } else {
            let before = std::mem::replace(self, other);
            // Nothing else sets it, because each log is replaced only once.
            let _ = before.epoch.0.set(Retired { index: before.index, segments: before.segments });
        }
    }

    /// Reads a segment through this file from now on, which is the same one.
    pub(crate) fn show_file(&mut self, number: u32, file: Arc<dyn File>) {
        if let Some(at) = position_of(&self.segments, number)
            && let Some(segment) = Arc::make_mut(&mut self.segments).get_mut(at)
        {
            segment.file = file;
        }
    }

    /// Continues in another segment.
    pub(crate) fn begin_segment(&mut self, number: u32, file: Arc<dyn File>) {
        let end = self.position.end;
        let segments = Arc::make_mut(&mut self.segments);
        if let Some(last) = segments.last_mut() {
            last.end = end;
        }
        segments.push(Segment { number, file, end: 0, others: 0 });
        self.position = Position { segment: number, end: 0, last_from: 0, closed: false, ..self.position };
    }

    /// Goes back to the end of the segment before, if no commit of the last one was read. If that commit fails, the next
    /// writer may go on in the segment before.
    pub(crate) fn leave_empty_segment(&mut self) {
        if self.position.end > 0 || self.segments.len() < 2 {
            return;
        }
        let segments = Arc::make_mut(&mut self.segments);
        segments.pop();
        if let Some(last) = segments.last_mut() {
            let (segment, end) = (last.number, std::mem::take(&mut last.end));
            self.position = Position { segment, end, ..self.position };
        }
    }

    /// All segments with their ends.
    pub(crate) fn segments_to_end(&self) -> Vec<Segment> {
        let mut segments = self.segments.to_vec();
        if let Some(last) = segments.last_mut() {
            last.end = self.position.end;
        }
        segments
    }

    /// The end of the manifest's runs. Before the first commit if there are none.
    pub(crate) fn covered_to(&self) -> Position {
        self.covered.as_ref().map_or_else(Position::default, |covered| covered.position)
    }

    /// The start of the newest part of the index.
    pub(crate) fn recent_from(&self) -> Position {
        if self.index.frozen.is_some() { self.frozen_to } else { self.covered_to() }
    }

    /// The number of bytes of the log after a position.
    pub(crate) fn bytes_after(&self, position: Position) -> u64 {
        let after = self.segments.iter().filter(|segment| segment.number >= position.segment);
        let sealed: u64 = after.map(|segment| segment.end).sum();
        (sealed + self.position.end).saturating_sub(position.end)
    }

    /// All segments in the form that a manifest uses.
    pub(crate) fn extents(&self) -> (Vec<u32>, Vec<Extent>) {
        let segments = self.segments_to_end().into_iter();
        segments.map(|Segment { number, end, others, .. }| (number, Extent { end, others })).unzip()
    }

    /// A new number for an index file or a manifest, higher than all before.
    pub(crate) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn count_others(&mut self, segment: u32, more: u64) {
        let at = position_of(&self.segments, segment);
        if let Some(at) = at.filter(|_| more > 0)
            && let Some(segment) = Arc::make_mut(&mut self.segments).get_mut(at)
        {
            segment.others += more;
        }
    }

    /// Adds a commit of the last segment.
    pub(crate) fn take(&mut self, commit: Commit, keys: &Keys, segment: u32) {
        self.count_others(segment, (commit.sections.len() as u64).saturating_sub(commit.record.puts.into()));
        if !commit.record.rows.is_empty() {
            self.rows_seq = commit.record.seq;
            take_rows(Arc::make_mut(&mut self.tables), &commit);
        }
        let (puts, record) = commit.into_puts();
        self.index.recent.extend(puts);
        for kill in &record.deletes {
            self.index.recent.kill(keys.fingerprint(&kill.cid), kill.segment, kill.offset);
            self.count_others(kill.segment, 1);
        }
        if let Some(heads) = record.heads {
            self.heads = heads.into_iter().collect();
        }
    }
}

fn take_rows(tables: &mut Tables, commit: &Commit) {
    let value = |offset: u32| {
        let at = commit.sections.binary_search_by_key(&u64::from(offset), |section| section.place().offset()).ok()?;
        let section = commit.sections.get(at)?;
        Some(Value { place: section.place(), bytes: section.data_bytes.into() })
    };
    for row in &commit.record.rows {
        match row.value.and_then(value) {
            Some(value) => {
                tables.entry(row.table.clone()).or_default().insert(row.key.clone().into(), value);
            }
            None => {
                if let Some(rows) = tables.get_mut(&row.table) {
                    rows.remove(&row.key[..]);
                }
            }
        }
    }
    tables.retain(|_, rows| !rows.is_empty());
}
