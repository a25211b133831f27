//! The entries of the log, the newest first, as people want to see them.

use mnem_store_traits::{
    Cid, StoreError,
    driver::{LogEntry, LogKind},
};

use super::{
    entry::{Entry, Slot},
    objects::Start,
    tombstone::Tombstone,
};
use crate::{error::damaged, handle::Handle, limits::WINDOW, tables::slot};

/// A listing under way.
pub(crate) struct History<'a> {
    handle: &'a Handle,
    /// Entries that were not fetched yet: those below this number.
    left: u64,
    /// The record of the last of them, if that is known.
    last: Option<Cid>,
    /// How many are fetched at once next.
    window: u64,
    /// Those that were fetched, ascending; perhaps with an error before them.
    fetched: Vec<Result<LogEntry, StoreError>>,
}

impl<'a> History<'a> {
    /// The entries that have landed up to now.
    ///
    /// # Errors
    /// The end of the log cannot be found, or the handle is closed.
    pub(crate) fn begin(handle: &'a Handle) -> Result<Self, StoreError> {
        let (left, last) = {
            let state = handle.current("read the log")?;
            (state.next, state.last)
        };
        Ok(Self { handle, left, last, window: 1, fetched: Vec::new() })
    }

    /// Fetches the next entries, up to one that cannot be read.
    fn fetch(&mut self) -> Result<(), StoreError> {
        self.handle.gate.check_open("read the log")?;
        let first = self.left.saturating_sub(self.window);
        let numbers: Vec<u64> = (first..self.left).collect();
        let names: Vec<String> = numbers.iter().copied().map(slot).collect();
        (self.left, self.window) = (first, (self.window * 2).min(WINDOW));
        for (n, start) in numbers.into_iter().zip(self.handle.objects.starts(&names)?).rev() {
            let entry = start.and_then(|start| self.read(n, start));
            let is_last = entry.is_err();
            self.fetched.push(entry);
            if is_last {
                self.left = 0;
                break;
            }
        }
        self.fetched.reverse();
        Ok(())
    }

    fn read(&mut self, n: u64, start: Option<Start>) -> Result<LogEntry, StoreError> {
        let objects = &self.handle.objects;
        let Some(start) = start else {
            objects.check_place()?;
            return Err(damaged(objects, &slot(n), "it is missing, but there are later entries"));
        };
        let found = self.handle.read_slot(n, start)?.0;
        if self.last.is_some_and(|last| last != found.cid()) {
            return Err(damaged(objects, &slot(n), "the entry after it follows another one"));
        }
        self.last = found.prev();
        Ok(shown(&found))
    }
}

impl Iterator for History<'_> {
    type Item = Result<LogEntry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fetched.is_empty()
            && self.left > 0
            && let Err(error) = self.fetch()
        {
            self.left = 0;
            return Some(Err(error));
        }
        self.fetched.pop()
    }
}

fn shown(slot: &Slot) -> LogEntry {
    match slot {
        Slot::Entry(entry) => of_entry(entry),
        Slot::Tombstone(tombstone) => of_tombstone(tombstone),
    }
}

fn of_entry(entry: &Entry) -> LogEntry {
    let record = &entry.record;
    let kind = if record.is_compaction() { LogKind::Compaction } else { LogKind::Commit };
    let mut shown = LogEntry::new(record.n, kind);
    shown.written_ms = written(record.at);
    let sizes = entry.blocks().map(|(_, part)| part.bytes);
    shown.block_bytes = Some(sizes.inspect(|_| shown.blocks += 1).fold(0, u64::saturating_add));
    shown.deleted = record.deleted.len() as u64;
    shown.rows = Some(record.rows.len() as u64);
    shown.heads.clone_from(&record.heads);
    shown
}

fn of_tombstone(tombstone: &Tombstone) -> LogEntry {
    let mut shown = LogEntry::new(tombstone.n, LogKind::Compacted);
    shown.written_ms = written(tombstone.at);
    shown.blocks = tombstone.added;
    shown.deleted = tombstone.deleted.len() as u64;
    shown.heads.clone_from(&tombstone.heads);
    shown
}

/// A writer whose clock shows a time before 1970 writes 0. RFC 3339 ends with the year 9999.
fn written(at: u64) -> Option<u64> {
    const YEAR_10000: u64 = 253_402_300_800_000;
    (1..YEAR_10000).contains(&at).then_some(at)
}
