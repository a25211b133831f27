//! Reading blocks and values out of objects, through the cache. Short objects are fetched whole, and of long ones
//! aligned windows: more of them at once, the longer a caller reads on.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Instant,
};

use mnem_store_traits::{
    Bytes, Cid, StoreError,
    backend::{HashCheck, check_hash},
};

use super::{
    cache::Window,
    objects::Part,
    state::{Located, Object},
};
use crate::{
    error::damaged,
    handle::Handle,
    limits::{
        CACHED_BYTES_MAX, COPIED_BYTES, WHOLE_BYTES, WINDOW, WINDOW_BYTES, WINDOWS_BETWEEN, WINDOWS_MAX,
        WINDOWS_TOGETHER,
    },
};

/// Windows that one call has fetched, whether or not the cache keeps them.
pub(crate) type Fetched = HashMap<Window, Bytes>;

/// What a read comes to.
pub(crate) enum Read {
    Found(Bytes),
    /// It was removed meanwhile.
    Absent,
    /// The bytes are there, and are not those of the CID.
    Mismatch(Cid, Located),
}

/// What a place has.
enum Bytewise {
    Sound(Bytes),
    Mismatch,
    /// Why the object is not the one that was written.
    Lost(String),
}

impl Object {
    fn window_bytes(&self) -> u64 {
        if self.bytes <= WHOLE_BYTES { self.bytes.max(1) } else { WINDOW_BYTES }
    }

    fn windows(&self) -> u64 {
        self.bytes.div_ceil(self.window_bytes())
    }

    /// The bytes of some windows.
    fn range_of(&self, windows: &Range<u64>) -> Range<u64> {
        let bytes = self.window_bytes();
        windows.start.saturating_mul(bytes)..windows.end.saturating_mul(bytes).min(self.bytes)
    }
}

impl Located {
    fn windows(&self) -> Range<u64> {
        let bytes = self.object.window_bytes();
        self.offset / bytes..self.offset.saturating_add(self.bytes).div_ceil(bytes)
    }

    fn is_cached(&self) -> bool {
        self.bytes > 0 && self.bytes <= CACHED_BYTES_MAX
    }
}

/// Windows that are to be fetched together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    wanted: BTreeMap<Window, Object>,
}

impl Batch {
    pub(crate) fn add(&mut self, at: Option<Located>) {
        if let Some(at) = at.filter(Located::is_cached) {
            self.wanted.extend(at.windows().map(|window| ((at.object.name, window), at.object)));
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.wanted.len() >= WINDOWS_TOGETHER
    }

    /// One request each, for windows that stand together or nearly so, and that are not in memory.
    fn runs(&self, is_held: impl Fn(Window) -> bool) -> Vec<(Object, Range<u64>)> {
        let mut runs: Vec<(Object, Range<u64>)> = Vec::new();
        for ((name, window), object) in self.wanted.iter().filter(|(window, _)| !is_held(**window)) {
            match runs.last_mut() {
                Some((last, run))
                    if last.name == *name
                        && *window <= run.end.saturating_add(WINDOWS_BETWEEN)
                        && *window < run.start.saturating_add(WINDOWS_MAX) =>
                {
                    run.end = window.saturating_add(1);
                }
                _ => runs.push((*object, *window..window.saturating_add(1))),
            }
        }
        runs
    }
}

impl Handle {
    /// Reads a block or value, whose CID and place `find` looks up in the state. If its object is lost, the state may
    /// be old: it is looked up again, until it is lost where the current state says that it is.
    ///
    /// # Errors
    /// - [`StoreError::Backend`]: the service failed.
    /// - [`StoreError::Damaged`]: the object is missing, or is not the one that was written.
    pub(crate) fn read(
        &self,
        find: impl Fn() -> Option<(Cid, Located)>,
        fetched: &mut Fetched,
    ) -> Result<Read, StoreError> {
        let mut lost = None;
        loop {
            let Some((cid, at)) = find() else { return Ok(Read::Absent) };
            match self.bytes_at(&at, &cid, fetched)? {
                Bytewise::Sound(bytes) => return Ok(Read::Found(bytes)),
                Bytewise::Mismatch => return Ok(Read::Mismatch(cid, at)),
                Bytewise::Lost(why) if lost == Some(at) => {
                    return Err(damaged(&self.objects, &at.object.name.path(), why));
                }
                Bytewise::Lost(_) => self.look(Instant::now())?,
            }
            lost = Some(at);
        }
    }

