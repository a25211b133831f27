//! Reads the files of a store: the manifest, the index that it names, and the rest of the log.

use std::{path::Path, sync::Arc};

use mnem_store_traits::StoreError;

use crate::{
    engine::{
        files::{File, Files},
        index::Index,
        keys::{FORMAT_NAME, FORMAT_VERSION, Keys, Mac},
        maintenance::write_run,
        manifest::{Covered, Extent, Manifest},
        memtable::Memtable,
        open_segments::{OpenSegments, damaged_if_gone},
        page::{Budget, NoAnswer},
        replay::{Next, Position, Tail, Unread, classify_next, next_segment, replay},
        rows::{self, Tables},
        run::Run,
        state::{STATE_BYTES, State},
        switch::named,
        walk::Window,
    },
    error::{at, damaged},
    limits::{COPIED_RUNS, MANIFEST_BYTES_MAX, MANIFEST_READS, ROWS_BYTES_MAX, WINDOW_BYTES},
    tables::Layout,
    view::{Bounds, Segment, View, file_of},
};

/// The files of a store, and the means to read them.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) layout: &'a Layout,
    pub(crate) keys: &'a Keys,
    pub(crate) budget: &'a Arc<Budget>,
    pub(crate) segments: &'a Arc<OpenSegments>,
    pub(crate) bounds: Bounds,
}

/// How to read a log.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// The last commit that is known to be synced.
    pub(crate) acknowledged: u64,
    /// Whether runs may be written, so that the index in memory stays small.
    pub(crate) write: bool,
    /// The last commit to include in the view.
    pub(crate) until: u64,
    /// Segments that are known already. Those that are open can be read even if a compaction has removed their names.
    pub(crate) open: &'a [Segment],
}

/// Why the index of a manifest cannot be used. The index can be built from the log instead.
struct NoIndex(String);

