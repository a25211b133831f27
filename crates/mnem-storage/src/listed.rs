//! Reading the blocks that a store lists, several with one request.

use std::collections::VecDeque;

use mnem_store_traits::{Bytes, Cid, CidIter, FetchAhead, Store, StoreError};

use crate::limits::LISTED_AHEAD_MAX;

/// The blocks of a listing, in its order.
pub(crate) struct ListedBlocks<'a> {
    store: &'a dyn Store,
    listing: CidIter<'a>,
    /// What was listed, and not yet read.
    listed: VecDeque<Result<Cid, StoreError>>,
    ahead: FetchAhead,
}

/// What came of an item of a listing: an error of the listing itself, or a CID and what reading its block gave.
pub(crate) type Listed = Result<(Cid, Result<Option<Bytes>, StoreError>), StoreError>;

impl<'a> ListedBlocks<'a> {
    /// `listing`: of this store, or a part of that.
    pub(crate) fn new(store: &'a dyn Store, listing: CidIter<'a>) -> Self {
        Self { store, listing, listed: VecDeque::new(), ahead: FetchAhead::new() }
    }
}

impl Iterator for ListedBlocks<'_> {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        if self.listed.is_empty() {
            self.listed.extend(self.listing.by_ref().take(LISTED_AHEAD_MAX));
        }
        let cid = match self.listed.pop_front()? {
            Ok(cid) => cid,
            Err(error) => return Some(Err(error)),
        };
        let next = self.listed.iter().map_while(|item| item.as_ref().ok()).copied();
        Some(Ok((cid, self.ahead.get(self.store, &cid, next))))
    }
}
