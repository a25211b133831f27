//! What all views of one handle share: its files, what is in them, and the one that writes.

use std::{
    collections::{BTreeMap, BTreeSet},
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
        place::Place,
        replay::{Commit, Position},
        state::State,
        writer::{Job, Writer},
    },
    error::{BACKEND, at},
    open,
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
}

/// What the log holds, up to a commit.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) index: Index,
    pub(crate) heads: BTreeSet<Cid>,
    /// Of each side table with at least one row: where the value of each key stands.
    pub(crate) tables: BTreeMap<String, BTreeMap<Bytes, Value>>,
    /// All segments, in the order of the log.
    pub(crate) segments: Vec<Segment>,
    pub(crate) position: Position,
    /// What readers compare with, so that they look at the log only if it moved.
    pub(crate) state: State,
}

/// Where the value of a row stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) bytes: u64,
}

/// One file of the log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: Arc<dyn File>,
    /// Up to where it is proved.
    pub(crate) end: u64,
}

impl View {
    pub(crate) fn file(&self, segment: u32) -> Option<&Arc<dyn File>> {
        let at = self.segments.binary_search_by_key(&segment, |segment| segment.number).ok()?;
        self.segments.get(at).map(|segment| &segment.file)
    }

    /// Takes in a commit of the last segment.
    pub(crate) fn take(&mut self, commit: Commit, keys: &Keys, segment: u32) {
        for section in commit.puts() {
            self.index.insert(keys.fingerprint(&section.cid), Place::new(segment, section));
        }
        let value = |offset: u32| {
            let at = commit.sections.binary_search_by_key(&u64::from(offset), |section| section.offset).ok()?;
            commit
                .sections
                .get(at)
                .map(|section| Value { place: Place::new(segment, section), bytes: section.data_bytes })
        };
        for row in &commit.record.rows {
            match row.value.and_then(value) {
                Some(value) => {
                    self.tables.entry(row.table.clone()).or_default().insert(row.key.clone().into(), value);
                }
                None => {
                    if let Some(rows) = self.tables.get_mut(&row.table) {
                        rows.remove(&row.key[..]);
                    }
                }
            }
        }
        self.tables.retain(|_, rows| !rows.is_empty());
        for kill in &commit.record.deletes {
            let fingerprint = keys.fingerprint(&kill.cid);
            let is_it = |place: &Place| place.segment() == kill.segment && place.offset() == u64::from(kill.offset);
            let place = self.index.places(fingerprint).find(is_it);
            if let Some(place) = place {
                self.index.remove(fingerprint, place);
            }
        }
        if let Some(heads) = commit.record.heads {
            self.heads = heads.into_iter().collect();
        }
    }
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
        let open::Opened { files, layout, path, identity, keys, read_only, view, writer } = opened;
        let gate = Gate::new(BACKEND, read_only);
        let (writer, queue) = (Mutex::new(writer), Mutex::default());
        Self { files, layout, path, identity, keys, gate, view: RwLock::new(view), writer, queue }
    }

    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every read begins here: a handle that only reads takes in what another one has committed.
    pub(crate) fn begin_read(&self, operation: &'static str) -> Result<(), StoreError> {
        self.gate.check_open(operation)?;
        if self.gate.is_read_only() { self.follow() } else { Ok(()) }
    }

    fn follow(&self) -> Result<(), StoreError> {
        let state = open::read_state(&*self.files, &self.layout, &self.keys)?;
        if state.is_some_and(|state| state == self.view().state) {
            return Ok(());
        }
        let mut view = self.view_mut();
        open::follow(&*self.files, &self.layout, &self.keys, &mut view, state)
    }

    /// The section of a block, or `None` if the store does not hold the block.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: the place that the index has for it holds something else.
    pub(crate) fn find(&self, cid: &Cid, depth: Depth) -> Result<Option<Found>, StoreError> {
        let fingerprint = self.keys.fingerprint(cid);
        let places: Vec<(Place, Option<Arc<dyn File>>)> = {
            let view = self.view();
            view.index.places(fingerprint).map(|place| (place, view.file(place.segment()).cloned())).collect()
        };
        let mut is_damaged = false;
        for (place, file) in places {
            match file.map(|file| self.read_section(&*file, place, depth)).transpose()?.flatten() {
                Some(found) if found.section.cid == *cid => return Ok(Some(found)),
                // Another block with the same fingerprint.
                Some(found) if self.keys.fingerprint(&found.section.cid) == fingerprint => {}
                _ => is_damaged = true,
            }
        }
        if is_damaged { Err(StoreError::Corrupt { backend: BACKEND, cid: *cid }) } else { Ok(None) }
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