/// Returns `None` if the file does not exist.
pub(crate) fn read_file(files: &dyn Files, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(file) = files.open(path, false).map_err(at("open", path))? else { return Ok(None) };
    let len = file.file_bytes().map_err(at("look at", path))?;
    if len > bytes_max {
        return Err(damaged(path, format!("it has {len} bytes, above the limit of {bytes_max}")));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0).map_err(at("read", path))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

pub(crate) fn unread(layout: &Layout, segment: u32, error: Unread) -> StoreError {
    match error {
        Unread::Io(error) => at("read", &layout.segment(segment))(error),
        Unread::Unsupported(found) => {
            StoreError::UnsupportedFormat { found, supported: format!("{FORMAT_NAME} {FORMAT_VERSION}") }
        }
    }
}

/// A number above all numbers in the manifest.
fn next_number(manifest: &Manifest) -> u64 {
    let files = manifest.covered.iter().flat_map(|covered| covered.runs.iter().chain(&covered.rows).copied());
    files.fold(manifest.generation, u64::max).saturating_add(1)
}

fn missing(layout: &Layout, segment: u32) -> StoreError {
    damaged(&layout.segment(segment), "the file is missing")
}

impl Source<'_> {
    /// The file `state`. `None`: it is missing or invalid.
    pub(crate) fn read_state(&self) -> Result<Option<State>, StoreError> {
        let path = self.layout.state();
        let Some(file) = self.files.open(&path, false).map_err(at("open", &path))? else { return Ok(None) };
        let mut bytes = [0; STATE_BYTES];
        file.read_at(&mut bytes, 0).map_err(at("read", &path))?;
        Ok(State::decode(&bytes, self.keys))
    }

    pub(crate) fn read_manifest(&self) -> Result<Manifest, StoreError> {
        let path = self.layout.manifest();
        let bytes = read_file(self.files, &path, MANIFEST_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| damaged(&path, "the file is missing"))?;
        let manifest = Manifest::decode(&bytes).map_err(|why| damaged(&path, why))?;
        if manifest.store == self.keys.store {
            Ok(manifest)
        } else {
            Err(damaged(&path, "it belongs to another store"))
        }
    }

    /// Loads the store as its manifest describes it. The rest of the log must still be read.
    ///
    /// If the index cannot be used, the view is the beginning of the log.
    pub(crate) fn load(&self) -> Result<View, StoreError> {
        let mut manifest = self.read_manifest()?;
        for _ in 0..MANIFEST_READS {
            let loaded = match manifest.covered.as_ref() {
                None => self.begin_of_log(&manifest).map(Ok),
                Some(covered) => self.open_index(&manifest, covered),
            };
            if let Ok(Ok(view)) = loaded {
                return Ok(view);
            }
            // A writer may have replaced the manifest, and removed files that the old one names.
            let again = self.read_manifest()?;
            if again.generation == manifest.generation {
                if let Err(NoIndex(why)) = loaded? {
                    tracing::warn!(store = %self.layout.root().display(), why, "the index cannot be used");
                }
                return self.begin_of_log(&manifest);
            }
            manifest = again;
        }
        Err(self.replaced_again())
    }

    fn replaced_again(&self) -> StoreError {
        damaged(&self.layout.manifest(), "it was replaced again and again while it was read")
    }

    fn begin_of_log(&self, manifest: &Manifest) -> Result<View, StoreError> {
        let path = self.layout.manifest();
        let number = manifest.segments.first().copied().ok_or_else(|| damaged(&path, "it names no segment"))?;
        let file = self.open_segment(number)?.ok_or_else(|| missing(self.layout, number))?;
        Ok(self.blank(manifest, Segment { number, file, end: 0, others: 0 }))
    }

    /// A view before the first commit of the log that a manifest names.
    fn blank(&self, manifest: &Manifest, first: Segment) -> View {
        let covered = manifest.covered.as_ref();
        View {
            named_to: manifest.segments.last().copied().unwrap_or(first.number),
            covered_seq: covered.map_or(0, |covered| covered.position.seq),
            named: covered.map(|covered| named(self.layout, covered)).unwrap_or_default(),
            next_number: next_number(manifest),
            ..View::new(first, manifest.generation, self.bounds)
        }
    }

    fn open_index(&self, manifest: &Manifest, covered: &Covered) -> Result<Result<View, NoIndex>, StoreError> {
        let runs = match self.open_runs(covered)? {
            Ok(runs) => runs,
            Err(error) => return Ok(Err(error)),
        };
        let tables = match covered.rows.map(|number| self.read_rows(number, covered.position.seq)).transpose()? {
            None => Tables::new(),
            Some(Some(tables)) => tables,
            Some(None) => return Ok(Err(NoIndex("the file of rows is missing or damaged".into()))),
        };
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for (number, Extent { end, others }) in manifest.segments.iter().copied().zip(covered.segments.iter().copied())
        {
            let is_last = number == covered.position.segment;
            let file = self.open_covered(number, (!is_last).then_some(end))?;
            segments.push(Segment { number, file, end: if is_last { 0 } else { end }, others });
        }
        let first = segments.first().cloned().ok_or_else(|| missing(self.layout, 0))?;
        Ok(Ok(View {
            index: Index { runs: Arc::new(runs), ..Index::default() },
            heads: covered.heads.clone(),
            tables: Arc::new(tables),
            segments: Arc::new(segments),
            position: covered.position,
            covered: Some(Arc::new(covered.clone())),
            ..self.blank(manifest, first)
        }))
    }

    /// Opens the runs, if together they hold all commits up to the covered one.
    fn open_runs(&self, covered: &Covered) -> Result<Result<Vec<Arc<Run>>, NoIndex>, StoreError> {
        let mut runs = Vec::with_capacity(covered.runs.len());
        let mut to = covered.position.seq;
        for number in &covered.runs {
            let path = self.layout.run(*number);
            let Some(file) = self.files.open(&path, false).map_err(at("open", &path))? else {
                return Ok(Err(NoIndex(format!("run {number} is missing"))));
            };
            match Run::open(self.keys, *number, &path, file, self.budget.clone()) {
                Ok(run) if run.header.to == to => {
                    to = run.header.from;
                    runs.push(Arc::new(run));
                }
                Ok(_) => return Ok(Err(NoIndex(format!("run {number} does not continue the previous run")))),
                Err(NoAnswer::Damaged { why, .. }) => return Ok(Err(NoIndex(format!("run {number}: {why}")))),
                Err(NoAnswer::Io { path, error }) => return Err(at("read", &path)(error)),
            }
        }
        Ok(if to == 0 { Ok(runs) } else { Err(NoIndex("the runs do not begin with the first commit".into())) })
    }

    /// Returns `None` if the file is missing or damaged.
    fn read_rows(&self, number: u64, seq: u64) -> Result<Option<Tables>, StoreError> {
        let path = self.layout.rows(number);
        match read_file(self.files, &path, ROWS_BYTES_MAX) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| rows::decode(self.keys, number, seq, &bytes))),
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a segment that the manifest names. `end` is where it ends, if another one follows.
    fn open_covered(&self, number: u32, end: Option<u64>) -> Result<Arc<dyn File>, StoreError> {
        let path = self.layout.segment(number);
        let file = self.open_segment(number)?.ok_or_else(|| missing(self.layout, number))?;
        let Some(end) = end else { return Ok(file) };
        let bytes = file.file_bytes().map_err(at("look at", &path))?;
        if bytes == end { Ok(file) } else { Err(damaged(&path, format!("it has {bytes} bytes, expected {end}"))) }
    }

    fn open_segment(&self, number: u32) -> Result<Option<Arc<dyn File>>, StoreError> {
        let path = self.layout.segment(number);
        self.segments.open(&path).map_err(at("open", &path))
    }

    /// Takes in the commits made since the view was created. Ignores an incomplete commit at the end, which another
    /// handle may be writing.
    ///
    /// A compaction may replace the log meanwhile and remove its segments. So the end of the log counts only if `state`
    /// names no later commit, or if the manifest was not replaced. Damage counts only if the manifest was not replaced.
    ///
    /// After a power cut, `state` may be older than the log. A compaction writes it before it removes anything, so the
    /// next call of a reader that missed a segment sees another `state`, and follows again. Only the next writer after an
    /// interrupted compaction removes the old log first; a reader that finds a segment gone follows without `state`.
    pub(crate) fn follow(&self, view: &mut View, state: Option<State>) -> Result<(), StoreError> {
        self.follow_from(view, state).map_err(damaged_if_gone)
    }

    fn follow_from(&self, view: &mut View, mut state: Option<State>) -> Result<(), StoreError> {
        let mut other = None;
        let mut failed_at = None;
        if state.is_some_and(|state| state.generation > view.generation) {
            other = self.catch_up(view, self.read_manifest()?)?;
        }
        for _ in 0..MANIFEST_READS {
            let newest = other.as_mut().unwrap_or(view);
            let read = self.read_on(newest, state.as_ref());
            if state.is_none() || read.is_err() {
                let manifest = match self.read_manifest() {
                    Ok(manifest) => manifest,
                    Err(error) => return read.and(Err(error)),
                };
                if manifest.generation > newest.generation {
                    other = self.catch_up(view, manifest)?;
                    continue;
                }
                // The writer may have gone on to another segment after the end of this one was read. Then more can be
                // read now.
                if read.is_err() && failed_at != Some(newest.position.seq) {
                    failed_at = Some(newest.position.seq);
                    state = self.read_state()?.or(state);
                    continue;
                }
            }
            read?;
            if let Some(other) = other {
                view.show(other);
            }
            view.state = state.unwrap_or(view.state);
            return Ok(());
        }
        Err(self.replaced_again())
    }

    /// Reads the rest of the log.
    fn read_on(&self, view: &mut View, state: Option<&State>) -> Result<(), StoreError> {
        let read_on = |view: &mut View| {
            let tail = self.read_log(view, Reading::of(state, false));
            let checked = tail.and_then(|tail| self.check_tail(view, state, &tail));
            view.leave_empty_segment();
            checked
        };
        read_on(view)?;
        // Later, `state` says how far the log goes.
        if state.is_none() || view.state == State::default() { self.check_no_gap(view, read_on) } else { Ok(()) }
    }

    /// Loads the newest index from disk if it goes beyond the view, or if the view has much of the index in memory. If
    /// a compaction has replaced the view's log, returns the new log, whose rest must still be read.
    fn catch_up(&self, view: &mut View, manifest: Manifest) -> Result<Option<View>, StoreError> {
        let is_another_log = manifest.segments.first().copied() != view.first_segment();
        let is_beyond = manifest.covered.is_some_and(|covered| covered.position.seq > view.position.seq);
        if is_another_log || is_beyond || view.index.recent.len() > self.bounds.entries {
            let loaded = self.load()?;
            if loaded.first_segment() != view.first_segment() {
                return Ok(Some(loaded));
            }
            // If the index cannot be used, the loaded view is the beginning of the log. If the current view has read
            // further, it stays: running readers rely on it.
            if loaded.position.seq > 0 && loaded.position.seq >= view.position.seq {
                view.show(loaded);
                return Ok(None);
            }
        }
        view.generation = manifest.generation;
        Ok(None)
    }

    /// Reads the log from the end of the view on, segment by segment. Returns what follows in the last one.
    pub(crate) fn read_log(&self, view: &mut View, reading: Reading<'_>) -> Result<Tail, StoreError> {
        let Reading { acknowledged, write, until, open } = reading;
        let (keys, layout, mut spills) = (self.keys, self.layout, write);
        let known = acknowledged.max(view.covered_seq);
        let mut acknowledged = known;
        loop {
            let mut position = view.position;
            let number = position.segment;
            let Some(file) = file_of(&view.segments, number).cloned() else { return Err(missing(layout, number)) };
            let read = replay(keys, &*file, &mut position, acknowledged, &mut |commit| {
                if commit.record.seq <= until {
                    if spills && view.index.recent.len() > self.spilled_from(view) {
                        spills = self.spill(view, commit.record.seq - 1);
                    }
                    view.take(commit, keys, number);
                }
            });
            // What the view has taken is not read again, also if the rest cannot be read.
            if read.is_ok() || position.seq > view.position.seq {
                view.position = position;
            }
            let tail = read.map_err(|error| unread(layout, number, error))?;
            let next = number + 1;
            let found = match file_of(open, next) {
                Some(file) => Some(file.clone()),
                None => self.open_segment(next)?,
            };
            let Some(file) = found else { return Ok(tail) };
            match next_segment(keys, &*file, &position, view.named_to).map_err(|error| unread(layout, next, error))? {
                Next::Follows => {}
                Next::OtherLog => return Ok(tail),
                // All commits before it were synced. Those of which only the data of blocks changed count as well.
                Next::Begun(_) if acknowledged < u64::MAX => {
                    acknowledged = u64::MAX;
                    continue;
                }
                // In a copy of the folder, it may be left of a commit that failed before the log went on in this one.
                Next::Begun(previous) if self.holds(view, &previous)? => {
                    return Ok(tail);
                }
                Next::Begun(_) => {
                    let end = view.position.end;
                    let why = format!("the commit after byte {end} is incomplete: segment {next} follows it");
                    return Err(damaged(&layout.segment(number), why));
                }
                // Created for a commit that never completed.
                Next::Unfinished => {
                    return match classify_next(keys, &*file, &position).map_err(|error| unread(layout, next, error))? {
                        Tail::Damaged(why) => {
                            Err(damaged(&layout.segment(next), format!("its beginning is incomplete: {why}")))
                        }
                        _ => Ok(tail),
                    };
                }
            }
            if tail != Tail::Nothing {
                let why = "the next segment begins after bytes that are not a commit";
                return Err(damaged(&layout.segment(number), why));
            }
            view.begin_segment(next, file);
            acknowledged = known;
        }
    }

    /// Whether the last segment has this MAC before the end of the view. A MAC is not known before its commit, so no
    /// later commit's MAC is there.
    fn holds(&self, view: &View, mac: &Mac) -> Result<bool, StoreError> {
        let Position { segment, end, .. } = view.position;
        let Some(file) = file_of(&view.segments, segment) else { return Ok(false) };
        let mut window = Window::new(&**file, end);
        let mut offset = 0;
        loop {
            let piece = window.read(offset, WINDOW_BYTES).map_err(at("read", &self.layout.segment(segment)))?;
            if piece.windows(mac.len()).any(|bytes| bytes == mac) {
                return Ok(true);
            }
            // The MAC may lie across two pieces.
            match piece.len().saturating_sub(mac.len() - 1) {
                0 => return Ok(false),
                step => offset += step as u64,
            }
        }
    }

    /// How many entries in memory become a run. More after many runs, because each one is an open file.
    fn spilled_from(&self, view: &View) -> usize {
        let doublings = view.index.runs.len() as u64 / COPIED_RUNS;
        self.bounds.entries.saturating_mul(1 << doublings.min(16))
    }

    /// Writes the newest part of the index as a run, up to and including the commit `to`, so that memory stays bounded
    /// however long the log is. No manifest names the run yet. Returns whether this succeeded.
    fn spill(&self, view: &mut View, to: u64) -> bool {
        let from = view.index.runs.first().map_or(0, |run| run.header.to);
        let number = view.take_number();
        view.named.insert(self.layout.run(number));
        match write_run(self, number, from..to, &view.index.recent) {
            Ok(run) => {
                view.index.recent = Memtable::default();
                let runs = [Arc::new(run)].into_iter().chain(view.index.runs.iter().cloned());
                view.index.runs = Arc::new(runs.collect());
                true
            }
            Err(error) => {
                tracing::warn!(store = %self.layout.root().display(), %error, "the index could not be written");
                false
            }
        }
    }

    /// Checks that no acknowledged commit is missing.
    pub(crate) fn check_tail(&self, view: &View, state: Option<&State>, tail: &Tail) -> Result<(), StoreError> {
        let position = &view.position;
        let path = self.layout.segment(position.segment);
        if let Tail::Damaged(why) = tail {
            return Err(damaged(&path, format!("the commit after byte {} is incomplete: {why}", position.end)));
        }
        let told = |by: &str, seq: u64| {
            let (end, more) = (position.end, seq - position.seq);
            Err(damaged(&path, format!("commits are missing after byte {end}: `{by}` names {more} more")))
        };
        match state {
            Some(state) if state.seq > position.seq => told("state", state.seq),
            _ if view.covered_seq > position.seq => told("manifest", view.covered_seq),
            _ => Ok(()),
        }
    }

    /// Builds the index in memory from the log, up to the end of the view.
    pub(crate) fn index_of_log(&self, view: &View) -> Result<Index, StoreError> {
        let (segment, until) = (view.position.segment, view.position.seq);
        let Some(first) = view.segments.first() else { return Err(missing(self.layout, segment)) };
        let read = View::new(Segment { end: 0, others: 0, ..first.clone() }, view.generation, view.bounds);
        let mut read = View { named_to: view.named_to, ..read };
        let done = self.read_log(&mut read, Reading { acknowledged: until, write: false, until, open: &view.segments });
        // What follows may be a commit that another handle is writing.
        if read.position.seq < until {
            done?;
            let Position { segment, end, .. } = read.position;
            let why = format!("the index cannot be built: the commit after byte {end} is incomplete");
            return Err(damaged(&self.layout.segment(segment), why));
        }
        Ok(read.index)
    }
}

impl Reading<'_> {
    /// Reads the whole log; `state` says how far it is acknowledged.
    pub(crate) fn of(state: Option<&State>, write: bool) -> Self {
        Self { acknowledged: state.map_or(0, |state| state.seq), write, until: u64::MAX, open: &[] }
    }
}
