//! Looking for entries that others have made.

use std::time::{Duration, Instant, SystemTime};

use mnem_store_traits::{Bytes, StoreError};

use super::{
    entry::{self, Entry, Slot, Undecoded},
    objects::{Part, Start},
    state::Name,
};
use crate::{
    Freshness,
    error::damaged,
    handle::{Handle, hold},
    limits::WINDOW,
    tables::{FORMATS, slot},
};

/// When the last look began that reached the end of the log: the state has all that had landed by then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    at: Instant,
    /// A suspended machine may stop the other clock.
    wall: SystemTime,
}

impl Seen {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), wall: SystemTime::now() }
    }

    fn is_within(&self, lease: Duration) -> bool {
        self.at.elapsed() < lease && self.wall.elapsed().is_ok_and(|age| age < lease)
    }
}

impl Handle {
    /// Whether the state may say that something is present. Ask before looking at the state: it is the state of then
    /// that is fresh.
    pub(crate) fn is_fresh(&self) -> bool {
        let lease = match self.freshness {
            Freshness::Leased => self.format.lease,
            Freshness::Always => Duration::ZERO,
        };
        hold(&self.seen).is_some_and(|seen| seen.is_within(lease))
    }

    /// Whether a look that began at `since` or later has reached the end of the log.
    pub(crate) fn has_looked(&self, since: Instant) -> bool {
        hold(&self.seen).is_some_and(|seen| seen.at >= since)
    }

    /// The state has all that had landed at this time.
    pub(crate) fn note(&self, seen: Seen) {
        let mut last = hold(&self.seen);
        if last.is_none_or(|last| last.at < seen.at) {
            *last = Some(seen);
        }
    }

    /// Brings the state up to the end of the log, as it was at `since` or later. Threads share a look.
    ///
    /// # Errors
    /// The log could not be read, or it is damaged. The state is as far as was read.
    pub(crate) fn look(&self, since: Instant) -> Result<(), StoreError> {
        self.look_ahead(since, 1)
    }

    /// The same, where so many new entries are expected.
    pub(crate) fn look_ahead(&self, since: Instant, expected: u64) -> Result<(), StoreError> {
        let _turn = hold(&self.looking);
        let (mut window, mut behind) = (expected.clamp(1, WINDOW), Behind::default());
        while !self.has_looked(since) {
            let seen = Seen::now();
            let next = behind.next.max(self.state().next);
            let numbers: Vec<u64> = (next..next.saturating_add(window)).collect();
            let names: Vec<String> = numbers.iter().copied().map(slot).collect();
            for (n, start) in numbers.into_iter().zip(self.objects.starts(&names)?) {
                match start? {
                    Some(start) => self.take_in(n, start, &mut behind)?,
                    None => {
                        self.objects.check_place()?;
                        self.check_end(n, &mut behind)?;
                        if behind.slots.is_empty() {
                            self.note(seen);
                        }
                        window = 0;
                        break;
                    }
                }
            }
            window = (window * 2).clamp(1, WINDOW);
        }
        Ok(())
    }

    /// Fails if the log ends before the entry that completes the tombstones before its end. It may have landed after the
    /// request that did not find it, which was made together with those for the tombstones: so that is made once more.
    fn check_end(&self, n: u64, behind: &mut Behind) -> Result<(), StoreError> {
        if behind.slots.is_empty() || behind.absent.replace(n) != Some(n) {
            return Ok(());
        }
        let why = format!("it is missing, but earlier entries are tombstones that need number {}", behind.by);
        Err(damaged(&self.objects, &slot(n), why))
    }

    /// Decodes a slot of this store, fetching more of it if its record is long.
    fn decode(&self, n: u64, start: &Start) -> Result<Slot, StoreError> {
        let name = slot(n);
        let wrong = |why: String| damaged(&self.objects, &name, why);
        let mut decoded = entry::decode(&start.bytes, start.size);
        if let Err(Undecoded::More(bytes)) = decoded {
            decoded = self.fetch_longer(n, bytes, start.size)?;
        }
        let found = decoded.map_err(|undecoded| match undecoded {
            Undecoded::Later(version) => StoreError::UnsupportedFormat {
                found: format!("record version {version} in {name}"),
                supported: FORMATS.join(", "),
            },
            Undecoded::Wrong(why) => wrong(why),
            Undecoded::More(_) => wrong("its record is cut off".into()),
        })?;
        if found.n() != n || found.store() != self.format.store.as_slice() {
            return Err(wrong("it belongs to another slot or another store".into()));
        }
        Ok(found)
    }

