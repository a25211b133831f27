//! What all views of one handle share: its files, what is in them, and the one that writes.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use mnem_car::SectionOffsets;
use mnem_store_traits::{Bytes, Cid, StoreError, backend::Gate, backend::check_read, driver::FileIdentity};

use crate::{
    engine::{
        files::{File, Files},
        index::Index,
        keys::Keys,
        page::{Budget, NoAnswer},
        place::Place,
        replay::{Commit, Position},
        rows::{Tables, Value},
        state::State,
        writer::{Job, Writer},
    },
    error::{BACKEND, at},
    open,
    source::Source,
    tables::Layout,
};

/// One open handle.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) layout: Layout,
    /// The path it was opened under: `layout` has it with symbolic links resolved.
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) keys: Keys,
    /// Whether it may still be used.
    pub(crate) gate: Gate,
    view: RwLock<View>,
    /// The one that writes; `None` in a handle that only reads, and after it was closed.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// Work that waits for the writer.
    pub(crate) queue: Mutex<Vec<Arc<Job>>>,
    /// Memory for the pages of all runs.
    pub(crate) budget: Arc<Budget>,
    pub(crate) bounds: Bounds,
}

/// How much of the index may be in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    /// Bytes of the log.
    pub(crate) tail_bytes: u64,
}

/// What the log holds, up to a commit.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) index: Index,
    pub(crate) heads: BTreeSet<Cid>,
    pub(crate) tables: Arc<Tables>,
    /// All segments, in the order of the log.
    pub(crate) segments: Arc<Vec<Segment>>,
    pub(crate) position: Position,
    /// What readers compare with, so that they look at the log only if it moved.
    pub(crate) state: State,
    /// Up to where the runs go; without a commit while there are none.
    pub(crate) covered: Position,
    /// Of the manifest.
    pub(crate) generation: u64,
    /// The index files that the manifest names.
    pub(crate) named: BTreeSet<PathBuf>,
    /// The file with the rows as they were at `covered`.
    pub(crate) rows_file: Option<u64>,
    /// The last commit that was seen to change rows.
    pub(crate) rows_seq: u64,
    /// When the newest part of the index is written.
    pub(crate) bounds: Bounds,
}

/// One file of the log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: Arc<dyn File>,
    /// Where it ends; of the last segment, see [`View::position`].
    pub(crate) end: u64,
    /// Sections that are no blocks of the store: deleted ones, and values of rows. Records are not counted.
    pub(crate) others: u64,
}

fn position_of(segments: &[Segment], number: u32) -> Option<usize> {
    segments.binary_search_by_key(&number, |segment| segment.number).ok()
}

/// The file of a segment.
pub(crate) fn file_of(segments: &[Segment], number: u32) -> Option<&Arc<dyn File>> {
    segments.get(position_of(segments, number)?).map(|segment| &segment.file)
}

impl View {
    /// Before the first commit of a log that begins with this segment.
    pub(crate) fn new(first: Segment, generation: u64, bounds: Bounds) -> Self {
        Self {
            index: Index::default(),
            heads: BTreeSet::new(),
            tables: Arc::default(),
            position: Position { segment: first.number, ..Position::default() },
            segments: Arc::new(vec![first]),
            state: State::default(),
            covered: Position::default(),
            generation,
            named: BTreeSet::new(),
            rows_file: None,
            rows_seq: 0,
            bounds,
        }
    }

    /// Goes on in another segment.
    pub(crate) fn begin_segment(&mut self, number: u32, file: Arc<dyn File>) {
        let end = self.position.end;
        let segments = Arc::make_mut(&mut self.segments);
        if let Some(last) = segments.last_mut() {
            last.end = end;
        }
        segments.push(Segment { number, file, end: 0, others: 0 });
        self.position = Position { segment: number, end: 0, last_from: 0, closed: false, ..self.position };
    }

    /// All segments, and where each of them ends.
    pub(crate) fn segments_to_end(&self) -> Vec<Segment> {
        let mut segments = self.segments.to_vec();
        if let Some(last) = segments.last_mut() {
            last.end = self.position.end;
        }
        segments
    }

