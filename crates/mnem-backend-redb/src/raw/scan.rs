//! Scans a file page by page.

use std::{collections::VecDeque, ops::Range, path::PathBuf};

use mnem_store_traits::{
    Bytes, Cid, Outcome, StoreError,
    backend::{HashCheck, check_hash},
    driver::{RawFind, RawScan},
};

use super::{
    leaf::{self, Leaf},
    window::Window,
};
use crate::{
    engine::{header::PAGE, medium::Medium},
    error::At,
    limits::{BLOCK_BYTES_MAX, RAW_FAILED_FACTOR, RAW_WINDOW_BYTES},
};

/// A scan of one file. The medium holds the lock of the file for as long as it lives.
pub(super) struct Scan {
    path: PathBuf,
    medium: Medium,
    len: u64,
    window: Window,
    /// The end of the pages that the window serves; the bytes after it belong to rows of the last pages.
    window_end: u64,
    /// The page to scan next.
    page: u64,
    /// The end of the last stretch that was reported.
    reported: u64,
    found: VecDeque<Found>,
    /// The last block that was named, and the range of its bytes.
    last: Option<(Cid, Range<u64>)>,
    /// The end of the last verified block. Blocks do not overlap, so a scan returns no more bytes than the file has.
    taken: u64,
    /// Bytes hashed in vain.
    failed: u64,
}

/// A result that is still to be returned.
enum Found {
    Block(Cid, Range<u64>),
    Head(Cid),
    Scanned(u64),
    /// A part of the file, and how many of its bytes are unreadable.
    Unreadable(Range<u64>, u64),
}

impl Scan {
    pub(super) fn new(path: PathBuf, medium: Medium, len: u64) -> Self {
        Self {
            path,
            medium,
            len,
            window: Window::default(),
            window_end: 0,
            page: 0,
            reported: 0,
            found: VecDeque::new(),
            last: None,
            taken: 0,
            failed: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    fn at(&self) -> At<'_> {
        At { path: &self.path, operation: "scan" }
    }

    /// Scans one more page, or moves the window. Returns whether there is more.
    fn step(&mut self) -> bool {
        let done = self.page.min(self.len);
        if self.page < self.window_end {
            self.look();
            self.page += PAGE;
        } else if done > self.reported {
            self.found.push_back(Found::Scanned(done - self.reported));
            self.reported = done;
        } else if done < self.len {
            let unreadable = self.window.move_to(&*self.medium, done, self.len);
            self.window_end = self.len.min(done + RAW_WINDOW_BYTES as u64);
            if unreadable > 0 {
                self.found.push_back(Found::Unreadable(done..self.window_end, unreadable));
            }
        } else {
            return false;
        }
        true
    }

    fn look(&mut self) {
        let page = self.page;
        match leaf::parse(self.window.keys_at(page)) {
            Some(Leaf::Blocks(rows)) => {
                let place = |row: leaf::Row| Found::Block(row.cid, page + row.value.start..page + row.value.end);
                self.found.extend(rows.into_iter().map(place));
            }
            Some(Leaf::Heads(heads)) => self.found.extend(heads.into_iter().map(Found::Head)),
            None => {}
        }
    }

    /// Whether the bytes of a block may be read and hashed. They must lie inside the file and outside every other
    /// block, and the bytes hashed in vain must stay in proportion to those scanned.
    fn is_worth_reading(&self, place: &Range<u64>) -> bool {
        let bytes = place.end - place.start;
        place.end <= self.len
            && place.start >= self.taken
            && bytes <= BLOCK_BYTES_MAX
            && self.failed + bytes <= BLOCK_BYTES_MAX + self.page * RAW_FAILED_FACTOR
    }

    fn bytes_at(&self, place: &Range<u64>) -> Result<Bytes, StoreError> {
        if let Some(bytes) = self.window.get(place) {
            return Ok(Bytes::copy_from_slice(bytes));
        }
        let failed = |error| self.at().failed(Outcome::NotApplied, error);
        let mut bytes = vec![0; usize::try_from(place.end - place.start).unwrap_or(0)];
        self.medium.read(place.start, &mut bytes).map_err(failed)?;
        Ok(bytes.into())
    }
}

impl Iterator for Scan {
    type Item = Result<RawFind, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.last = None;
        while self.found.is_empty() && self.step() {}
        Some(Ok(match self.found.pop_front()? {
            Found::Block(cid, place) => {
                self.last = Some((cid, place));
                RawFind::Block(cid)
            }
            Found::Head(cid) => RawFind::Head(cid),
            Found::Scanned(bytes) => RawFind::Scanned(bytes),
            Found::Unreadable(part, bytes) => {
                let what = format!("{bytes} bytes between {} and {} cannot be read", part.start, part.end);
                return Some(Err(self.at().failed(Outcome::NotApplied, what)));
            }
        }))
    }
}

impl RawScan for Scan {
    fn read(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some((cid, place)) = self.last.take() else { return Ok(None) };
        if !self.is_worth_reading(&place) {
            return Ok(None);
        }
        let data = self.bytes_at(&place)?;
        if check_hash(&cid, &data) == HashCheck::Match {
            self.taken = place.end;
            // No page begins inside a block.
            self.page = self.page.max(place.end.next_multiple_of(PAGE));
            return Ok(Some(data));
        }
        self.failed += place.end - place.start;
        Ok(None)
    }

    fn total_bytes(&self) -> u64 {
        self.len
    }
}
