//! Defects of commits and side tables.

use std::{marker::PhantomData, sync::Arc};

use mnem_store_traits::{
    Blockstore, Bytes, Capabilities, Cid, HeadChange, KeyIter, MemoryStore, OpHeadsStore, SideTable, Store, StoreError,
    WriteBatch, limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{Defect, Gap, defect, saboteurs};

saboteurs! {
    commit_drops_the_head_when_blocks_are_present: DropsHead => commit_lands_the_head_when_blocks_are_present "Ok([])";
    commit_ignores_requirements: IgnoresRequirements => commit_refuses_a_missing_requirement "Ok: the call was accepted";
    commit_requires_before_it_puts: RequiresTooEarly => commit_takes_a_requirement_that_is_met "Err(MissingBlock";
    commit_claims_to_be_atomic: NotAtomic => commit_with_a_failed_swap_keeps_no_block "never put";
    commit_updates_where_it_should_swap: SwapsBlindly => commit_with_a_failed_swap_moves_no_head "Ok: the call was accepted";
    commit_loses_its_last_block: LosesLastBlock => commit_lands_blocks_and_head "after the commit of 30 blocks";
    commit_with_head_first: HeadFirst => head_is_never_seen_without_its_blocks "once the head of its commit is visible";
    commit_does_not_check: DoesNotCheck => commit_keeps_nothing_of_a_bad_batch "Ok: the call was accepted";
    close_forgets_side_tables: ClosesHalf => closed_store_refuses_side_tables "Err(Closed)";
    close_is_refused_twice: ClosesOnce => closed_store_refuses_calls "close() of a closed store";
    side_tables_are_claimed_and_absent: ClaimsSideTables => side_tables_are_offered_where_claimed "Err(Unsupported";
    side_tables_are_there_and_unclaimed: HidesSideTables => side_tables_are_offered_where_claimed "Err(Unsupported)";
    side_table_deletes_first: OneDefect<DeletesFirst> => side_table_write_applies_puts_then_deletes "both";
    side_table_prefix_ignored: OneDefect<IgnoresPrefix> => side_table_keys_are_sorted_and_filtered "keys(";
    side_table_writes_row_by_row: OneDefect<RowByRow> => side_table_write_is_seen_as_one_step "at least";
    side_tables_share_keys: SharedTable => side_tables_are_separate "of table";
    side_table_exists_when_opened: ExistsWhenOpened => side_table_exists_by_its_keys "after two were opened";
}

/// The blocks of a batch, one by one.
fn put_blocks(inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
    batch.puts().iter().try_for_each(|put| inner.put_trusted(&put.cid, put.data.clone()))
}

fn change_heads(inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
    match batch.head() {
        None => Ok(()),
        Some(HeadChange::Update { new, supersedes }) => inner.update(new, supersedes),
        Some(HeadChange::Swap { expected, new }) => inner.swap(expected, new),
    }
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
    DropsHead {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            for put in batch.puts() {
                if !inner.has(&put.cid)? {
                    return inner.commit(batch);
                }
            }
            require(inner, &batch)
        }
    }

    IgnoresRequirements {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            put_blocks(inner, &batch)?;
            change_heads(inner, &batch)
        }
    }

    RequiresTooEarly {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            require(inner, &batch)?;
            inner.commit(batch)
        }
    }

    NotAtomic {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            put_blocks(inner, &batch)?;
            inner.commit(batch)
        }
    }

    SwapsBlindly {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            match batch.head().cloned() {
                Some(HeadChange::Swap { new, .. }) => inner.commit(batch.update(new, inner.heads()?)),
                _ => inner.commit(batch),
            }
        }
    }

    LosesLastBlock {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            let puts = batch.puts();
            puts[..puts.len().saturating_sub(1)].iter().try_for_each(|put| inner.put(&put.cid, put.data.clone()))?;
            change_heads(inner, &batch)
        }
    }

    DoesNotCheck {
        fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
            put_blocks(inner, &batch)?;
            change_heads(inner, &batch)
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

    ClaimsSideTables {
        fn side_table(&self, _: &MemoryStore, _: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            Err(StoreError::Unsupported { backend: "this".into(), operation: "side_table".into() })
        }
    }

    HidesSideTables {
        fn capabilities(&self, _: &MemoryStore) -> Capabilities {
            Capabilities::WEAKEST
        }
    }

    SharedTable {
        fn side_table(&self, inner: &MemoryStore, _: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            inner.side_table("the_only_one")
        }
    }

    ExistsWhenOpened {
        fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            let table = inner.side_table(name)?;
            table.write(&[(Bytes::from_static(b"header"), Bytes::new())], &[])?;
            Ok(table)
        }
    }
}

/// Makes the head visible before its blocks.
#[derive(Debug, Default)]
struct HeadFirst(Gap);

impl Defect for HeadFirst {
    fn commit(&self, inner: &MemoryStore, batch: WriteBatch) -> Result<(), StoreError> {
        change_heads(inner, &batch)?;
        self.0.wait_for(8);
        put_blocks(inner, &batch)
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.0.look();
        inner.get(cid)
    }
}

/// A side table with one method that is not the reference's.
trait TableDefect: std::fmt::Debug + Default + Send + Sync + 'static {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        inner.write(puts, deletes)
    }
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        inner.keys(prefix)
    }
}

#[derive(Debug)]
struct Table<T> {
    inner: Arc<dyn SideTable>,
    gap: Gap,
    defect: PhantomData<T>,
}

impl<T: TableDefect> SideTable for Table<T> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.gap.look();
        self.inner.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        T::write(&*self.inner, &self.gap, puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        T::keys(&*self.inner, prefix)
    }
}

#[derive(Debug, Default)]
struct OneDefect<T>(T);

impl<T: TableDefect> Defect for OneDefect<T> {
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(Table::<T> { inner: inner.side_table(name)?, gap: Gap::default(), defect: PhantomData }))
    }
}

#[derive(Debug, Default)]
struct DeletesFirst;

impl TableDefect for DeletesFirst {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        inner.write(&[], deletes)?;
        inner.write(puts, &[])
    }
}

#[derive(Debug, Default)]
struct IgnoresPrefix;

impl TableDefect for IgnoresPrefix {
    fn keys<'a>(inner: &'a dyn SideTable, _: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        inner.keys(b"")
    }
}

#[derive(Debug, Default)]
struct RowByRow;

impl TableDefect for RowByRow {
    fn write(inner: &dyn SideTable, gap: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        for row in puts {
            inner.write(std::slice::from_ref(row), &[])?;
            gap.wait_for(6);
        }
        inner.write(&[], deletes)
    }
}