    /// Bytes of the log that the runs do not cover.
    pub(crate) fn tail_bytes(&self) -> u64 {
        let after = self.segments.iter().filter(|segment| segment.number >= self.covered.segment);
        let sealed: u64 = after.map(|segment| segment.end).sum();
        (sealed + self.position.end).saturating_sub(self.covered.end)
    }

    fn count_others(&mut self, segment: u32, more: u64) {
        let at = position_of(&self.segments, segment);
        if let Some(at) = at.filter(|_| more > 0)
            && let Some(segment) = Arc::make_mut(&mut self.segments).get_mut(at)
        {
            segment.others += more;
        }
    }

    /// Takes in a commit of the last segment.
    pub(crate) fn take(&mut self, commit: Commit, keys: &Keys, segment: u32) {
        self.count_others(segment, (commit.sections.len() as u64).saturating_sub(commit.record.puts.into()));
        let entry = |section: &SectionOffsets| (keys.fingerprint(&section.cid), Place::new(segment, section));
        self.index.recent.extend(commit.puts().map(entry));
        if !commit.record.rows.is_empty() {
            self.rows_seq = commit.record.seq;
            take_rows(Arc::make_mut(&mut self.tables), &commit, segment);
        }
        for kill in &commit.record.deletes {
            self.index.recent.kill(keys.fingerprint(&kill.cid), kill.segment, kill.offset);
            self.count_others(kill.segment, 1);
        }
        if let Some(heads) = commit.record.heads {
            self.heads = heads.into_iter().collect();
        }
    }
}

