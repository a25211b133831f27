//! Reads a damaged file: the view of the medium that redb gets, and listings that skip unreadable pages.

use std::{collections::VecDeque, io, ops::Bound};

use mnem_store_traits::{Bytes, StoreError};
use redb::StorageBackend;

use crate::{
    engine::{
        header::{
            FIELDS_END, FLAGS, FULL_REGIONS, LAST_COMMIT, PAGE, PAGE_BYTES, REGION_HEADER_PAGES, REGION_PAGES,
            TRAILING_PAGES, UNCLEAN, field, set,
        },
        keys::Ascending,
        overlay::Overlay,
    },
    error::At,
    limits::{LENIENT_BREAKS_MAX, PAGE_NAMES},
};

/// The view of the medium for redb: a file that was closed cleanly, with the length that its header says and zeros
/// where its end is missing. With `before`, the state one commit earlier.
pub(crate) fn view(medium: &dyn StorageBackend, before: bool) -> io::Result<Overlay> {
    let len = medium.len()?;
    let mut overlay = Overlay::over(len, false);
    overlay.set_len(len.max(2 * PAGE).next_multiple_of(PAGE))?;
    let mut header = [0; FIELDS_END];
    overlay.read_leniently(medium, 0, &mut header);
    if let Some(flags) = header.get_mut(FLAGS) {
        *flags &= !UNCLEAN;
        *flags ^= if before { LAST_COMMIT } else { 0 };
    }
    set(&mut header, PAGE_BYTES, PAGE);
    // Every file that redb wrote has regions of the same size. If another size is stored here, redb reports it.
    let region_header = u64::from(field(&header, REGION_HEADER_PAGES));
    let region = u64::from(field(&header, REGION_PAGES));
    let pages = overlay.len() / PAGE - 1;
    if region > 0 && region_header < pages {
        let full = pages / (region_header + region);
        let mut rest = pages % (region_header + region);
        if rest > 0 {
            rest = rest.max(region_header + 1);
        }
        overlay.set_len((1 + full * (region_header + region) + rest) * PAGE)?;
        set(&mut header, FULL_REGIONS, full);
        set(&mut header, TRAILING_PAGES, rest.saturating_sub(region_header));
    }
    overlay.write(medium, 0, &header)?;
    Ok(overlay)
}

/// Reads up to a number of keys after a bound, in ascending order. Adds each to the list as it is read, so the list is
/// filled even if the call fails.
pub(crate) type ReadKeys<'a> = dyn Fn(Bound<&[u8]>, usize, &mut Vec<Bytes>) -> Result<(), StoreError> + Send + 'a;

/// The keys of a table, and an error for each unreadable place. After an error the listing continues with the next key
/// that can be found.
pub(crate) struct Listing<'a> {
    read: Box<ReadKeys<'a>>,
    /// Every key up to this one has been returned or skipped.
    last: Option<Vec<u8>>,
    found: VecDeque<Result<Bytes, StoreError>>,
    breaks: usize,
    ended: bool,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(read: Box<ReadKeys<'a>>) -> Self {
        Self { read, last: None, found: VecDeque::new(), breaks: 0, ended: false }
    }

    fn fill(&mut self) {
        let mut keys = Vec::new();
        let start = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let read = (self.read)(start, PAGE_NAMES, &mut keys);
        if let Some(last) = keys.last() {
            self.last = Some(last.to_vec());
        }
        self.ended = keys.len() < PAGE_NAMES;
        self.found.extend(keys.into_iter().map(Ok));
        if let Err(error) = read {
            self.ended = true;
            // Any other error means a closed handle, which no other place can cure.
            if matches!(error, StoreError::Damaged { .. }) && self.breaks < LENIENT_BREAKS_MAX {
                self.breaks += 1;
                let next =
                    next_readable(place_of(self.last.as_deref().unwrap_or_default()), |place| self.reads_at(place));
                self.ended = next.is_none();
                self.last = next.map(|place| place.to_be_bytes().to_vec());
            }
            self.found.push_back(Err(error));
        }
    }

    /// Whether the first key after `place` can be read, or there is none.
    fn reads_at(&self, place: u128) -> bool {
        (self.read)(Bound::Excluded(&place.to_be_bytes()), 1, &mut Vec::new()).is_ok()
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<Bytes, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.found.is_empty() && !self.ended {
            self.fill();
        }
        self.found.pop_front()
    }
}

/// The first bytes of a key as a number, which orders the keys. Of a block's key with a digest of 32 bytes, twelve are
/// digest.
fn place_of(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(key).for_each(|(byte, of_key)| *byte = *of_key);
    u128::from_be_bytes(bytes)
}

/// Finds the first place after `from` from which the table can be read, as closely as possible. A damaged page hides a
/// range of keys, and the tree leads past it to the keys that follow.
///
/// Probes ahead in steps that grow by an eighth, so that a readable page between two damaged ones is rarely skipped,
/// then bisects.
fn next_readable(from: u128, reads_at: impl Fn(u128) -> bool) -> Option<u128> {
    // Two pages of a table of blocks are never closer than this.
    let mut step: u128 = 1 << 56;
    let mut unreadable = from;
    let mut readable = loop {
        let place = from.saturating_add(step);
        if reads_at(place) {
            break place;
        }
        if place == u128::MAX {
            return None;
        }
        unreadable = place;
        step = step.saturating_add(step / 8);
    };
    while readable - unreadable > 1 {
        let middle = unreadable + (readable - unreadable) / 2;
        if reads_at(middle) {
            readable = middle;
        } else {
            unreadable = middle;
        }
    }
    Some(readable)
}

/// Adds the keys of up to `rows` rows, each as it is read.
pub(crate) fn read_keys(
    at: At<'_>,
    table: &str,
    start: Bound<&[u8]>,
    range: redb::Range<'_, &'static [u8], &'static [u8]>,
    rows: usize,
    found: &mut Vec<Bytes>,
) -> Result<(), StoreError> {
    let mut order = Ascending::after(match start {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    });
    for row in range.take(rows) {
        let (key, _) = row.map_err(|error| at.redb(error))?;
        order.next(at, table, key.value())?;
        found.push(Bytes::copy_from_slice(key.value()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_cannot_be_read_is_found_exactly() {
        let from = place_of(b"\x01\x71\x12\x20abc");
        let end = from + (1 << 90) + 12_345;
        assert_eq!(next_readable(from, |place| place >= end), Some(end));
        assert_eq!(next_readable(from, |_| false), None);
        assert_eq!(next_readable(from, |_| true), Some(from + 1));
        // A second unreadable range of the same size, after a readable one: the end of the first is found.
        let second = end + (1 << 88);
        assert_eq!(
            next_readable(from, |place| (end..second).contains(&place) || place >= second + (1 << 90)),
            Some(end)
        );
    }
}
