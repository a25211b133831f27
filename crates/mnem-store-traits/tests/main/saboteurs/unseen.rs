//! Defects that no law caught at first. They concern large blocks, long requests, long names, and repetitions.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, MemoryStore, OnBlock, OpHeadsStore, SideTable, Store, StoreError,
    backend::{check_block, pages},
};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    large_blocks_are_not_hashed: TrustsLargeBlocks => every_write_checks_every_hash "of which the last is wrong";
    one_buffer_is_hashed_once: HashesABufferOnce => every_write_checks_every_hash "of its bytes under another CID";
    first_and_last_of_a_repeated_block_are_answered: AnswersFirstAndLast => get_many_answers_each_index_once "0 calls";
    indexes_have_16_bits: IndexesOf16Bits => get_many_answers_a_long_request "2 calls";
    heads_are_sorted_by_their_bytes: SortsHeadsByBytes => heads_are_sorted_and_unique "in another order";
    listings_share_a_cursor: OneCursor => listings_at_the_same_time_are_apart "missing";
    changes_are_counted_in_a_byte: CountsInAByte => a_round_number_of_changes_is_no_standstill "after 256 changes";
    size_outlives_its_block: SizeOutlivesItsBlock => block_may_come_back_with_other_bytes "size(";
    third_panic_is_one_too_many: CountsPanics => panicking_iterator_leaves_the_store_usable "number 3";
    table_names_are_cut: CutsTableNames => side_tables_whose_names_begin_alike_are_separate "in its last letter";
}

defect! {
    // Leaves the hash check of a large block to a later step that never comes.
    TrustsLargeBlocks {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if data.len() > 4 << 20 { inner.put_trusted(cid, data) } else { inner.put(cid, data) }
        }
    }

    HashesABufferOnce {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut hashed = HashSet::new();
            let all = blocks.collect::<Result<Vec<_>, _>>()?;
            for (cid, data) in &all {
                if hashed.insert((data.as_ptr(), data.len())) {
                    check_block(cid, data)?;
                }
            }
            all.into_iter().try_for_each(|(cid, data)| inner.put_trusted(&cid, data))
        }
    }

    // Fills only the first and the last position of a block in a request.
    AnswersFirstAndLast {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            let last: BTreeMap<&Cid, usize> = cids.iter().enumerate().map(|(index, cid)| (cid, index)).collect();
            let mut seen = HashSet::new();
            for (index, cid) in cids.iter().enumerate() {
                if (seen.insert(cid) || last[cid] == index) && f(index, inner.get(cid)?).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    IndexesOf16Bits {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            inner.get_many(cids, &mut |index, data| f(index & 0xffff, data))
        }
    }

    // Sorts heads by their bytes, with CIDv0s first.
    SortsHeadsByBytes {
        fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
            let mut heads = inner.heads()?;
            heads.sort_by_key(|cid| (cid.version() as u64, cid.codec() > 0x7f, cid.to_bytes()));
            Ok(heads)
        }
    }

    CutsTableNames {
        fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            inner.side_table(name)?;
            inner.side_table(&name.chars().take(31).collect::<String>())
        }
    }
}

/// A handle with a single slot for the end of the last page.
#[derive(Debug, Default)]
struct OneCursor(Mutex<Option<Cid>>);

impl Defect for OneCursor {
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        *lock(&self.0) = None;
        Ok(pages(move |_: Option<Cid>| {
            let mut after = lock(&self.0);
            let later = |cid: &Result<Cid, _>| after.is_none_or(|after| cid.as_ref().is_ok_and(|cid| *cid > after));
            let page: Vec<Cid> = inner.cids()?.filter(later).take(200).collect::<Result<_, _>>()?;
            *after = page.last().copied().or(*after);
            Ok(page)
        }))
    }
}

/// Takes its copy of the heads to be current if a one-byte counter has the same value as before.
#[derive(Debug, Default)]
struct CountsInAByte {
    changes: AtomicUsize,
    seen: Mutex<Option<(u8, Vec<Cid>)>>,
}

impl Defect for CountsInAByte {
    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let now = self.changes.load(Ordering::SeqCst) as u8;
        let mut seen = lock(&self.seen);
        match &*seen {
            Some((then, heads)) if *then == now => Ok(heads.clone()),
            _ => Ok(seen.insert((now, inner.heads()?)).1.clone()),
        }
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        inner.update(new, supersedes)
    }
}

/// Caches the length of a block forever, because blocks never change.
#[derive(Debug, Default)]
struct SizeOutlivesItsBlock(Mutex<BTreeMap<Cid, u64>>);

impl Defect for SizeOutlivesItsBlock {
    fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let Some(now) = inner.size(cid)? else { return Ok(None) };
        Ok(Some(*lock(&self.0).entry(*cid).or_insert(now)))
    }
}

/// Has two buffers for batches. If the iterator of a batch panics, its buffer is never returned.
#[derive(Debug, Default)]
struct CountsPanics(AtomicUsize);

impl Defect for CountsPanics {
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        if self.0.fetch_add(1, Ordering::SeqCst) >= 2 {
            return Err(StoreError::Locked { location: "buffers".into() });
        }
        let all: Vec<_> = blocks.collect();
        self.0.fetch_sub(1, Ordering::SeqCst);
        inner.put_many(&mut all.into_iter())
    }
}
