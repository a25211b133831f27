//! Removes the dead rows of a part of the table of blocks in one scan.

use std::{
    any::Any,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use mnem_store_traits::{Cid, IsDead, StoreError, Swept};
use redb::ReadableTable as _;

use crate::{
    engine::{
        keys::{self, Ascending},
        rows::ObjectsMut,
    },
    error::At,
    limits::{SWEEP_BYTES_MAX, SWEEP_STRETCH_BYTES, SWEEP_STRETCH_ROWS},
};

/// A scan. It removes nothing more after the caller's predicate panicked or a key proved to be no CID. The transaction
/// must then be aborted, so that nothing was removed at all.
///
/// It alternates: it looks ahead over a stretch of rows, which tells how many bytes they have, and then removes the dead
/// ones among them. So it can end once it has read enough, and the rows of a stretch are still in redb's cache when they
/// are read again.
pub(crate) struct Sweep<'a, 'b> {
    is_dead: &'a mut IsDead<'b>,
    swept: Swept,
    /// The first key that is no CID, and the error.
    broken: Option<(Vec<u8>, mnem_store_traits::cid::Error)>,
    /// The panic of the predicate. redb must not see it: it would poison the transaction.
    panic: Option<Box<dyn Any + Send>>,
}

/// Neighbouring rows.
struct Stretch {
    /// The last key.
    end: Vec<u8>,
    rows: usize,
    bytes: u64,
    /// Whether the part has no rows after it.
    is_last: bool,
}

/// A tree showed more rows between two keys than it had a moment ago.
struct Disorder;

impl<'a, 'b> Sweep<'a, 'b> {
    pub(crate) fn new(is_dead: &'a mut IsDead<'b>) -> Self {
        Self { is_dead, swept: Swept::default(), broken: None, panic: None }
    }

    /// Removes the dead rows after the first key, up to and including the second one, or until enough bytes were read.
    pub(crate) fn run(
        &mut self,
        at: At<'_>,
        table: &str,
        objects: &mut ObjectsMut<'_>,
        [after, up_to]: [Option<&[u8]>; 2],
    ) -> Result<(), StoreError> {
        let (mut after, mut bytes) = (after.map(<[u8]>::to_vec), 0);
        while let Some(stretch) = look_ahead(at, table, objects, after.as_deref(), up_to)? {
            self.remove(at, objects, after.as_deref(), &stretch)?;
            bytes += stretch.bytes;
            if stretch.is_last || self.has_failed() {
                break;
            }
            if bytes >= SWEEP_BYTES_MAX {
                self.swept.ended_at = self.decode(&stretch.end);
                break;
            }
            after = Some(stretch.end);
        }
        Ok(())
    }

    fn remove(
        &mut self,
        at: At<'_>,
        objects: &mut ObjectsMut<'_>,
        after: Option<&[u8]>,
        stretch: &Stretch,
    ) -> Result<(), StoreError> {
        let range = (start_after(after), Bound::Included(&*stretch.end));
        let mut rows = 0;
        let scanned = objects.retain_in::<&[u8], _>(range, |key, value| {
            rows += 1;
            if rows > stretch.rows {
                // The pages of the tree form a cycle, or its keys lead astray. Nothing else ends redb's scan.
                resume_unwind(Box::new(Disorder));
            }
            !self.removes(key, value.len() as u64)
        });
        scanned.map_err(|error| at.redb(error))
    }

    fn removes(&mut self, key: &[u8], block_bytes: u64) -> bool {
        if self.has_failed() {
            return false;
        }
        let Some(cid) = self.decode(key) else { return false };
        match catch_unwind(AssertUnwindSafe(|| (self.is_dead)(&cid))) {
            Ok(dead) => {
                self.swept.count(block_bytes, dead);
                dead
            }
            Err(panic) => {
                self.panic = Some(panic);
                false
            }
        }
    }

    /// Decodes a key, or takes note that it is no CID.
    fn decode(&mut self, key: &[u8]) -> Option<Cid> {
        keys::decode(key).map_err(|error| self.broken = Some((key.to_vec(), error))).ok()
    }

    fn has_failed(&self) -> bool {
        self.broken.is_some() || self.panic.is_some()
    }

    /// The counts, and whether anything was removed that must be committed.
    pub(crate) fn outcome(&self, at: At<'_>, table: &str) -> Result<(Swept, bool), StoreError> {
        if let Some((key, error)) = &self.broken {
            return Err(at.damaged_row(table, key, error.to_string()));
        }
        if self.panic.is_some() {
            return Err(at.failed(mnem_store_traits::Outcome::NotApplied, "the predicate of a sweep panicked"));
        }
        Ok((self.swept, self.swept.removed > 0))
    }

    /// Passes on the panic of the predicate.
    pub(crate) fn resume_panic(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}

fn start_after(key: Option<&[u8]>) -> Bound<&[u8]> {
    key.map_or(Bound::Unbounded, Bound::Excluded)
}

/// The next rows of the part; `None` if there are none.
fn look_ahead(
    at: At<'_>,
    table: &str,
    objects: &ObjectsMut<'_>,
    after: Option<&[u8]>,
    up_to: Option<&[u8]>,
) -> Result<Option<Stretch>, StoreError> {
    if after.zip(up_to).is_some_and(|(after, up_to)| up_to <= after) {
        return Ok(None);
    }
    let range = (start_after(after), up_to.map_or(Bound::Unbounded, Bound::Included));
    let (mut keys, mut rows, mut bytes) = (Ascending::after(after), 0, 0);
    let mut ahead = objects.range::<&[u8]>(range).map_err(|error| at.redb(error))?;
    let is_last = loop {
        if rows == SWEEP_STRETCH_ROWS || bytes >= SWEEP_STRETCH_BYTES {
            break false;
        }
        let Some(row) = ahead.next() else { break true };
        let (key, value) = row.map_err(|error| at.redb(error))?;
        keys.next(at, table, key.value())?;
        (rows, bytes) = (rows + 1, bytes + (key.value().len() + value.value().len()) as u64);
    };
    Ok(keys.into_last().filter(|_| rows > 0).map(|end| Stretch { end, rows, bytes, is_last }))
}
