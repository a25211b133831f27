//! Defects of commits and side tables.

use std::sync::Arc;

use mnem_store_traits::{
    Blockstore, Bytes, Cid, HeadChange, MemoryStore, OpHeadsStore, SideTable, Store, StoreError, WriteBatch,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{Defect, Gap, defect, prose::batch_of, saboteurs};

saboteurs! {
    commit_replaces_all_heads: CommitReplacesAll => commit_changes_heads_as_update_does "after commits of two updates";
    commit_compares_lists: CommitComparesLists => commit_changes_heads_as_swap_does "Err(HeadsMoved";
    commit_without_a_head_is_nothing: NothingWithoutAHead => commit_without_a_head_lands_blocks "after a commit without a head";
    commit_refuses_nothing: RefusesNothing => commit_of_nothing_changes_nothing "Err(InvalidArgument";
    commit_puts_before_it_requires: NotAtomic => commit_that_misses_a_requirement_keeps_no_block "never put";
    commit_checks_trusted_puts_only: DropsTrustedPuts => commit_takes_duplicates_and_trusted_puts "after a commit of it";
    commit_forgets_requirements_at_random: IgnoresRequirements => random_commits_agree_with_a_model "Err(MissingBlock)";
    commit_drops_the_head_when_blocks_are_present: DropsHead => commit_lands_the_head_when_blocks_are_present "Ok([])";
    commit_ignores_requirements: IgnoresRequirements => commit_refuses_a_missing_requirement "Ok: the call was accepted";
    commit_compares_before_it_requires: ComparesFirst => commit_decides_requirements_before_its_swap "Err(HeadsMoved";
    commit_requires_before_it_puts: RequiresTooEarly => commit_takes_a_requirement_that_is_met "Err(MissingBlock";
    commit_claims_to_be_atomic: NotAtomic => commit_with_a_failed_swap_keeps_no_block "never put";
    commit_updates_where_it_should_swap: SwapsBlindly => commit_with_a_failed_swap_moves_no_head "Ok: the call was accepted";
    commit_loses_its_last_block: LosesLastBlock => commit_lands_blocks_and_head "after the commit of 30 blocks";
    commit_with_head_first: HeadFirst => head_is_never_seen_without_its_blocks "once the head of its commit is visible";
    commit_trusts_sha2_512: CommitTrustsSha512 => commit_checks_every_supported_hash "commit of wrong bytes for sha2-512";
    commit_does_not_check: DoesNotCheck => commit_keeps_nothing_of_a_bad_batch "Ok: the call was accepted";
    close_forgets_side_tables: ClosesHalf => closed_store_refuses_side_tables "Err(Closed)";
    close_is_refused_twice: ClosesOnce => closed_store_refuses_calls "close() of a closed store";
}

/// Puts the blocks of a batch, one by one.
fn put_blocks(inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
    batch.puts().iter().try_for_each(|put| inner.put_trusted(&put.cid, put.data.clone()))
}

fn change_heads(inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
    inner.commit(&batch_of([], [], batch.head().cloned()))
}

fn require(inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
    for cid in batch.required() {
        if !inner.has(cid)? {
            return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
        }
    }
    Ok(())
}

defect! {
    NothingWithoutAHead {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if batch.head().is_some() { inner.commit(batch) } else { Ok(()) }
        }
    }

    DropsTrustedPuts {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let checked = batch.puts().iter().filter(|put| !put.trusted);
            checked.into_iter().try_for_each(|put| inner.put(&put.cid, put.data.clone()))?;
            inner.commit(&batch_of([], batch.required().to_vec(), batch.head().cloned()))
        }
    }

    CommitReplacesAll {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            match batch.head().cloned() {
                Some(HeadChange::Update { new, .. }) => inner.commit(batch.clone().update_all(new, inner.heads()?)),
                _ => inner.commit(batch),
            }
        }
    }

    CommitComparesLists {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let actual = inner.heads()?;
            match batch.head() {
                Some(HeadChange::Swap { expected, .. }) if *expected != actual => Err(StoreError::HeadsMoved { actual }),
                _ => inner.commit(batch),
            }
        }
    }

    RefusesNothing {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if batch.is_empty() {
                return Err(StoreError::InvalidArgument { operation: "commit", reason: "there is nothing to commit".into() });
            }
            inner.commit(batch)
        }
    }

    DropsHead {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            for put in batch.puts() {
                if !inner.has(&put.cid)? {
                    return inner.commit(batch);
                }
            }
            require(inner, batch)
        }
    }

    IgnoresRequirements {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            put_blocks(inner, batch)?;
            change_heads(inner, batch)
        }
    }

    ComparesFirst {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if let Some(change) = batch.head() {
                change.apply(&inner.heads()?.into_iter().collect())?;
            }
            inner.commit(batch)
        }
    }

    RequiresTooEarly {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            require(inner, batch)?;
            inner.commit(batch)
        }
    }

    NotAtomic {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            put_blocks(inner, batch)?;
            inner.commit(batch)
        }
    }

    SwapsBlindly {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            match batch.head().cloned() {
                Some(HeadChange::Swap { new, .. }) => inner.commit(batch.clone().update_all(new, inner.heads()?)),
                _ => inner.commit(batch),
            }
        }
    }

    LosesLastBlock {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            let puts = batch.puts();
            puts[..puts.len().saturating_sub(1)].iter().try_for_each(|put| inner.put(&put.cid, put.data.clone()))?;
            change_heads(inner, batch)
        }
    }

    CommitTrustsSha512 {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if batch.puts().iter().any(|put| put.cid.hash().code() == 0x13) {
                put_blocks(inner, batch)?;
                return change_heads(inner, batch);
            }
            inner.commit(batch)
        }
    }

    DoesNotCheck {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            put_blocks(inner, batch)?;
            change_heads(inner, batch)
        }
    }

    ClosesHalf {
        fn side_table(&self, _: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            MemoryStore::new().side_table(name)
        }
    }

    ClosesOnce {
        fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
            inner.heads()?;
            inner.close()
        }
    }
}

/// Makes the head visible before its blocks.
#[derive(Debug, Default)]
pub(super) struct HeadFirst(Gap);

impl Defect for HeadFirst {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        change_heads(inner, batch)?;
        self.0.wait_for(8);
        put_blocks(inner, batch)
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.0.look();
        inner.get(cid)
    }
}
