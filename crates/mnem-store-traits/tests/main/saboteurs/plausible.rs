//! Defects with one caller, derived from the prose of the contract: plausible mistakes with batches, heads and side
//! tables.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, HeadChange, KeyIter, MemoryStore, OpHeadsStore, SideTable, Store,
    StoreError, WriteBatch,
    backend::{check_block, drain_checked, pages},
};

use super::{
    Defect, defect, lock,
    prose::{batch_of, rebuild},
    saboteurs,
};

// At first, no law or only a random one caught these. Each led to a new or a stricter law.
saboteurs! {
    batch_checks_each_cid_once: BatchChecksEachCidOnce => put_many_keeps_nothing_of_a_bad_batch "put_many of a block and of wrong bytes under its CID";
    commit_checks_each_cid_once: CommitChecksEachCidOnce => commit_keeps_nothing_of_a_bad_batch "commit of a block and of wrong bytes under its CID";
    batch_keeps_one_of_each_digest: BatchKeepsOneOfEachDigest => put_many_stores_the_same_bytes_under_each_cid "Ok(None)";
    commit_keeps_one_of_each_digest: CommitKeepsOneOfEachDigest => commit_stores_the_same_bytes_under_each_cid "Ok(None)";
    requires_by_digest: RequiresByDigest => commit_refuses_a_missing_requirement "Ok: the call was accepted";
    commit_drops_an_expected_new_head: CommitDropsAnExpectedNewHead => commit_changes_heads_as_swap_does "of two heads for one of them";
    reserves_table_names: ReservesTableNames => side_table_names_are_checked "is a table of the store's own";
    close_ends_a_listing: CloseEndsAListing => close_cuts_no_listing_short "and the end";
    handle_remembers_its_puts: HandleRemembersItsPuts => delete_is_visible_through_a_second_handle "through a second handle";
    swap_compares_what_the_handle_saw: SwapComparesWhatTheHandleSaw => head_changes_build_on_those_of_other_handles "Ok: the call was accepted";
}

/// Existing laws caught these.
pub(super) mod seen {
    use super::*;

    saboteurs! {
        swap_takes_a_superset: SwapTakesASuperset => swap_from_other_heads_is_refused "expecting both heads and another";
        swap_from_nothing_takes_all: SwapFromNothingTakesAll => swap_of_empty_sets_the_first_head "a second time";
        update_to_a_head_does_nothing: UpdateToAHeadDoesNothing => new_head_named_in_supersedes_stays "superseding a and b";
        head_before_its_requirements: HeadBeforeItsRequirements => commit_refuses_a_missing_requirement "after a commit that required an absent block";
        empty_value_is_none: EmptyValueIsNone => side_table_returns_what_was_written "Ok(Some(no bytes))";
        requires_what_it_remembers: RequiresWhatItRemembers => commit_takes_a_requirement_that_is_met "a block deleted since";
    }
}

defect! {
    // Removes repeated CIDs first and checks the rest, so different bytes under a repeated CID go unchecked.
    BatchChecksEachCidOnce {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut seen = HashSet::new();
            let batch: Vec<_> = blocks.collect::<Result<Vec<_>, _>>()?;
            let mut first = batch.into_iter().filter(|(cid, _)| seen.insert(*cid)).map(Ok);
            inner.put_many(&mut first)
        }
    }

    CommitChecksEachCidOnce {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let mut seen = HashSet::new();
            inner.commit(&rebuild(batch, |cid| seen.insert(*cid)))
        }
    }

    // Writes equal bytes only once per batch, whatever their CIDs.
    BatchKeepsOneOfEachDigest {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut seen = HashSet::new();
            let checked = drain_checked(blocks, inner.capabilities().block_bytes_max)?;
            inner.put_many(&mut checked.into_iter().filter(|(cid, _)| seen.insert(*cid.hash())).map(Ok))
        }
    }

    CommitKeepsOneOfEachDigest {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(inner.capabilities().block_bytes_max)?;
            let mut seen = HashSet::new();
            inner.commit(&rebuild(batch, |cid| seen.insert(*cid.hash())))
        }
    }

    // Accepts a swap if the expected heads include all heads and some more.
    SwapTakesASuperset {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            let actual = inner.heads()?;
            let knows_all = !actual.is_empty() && actual.iter().all(|head| expected.contains(head));
            if knows_all { inner.swap(&actual, new) } else { inner.swap(expected, new) }
        }
    }

    // Accepts a swap that expects no heads, whatever the heads are.
    SwapFromNothingTakesAll {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            if expected.is_empty() { inner.update(new, &inner.heads()?) } else { inner.swap(expected, new) }
        }
    }

    // If the new head is a head already, does nothing, and does not remove the superseded ones.
    UpdateToAHeadDoesNothing {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            if inner.heads()?.contains(new) { Ok(()) } else { inner.update(new, supersedes) }
        }
    }

    // Looks up a required block by its digest only.
    RequiresByDigest {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let there: Vec<Cid> = inner.cids()?.collect::<Result<_, _>>()?;
            let is_met = |cid: &Cid| there.iter().any(|other| other.hash() == cid.hash());
            inner.commit(&without_requirements(batch, is_met))
        }
    }

    // Moves the head, and only then checks the required blocks.
    HeadBeforeItsRequirements {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(inner.capabilities().block_bytes_max)?;
            inner.commit(&batch_of([], [], batch.head().cloned()))?;
            inner.commit(&batch_of(batch.puts().to_vec(), batch.required().to_vec(), None))
        }
    }

    // Adds the new head, and then removes the expected ones.
    CommitDropsAnExpectedNewHead {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let head = batch.head().cloned();
            let mut others = batch.clone();
            match head {
                Some(HeadChange::Swap { expected, new }) if expected.contains(&new[0]) && expected.len() > 1 => {
                    let other = expected.iter().copied().find(|cid| *cid != new[0]).unwrap_or(new[0]);
                    inner.commit(others.swap(expected, other))
                }
                _ => inner.commit(&others),
            }
        }
    }

    // Keeps its own tables beside those of its callers, and reserves their names.
    ReservesTableNames {
        fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            if ["objects", "op_heads", "meta", "blocks", "heads"].contains(&name) {
                let reason = format!("{name} is a table of the store's own");
                return Err(StoreError::InvalidArgument { operation: "side_table", reason });
            }
            inner.side_table(name)
        }
    }

    // Stores values in a nullable column, where a value of zero bytes becomes null.
    EmptyValueIsNone {
        fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            Ok(Arc::new(NoEmptyValues(inner.side_table(name)?)))
        }
    }

    // Lists page by page, and takes a closed store for the end of the listing.
    CloseEndsAListing {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            let all: Vec<Cid> = inner.cids()?.collect::<Result<_, _>>()?;
            let mut cids = all.into_iter();
            Ok(pages(move |_| {
                let is_open = inner.heads().is_ok();
                Ok(cids.by_ref().take(if is_open { 16 } else { 0 }).collect())
            }))
        }
    }
}