    /// The bytes at a place. If what is in memory does not match the CID, they are fetched again.
    fn bytes_at(&self, at: &Located, cid: &Cid, fetched: &mut Fetched) -> Result<Bytewise, StoreError> {
        let is_sound = |bytes: &Bytes| !matches!(check_hash(cid, bytes), HashCheck::Mismatch(_));
        if at.bytes == 0 {
            let empty = Bytes::new();
            return Ok(if is_sound(&empty) { Bytewise::Sound(empty) } else { Bytewise::Mismatch });
        }
        if at.is_cached() {
            if let Some(bytes) = self.held(at, fetched).filter(is_sound) {
                return Ok(Bytewise::Sound(bytes));
            }
            for window in at.windows() {
                self.cache.remove((at.object.name, window));
                fetched.remove(&(at.object.name, window));
            }
            if let Some(why) = self.fetch_run(&at.object, self.ahead(at), fetched)? {
                return Ok(Bytewise::Lost(why));
            }
            if let Some(bytes) = self.held(at, fetched).filter(is_sound) {
                return Ok(Bytewise::Sound(bytes));
            }
        }
        for _ in 0..2 {
            let range = at.offset..at.offset.saturating_add(at.bytes);
            match self.objects.range(&at.object.name.path(), range, at.object.bytes)? {
                Part::Found(bytes) if is_sound(&bytes) => return Ok(Bytewise::Sound(bytes)),
                Part::Found(_) => {}
                lost => return Ok(Bytewise::Lost(why_lost(&lost, at.object.bytes))),
            }
        }
        Ok(Bytewise::Mismatch)
    }

    /// The bytes at a place, if all of its windows are in memory.
    fn held(&self, at: &Located, fetched: &Fetched) -> Option<Bytes> {
        let windows = at.windows();
        let window = |window: u64| {
            let window = (at.object.name, window);
            fetched.get(&window).cloned().or_else(|| self.cache.get(window))
        };
        let begin = at.object.range_of(&windows).start;
        let start = usize::try_from(at.offset.checked_sub(begin)?).ok()?;
        let end = start.checked_add(usize::try_from(at.bytes).ok()?)?;
        if windows.end.saturating_sub(windows.start) == 1 {
            let whole = window(windows.start)?;
            let part = whole.get(start..end)?;
            return Some(if at.bytes < COPIED_BYTES { Bytes::copy_from_slice(part) } else { whole.slice(start..end) });
        }
        let mut joined = Vec::new();
        for number in windows {
            joined.extend_from_slice(&window(number)?);
        }
        joined.truncate(end);
        joined.drain(..start.min(joined.len()));
        (joined.len() as u64 == at.bytes).then(|| joined.into())
    }

    /// The windows to fetch for a place: more than it needs if those before it are in memory, because then its caller
    /// reads on.
    fn ahead(&self, at: &Located) -> Range<u64> {
        let needed = at.windows();
        let before = (1..=WINDOWS_MAX / 2).take_while(|back| {
            let window = needed.start.checked_sub(*back);
            window.is_some_and(|window| self.cache.contains((at.object.name, window)))
        });
        let longest = needed.start.saturating_add((2 * before.count() as u64).min(WINDOWS_MAX));
        needed.start..needed.end.max(longest.min(at.object.windows()))
    }

    /// Fetches windows of an object. Returns why it is lost, if it is.
    fn fetch_run(&self, object: &Object, run: Range<u64>, fetched: &mut Fetched) -> Result<Option<String>, StoreError> {
        match self.objects.range(&object.name.path(), object.range_of(&run), object.bytes)? {
            Part::Found(bytes) => self.keep(object, &run, &bytes, fetched),
            lost => return Ok(Some(why_lost(&lost, object.bytes))),
        }
        Ok(None)
    }

    fn keep(&self, object: &Object, run: &Range<u64>, bytes: &Bytes, fetched: &mut Fetched) {
        let length = usize::try_from(object.window_bytes()).unwrap_or(usize::MAX);
        let is_one = bytes.len() <= length;
        for (number, window) in run.clone().zip(bytes.chunks(length)) {
            let key = (object.name, number);
            // A window of its own, so that it does not keep the others in memory.
            let window = if is_one { bytes.clone() } else { Bytes::copy_from_slice(window) };
            self.cache.insert(key, window.clone());
            fetched.insert(key, window);
        }
    }

    /// Fetches what a batch needs and memory does not have, several objects at once. A part that cannot be fetched is
    /// left out: reading from it reports the error.
    pub(crate) fn fetch(&self, batch: &Batch) -> Result<Fetched, StoreError> {
        let mut fetched = Fetched::new();
        // Held now, and perhaps not any more when its turn comes: then it is fetched alone.
        let runs = batch.runs(|window| self.cache.contains(window));
        for runs in runs.chunks(WINDOW as usize) {
            let wanted: Vec<(String, Range<u64>, u64)> =
                runs.iter().map(|(object, run)| (object.name.path(), object.range_of(run), object.bytes)).collect();
            for ((object, run), part) in runs.iter().zip(self.objects.ranges(&wanted)?) {
                if let Ok(Part::Found(bytes)) = part {
                    self.keep(object, run, &bytes, &mut fetched);
                }
            }
        }
        Ok(fetched)
    }
}

fn why_lost(part: &Part, expected: u64) -> String {
    match part {
        Part::Resized(size) => format!("it has {size} bytes, expected {expected}"),
        Part::Found(_) | Part::Absent => "it is missing".into(),
    }
}
