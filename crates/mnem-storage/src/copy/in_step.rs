//! Reads the listings of source and target side by side.

use std::{iter::Fuse, ops::ControlFlow};

use mnem_store_traits::{Cid, CidIter, Store};

use super::{CopyError, OfAStore as _};

/// The blocks that the source lists, each with whether the target lists it too.
///
/// Listings have no guaranteed order. If both turn out to be ascending, each block is met in both at the same time, so
/// it is known which blocks only one of them has. Blocks that are written meanwhile lie before the current place of the
/// target's listing.
pub(super) struct InStep<'a> {
    source: Ascending<'a>,
    target: Ascending<'a>,
    /// The target's next block.
    next: Option<Cid>,
    /// Whether the target listed a block that the source did not.
    more_in_target: bool,
}

/// A listing that detects whether it is ascending.
struct Ascending<'a> {
    cids: Fuse<CidIter<'a>>,
    last: Option<Cid>,
    is_ascending: bool,
}

impl<'a> InStep<'a> {
    pub(super) fn new(from: &'a dyn Store, to: &'a dyn Store) -> Result<Self, CopyError> {
        let source = Ascending::new(from.cids().of_source()?);
        let mut target = Ascending::new(to.cids().of_target()?);
        let next = target.next().of_target()?;
        Ok(Self { source, target, next, more_in_target: false })
    }

    /// The next block of the source, and whether the target listed it. The target may hold it even if it did not list
    /// it. Calls `go_on` at each block that only the target listed, because there may be many.
    pub(super) fn next(
        &mut self,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Option<(Cid, bool)>>, CopyError> {
        let cid = self.source.next().of_source()?;
        while let Some(there) = self.next {
            if cid.is_some_and(|cid| cid < there) {
                break;
            }
            self.next = self.target.next().of_target()?;
            if cid == Some(there) {
                return Ok(ControlFlow::Continue(Some((there, true))));
            }
            self.more_in_target = true;
            if go_on().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(cid.map(|cid| (cid, false))))
    }

    /// At the end: whether the target listed only blocks of the source. `None` if this is unknown, because a listing
    /// was not ascending.
    pub(super) fn is_no_more_in_target(&self) -> Option<bool> {
        (self.source.is_ascending && self.target.is_ascending).then_some(!self.more_in_target)
    }
}

impl<'a> Ascending<'a> {
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
