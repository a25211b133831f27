//! Reads the blocks that a store lists, several per request.

use std::collections::VecDeque;

use mnem_store_traits::{Bytes, Cid, CidIter, FetchAhead, Store, StoreError};

use crate::limits::LISTED_AHEAD_MAX;

/// The blocks of a listing, in its order.
pub(crate) struct ListedBlocks<'a> {
    store: &'a dyn Store,
    listing: CidIter<'a>,
    /// Listed, and not read yet.
    listed: VecDeque<Result<Cid, StoreError>>,
    /// How many items to list before the first of them is read.
    listed_max: usize,
    ahead: FetchAhead,
}

/// The result for one item of a listing: an error of the listing itself, or a CID and the result of reading its block.
pub(crate) type Listed = Result<(Cid, Result<Option<Bytes>, StoreError>), StoreError>;

impl<'a> ListedBlocks<'a> {
    /// `listing` is the listing of this store or a part of it.
    pub(crate) fn new(store: &'a dyn Store, listing: CidIter<'a>) -> Self {
        let listed_max = if store.capabilities().batched_reads { LISTED_AHEAD_MAX } else { 1 };
        Self { store, listing, listed: VecDeque::new(), listed_max, ahead: FetchAhead::new() }
    }
}

impl Iterator for ListedBlocks<'_> {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        if self.listed.is_empty() {
            self.listed.extend(self.listing.by_ref().take(self.listed_max));
        }
        let cid = match self.listed.pop_front()? {
            Ok(cid) => cid,
            Err(error) => return Some(Err(error)),
        };
        let next = self.listed.iter().map_while(|item| item.as_ref().ok()).copied();
        Some(Ok((cid, self.ahead.get(self.store, &cid, next))))
    }
}