fn take_rows(tables: &mut Tables, commit: &Commit, segment: u32) {
    let value = |offset: u32| {
        let at = commit.sections.binary_search_by_key(&u64::from(offset), |section| section.offset).ok()?;
        let section = commit.sections.get(at)?;
        Some(Value { place: Place::new(segment, section), bytes: section.data_bytes })
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

/// A section that was read.
pub(crate) struct Found {
    pub(crate) section: SectionOffsets,
    /// From the beginning of the section on, at least to where its data begin.
    pub(crate) bytes: Bytes,
}

impl Found {
    pub(crate) fn data(&self) -> Bytes {
        let start = (self.section.data_offset - self.section.offset) as usize;
        self.bytes.slice(start.min(self.bytes.len())..)
    }
}

/// Why a question to the index was not answered.
pub(crate) enum Unanswered {
    Index(NoAnswer),
    Store(StoreError),
}

impl From<NoAnswer> for Unanswered {
    fn from(error: NoAnswer) -> Self {
        Self::Index(error)
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// How much of a section is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Its length and CID.
    Start,
    Whole,
}

// No state behind these locks can be left half changed by a panic: a view is changed in memory, after all that can fail.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(crate) fn new(opened: open::Opened) -> Self {
        let open::Opened { files, layout, path, identity, keys, read_only, view, writer, budget, bounds } = opened;
        let gate = Gate::new(BACKEND, read_only);
        let (writer, queue) = (Mutex::new(writer), Mutex::default());
        Self { files, layout, path, identity, keys, gate, view: RwLock::new(view), writer, queue, budget, bounds }
    }

    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reading the store's files takes.
    pub(crate) fn source(&self) -> Source<'_> {
        let Self { files, layout, keys, budget, bounds, .. } = self;
        Source { files: &**files, layout, keys, budget, bounds: *bounds }
    }

    /// Every read begins here: a handle that only reads takes in what another one has committed.
    pub(crate) fn begin_read(&self, operation: &'static str) -> Result<(), StoreError> {
        self.gate.check_open(operation)?;
        if self.gate.is_read_only() { self.follow() } else { Ok(()) }
    }

    fn follow(&self) -> Result<(), StoreError> {
        let state = self.source().read_state()?;
        if state.is_some_and(|state| state == self.view().state) {
            return Ok(());
        }
        let mut view = self.view_mut();
        self.source().follow(&mut view, state)
    }

    /// Asks the index, and once more if a run turns out to be damaged: then the index is built from the log.
    pub(crate) fn ask<T>(&self, question: impl Fn() -> Result<T, Unanswered>) -> Result<T, StoreError> {
        loop {
            match question() {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Store(error)) => return Err(error),
                Err(Unanswered::Index(NoAnswer::Io { path, error })) => return Err(at("read", &path)(error)),
                Err(Unanswered::Index(NoAnswer::Damaged { run, why })) => {
                    tracing::warn!(run = %self.layout.run(run).display(), why, "an index run is damaged");
                    self.rebuild(run)?;
                }
            }
        }
    }

    /// Builds the index from the log, without any run. Another thread may have done so since the run was found to be damaged.
    pub(crate) fn rebuild(&self, damaged: u64) -> Result<(), StoreError> {
        let mut view = self.view_mut();
        if view.index.runs.iter().any(|run| run.header.number == damaged) {
            view.index = self.source().index_of_log(&view)?;
            view.covered = Position::default();
        }
        Ok(())
    }

    /// The section of a block, or `None` if the store does not hold the block.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the place that the index has for it holds something else.
    pub(crate) fn find(&self, cid: &Cid, depth: Depth) -> Result<Option<Found>, StoreError> {
        self.ask(|| self.find_once(cid, depth))
    }

    fn find_once(&self, cid: &Cid, depth: Depth) -> Result<Option<Found>, Unanswered> {
        let fingerprint = self.keys.fingerprint(cid);
        let (mut search, segments) = {
            let view = self.view();
            (view.index.search(fingerprint), view.segments.clone())
        };
        let mut is_damaged = false;
        while let Some(place) = search.next()? {
            let file = file_of(&segments, place.segment());
            match file.map(|file| self.read_section(&**file, place, depth)).transpose()?.flatten() {
                Some(found) if found.section.cid == *cid => return Ok(Some(found)),
                // Another block with the same fingerprint.
                Some(found) if self.keys.fingerprint(&found.section.cid) == fingerprint => {}
                _ => is_damaged = true,
            }
        }
        let corrupt = StoreError::Corrupt { backend: BACKEND, cid: *cid };
        if is_damaged { Err(Unanswered::Store(corrupt)) } else { Ok(None) }
    }

    /// All places of the fingerprint of a CID, the latest first.
    pub(crate) fn places(&self, cid: &Cid) -> Result<Vec<Place>, StoreError> {
        self.ask(|| {
            let mut search = self.view().index.search(self.keys.fingerprint(cid));
            let mut places = Vec::new();
            while let Some(place) = search.next()? {
                places.push(place);
            }
            Ok(places)
        })
    }

    /// Whether each of these sections of a segment, none of them a record, is a block that is there.
    pub(crate) fn are_blocks(&self, segment: u32, sections: &[SectionOffsets]) -> Result<Vec<bool>, StoreError> {
        let others = {
            let view = self.view();
            position_of(&view.segments, segment).and_then(|at| view.segments.get(at)).map(|segment| segment.others)
        };
        if others == Some(0) {
            return Ok(vec![true; sections.len()]);
        }
        let entry = |section: &SectionOffsets| (self.keys.fingerprint(&section.cid), Place::new(segment, section));
        self.ask(|| {
            let check = self.view().index.check(sections.iter().map(entry));
            Ok(check.finish()?)
        })
    }

    /// `None`: there is no whole section.
    pub(crate) fn read_section(
        &self,
        file: &dyn File,
        place: Place,
        depth: Depth,
    ) -> Result<Option<Found>, StoreError> {
        let len = match depth {
            Depth::Start => place.bytes().min(SectionOffsets::START_BYTES_MAX),
            Depth::Whole => place.bytes(),
        };
        let mut bytes = vec![0; len];
        let path = self.layout.segment(place.segment());
        let read = file.read_at(&mut bytes, place.offset()).map_err(at("read", &path))?;
        bytes.truncate(read);
        let Ok(section) = SectionOffsets::parse(&bytes, place.offset()) else { return Ok(None) };
        if depth == Depth::Whole {
            let section_bytes = (section.end() - section.offset) as usize;
            if section_bytes > bytes.len() {
                return Ok(None);
            }
            bytes.truncate(section_bytes);
        }
        Ok(Some(Found { section, bytes: bytes.into() }))
    }

    /// The bytes of a block, checked.
    pub(crate) fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(found) = self.find(cid, Depth::Whole)? else { return Ok(None) };
        let data = found.data();
        check_read(BACKEND, cid, &data)?;
        Ok(Some(data))
    }
}
