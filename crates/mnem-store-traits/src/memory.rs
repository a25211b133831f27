//! The reference implementation: every promise of the contract except durability, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{
        Arc, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blocks, Blockstore, Capabilities, CidIter, Cids, HeadChange, HeadsCapabilities, IsDead, KeyIter, OpHeadsStore,
    SideTable, Store, StoreError, Swept, WriteBatch,
    backend::{drain_checked, pages},
    check,
    limits::BLOCK_BYTES_EVERY_BACKEND,
    side_table,
};

const BACKEND: &str = "memory";

/// Names fetched under one lock by a listing.
const PAGE: usize = 256;

/// A store in memory, as strict as the durable ones: the reference implementation, and a stand-in for tests.
///
/// Clones share the same content, which is lost with the last clone.
///
/// ```
/// use mnem_store_traits::{Blockstore, BlockstoreExt, Bytes, MemoryStore, RAW};
///
/// let store = MemoryStore::new();
/// let shared = store.clone();
/// let cid = store.put_as(RAW, Bytes::from_static(b"a block"))?;
/// assert!(shared.has(&cid)?);
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    content: Arc<RwLock<Content>>,
    /// Changed while `content` is locked for writing.
    closed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Content {
    blocks: BTreeMap<Cid, Bytes>,
    heads: BTreeSet<Cid>,
    tables: BTreeMap<String, BTreeMap<Bytes, Bytes>>,
}

/// Prints the number of blocks and heads, not the blocks: traces and failed assertions print whole stores.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("blocks", &self.blocks.len())
            .field("block_bytes", &self.blocks.values().map(Bytes::len).sum::<usize>())
            .field("heads", &self.heads.len())
            .field("tables", &self.tables.len())
            .finish()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the same content again. Clones are closed together; another opening stays open.
    pub fn open_again(&self) -> Self {
        Self { content: Arc::clone(&self.content), closed: Arc::default() }
    }

    // A panic while the lock is held cannot leave the content half changed (each change is a single map operation after
    // all checks), so a poisoned lock can be used.
    fn read(&self, operation: &'static str) -> Result<RwLockReadGuard<'_, Content>, StoreError> {
        let content = self.content.read().unwrap_or_else(|e| e.into_inner());
        self.check_open(operation).map(|()| content)
    }

    fn write(&self, operation: &'static str) -> Result<RwLockWriteGuard<'_, Content>, StoreError> {
        let content = self.content.write().unwrap_or_else(|e| e.into_inner());
        self.check_open(operation).map(|()| content)
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        let closed = self.closed.load(Ordering::Acquire);
        if closed { Err(StoreError::Closed { backend: BACKEND, operation }) } else { Ok(()) }
    }

    fn insert(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write("put")?.blocks.entry(*cid).or_insert(data);
        Ok(())
    }

    fn change_heads(&self, operation: &'static str, change: &HeadChange) -> Result<(), StoreError> {
        let mut content = self.write(operation)?;
        content.heads = change.apply(&content.heads)?;
        Ok(())
    }
}

impl Blockstore for MemoryStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(data) = self.read("get")?.blocks.get(cid).cloned() else { return Ok(None) };
        check::check_read(BACKEND, cid, &data)?;
        Ok(Some(data))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check::check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        check::check_block(cid, &data)?;
        self.insert(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.write("delete")?.blocks.remove(cid);
        Ok(())
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        drop(self.read("list blocks")?);
        Ok(pages(move |after| {
            let content = self.read("list blocks")?;
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            Ok(content.blocks.range((start, Bound::Unbounded)).map(|(cid, _)| *cid).take(PAGE).collect())
        }))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.read("has")?.blocks.contains_key(cid))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.read("size")?.blocks.get(cid).map(|data| data.len() as u64))
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check::check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        self.insert(cid, data)
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let drained = drain_checked(blocks, BLOCK_BYTES_EVERY_BACKEND)?;
        let mut content = self.write("put_many")?;
        for (cid, data) in drained {
            content.blocks.entry(cid).or_insert(data);
        }
        Ok(())
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        let content = self.read("has_many")?;
        Ok(cids.iter().map(|cid| content.blocks.contains_key(cid)).collect())
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        let mut content = self.write("delete_many")?;
        for cid in &cids {
            content.blocks.remove(cid);
        }
        Ok(())
    }

    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        let (start, end) =
            (after.map_or(Bound::Unbounded, Bound::Excluded), up_to.map_or(Bound::Unbounded, Bound::Included));
        let mut swept = Swept::default();
        // A range that ends before it begins panics.
        if after.zip(up_to).is_some_and(|(after, up_to)| up_to <= after) {
            return self.read("sweep").map(|_| Some(swept));
        }
        let mut part = Vec::new();
        part.extend(self.read("sweep")?.blocks.range((start, end)).map(|(cid, data)| (*cid, data.len() as u64)));
        part.retain(|(cid, block_bytes)| {
            let dead = is_dead(cid);
            swept.count(*block_bytes, dead);
            dead
        });
        let mut content = self.write("sweep")?;
        for (cid, _) in &part {
            content.blocks.remove(cid);
        }
        Ok(Some(swept))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}

impl OpHeadsStore for MemoryStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        Ok(self.read("read heads")?.heads.iter().copied().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change_heads("update", &HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.change_heads("swap", &HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_atomic_heads(true)
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        let mut content = self.write("commit")?;
        let in_batch: BTreeSet<Cid> = batch.puts().iter().map(|put| put.cid).collect();
        for cid in batch.required() {
            if !in_batch.contains(cid) && !content.blocks.contains_key(cid) {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
        }
        if let Some(change) = batch.head() {
            content.heads = change.apply(&content.heads)?;
        }
        for put in batch.puts() {
            content.blocks.entry(put.cid).or_insert_with(|| put.data.clone());
        }
        Ok(())
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        side_table::check_table_name(name)?;
        drop(self.read("open a side table")?);
        Ok(Arc::new(MemoryTable { store: self.clone(), name: name.to_owned() }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.read("list side tables")?.tables.keys().cloned().collect())
    }

    fn close(&self) -> Result<(), StoreError> {
        let _no_call_under_way = self.content.write().unwrap_or_else(|e| e.into_inner());
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

/// A side table of a [`MemoryStore`]. Present in `Content::tables` only while it has keys.
#[derive(Debug)]
struct MemoryTable {
    store: MemoryStore,
    name: String,
}

impl SideTable for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        side_table::check_table_key("get", key)?;
        let content = self.store.read("read a side table")?;
        Ok(content.tables.get(&self.name).and_then(|rows| rows.get(key)).cloned())
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        side_table::check_table_write(puts, deletes)?;
        let mut content = self.store.write("write a side table")?;
        let rows = content.tables.entry(self.name.clone()).or_default();
        rows.extend(puts.iter().cloned());
        for key in deletes {
            rows.remove(key);
        }
        if rows.is_empty() {
            content.tables.remove(&self.name);
        }
        Ok(())
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let prefix = Bytes::copy_from_slice(prefix);
        Ok(pages(move |after: Option<Bytes>| {
            let content = self.store.read("list a side table")?;
            let Some(rows) = content.tables.get(&self.name) else { return Ok(Vec::new()) };
            let start = after.map_or(Bound::Included(prefix.clone()), Bound::Excluded);
            let keys = rows.range((start, Bound::Unbounded)).map(|(key, _)| key);
            Ok(keys.take_while(|key| key.starts_with(&prefix)).take(PAGE).cloned().collect())
        }))
    }
}
