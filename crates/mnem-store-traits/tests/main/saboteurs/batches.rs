//! Defects of batches and deletes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use mnem_store_traits::{Blocks, Blockstore, Bytes, Cid, MemoryStore, StoreError};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    keeps_what_came_before_a_panic: KeepsGoodPart => panicking_iterator_leaves_the_store_usable "after the iterator of a put_many panicked";
    torn_batch_seen_by_a_reader: KeepsGoodPart => reader_does_not_wait_for_a_batch "while a put_many drains its iterator";
    refuses_empty_batches: RefusesEmptyBatches => put_many_of_nothing_is_ok "Err(InvalidArgument";
    refuses_duplicates: RefusesDuplicates => put_many_takes_duplicates "named twice";
    refuses_batches_with_present_blocks: RefusesPresent => put_many_takes_present_blocks "already there";
    deletes_by_digest: DeletesByDigest => delete_takes_the_whole_cid "after the delete of another CID with the same digest";
    loses_last_of_batch: LosesLastOfBatch => put_many_stores_every_block "Ok(None)";
    keeps_good_part_of_a_bad_batch: KeepsGoodPart => put_many_keeps_nothing_of_a_bad_batch "never put";
    keeps_prefix_of_a_failed_iterator: KeepsGoodPart => put_many_keeps_nothing_when_the_iterator_fails "never put";
    deletes_to_undo: DeletesToUndo => failed_put_many_leaves_present_blocks "Ok(None)";
    locks_while_draining: LocksWhileDraining => put_many_iterator_may_use_the_store "no end: a deadlock";
    readers_wait_for_a_batch: LocksWhileDraining => reader_does_not_wait_for_a_batch "readers wait for a batch";
    deletes_neighbours: DeletesNeighbours => delete_removes_only_its_block "after the delete of others";
    delete_of_absent_fails: DeleteOfAbsentFails => delete_of_absent_is_ok "Err(MissingBlock";
    reads_stale_after_delete: StaleAfterDelete => delete_removes_only_its_block "after its delete";
}

defect! {
    RefusesEmptyBatches {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut blocks = blocks.peekable();
            if blocks.peek().is_none() {
                return Err(refusal("a batch names a block".into()));
            }
            inner.put_many(&mut blocks)
        }
    }

    RefusesDuplicates {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut named = BTreeSet::new();
            let mut unique = |(cid, data)| if named.insert(cid) { Ok((cid, data)) } else { Err(refusal(format!("{cid} is named twice"))) };
            inner.put_many(&mut blocks.map(|block| block.and_then(&mut unique)))
        }
    }

    RefusesPresent {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let absent = |(cid, data)| if inner.has(&cid)? { Err(refusal(format!("{cid} is already there"))) } else { Ok((cid, data)) };
            inner.put_many(&mut blocks.map(|block| block.and_then(absent)))
        }
    }

    DeletesByDigest {
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            let all: Vec<Cid> = inner.cids()?.collect::<Result<_, _>>()?;
            all.iter().filter(|other| other.hash().digest() == cid.hash().digest()).try_for_each(|cid| inner.delete(cid))
        }
    }

    DeletesNothing {
        fn delete(&self, _: &MemoryStore, _: &Cid) -> Result<(), StoreError> {
            Ok(())
        }
    }

    LosesLastOfBatch {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut batch: Vec<_> = blocks.collect::<Result<_, _>>()?;
            batch.pop();
            inner.put_many(&mut batch.into_iter().map(Ok))
        }
    }

    KeepsGoodPart {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            for block in blocks {
                let (cid, data) = block?;
                inner.put(&cid, data)?;
            }
            Ok(())
        }
    }

    DeletesToUndo {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut written = Vec::new();
            for block in blocks {
                let (cid, data) = block?;
                if let Err(error) = inner.put(&cid, data) {
                    written.iter().try_for_each(|cid| inner.delete(cid))?;
                    return Err(error);
                }
                written.push(cid);
            }
            Ok(())
        }
    }

    DeletesNeighbours {
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            let next = inner.cids()?.filter_map(Result::ok).find(|other| other > cid);
            next.map_or(Ok(()), |next| inner.delete(&next))?;
            inner.delete(cid)
        }
    }

    DeleteOfAbsentFails {
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            if inner.has(cid)? { inner.delete(cid) } else { Err(StoreError::MissingBlock { cid: *cid, linked_from: None }) }
        }
    }
}

fn refusal(reason: String) -> StoreError {
    StoreError::InvalidArgument { operation: "put_many", reason }
}

/// Holds its only lock while it drains the iterator of a batch.
#[derive(Debug, Default)]
struct LocksWhileDraining(Mutex<()>);

impl Defect for LocksWhileDraining {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let _held = lock(&self.0);
        inner.get(cid)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.put_many(blocks)
    }
}

/// Caches blocks and does not remove deleted ones from the cache.
#[derive(Debug, Default)]
struct StaleAfterDelete(Mutex<BTreeMap<Cid, Bytes>>);

impl Defect for StaleAfterDelete {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(data) = lock(&self.0).get(cid) {
            return Ok(Some(data.clone()));
        }
        inner.get(cid)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let batch: Vec<_> = blocks.collect::<Result<_, _>>()?;
        lock(&self.0).extend(batch.iter().cloned());
        inner.put_many(&mut batch.into_iter().map(Ok))
    }
}
