//! Defects that need two conditions at once: a large change of similar CIDs, a cache of many heads, an opening after many
//! deletes. They were derived from the contract alone, and no law caught them at first.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cause, Cid, Cids, Durability, HeadsCapabilities, KeyIter, MemoryStore,
    OpHeadsStore, SideTable, Store, StoreError, WriteBatch,
    conformance::{BlockIter, Profile},
    links,
};

use super::{
    Defect, Planted, defect, lock,
    prose::{batch_of, rebuild},
    saboteurs,
};

saboteurs! {
    bulk_supersedes_by_multihash: SupersedesByMultihash => head_changes_may_be_large "with heads of the same digest";
    own_puts_meet_by_multihash: OwnPutsMeetByMultihash => requirements_are_whole_cids "of the same bytes under others";
    large_batch_drops_what_is_no_cid: DropsWhatIsNoCid => every_write_refuses_what_is_no_cid "1500 blocks and, at place";
    batch_is_streamed: StreamsPuts => late_bad_block_keeps_nothing_of_a_large_batch "of 20000 blocks";
    batch_with_a_late_error_is_streamed: StreamsPuts => large_batches_are_drained_before_anything_is_done "failed at the end";
    deletes_are_streamed: StreamsDeletes => large_batches_are_drained_before_anything_is_done "delete_many whose iterator failed";
    many_heads_are_sorted_by_bytes: SortsManyByBytes => commit_takes_thousands_of_heads "4000 heads";
    many_heads_are_counted: CountsManyHeads => changes_that_keep_every_number_are_seen "the one in the middle of";
    long_values_are_told_by_their_length: TellsValuesByLength => changes_that_keep_every_number_are_seen "of a value of 5000 bytes";
    opening_moves_what_others_read: MovesWhatOthersRead => opening_undoes_nothing "and the store was opened once more";
    large_deletes_are_not_noticed: SkipsLargeDeletes => large_write_of_another_handle_is_seen_whole "has: ";
    walk_forgets: WalkForgets => walk_yields_a_shared_block_once "with the same 12000 links";
}

/// The blocks of a batch from which a store takes another way.
const LARGE: usize = 64;

defect! {
    SupersedesByMultihash {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            if supersedes.len() <= LARGE {
                return inner.update(new, supersedes);
            }
            let hashes: HashSet<Vec<u8>> = supersedes.iter().map(|cid| cid.hash().to_bytes()).collect();
            let gone: Vec<Cid> =
                inner.heads()?.into_iter().filter(|head| hashes.contains(&head.hash().to_bytes())).collect();
            inner.update(new, &gone)
        }
    }

    OwnPutsMeetByMultihash {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if batch.puts().len() <= LARGE {
                return inner.commit(batch);
            }
            let own: HashSet<Vec<u8>> = batch.puts().iter().map(|put| put.cid.hash().to_bytes()).collect();
            let required = batch.required().iter().filter(|cid| !own.contains(&cid.hash().to_bytes())).copied();
            inner.commit(&batch_of(batch.puts().iter().cloned(), required, batch.head().cloned()))
        }
    }

    // Its index has 63 bits for each number, and a large batch is indexed without a look at errors.
    DropsWhatIsNoCid {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let is_cid = |cid: &Cid| cid.codec() >> 63 == 0 && cid.hash().code() >> 63 == 0;
            if batch.puts().len() <= LARGE { inner.commit(batch) } else { inner.commit(&rebuild(batch, is_cid)) }
        }
    }

    StreamsPuts {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            loop {
                let piece: Vec<_> = (&mut *blocks).take(8192).collect();
                let is_last = piece.len() < 8192;
                inner.put_many(&mut piece.into_iter())?;
                if is_last {
                    return Ok(());
                }
            }
        }
    }

    StreamsDeletes {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            loop {
                let piece: Vec<_> = (&mut *cids).take(8192).collect();
                let is_last = piece.len() < 8192;
                inner.delete_many(&mut piece.into_iter())?;
                if is_last {
                    return Ok(());
                }
            }
        }
    }

    SortsManyByBytes {
        fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
            let mut heads = inner.heads()?;
            if heads.len() > 512 {
                heads.sort_by_key(Cid::to_bytes);
            }
            Ok(heads)
        }
    }

    // Remembers the last 2,000 blocks of a walk.
    WalkForgets {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            let (mut pending, mut seen, mut order) = (vec![root], BTreeSet::new(), VecDeque::new());
            Box::new(std::iter::from_fn(move || {
                let cid = std::iter::from_fn(|| pending.pop()).find(|cid| seen.insert(*cid))?;
                order.push_back(cid);
                if order.len() > 2000 {
                    order.pop_front().map(|oldest| seen.remove(&oldest));
                }
                let data = store.get(&cid).transpose()?;
                if let Ok(data) = &data {
                    pending.extend(links(&cid, data).unwrap_or_default().into_iter().rev());
                }
                Some(data.map(|data| (cid, data)))
            }))
        }
    }
}

