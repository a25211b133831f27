//! The part of a file that a scan has in memory.

use std::ops::Range;

use redb::StorageBackend;

use crate::limits::{RAW_KEYS_BYTES_MAX, RAW_WINDOW_BYTES};

/// Unit of reading around a bad place: a failing disk may still read the sectors beside it.
const SECTOR_BYTES: usize = 512;

/// Bytes of a file from an offset on, with zeros for the unreadable ones.
#[derive(Debug, Default)]
pub(super) struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Moves to another offset, up to the end of the file. Returns how many bytes of its pages are unreadable.
    pub(super) fn move_to(&mut self, medium: &dyn StorageBackend, start: u64, len: u64) -> u64 {
        let bytes = len.saturating_sub(start).min((RAW_WINDOW_BYTES + RAW_KEYS_BYTES_MAX) as u64);
        self.start = start;
        self.bytes.clear();
        self.bytes.resize(usize::try_from(bytes).unwrap_or(0), 0);
        if medium.read(start, &mut self.bytes).is_ok() {
            return 0;
        }
        let mut unreadable = 0;
        for (part, at) in self.bytes.chunks_mut(SECTOR_BYTES).zip((start..).step_by(SECTOR_BYTES)) {
            if medium.read(at, part).is_err() {
                part.fill(0);
                if at < start + RAW_WINDOW_BYTES as u64 {
                    unreadable += part.len() as u64;
                }
            }
        }
        unreadable
    }

    /// The bytes from an offset on that hold the keys of a page there.
    pub(super) fn keys_at(&self, place: u64) -> &[u8] {
        let from = place.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let rest = from.and_then(|from| self.bytes.get(from..)).unwrap_or_default();
        rest.get(..RAW_KEYS_BYTES_MAX).unwrap_or(rest)
    }

    /// The bytes of a part of the file, if the window has all of them.
    pub(super) fn get(&self, part: &Range<u64>) -> Option<&[u8]> {
        let from = usize::try_from(part.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(part.end.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..to)
    }
}
