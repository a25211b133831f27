//! Looking for entries that others have made.

use std::time::{Duration, Instant, SystemTime};

use mnem_store_traits::{Bytes, StoreError};

use super::{
    entry::{self, Entry, Undecoded},
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
        let _turn = hold(&self.looking);
        let mut window = 1;
        while !self.has_looked(since) {
            let seen = Seen::now();
            let next = self.state().next;
            let numbers: Vec<u64> = (next..next.saturating_add(window)).collect();
            let names: Vec<String> = numbers.iter().copied().map(slot).collect();
            for (n, start) in numbers.into_iter().zip(self.objects.starts(&names)?) {
                match start? {
                    Some(start) => self.take_in(n, start)?,
                    None => {
                        self.objects.check_place()?;
                        self.note(seen);
                        break;
                    }
                }
            }
            window = (window * 2).min(WINDOW);
        }
        Ok(())
    }

    /// Decodes an entry of this store, fetching more of it if its record is long.
    fn decode(&self, n: u64, start: &Start) -> Result<Entry, StoreError> {
        let name = slot(n);
        let wrong = |why: String| damaged(&self.objects, &name, why);
        let mut decoded = entry::decode(&start.bytes, start.size);
        if let Err(Undecoded::More(bytes)) = decoded {
            decoded = self.fetch_longer(n, bytes, start.size)?;
        }
        let entry = decoded.map_err(|undecoded| match undecoded {
            Undecoded::Later(version) => StoreError::UnsupportedFormat {
                found: format!("record version {version} in {name}"),
                supported: FORMATS.join(", "),
            },
            Undecoded::Wrong(why) => wrong(why),
            Undecoded::More(_) => wrong("its record is cut off".into()),
        })?;
        if entry.record.n != n || entry.record.store.as_slice() != self.format.store.as_slice() {
            return Err(wrong("it is an entry of another place or another store".into()));
        }
        Ok(entry)
    }

    /// The beginning of a record may say that more is needed, twice: for its section, and for its end.
    fn fetch_longer(&self, n: u64, bytes: u64, size: u64) -> Result<Result<Entry, Undecoded>, StoreError> {
        let mut wanted = bytes;
        loop {
            let more = match self.objects.range(&slot(n), 0..wanted, size)? {
                Part::Found(bytes) => bytes,
                Part::Absent | Part::Resized(_) => {
                    return Ok(Err(Undecoded::Wrong("it changed while it was read".into())));
                }
            };
            match entry::decode(&more, size) {
                Err(Undecoded::More(longer)) if longer > wanted => wanted = longer,
                decoded => return Ok(decoded),
            }
        }
    }

    /// Takes in an entry that another handle has made.
    fn take_in(&self, n: u64, start: Start) -> Result<(), StoreError> {
        if n < self.state().next {
            return Ok(());
        }
        let (entry, whole) = self.read_entry(n, start)?;
        self.apply(&entry, whole)
    }

    /// The entry of an object, and the object's bytes if it is short.
    pub(crate) fn read_entry(&self, n: u64, start: Start) -> Result<(Entry, Option<Bytes>), StoreError> {
        let entry = self.decode(n, &start)?;
        let whole = (start.bytes.len() as u64 == start.size).then_some(start.bytes);
        Ok((entry, whole))
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
