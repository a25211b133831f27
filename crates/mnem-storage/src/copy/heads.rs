//! Copies the heads.

use mnem_store_traits::{Cid, Store, StoreError, WriteBatch};

use super::{CopyError, OfAStore as _};

/// The heads of both stores, each list ascending.
pub(super) struct Heads {
    pub(super) of_source: Vec<Cid>,
    /// Heads of the target, not of the source, whose blocks the source holds. They are replaced.
    pub(super) replaced: Vec<Cid>,
    /// Heads of the target whose blocks the source does not hold. They stay.
    pub(super) merged: Vec<Cid>,
}

impl Heads {
    /// Reads the heads of both stores, and decides which heads of the target are replaced.
    pub(super) fn read(from: &dyn Store, to: &dyn Store, merge: bool) -> Result<Self, CopyError> {
        let of_source = from.heads().of_source()?;
        let (mut replaced, mut merged) = (Vec::new(), Vec::new());
        for head in to.heads().of_target()? {
            if of_source.binary_search(&head).is_ok() {
                continue;
            }
            if from.has(&head).of_source()? {
                replaced.push(head);
            } else if merge {
                merged.push(head);
            } else {
                let reason = format!(
                    "the target has head {head}, whose block is not in the source: it may be a copy of another store"
                );
                return Err(refused(reason));
            }
        }
        match replaced.first() {
            Some(head) if of_source.is_empty() => {
                Err(refused(format!("the source has no heads, but the target has head {head}")))
            }
            _ => Ok(Self { of_source, replaced, merged }),
        }
    }

    /// Whether the heads of the source have changed.
    pub(super) fn have_moved(&self, from: &dyn Store) -> Result<bool, CopyError> {
        Ok(from.heads().of_source()? != self.of_source)
    }

    /// Sets the heads of the target, in one commit.
    pub(super) fn set(&self, to: &dyn Store) -> Result<(), CopyError> {
        let present = to.heads().of_target()?;
        if self.of_source.iter().all(|head| present.contains(head)) && self.replaced.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        batch.update_all(self.of_source.iter().copied(), self.replaced.iter().copied());
        for head in &self.of_source {
            // A head without a block in the source stays a head without a block in the copy.
            if to.has(head).of_target()? {
                batch.require(*head);
            }
        }
        to.commit(&batch).of_target()
    }

    /// The final heads of the target.
    pub(super) fn of_target(&self) -> Vec<Cid> {
        let mut heads = [&self.of_source[..], &self.merged].concat();
        heads.sort_unstable();
        heads
    }
}

fn refused(reason: String) -> CopyError {
    CopyError::Target(StoreError::InvalidArgument { operation: "copy", reason }.into())
}
