//! Defects of listings and walks.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use mnem_store_traits::{
    Blockstore, Bytes, Cid, CidIter, DAG_CBOR, MemoryStore, RAW, StoreError, Walk, cid_of, conformance::BlockIter,
    links,
};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    lists_a_thousand: ListsAThousand => cids_lists_every_block_once "1000 items; missing";
    lists_twice: ListsTwice => cids_lists_every_block_once "repeated";
    lists_without_codec: ListsWithoutCodec => cids_lists_whole_cids "repeated";
    lists_foreign_names: ListsForeignNames => cids_of_an_empty_store_is_empty "never put";
    listing_locks_writers_out: ListingLocksWritersOut => cids_does_not_block_writers "no end: a deadlock";
    walk_skips_missing: WalkSkipsMissing => walk_reports_a_missing_child_with_its_parent "gone missing, linked from a";
    walk_repeats: WalkRepeats => walk_yields_a_shared_block_once "shared → right → shared";
    walk_ends_early: WalkEndsEarly => walk_of_a_deep_chain_ends "100000";
    walk_decodes_raw: WalkDecodesRaw => walk_takes_other_codecs_as_leaves "as raw → below";
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

    WalkSkipsMissing {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(Walk::new(store, root).filter(|item| !matches!(item, Err(StoreError::MissingBlock { .. }))))
        }
    }

    WalkRepeats {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(naive_walk(store, root, |_| true))
        }
    }

    WalkEndsEarly {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(Walk::new(store, root).take(50_000))
        }
    }

    WalkDecodesRaw {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            let mut seen = BTreeSet::new();
            Box::new(naive_walk(store, root, move |cid| seen.insert(*cid)))
        }
    }
}

/// A walk that takes every block for DAG-CBOR where it can, and follows those links that `wanted` lets through.
fn naive_walk(
    store: &dyn Blockstore,
    root: Cid,
    mut wanted: impl FnMut(&Cid) -> bool,
) -> impl Iterator<Item = Result<(Cid, Bytes), StoreError>> {
    let mut pending = vec![root];
    std::iter::from_fn(move || {
        let cid = pending.pop()?;
        let data = match store.get(&cid) {
            Ok(Some(data)) => data,
            Ok(None) => return Some(Err(StoreError::MissingBlock { cid, linked_from: None })),
            Err(error) => return Some(Err(error)),
        };
        let found = links(&Cid::new_v1(DAG_CBOR, *cid.hash()), &data).unwrap_or_default();
        pending.extend(found.into_iter().rev().filter(|cid| wanted(cid)));
        Some(Ok((cid, data)))
    })
}

/// Holds its only lock for the length of a listing.
#[derive(Debug, Default)]
struct ListingLocksWritersOut(Mutex<()>);

impl Defect for ListingLocksWritersOut {
    const DEADLINE: Duration = Duration::from_secs(2);

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