/// The same batch without the requirements that are met.
fn without_requirements(batch: &WriteBatch, is_met: impl Fn(&Cid) -> bool) -> WriteBatch {
    let others = batch.required().iter().copied().filter(|cid| !is_met(cid));
    batch_of(batch.puts().to_vec(), others, batch.head().cloned())
}

/// Remembers the blocks that it has seen, so that a commit need not look them up. `delete` does not remove them from
/// that memory.
#[derive(Debug, Default)]
pub(super) struct RequiresWhatItRemembers(Mutex<HashSet<Cid>>);

impl Defect for RequiresWhatItRemembers {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        inner.put(cid, data)?;
        lock(&self.0).insert(*cid);
        Ok(())
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let known = lock(&self.0).clone();
        inner.commit(&without_requirements(batch, |cid| known.contains(cid)))
    }
}

#[derive(Debug)]
struct NoEmptyValues(Arc<dyn SideTable>);

impl SideTable for NoEmptyValues {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(key)?.filter(|value| !value.is_empty()))
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.0.write(puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.0.keys(prefix)
    }
}

/// Each handle remembers the blocks that it has put, and does not put them again. A `delete` by another handle does not
/// remove them from that memory.
///
/// The memory of a handle is a store of its own; this type holds the real one.
#[derive(Debug, Default)]
pub(super) struct HandleRemembersItsPuts(MemoryStore);

impl Defect for HandleRemembersItsPuts {
    fn opened(&self, _: &MemoryStore, _: usize) -> MemoryStore {
        MemoryStore::new()
    }
    fn put(&self, known: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        if known.has(cid)? {
            return Ok(());
        }
        known.put(cid, Bytes::clone(&data))?;
        self.0.put(cid, data)
    }
    fn delete(&self, known: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        known.delete(cid)?;
        self.0.delete(cid)
    }
    fn get(&self, _: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.0.get(cid)
    }
    fn has(&self, _: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        self.0.has(cid)
    }
    fn size(&self, _: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.0.size(cid)
    }
    fn with_block(&self, _: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.0.with_block(cid, f)
    }
    fn cids<'a>(&'a self, _: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        self.0.cids()
    }
    fn put_many(&self, _: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.0.put_many(blocks)
    }
    fn put_trusted(&self, _: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.put_trusted(cid, data)
    }
}

/// Each handle remembers the heads that it saw last, and compares a swap with those.
#[derive(Debug, Default)]
pub(super) struct SwapComparesWhatTheHandleSaw(MemoryStore);

impl SwapComparesWhatTheHandleSaw {
    /// Replaces the real heads with those that the handle has seen.
    fn look(&self, handle: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let (heads, before) = (self.0.heads()?, handle.heads()?);
        if let Some(first) = heads.first() {
            handle.update(first, &before)?;
            heads.iter().try_for_each(|head| handle.update(head, &[]))?;
        }
        Ok(heads)
    }
}

impl Defect for SwapComparesWhatTheHandleSaw {
    fn opened(&self, _: &MemoryStore, _: usize) -> MemoryStore {
        MemoryStore::new()
    }
    fn heads(&self, handle: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        self.look(handle)
    }
    fn update(&self, handle: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.0.update(new, supersedes)?;
        self.look(handle).map(drop)
    }
    fn swap(&self, handle: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let seen: BTreeSet<Cid> = handle.heads()?.into_iter().collect();
        HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] }.apply(&seen)?;
        self.0.update(new, &self.0.heads()?)?;
        self.look(handle).map(drop)
    }
}
