//! Reads the listings of source and target side by side.

use std::{collections::HashSet, iter::Fuse, ops::ControlFlow};

use mnem_store_traits::{Cid, CidIter, Store};

use super::{CopyError, OfAStore as _, digest::SetDigest};
use crate::limits::COPY_WRITTEN_KNOWN_MAX;

/// The blocks that the source lists, each with whether the target lists it too.
///
/// Listings have no guaranteed order. As long as both list the same blocks in the same order, each block is met in both
/// at the same time; so it is if both are ascending.
pub(super) struct InStep<'a> {
    source: Listing<'a>,
    target: Listing<'a>,
    /// The target's next block.
    next: Option<Cid>,
    written: Written,
}

/// The blocks that were written to the target while it was listed. Its listing may show them or not.
struct Written {
    digest: SetDigest,
    /// `None` if there are too many.
    known: Option<HashSet<Cid>>,
}

/// A listing, the digest of what it has shown, and whether that was ascending.
struct Listing<'a> {
    cids: Fuse<CidIter<'a>>,
    digest: SetDigest,
    last: Option<Cid>,
    is_ascending: bool,
}

impl<'a> InStep<'a> {
    pub(super) fn new(from: &'a dyn Store, to: &'a dyn Store) -> Result<Self, CopyError> {
        let digest = SetDigest::new();
        let written = Written { digest: digest.empty(), known: Some(HashSet::new()) };
        let source = Listing::new(from.cids().of_source()?, digest.empty());
        let target = Listing::new(to.cids().of_target()?, digest);
        let mut in_step = Self { source, target, next: None, written };
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
        if let Some(cid) = cid {
            self.source.digest.add(&cid);
        }
        while let Some(there) = self.next {
            if cid.is_some_and(|cid| cid < there) {
                break;
            }
            self.next = self.next_of_target()?;
            if cid == Some(there) {
                return Ok(ControlFlow::Continue(Some((there, true))));
            }
            if go_on().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(cid.map(|cid| (cid, false))))
    }

    fn next_of_target(&mut self) -> Result<Option<Cid>, CopyError> {
        let next = self.target.next().of_target()?;
        if let Some(cid) = next
            && self.written.known.as_ref().is_none_or(|known| !known.contains(&cid))
        {
            self.target.digest.add(&cid);
        }
        Ok(next)
    }

    /// Takes note of a block that was written to the target.
    pub(super) fn wrote(&mut self, cid: &Cid) {
        self.written.digest.add(cid);
        self.written.known.as_mut().map(|known| known.insert(*cid));
        if self.written.known.as_ref().is_some_and(|known| known.len() > COPY_WRITTEN_KNOWN_MAX) {
            self.written.known = None;
        }
    }

    /// At the end: whether the target holds exactly the blocks that the source listed. `None` if this is unknown,
    /// because many blocks were written and the listings were not ascending.
    pub(super) fn are_the_same(mut self) -> Option<bool> {
        // If both listings are ascending, the target's has passed the place of each block that is written.
        let is_known = self.written.known.is_some() || (self.source.is_ascending && self.target.is_ascending);
        self.target.digest.join(&self.written.digest);
        is_known.then_some(self.source.digest == self.target.digest)
    }
}

impl<'a> Listing<'a> {
    fn new(cids: CidIter<'a>, digest: SetDigest) -> Self {
        Self { cids: cids.fuse(), digest, last: None, is_ascending: true }
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