    /// The beginning of a record may say that more is needed, twice: for its section, and for its end.
    fn fetch_longer(&self, n: u64, bytes: u64, size: u64) -> Result<Result<Slot, Undecoded>, StoreError> {
        let (mut wanted, mut size) = (bytes, size);
        loop {
            let more = match self.objects.range(&slot(n), 0..wanted, size)? {
                Part::Found(bytes) => bytes,
                // A tombstone may have taken its place, which is shorter.
                Part::Resized(_) => match self.objects.start(&slot(n))? {
                    Some(start) if start.size < size => {
                        (wanted, size) = (0, start.size);
                        start.bytes
                    }
                    _ => return Ok(Err(Undecoded::Wrong("it changed while it was read".into()))),
                },
                Part::Absent => return Ok(Err(Undecoded::Wrong("it disappeared while it was read".into()))),
            };
            match entry::decode(&more, size) {
                Err(Undecoded::More(longer)) if longer > wanted => wanted = longer,
                decoded => return Ok(decoded),
            }
        }
    }

    /// Takes in an entry that another handle has made, or a tombstone with all entries up to the one that completes it.
    fn take_in(&self, n: u64, start: Start, behind: &mut Behind) -> Result<(), StoreError> {
        if n < self.state().next {
            return Ok(());
        }
        let size = start.size;
        let (found, whole) = self.read_slot(n, start)?;
        if let Slot::Entry(entry) = &found
            && behind.slots.is_empty()
        {
            return self.apply(entry, whole);
        }
        behind.push(found, size);
        if behind.next <= behind.by {
            return Ok(());
        }
        let mut state = self.state_mut();
        for (found, size) in std::mem::take(behind).slots {
            state.apply_slot(&found, size).map_err(|why| damaged(&self.objects, &slot(found.n()), why))?;
        }
        Ok(())
    }

    /// Takes in what the slots from `n` on have. Returns `false` if that ends with a tombstone that needs later entries: then
    /// it is not taken in.
    pub(crate) fn take_in_all(&self, n: u64, starts: Vec<Start>) -> Result<bool, StoreError> {
        let mut behind = Behind::default();
        for (n, start) in (n..).zip(starts) {
            self.take_in(n, start, &mut behind)?;
        }
        Ok(behind.slots.is_empty())
    }

    /// What a slot has, and the object's bytes if it is short.
    pub(crate) fn read_slot(&self, n: u64, start: Start) -> Result<(Slot, Option<Bytes>), StoreError> {
        let found = self.decode(n, &start)?;
        let whole = (start.bytes.len() as u64 == start.size).then_some(start.bytes);
        Ok((found, whole))
    }

    /// Applies an entry to the state, and keeps its bytes.
    pub(crate) fn apply(&self, entry: &Entry, whole: Option<Bytes>) -> Result<(), StoreError> {
        let n = entry.record.n;
        if let Some(bytes) = whole {
            self.cache.insert((Name::Entry(n), 0), bytes);
        }
        self.state_mut().apply(entry).map_err(|why| damaged(&self.objects, &slot(n), why))
    }
}

/// Slots that were read from a tombstone on, to be applied in one step: in between, the state would lack blocks.
#[derive(Default)]
struct Behind {
    /// With the lengths of the objects.
    slots: Vec<(Slot, u64)>,
    /// The number after the last of them.
    next: u64,
    /// The number of the entry that makes the state complete.
    by: u64,
    /// A slot that was found to be empty once.
    absent: Option<u64>,
}

impl Behind {
    fn push(&mut self, found: Slot, size: u64) {
        if let Slot::Tombstone(tombstone) = &found {
            self.by = self.by.max(tombstone.by);
        }
        self.next = found.n().saturating_add(1);
        self.slots.push((found, size));
    }
}