/// A handle remembers what it has seen, and forgets what a small delete removes, by whichever handle.
#[derive(Debug, Default)]
struct SkipsLargeDeletes(Mutex<HashSet<Cid>>);

impl Defect for SkipsLargeDeletes {
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        if inner.has(cid)? {
            lock(&self.0).insert(*cid);
        }
        Ok(lock(&self.0).contains(cid))
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.0).remove(cid);
        inner.delete(cid)
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        if cids.len() <= LARGE {
            lock(&self.0).retain(|cid| !cids.contains(cid));
        }
        inner.delete_many(&mut cids.into_iter().map(Ok))
    }
}

/// A handle takes its copy of more than forty heads for current while their number is the same.
#[derive(Debug, Default)]
struct CountsManyHeads(Mutex<Vec<Cid>>);

impl Defect for CountsManyHeads {
    const PER_HANDLE: bool = true;

    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let (now, mut seen) = (inner.heads()?, lock(&self.0));
        if now.len() <= 40 || now.len() != seen.len() {
            *seen = now;
        }
        Ok(seen.clone())
    }
}

/// A handle caches long values, and takes one for current while its length is the same.
#[derive(Debug, Default)]
struct TellsValuesByLength(Arc<Mutex<BTreeMap<Bytes, Bytes>>>);

impl Defect for TellsValuesByLength {
    const PER_HANDLE: bool = true;

    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(CachedTable { table: inner.side_table(name)?, cache: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct CachedTable {
    table: Arc<dyn SideTable>,
    cache: Arc<Mutex<BTreeMap<Bytes, Bytes>>>,
}

impl SideTable for CachedTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(now) = self.table.get(key)? else { return Ok(None) };
        let mut cache = lock(&self.cache);
        match cache.get(key) {
            Some(seen) if seen.len() == now.len() && now.len() > 4096 => Ok(Some(seen.clone())),
            _ => {
                cache.insert(Bytes::copy_from_slice(key), now.clone());
                Ok(Some(now))
            }
        }
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        lock(&self.cache).clear();
        self.table.write(puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.table.keys(prefix)
    }
}

/// Once more than a hundred blocks were deleted, an opening moves the others together. Handles that know the old places
/// are not told.
#[derive(Debug, Default)]
struct MovesWhatOthersRead {
    deleted: AtomicUsize,
    has_moved: AtomicBool,
    known: Mutex<HashMap<usize, HashSet<Cid>>>,
}

impl Defect for MovesWhatOthersRead {
    fn opened(&self, inner: &MemoryStore, _: usize) -> MemoryStore {
        self.has_moved.fetch_or(self.deleted.load(Ordering::SeqCst) > 100, Ordering::SeqCst);
        inner.open_again()
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        inner.delete_many(&mut cids.inspect(|_| {
            self.deleted.fetch_add(1, Ordering::SeqCst);
        }))
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let handle = std::ptr::from_ref(inner).addr();
        let (mut known, moved) = (lock(&self.known), self.has_moved.load(Ordering::SeqCst));
        let known = known.entry(handle).or_default();
        if moved && known.contains(cid) {
            return Err(StoreError::Damaged {
                component: "moved".into(),
                what: "the place of a block".into(),
                source: Cause::new("another block is there"),
            });
        }
        if !moved {
            known.insert(*cid);
        }
        inner.get(cid)
    }
}

#[test]
fn close_writes_its_heads_back() {
    const LAW: &str = "openings_may_be_closed_in_any_order";
    let (sound, sabotaged) = (Planted::<RemembersHeads<false>>::WIDENED, Planted::<RemembersHeads<true>>::WIDENED);
    super::kills_with(LAW, "after the first was closed", sound, sabotaged);
}

/// A handle remembers the heads, and may write them back when it is closed. Its store survives the process.
#[derive(Debug, Default)]
struct RemembersHeads<const WRITES_BACK: bool>(Mutex<Vec<Cid>>);

impl<const WRITES_BACK: bool> Defect for RemembersHeads<WRITES_BACK> {
    const PER_HANDLE: bool = true;
    const PROFILES: &'static [Profile] = &[Profile::SecondHandle, Profile::Persistence];

    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let heads = inner.heads()?;
        lock(&self.0).clone_from(&heads);
        Ok(heads)
    }
    fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        let known = std::mem::take(&mut *lock(&self.0));
        if WRITES_BACK {
            known.iter().try_for_each(|head| inner.update(head, &[]))?;
        }
        inner.close()
    }
    fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
        inner.capabilities().with_put_durability(Durability::Process)
    }
    fn heads_capabilities(&self, inner: &MemoryStore) -> HeadsCapabilities {
        inner.heads_capabilities().with_durability(Durability::Process)
    }
}
