//! The state that all views of one handle share: files, index, gate and writer.

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use mnem_car::SectionOffsets;
use mnem_store_traits::{
    Bytes, Cid, StoreError,
    backend::{Gate, Present, check_read},
    driver::FileIdentity,
};

use crate::{
    engine::{
        files::{File, Files},
        keys::Keys,
        latched::Latched,
        open_segments::{OpenSegments, gone},
        page::{Budget, NoAnswer},
        place::Place,
        tending::Tending,
        writer::{Queue, Writer},
    },
    error::{BACKEND, at, damaged},
    open,
    source::Source,
    state_file::StateFile,
    tables::Layout,
    view::{Bounds, Epoch, Segment, View, file_of, position_of},
};

/// One open handle.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    /// The writer. `None` in a read-only handle, and after a close.
    pub(crate) writer: Mutex<Option<Writer>>,
    /// Callers that share the next commit.
    pub(crate) queue: Queue,
}

/// The part of a handle that the index thread shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) layout: Layout,
    /// The path that the store was opened under. `layout` has it with symbolic links resolved.
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) keys: Keys,
    /// Whether the handle may still be used.
    pub(crate) gate: Gate,
    view: RwLock<View>,
    /// The memory limit for cached pages of all runs.
    pub(crate) budget: Arc<Budget>,
    pub(crate) segments: Arc<OpenSegments>,
    pub(crate) bounds: Bounds,
    pub(crate) tending: Tending,
    /// Blocks that were found, each with the bits of its place. No other block is ever stored at a place, so if the
    /// index has that place for a block, the log need not be read to see that it is this block's.
    present: Present,
    /// For a handle that only reads.
    state_file: StateFile,
}

/// The longest key of a [`Present`]; longer CIDs are looked up each time.
const KEY_BYTES_MAX: usize = 64;

/// A section that was read.
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) section: SectionOffsets,
    /// The bytes of the section, at least up to the start of its data.
    pub(crate) bytes: Bytes,
}

impl Found {
    pub(crate) fn data(&self) -> Bytes {
        let start = (self.section.data_offset - self.section.offset) as usize;
        self.bytes.slice(start.min(self.bytes.len())..)
    }
}

/// Why the index did not answer a question.
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

