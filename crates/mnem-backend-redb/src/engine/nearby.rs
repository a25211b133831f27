//! Lookups in key order: the next row is close to the last one.

use std::sync::Mutex;

use redb::{OwnedAccessGuard, OwnedRange, ReadOnlyTable, StorageError};

use crate::limits::{NEARBY_LOOKUPS_MAX, NEARBY_LOOKUPS_MIN, NEARBY_ROWS, NEARBY_VALUE_BYTES_MAX};

/// The stored bytes of a row or its key, in a guard that pins their page.
pub(crate) type Stored = OwnedAccessGuard<&'static [u8]>;

/// A cursor in the table of a snapshot. A caller that reads blocks in key order finds the next one a few rows further
/// on, without descending the tree.
///
/// A number of lookups in ascending order opens a cursor; the first key that is not within a few rows of it closes it.
/// If a cursor found little, the next one opens later. In any other order a lookup costs one more comparison.
///
/// A key that is not found here may still be in the table.
#[derive(Default)]
pub(crate) struct Nearby(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    last: Vec<u8>,
    /// Ascending lookups since the order was broken or the cursor was closed.
    ascending: usize,
    /// Ascending lookups before the next cursor opens.
    needed: usize,
    place: Option<Place>,
}

struct Place {
    rows: OwnedRange<&'static [u8], &'static [u8]>,
    /// A row that was read and comes after the last key: the next lookup begins with it.
    next: Option<(Stored, Stored)>,
    found: usize,
}

impl Nearby {
    /// Finds the row of a key that is close to the previous key.
    pub(crate) fn find(
        &self,
        objects: &ReadOnlyTable<&'static [u8], &'static [u8]>,
        key: &[u8],
    ) -> Result<Option<Stored>, StorageError> {
        // Concurrent lookups have no order, and after a panic of redb the cursor is unusable.
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
        // A large row would stay in memory as long as the cursor.
        if !matches!(&found, Ok(Some(value)) if value.value().len() <= NEARBY_VALUE_BYTES_MAX) {
            seen.give_up();
        }
        found
    }
}

impl Seen {
    /// Whether the key continues an ascending sequence for which a cursor is open, or should be.
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
            // Passing over a large row reads all of it, and the next row may be large too.
            if is_large {
                break;
            }
        }
        Ok(None)
    }
}
