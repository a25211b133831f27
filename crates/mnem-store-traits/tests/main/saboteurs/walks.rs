//! Defects of graph walks, and of stores that are walked.

use std::collections::{BTreeSet, VecDeque};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, DAG_CBOR, MemoryStore, StoreError, Walk, conformance::BlockIter, links,
};

use super::{Defect, defect, saboteurs};

saboteurs! {
    walk_is_breadth_first: WalkIsBreadthFirst => walk_is_depth_first_in_encoded_order "walk of root";
    walk_keeps_its_first_plan: WalkDecodesRaw => walk_moves_pending_links_to_the_front "root → first → other → wanted";
    walk_keeps_its_first_plan_of_many: WalkDecodesRaw => walk_of_many_shared_links_is_in_order "walk of 0";
    walk_takes_malformed_for_leaves: WalkDecodesRaw => walk_reports_malformed_dag_cbor "cut off → trailing";
    walk_of_nothing_is_empty: WalkOfNothingIsEmpty => walk_reports_a_missing_root "root missing";
    walk_skips_identity: WalkSkipsIdentity => walk_finds_links_in_lists_and_maps "in a map";
    loses_what_is_walked: LosesNodes => walk_works_through_every_pointer "root missing";
    absence_is_an_error_to_a_walk: AbsenceIsNoLink => missing_links_names_each_absent_block_once "missing_links of";
    walk_skips_missing: WalkSkipsMissing => walk_reports_a_missing_child_with_its_parent "gone missing, linked from a";
    walk_repeats: WalkRepeats => walk_yields_a_shared_block_once "shared → right → shared";
    walk_ends_early: WalkEndsEarly => walk_of_a_deep_chain_ends "100000";
    walk_decodes_raw: WalkDecodesRaw => walk_takes_other_codecs_as_leaves "as raw → below";
    walk_decodes_raw_and_no_dag_pb: WalkDecodesRaw => walk_follows_dag_pb "data first → no links";
    walk_decodes_raw_and_no_dag_json: WalkDecodesRaw => walk_follows_dag_json "walk of root";
    walk_takes_other_malformed_for_leaves: WalkDecodesRaw => walk_reports_malformed_dag_pb_and_dag_json "cut off → data";
}

defect! {
    WalkIsBreadthFirst {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            let (mut pending, mut seen) = (VecDeque::from([root]), BTreeSet::new());
            Box::new(std::iter::from_fn(move || {
                let cid = std::iter::from_fn(|| pending.pop_front()).find(|cid| seen.insert(*cid))?;
                let data = store.get(&cid).transpose()?;
                if let Ok(data) = &data {
                    pending.extend(links(&cid, data).unwrap_or_default());
                }
                Some(data.map(|data| (cid, data)))
            }))
        }
    }

    WalkOfNothingIsEmpty {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            if store.has(&root).is_ok_and(|has| has) { Box::new(Walk::new(store, root)) } else { Box::new(std::iter::empty()) }
        }
    }

    WalkSkipsIdentity {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(Walk::new(store, root).filter(|item| !matches!(item, Ok((cid, _)) if cid.hash().code() == 0)))
        }
    }

    LosesNodes {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            inner.put_many(&mut blocks.filter(|block| !matches!(block, Ok((cid, _)) if cid.codec() == DAG_CBOR)))
        }
    }

    AbsenceIsNoLink {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            inner.get(cid)?.ok_or(StoreError::MissingBlock { cid: *cid, linked_from: None }).map(Some)
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

/// A walk that decodes every block as DAG-CBOR if possible, and follows the links that `wanted` accepts.
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