// A panic cannot leave the state behind these locks half changed: a view changes in memory, after every step that can
// fail.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(crate) fn new(opened: open::Opened) -> Self {
        let open::Opened { files, layout, path, identity, keys, read_only, view, writer, budget, segments, bounds } =
            opened;
        let (gate, view, tending) = (Gate::new(BACKEND, read_only), RwLock::new(view), Tending::default());
        let (files, present) = (Arc::new(Latched::new(files)) as Arc<dyn Files>, Present::default());
        let state_file = StateFile::default();
        let shared = Shared {
            files,
            layout,
            path,
            identity,
            keys,
            gate,
            view,
            budget,
            segments,
            bounds,
            tending,
            present,
            state_file,
        };
        Self { shared: Arc::new(shared), writer: Mutex::new(writer), queue: Queue::default() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Handle {
    /// Keep the lock until the thread has ended: nothing may be written without it.
    fn drop(&mut self) {
        self.shared.tending.stop();
    }
}

impl Shared {
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything needed to read the files of the store.
    pub(crate) fn source(&self) -> Source<'_> {
        let Self { files, layout, keys, budget, segments, bounds, .. } = self;
        Source { files: &**files, layout, keys, budget, segments, bounds: *bounds }
    }

    /// Begins a read. A read-only handle first takes in the commits of the writer.
    pub(crate) fn begin_read(&self, operation: &'static str) -> Result<(), StoreError> {
        self.gate.check_open(operation)?;
        if self.gate.is_read_only() { self.follow() } else { Ok(()) }
    }

    fn follow(&self) -> Result<(), StoreError> {
        let state = self.state_file.read(&self.source())?;
        if state.is_some_and(|state| state == self.view().state) {
            return Ok(());
        }
        let mut view = self.view_mut();
        self.source().follow(&mut view, state)
    }

    /// Asks the index. If a run turns out to be damaged, builds the index from the log and asks again. If another log
    /// has replaced this one, and removed a segment that was closed, asks that log.
    pub(crate) fn ask<T>(&self, question: impl Fn() -> Result<T, Unanswered>) -> Result<T, StoreError> {
        let mut tried = None;
        loop {
            let error = match question() {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Store(error)) => error,
                Err(Unanswered::Index(NoAnswer::Io { path, error })) => at("read", &path)(error),
                Err(Unanswered::Index(NoAnswer::Damaged { run, why })) => {
                    tracing::warn!(run = %self.layout.run(run).display(), why, "an index run is damaged");
                    match self.rebuild(run) {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
            };
            self.find_other_log(&mut tried, error)?;
        }
    }

    /// After a failure: shows the log that has replaced the one being read, if this is why. Fails if it is not, or if
    /// the log is still the one that was `tried` last.
    pub(crate) fn find_other_log(&self, tried: &mut Option<Arc<Epoch>>, error: StoreError) -> Result<(), StoreError> {
        let Some(path) = gone(&error) else { return Err(error) };
        if self.gate.is_read_only() {
            // `state` may be unchanged: a writer that opens the store removes the old log of an interrupted compaction
            // before it writes `state`. So the manifest decides.
            let mut view = self.view_mut();
            self.source().follow(&mut view, None)?;
        } else {
            // A listing may go on after a close, and another process may compact then.
            self.gate.check_open("read the log")?;
        }
        let epoch = self.view().epoch.clone();
        if tried.as_ref().is_some_and(|tried| Arc::ptr_eq(tried, &epoch)) {
            return Err(damaged(path, "the file is missing"));
        }
        *tried = Some(epoch);
        Ok(())
    }

    /// Builds the index from the log, without any run. Another thread may have done this since the run was found
    /// damaged.
    pub(crate) fn rebuild(&self, damaged: u64) -> Result<(), StoreError> {
        let mut view = self.view_mut();
        if view.index.runs.iter().any(|run| run.header.number == damaged) {
            view.index = self.source().index_of_log(&view)?;
            view.covered = None;
            // The next manifest may name only a new file of rows, so it must write one.
            view.rows_seq = view.position.seq;
        }
        Ok(())
    }

    /// Whether the store has the block.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(crate) fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let mut key = [0; KEY_BYTES_MAX];
        let key = cid.write_bytes(&mut key[..]).ok().and_then(|bytes| key.get(..bytes)).unwrap_or_default();
        let is_remembered = |place: Place| self.present.contains(key, place.bits()).then_some(());
        let remember = |found: Found| self.present.insert(key, found.place.bits());
        Ok(self.ask(|| self.search(cid, Depth::Start, is_remembered, remember))?.is_some())
    }

    /// The section of a block, or `None` if the store does not have the block.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the index has a place for it, but another section is there.
    pub(crate) fn find(&self, cid: &Cid, depth: Depth) -> Result<Option<Found>, StoreError> {
        self.ask(|| self.search(cid, depth, |_| None, |found| found))
    }

    /// Asks for each place that the index has for the CID, latest first, whether it is known; if not, reads the section
    /// there.
    fn search<T>(
        &self,
        cid: &Cid,
        depth: Depth,
        known: impl Fn(Place) -> Option<T>,
        read: impl Fn(Found) -> T,
    ) -> Result<Option<T>, Unanswered> {
        let fingerprint = self.keys.fingerprint(cid);
        let (mut search, segments) = {
            let view = self.view();
            (view.index.search(fingerprint), view.segments.clone())
        };
        let mut is_damaged = false;
        while let Some(place) = search.next()? {
            if let Some(known) = known(place) {
                return Ok(Some(known));
            }
            let file = file_of(&segments, place.segment());
            match file.map(|file| self.read_section(&**file, place, depth)).transpose()?.flatten() {
                Some(found) if found.section.cid == *cid => return Ok(Some(read(found))),
                // Another block with the same fingerprint.
                Some(found) if self.keys.fingerprint(&found.section.cid) == fingerprint => {}
                _ => is_damaged = true,
            }
        }
        let corrupt = StoreError::Corrupt { backend: BACKEND, cid: *cid };
        if is_damaged { Err(Unanswered::Store(corrupt)) } else { Ok(None) }
    }

    /// All places of the fingerprint of a CID, latest first.
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

    /// For each of these sections, none of which is a record, whether it is a live block: now, or at the time when
    /// another log replaced the one being read.
    pub(crate) fn are_blocks(
        &self,
        epoch: &Arc<Epoch>,
        segment: u32,
        sections: &[SectionOffsets],
    ) -> Result<Vec<bool>, StoreError> {
        let entry = |section: &SectionOffsets| (self.keys.fingerprint(&section.cid), Place::new(segment, section));
        let has_others = |segments: &[Segment]| {
            let found = position_of(segments, segment).and_then(|at| segments.get(at));
            found.is_none_or(|segment| segment.others > 0)
        };
        self.ask(|| {
            let view = self.view();
            // The lock of the view is held here, and also when a log is replaced.
            let (index, segments) = match epoch.retired() {
                None => (&view.index, &view.segments),
                Some(retired) => (&retired.index, &retired.segments),
            };
            if !has_others(segments) {
                return Ok(vec![true; sections.len()]);
            }
            let check = index.check(sections.iter().map(entry));
            drop(view);
            check.finish().map_err(|error| match error {
                error if epoch.retired().is_some() => Unanswered::Store(self.unanswered_by_retired(error)),
                error => Unanswered::Index(error),
            })
        })
    }

    /// The index of a log that was replaced cannot be built again.
    pub(crate) fn unanswered_by_retired(&self, error: NoAnswer) -> StoreError {
        match error {
            NoAnswer::Io { path, error } => at("read", &path)(error),
            NoAnswer::Damaged { run, .. } => {
                let why = "the run is damaged, and its log was replaced by a compaction: begin again";
                damaged(&self.layout.run(run), why)
            }
        }
    }

    /// Returns `None` if there is no complete section.
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
        Ok(Some(Found { place, section, bytes: bytes.into() }))
    }

    /// The bytes of a block, checked against its CID.
    pub(crate) fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(found) = self.find(cid, Depth::Whole)? else { return Ok(None) };
        let data = found.data();
        check_read(BACKEND, cid, &data)?;
        Ok(Some(data))
    }
}
