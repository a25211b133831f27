//! Defects of listings.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, MemoryStore, RAW, StoreError, backend::drain_checked, cid_of,
};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    one_cursor_for_all: OneCursorForAll => cids_may_be_left_half_way "while another listing is half way";
    lists_a_thousand: ListsAThousand => cids_lists_every_block_once "1000 items; missing";
    lists_the_lower_level_first: ListsTheLowerLevelFirst => cids_lists_what_moves_while_its_consumer_puts "missing";
    lists_twice: ListsTwice => cids_lists_every_block_once "repeated";
    lists_without_codec: ListsWithoutCodec => cids_lists_whole_cids "repeated";
    lists_foreign_names: ListsForeignNames => cids_of_an_empty_store_is_empty "never put";
    listing_is_ever_slower: EverSlower => long_listings_are_complete "the same time for each";
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

/// Takes ever longer for each name, as where a name is compared with all pairs of those before it.
#[derive(Debug, Default)]
struct EverSlower;

impl Defect for EverSlower {
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let compared = |i: usize| (0..i * i / 10_000).map(std::hint::black_box).for_each(|_| ());
        Ok(Box::new(inner.cids()?.enumerate().map(move |(i, cid)| {
            compared(i);
            cid
        })))
    }
}

/// Holds its only lock for as long as a listing runs.
#[derive(Debug, Default)]
struct ListingLocksWritersOut(Mutex<()>);

impl Defect for ListingLocksWritersOut {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.put(cid, data)
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        // Never released, because the guard cannot travel with the iterator. The law writes before the listing ends in
        // any case.
        std::mem::forget(lock(&self.0));
        inner.cids()
    }
}

/// Keeps the position of a listing in the store.
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

/// Keeps new blocks apart until there are many, and lists the others first. A listing misses blocks that move between
/// the two parts meanwhile.
#[derive(Debug, Default)]
struct ListsTheLowerLevelFirst(Mutex<BTreeSet<Cid>>);

impl Defect for ListsTheLowerLevelFirst {
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let blocks = drain_checked(blocks, inner.capabilities().block_bytes_max)?;
        let mut upper = lock(&self.0);
        upper.extend(blocks.iter().map(|(cid, _)| *cid));
        if upper.len() > 64 {
            upper.clear();
        }
        inner.put_many(&mut blocks.into_iter().map(Ok))
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let is_lower = |cid: &Result<Cid, StoreError>| !matches!(cid, Ok(cid) if lock(&self.0).contains(cid));
        let lower: Vec<_> = inner.cids()?.filter(is_lower).collect();
        let mut upper = None;
        let upper =
            std::iter::from_fn(move || upper.get_or_insert_with(|| lock(&self.0).clone().into_iter()).next().map(Ok));
        Ok(Box::new(lower.into_iter().chain(upper)))
    }
}
