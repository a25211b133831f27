//! Reads the listings of source and target side by side.

use std::{collections::HashSet, iter::Fuse, ops::ControlFlow};

use mnem_store_traits::{Cid, CidIter, Store};

use super::{CopyError, OfAStore as _, digest::SetDigest};
use crate::limits::COPY_WRITTEN_KNOWN_MAX;

/// The blocks that the source lists, each with whether the target lists it too.
///
/// Listings have no guaranteed order. If both list the same blocks in the same order, or if both ascend, each block is
/// met in both at the same time.
pub(super) struct InStep<'a> {
    source: Listing<'a>,
    target: Listing<'a>,
    /// The target's next block.
    next: Option<Next>,
    written: Written,
    /// The blocks that the source has listed, less those that the target has listed or that were written to it. A block
    /// that is met in both at the same time changes nothing and costs no hash.
    difference: SetDigest,
}

/// A block that the target lists.
#[derive(Clone, Copy)]
struct Next {
    cid: Cid,
    /// Whether it was written by this copy, and is counted already.
    is_written: bool,
}

/// The blocks that were written to the target while it was listed. Its listing may or may not show them. `None` if
/// there are too many.
type Written = Option<HashSet<Cid>>;

/// A listing, and whether what it has shown was ascending.
struct Listing<'a> {
    cids: Fuse<CidIter<'a>>,
    last: Option<Cid>,
    is_ascending: bool,
}

impl<'a> InStep<'a> {
    pub(super) fn new(from: &'a dyn Store, to: &'a dyn Store) -> Result<Self, CopyError> {
        let source = Listing::new(from.cids().of_source()?);
        let target = Listing::new(to.cids().of_target()?);
        let (written, difference) = (Some(HashSet::new()), SetDigest::new());
        let mut in_step = Self { source, target, next: None, written, difference };
        in_step.next = in_step.next_of_target()?;
        Ok(in_step)
    }

    /// Before the first block is taken: whether the target lists none.
    pub(super) fn is_target_empty(&self) -> bool {
        self.next.is_none()
    }

    /// The next block of the source, and whether the target listed it. The target may hold it even if it did not list
    /// it. Calls `go_on` at each block that only the target listed, because there may be many.
    pub(super) fn next(
        &mut self,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Option<(Cid, bool)>>, CopyError> {
        let cid = self.source.next().of_source()?;
        while let Some(there) = self.next {
            if cid.is_some_and(|cid| cid < there.cid) {
                break;
            }
            self.next = self.next_of_target()?;
            if cid == Some(there.cid) {
                if there.is_written {
                    self.difference.add(&there.cid);
                }
                return Ok(ControlFlow::Continue(Some((there.cid, true))));
            }
            if !there.is_written {
                self.difference.remove(&there.cid);
            }
            if go_on().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if let Some(cid) = &cid {
            self.difference.add(cid);
        }
        Ok(ControlFlow::Continue(cid.map(|cid| (cid, false))))
    }

    fn next_of_target(&mut self) -> Result<Option<Next>, CopyError> {
        let cid = self.target.next().of_target()?;
        let is_written = |cid: &Cid| self.written.as_ref().is_some_and(|written| written.contains(cid));
        Ok(cid.map(|cid| Next { cid, is_written: is_written(&cid) }))
    }

    /// Records a block that was written to the target.
    pub(super) fn wrote(&mut self, cid: &Cid) {
        self.difference.remove(cid);
        self.written.as_mut().map(|written| written.insert(*cid));
        if self.written.as_ref().is_some_and(|written| written.len() > COPY_WRITTEN_KNOWN_MAX) {
            self.written = None;
        }
    }

    /// At the end: whether the target holds exactly the blocks that the source listed. `None` if this is unknown,
    /// because many blocks were written and the listings were not ascending.
    pub(super) fn are_the_same(self) -> Option<bool> {
        // If both listings are ascending, the target's has passed the place of each block that is written.
        let is_known = self.written.is_some() || (self.source.is_ascending && self.target.is_ascending);
        is_known.then(|| self.difference.is_empty())
    }
}

impl<'a> Listing<'a> {
    fn new(cids: CidIter<'a>) -> Self {
        Self { cids: cids.fuse(), last: None, is_ascending: true }
    }

    fn next(&mut self) -> Result<Option<Cid>, mnem_store_traits::StoreError> {
        let cid = self.cids.next().transpose()?;
        if let Some(cid) = cid {
            self.is_ascending &= self.last.is_none_or(|last| last < cid);
            self.last = Some(cid);
        }
        Ok(cid)
    }
}
