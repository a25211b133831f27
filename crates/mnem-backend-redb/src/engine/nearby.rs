//! Lookups in key order: the next row is close to the last one.

use std::sync::Mutex;

use redb::{AccessGuard, OwnedAccessGuard, OwnedRange, Range, ReadOnlyTable, ReadableTable, StorageError};

use crate::limits::{NEARBY_LOOKUPS_MAX, NEARBY_LOOKUPS_MIN, NEARBY_ROWS, NEARBY_VALUE_BYTES_MAX};

/// The stored bytes of a row or its key, in a guard that pins their page.
pub(crate) type Stored = OwnedAccessGuard<&'static [u8]>;

type StoredRows = OwnedRange<&'static [u8], &'static [u8]>;

/// The same, borrowed from a table.
type Lent<'a> = AccessGuard<'a, &'static [u8]>;

type LentRows<'a> = Range<'a, &'static [u8], &'static [u8]>;

/// The lookups of a snapshot, by all its readers. A caller that reads blocks in key order finds the next one a few rows
/// further on, without descending the tree.
///
/// A key that is not found here may still be in the table.
#[derive(Default)]
pub(crate) struct Nearby(Mutex<Lookups<StoredRows, Stored>>);

/// Which of many keys are in a table.
pub(crate) struct Presence<'a, T> {
    objects: &'a T,
    lookups: Lookups<LentRows<'a>, Lent<'a>>,
}

/// A number of lookups in ascending order opens a cursor; the first key that is not within a few rows of it closes it.
/// If a cursor found little, the next one opens later. In any other order a lookup costs one more comparison.
struct Lookups<R, G> {
    last: Vec<u8>,
    /// Ascending lookups since the order was broken or the cursor was closed.
    ascending: usize,
    /// Ascending lookups before the next cursor opens.
    needed: usize,
    cursor: Option<Cursor<R, G>>,
}

struct Cursor<R, G> {
    rows: R,
    /// A row that was read and comes after the last key: the next lookup begins with it.
    next: Option<(G, G)>,
    found: usize,
}

/// The bytes in a guard of redb.
trait Pinned {
    fn bytes(&self) -> &[u8];
}

impl Pinned for Stored {
    fn bytes(&self) -> &[u8] {
        self.value()
    }
}

impl Pinned for Lent<'_> {
    fn bytes(&self) -> &[u8] {
        self.value()
    }
}

impl Nearby {
    /// Finds the row of a key that is close to the previous key.
    pub(crate) fn find(
        &self,
        objects: &ReadOnlyTable<&'static [u8], &'static [u8]>,
        key: &[u8],
    ) -> Result<Option<Stored>, StorageError> {
        // Concurrent lookups have no order, and after a panic of redb the cursor is unusable.
        let Ok(mut lookups) = self.0.try_lock() else { return Ok(None) };
        lookups.find(key, || objects.range_owned(key..))
    }
}

impl<'a, T: ReadableTable<&'static [u8], &'static [u8]>> Presence<'a, T> {
    pub(crate) fn new(objects: &'a T) -> Self {
        Self { objects, lookups: Lookups::default() }
    }

    /// Whether the key is in the table and close to the previous key. If not, [`contains`](Self::contains) decides.
    pub(crate) fn is_near(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        match self.lookups.find(key, || self.objects.range::<&[u8]>(key..)) {
            Ok(None) | Err(StorageError::Corrupted(_)) => Ok(false),
            found => found.map(|found| found.is_some()),
        }
    }

    /// Whether the key is in the table.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, StorageError> {
        Ok(self.objects.get(key)?.is_some())
    }
}

impl<R, G> Default for Lookups<R, G> {
    fn default() -> Self {
        Self { last: Vec::new(), ascending: 0, needed: 0, cursor: None }
    }
}

impl<R: Iterator<Item = Result<(G, G), StorageError>>, G: Pinned> Lookups<R, G> {
    /// The row of a key that is close to the previous key. `rows`: those from this key on.
    fn find(&mut self, key: &[u8], rows: impl FnOnce() -> Result<R, StorageError>) -> Result<Option<G>, StorageError> {
        if !self.comes_next(key) {
            return Ok(None);
        }
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            None => self.cursor.insert(Cursor { rows: rows()?, next: None, found: 0 }),
        };
        let found = cursor.find(key);
        // A large row would stay in memory as long as the cursor.
        if !matches!(&found, Ok(Some(value)) if value.bytes().len() <= NEARBY_VALUE_BYTES_MAX) {
            self.close();
        }
        found
    }

    /// Whether the key continues an ascending sequence for which a cursor is open, or should be.
    fn comes_next(&mut self, key: &[u8]) -> bool {
        let is_ascending = self.last.as_slice() < key;
        self.last.clear();
        self.last.extend_from_slice(key);
        if !is_ascending {
            self.close();
            return false;
        }
        self.ascending += 1;
        self.cursor.is_some() || self.ascending > self.needed.max(NEARBY_LOOKUPS_MIN)
    }

    fn close(&mut self) {
        self.ascending = 0;
        self.needed = match self.cursor.take() {
            Some(cursor) if cursor.found < NEARBY_LOOKUPS_MIN => {
                NEARBY_LOOKUPS_MAX.min(self.needed * 2 + NEARBY_LOOKUPS_MIN)
            }
            Some(_) => NEARBY_LOOKUPS_MIN,
            None => self.needed,
        };
    }
}

impl<R: Iterator<Item = Result<(G, G), StorageError>>, G: Pinned> Cursor<R, G> {
    fn find(&mut self, key: &[u8]) -> Result<Option<G>, StorageError> {
        for _ in 0..NEARBY_ROWS {
            let row = self.next.take().map(Ok).or_else(|| self.rows.next());
            let Some((row, value)) = row.transpose()? else { break };
            if row.bytes() == key {
                self.found += 1;
                return Ok(Some(value));
            }
            let is_large = value.bytes().len() > NEARBY_VALUE_BYTES_MAX;
            if row.bytes() > key {
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
