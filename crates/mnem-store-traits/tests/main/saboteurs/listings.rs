//! Defects of listings.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mnem_store_traits::{Blockstore, Bytes, Cid, CidIter, MemoryStore, RAW, StoreError, cid_of};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    one_cursor_for_all: OneCursorForAll => cids_may_be_left_half_way "while another listing is half way";
    lists_a_thousand: ListsAThousand => cids_lists_every_block_once "1000 items; missing";
    lists_twice: ListsTwice => cids_lists_every_block_once "repeated";
    lists_without_codec: ListsWithoutCodec => cids_lists_whole_cids "repeated";
    lists_foreign_names: ListsForeignNames => cids_of_an_empty_store_is_empty "never put";
    listing_locks_writers_out: ListingLocksWritersOut => cids_does_not_block_writers "no end: a deadlock";
}

defect! {
    ListsAThousand {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.take(1000)))
        }
    }

    ListsTwice {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.enumerate().flat_map(|(i, item)| vec![item; if i == 300 { 2 } else { 1 }])))
        }
    }

    ListsWithoutCodec {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.map(|item| item.map(|cid| Cid::new_v1(RAW, *cid.hash())))))
        }
    }

    ListsForeignNames {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.chain([Ok(cid_of(RAW, b"a temporary file"))])))
        }
    }
}

/// Holds its only lock for the length of a listing.
#[derive(Debug, Default)]
struct ListingLocksWritersOut(Mutex<()>);

impl Defect for ListingLocksWritersOut {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.put(cid, data)
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        // Never released, since the guard may not travel with the iterator: the law writes before the listing ends anyway.
        std::mem::forget(lock(&self.0));
        inner.cids()
    }
}

/// The store remembers where the listing is.
#[derive(Debug, Default)]
struct OneCursorForAll(AtomicUsize);

impl Defect for OneCursorForAll {
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let all: Vec<_> = inner.cids()?.collect();
        Ok(Box::new(std::iter::from_fn(move || {
            let item = all.get(self.0.fetch_add(1, Ordering::SeqCst)).cloned();
            if item.is_none() {
                self.0.store(0, Ordering::SeqCst);
            }
            item
        })))
    }
}
