//! Removes the dead rows of a part of the table of blocks in one scan.

use std::{
    any::Any,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use mnem_store_traits::{IsDead, StoreError, Swept};
use redb::StorageError;

use crate::{
    engine::{keys, rows::ObjectsMut},
    error::At,
};

/// A scan. It removes nothing more after the caller's predicate panicked or a key proved to be no CID. The transaction
/// must then be aborted, so that nothing was removed at all.
pub(crate) struct Sweep<'a, 'b> {
    is_dead: &'a mut IsDead<'b>,
    swept: Swept,
    /// The first key that is no CID, and the error.
    broken: Option<(Vec<u8>, mnem_store_traits::cid::Error)>,
    /// The panic of the predicate. redb must not see it: it would poison the transaction.
    panic: Option<Box<dyn Any + Send>>,
}

impl<'a, 'b> Sweep<'a, 'b> {
    pub(crate) fn new(is_dead: &'a mut IsDead<'b>) -> Self {
        Self { is_dead, swept: Swept::default(), broken: None, panic: None }
    }

    pub(crate) fn run(
        &mut self,
        objects: &mut ObjectsMut<'_>,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<(), StorageError> {
        objects.retain_in::<&[u8], _>(range, |key, value| !self.removes(key, value.len() as u64))
    }

    fn removes(&mut self, key: &[u8], block_bytes: u64) -> bool {
        if self.broken.is_some() || self.panic.is_some() {
            return false;
        }
        let cid = match keys::decode(key) {
            Ok(cid) => cid,
            Err(error) => {
                self.broken = Some((key.to_vec(), error));
                return false;
            }
        };
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
