//! Looking up rows in the order of their keys: the next one is near the one before.

use std::sync::Mutex;

use redb::{OwnedAccessGuard, OwnedRange, ReadOnlyTable, StorageError};

use crate::limits::{NEARBY_LOOKUPS_MAX, NEARBY_LOOKUPS_MIN, NEARBY_ROWS, NEARBY_VALUE_BYTES_MAX};

/// The stored bytes of a row or of its key, in a guard that keeps their page.
pub(crate) type Stored = OwnedAccessGuard<&'static [u8]>;

/// A cursor in the table of a snapshot. A caller that asks for blocks in key order finds the next one a few rows further on, without a descent of
/// the tree.
///
/// Some look-ups in ascending order open a cursor; the first key that is not within a few rows of it closes it. After a cursor that found little
/// the next one opens later. In any other order a look-up costs one more comparison.
///
/// A key that is not found here may still be in the table.
#[derive(Default)]
pub(crate) struct Nearby(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    last: Vec<u8>,
    /// Look-ups in ascending order since that was broken, or since a place was given up.
    ascending: usize,
    /// How many of them the next place takes.
    needed: usize,
    place: Option<Place>,
}

struct Place {
    rows: OwnedRange<&'static [u8], &'static [u8]>,
    /// A row that was read and lies behind the last key asked for: the next look-up begins with it.
    next: Option<(Stored, Stored)>,
    found: usize,
}

impl Nearby {
    /// The row of a key that is near the key before it.
    pub(crate) fn find(
        &self,
        objects: &ReadOnlyTable<&'static [u8], &'static [u8]>,
        key: &[u8],
    ) -> Result<Option<Stored>, StorageError> {
        // Threads that ask at the same time have no order, and after a panic of redb there is nothing to go on with.
        let Ok(mut seen) = self.0.try_lock() else { return Ok(None) };
        let seen = &mut *seen;
        if !seen.comes_next(key) {
            return Ok(None);
        }
        let place = match &mut seen.place {
            Some(place) => place,
            None => seen.place.insert(Place { rows: objects.range_owned(key..)?, next: None, found: 0 }),
        };
        let found = place.find(key);
        // A large row would stay in memory as long as the place.
        if !matches!(&found, Ok(Some(value)) if value.value().len() <= NEARBY_VALUE_BYTES_MAX) {
            seen.give_up();
        }
        found
    }
}

impl Seen {
    /// Whether the key is one for which there is a place, or should be.
    fn comes_next(&mut self, key: &[u8]) -> bool {
        let is_ascending = self.last.as_slice() < key;
        self.last.clear();
        self.last.extend_from_slice(key);
        if !is_ascending {
            self.give_up();
            return false;
        }
        self.ascending += 1;
        self.place.is_some() || self.ascending > self.needed.max(NEARBY_LOOKUPS_MIN)
    }

    fn give_up(&mut self) {
        self.ascending = 0;
        self.needed = match self.place.take() {
            Some(place) if place.found < NEARBY_LOOKUPS_MIN => {
                NEARBY_LOOKUPS_MAX.min(self.needed * 2 + NEARBY_LOOKUPS_MIN)
            }
            Some(_) => NEARBY_LOOKUPS_MIN,
            None => self.needed,
        };
    }
}

impl Place {
    fn find(&mut self, key: &[u8]) -> Result<Option<Stored>, StorageError> {
        for _ in 0..NEARBY_ROWS {
            let row = self.next.take().map(Ok).or_else(|| self.rows.next());
            let Some((row, value)) = row.transpose()? else { break };
            if row.value() == key {
                self.found += 1;
                return Ok(Some(value));
            }
            let is_large = value.value().len() > NEARBY_VALUE_BYTES_MAX;
            if row.value() > key {
                self.next = Some((row, value));
                break;
            }
            // A row of many bytes was read to be passed over: the next one may be another.
            if is_large {
                break;
            }
        }
        Ok(None)
    }
}
