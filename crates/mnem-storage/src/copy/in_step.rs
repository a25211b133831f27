//! Following the listings of source and target side by side.

use std::{iter::Fuse, ops::ControlFlow};

use mnem_store_traits::{Cid, CidIter, Store};

use super::{CopyError, OfAStore as _};

/// The blocks that the source lists, in its order, each compared with the listing of the target.
///
/// No listing promises an order. Where both are ascending, which is seen on the way, each block is met in both at once,
/// and what only one of them has is known. Blocks that are written meanwhile lie before the place that the target's
/// listing has reached.
pub(super) struct InStep<'a> {
    source: Ascending<'a>,
    target: Ascending<'a>,
    /// The block of the target that was not met yet.
    next: Option<Cid>,
    /// Whether the target listed a block that the source did not.
    more_in_target: bool,
}

/// A listing that notices whether it is ascending.
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

    /// The next block of the source, and whether the target listed it. One that it did not list may be there all the
    /// same. Asks whether to go on at each block that only the target listed: there may be many.
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

    /// Whether the target listed no block but those of the source, once both are at their end. `None` if that cannot be
    /// told, because a listing was not ascending.
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
