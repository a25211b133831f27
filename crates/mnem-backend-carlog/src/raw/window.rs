//! The part of a segment that a scan has in memory.

use std::sync::Arc;

use crate::{engine::files::File, limits::WINDOW_BYTES};

/// Unit of reading around a bad place: a failing disk may still read the sectors beside it.
const SECTOR_BYTES: usize = 512;

/// Bytes of a file from an offset on, with zeros for the unreadable ones. It moves forward with the reads.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn File>,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
    /// The end of the part that was read so far, and how many of its bytes are unreadable.
    read_to: u64,
    unreadable: u64,
}

impl Window {
    pub(super) fn new(file: Arc<dyn File>, len: u64) -> Self {
        Self { file, len, start: 0, bytes: Vec::new(), read_to: 0, unreadable: 0 }
    }

    /// The number of unreadable bytes so far.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Up to `len` bytes at `offset`, fewer only at the end of the file. At most [`WINDOW_BYTES`].
    pub(super) fn read(&mut self, offset: u64, len: usize) -> &[u8] {
        let wanted = len.min(usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX));
        let at = self.position(offset, wanted).unwrap_or_else(|| {
            self.fill(offset);
            0
        });
        self.bytes.get(at..(at + wanted).min(self.bytes.len())).unwrap_or_default()
    }

    /// Bytes that a section claims: from memory, or with a read of just these. `None` if they cannot be read.
    pub(super) fn claimed(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        if let Some(at) = self.position(offset, len) {
            return self.bytes.get(at..at + len).map(<[u8]>::to_vec);
        }
        let mut bytes = vec![0; len];
        let read = self.file.read_at(&mut bytes, offset).ok()?;
        (read == len).then_some(bytes)
    }

    fn position(&self, offset: u64, len: usize) -> Option<usize> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..at.checked_add(len)?)?;
        Some(at)
    }

    fn fill(&mut self, offset: u64) {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.start = offset;
        self.bytes.clear();
        self.bytes.resize(WINDOW_BYTES.min(left), 0);
        match self.file.read_at(&mut self.bytes, offset) {
            Ok(read) => self.bytes.truncate(read),
            Err(_) => self.fill_by_sectors(offset),
        }
        self.read_to = self.read_to.max(offset + self.bytes.len() as u64);
    }

    fn fill_by_sectors(&mut self, offset: u64) {
        let mut at = offset;
        let mut rest = &mut self.bytes[..];
        while !rest.is_empty() {
            // Up to the end of a sector of the file.
            let bytes = SECTOR_BYTES - usize::try_from(at % SECTOR_BYTES as u64).unwrap_or(0);
            let (part, after) = rest.split_at_mut(bytes.min(rest.len()));
            if self.file.read_at(part, at).is_err() {
                part.fill(0);
                let end = at + part.len() as u64;
                self.unreadable += end.saturating_sub(at.max(self.read_to));
            }
            at += part.len() as u64;
            rest = after;
        }
    }
}
