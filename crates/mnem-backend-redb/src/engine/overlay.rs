//! Writes kept in memory, over a medium that is only read.

use std::{collections::BTreeMap, io, mem, ops::Range};

use redb::StorageBackend;

use crate::engine::header::{Length, is_zeros};

/// Unit in which changed bytes are kept.
const PAGE_BYTES: u64 = 4096;

/// Unit of reading around a bad place: a failing disk may still read the sectors beside it.
const SECTOR_BYTES: usize = 512;

/// The content of a medium, with changes that only this process sees.
///
/// Memory: the pages that were written, and as much again for the log if there is one.
#[derive(Debug)]
pub(crate) struct Overlay {
    len: u64,
    /// Bytes of the medium that are visible. Bytes beyond a truncation read as zeros, even after the file is extended
    /// again.
    shows: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
    changed: bool,
    /// The length that redb wrote, if zeros were appended.
    cut: Option<u64>,
    log: Option<Vec<Change>>,
}

/// A change to an overlay.
#[derive(Debug)]
pub(crate) enum Change {
    Write(u64, Box<[u8]>),
    SetLen(u64),
    Sync,
}

impl Change {
    /// Applies the change to a medium.
    pub(crate) fn carry_out(&self, medium: &dyn StorageBackend) -> io::Result<()> {
        match self {
            Self::Write(offset, data) => medium.write(*offset, data),
            Self::SetLen(len) => medium.set_len(*len),
            Self::Sync => medium.sync_data(),
        }
    }
}

impl Overlay {
    /// An overlay without changes, over a medium of this many bytes. With a log, its changes can be applied to the
    /// medium later.
    pub(crate) fn over(len: u64, log: bool) -> Self {
        Self { len, shows: len, pages: BTreeMap::new(), changed: false, cut: None, log: log.then(Vec::new) }
    }

    /// Reads the length of the medium again, unless there are changes. Once a lock is held, the length is the one that
    /// the last writer left. Bytes appended since stay invisible.
    ///
    /// # Errors
    /// Those of the medium; `InvalidData` if the changes are to be applied later and would destroy appended bytes.
    pub(crate) fn refresh(&mut self, medium: &dyn StorageBackend) -> io::Result<()> {
        if self.changed {
            return Ok(());
        }
        let length = Length::of(medium)?;
        self.cut = None;
        self.len = length.file;
        if let Some((said, appended)) = length.appended() {
            if self.log.is_some() && !is_zeros(medium, said, appended)? {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the bytes are not zero, so the store is not opened for writing",
                ));
            }
            self.cut = Some(said);
            self.len = said;
        }
        self.shows = self.len;
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn read(&self, medium: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let range = self.range(offset, out.len())?;
        self.read_shown(medium, offset, out)?;
        for (&page, bytes) in self.pages.range(page_of(range.start)..=page_of(range.end)) {
            let begins = page * PAGE_BYTES;
            let from = range.start.max(begins);
            let to = range.end.min(begins + PAGE_BYTES);
            if from < to {
                copy(out, from - offset, bytes, from - begins, to - from);
            }
        }
        Ok(())
    }

    /// As [`read`](Self::read), but unreadable bytes are zeros, and so are bytes beyond the end.
    pub(crate) fn read_leniently(&self, medium: &dyn StorageBackend, offset: u64, out: &mut [u8]) {
        let there = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let Some(there) = out.get_mut(..there) else { return };
        if self.read(medium, offset, there).is_ok() {
            return;
        }
        let mut offset = offset;
        for part in there.chunks_mut(SECTOR_BYTES) {
            if self.read(medium, offset, part).is_err() {
                part.fill(0);
            }
            offset += part.len() as u64;
        }
    }

    pub(crate) fn write(&mut self, medium: &dyn StorageBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = self.range(offset, data.len())?;
        let mut from = range.start;
        while from < range.end {
            let begins = page_of(from) * PAGE_BYTES;
            let to = range.end.min(begins + PAGE_BYTES);
            let mut page = self.page(medium, page_of(from))?;
            copy(&mut page, from - begins, data, from - offset, to - from);
            self.pages.insert(page_of(from), page);
            from = to;
        }
        self.note(|| Change::Write(offset, data.into()));
        Ok(())
    }

    pub(crate) fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len < self.len {
            self.shows = self.shows.min(len);
            self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            if let Some(page) = self.pages.get_mut(&page_of(len)) {
                let kept = usize::try_from(len % PAGE_BYTES).unwrap_or(0);
                page.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            }
        }
        self.len = len;
        self.note(|| Change::SetLen(len));
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.note(|| Change::Sync);
        Ok(())
    }

    /// Takes the changes since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        let cut = self.cut.take().map(Change::SetLen);
        cut.into_iter().chain(self.log.as_mut().map(mem::take).unwrap_or_default()).collect()
    }

    fn note(&mut self, change: impl FnOnce() -> Change) {
        self.changed = true;
        if let Some(log) = &mut self.log {
            log.push(change());
        }
    }

    /// The range `offset..offset + len`, if it lies within the overlay.
    fn range(&self, offset: u64, len: usize) -> io::Result<Range<u64>> {
        let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len)).filter(|end| *end <= self.len);
        end.map(|end| offset..end).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads the medium's own bytes, and zeros after the last visible one.
    fn read_shown(&self, medium: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let shown = usize::try_from(self.shows.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (shown, zeros) = out.split_at_mut(shown);
        zeros.fill(0);
        if shown.is_empty() { Ok(()) } else { medium.read(offset, shown) }
    }

    fn page(&self, medium: &dyn StorageBackend, page: u64) -> io::Result<Box<[u8]>> {
        if let Some(bytes) = self.pages.get(&page) {
            return Ok(bytes.clone());
        }
        let mut bytes = vec![0; PAGE_BYTES as usize].into_boxed_slice();
        self.read_shown(medium, page * PAGE_BYTES, &mut bytes)?;
        Ok(bytes)
    }
}

fn page_of(offset: u64) -> u64 {
    offset / PAGE_BYTES
}

/// Copies `len` bytes. The callers' ranges lie inside their slices; if one did not, nothing is copied, rather than a
/// panic.
fn copy(to: &mut [u8], at: u64, from: &[u8], offset: u64, len: u64) {
    let (at, offset, len) = (at as usize, offset as usize, len as usize);
    if let (Some(to), Some(from)) = (to.get_mut(at..at + len), from.get(offset..offset + len)) {
        to.copy_from_slice(from);
    }
}
