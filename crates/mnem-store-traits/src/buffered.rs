//! Batch mode: many small puts, one durable commit.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blocks, Blockstore, Capabilities, CidIter, Cids, Durability, HeadsCapabilities, IsDead, OnBlock, OpHeadsStore,
    SideTable, Store, StoreError, Swept, WriteBatch, backend::drain_checked, check,
};

const BACKEND: &str = "buffered";

/// The cost of a staged name besides the block's bytes, roughly: its CID and its slot in a map.
const ENTRY_BYTES: usize = 160;

/// A wrapper that gives a caller of the plain traits one durable transaction per head change.
///
/// Puts are checked and then *staged* in memory, visible only through this wrapper. [`update`](OpHeadsStore::update)
/// and [`swap`](OpHeadsStore::swap) write everything staged together with the head in one [`Store::commit`]. If the
/// store already holds a block, its put is not staged; the commit [requires](WriteBatch::require) the block instead.
///
/// - [`flush`](Self::flush) writes the staged blocks without a head. A put that would exceed the bound on staged bytes
///   writes them too, in one batch with itself. [`Store::commit`] includes the staged blocks.
/// - If a write fails, staged blocks stay staged. So a failed `swap` loses nothing, and the call can be repeated.
/// - Dropping the wrapper tries to write what is left; only `flush` and [`close`](Store::close) report an error.
/// - Staged puts are lost with the wrapper: [`Capabilities::put_durability`] is [`Durability::None`].
/// - `delete` also removes staged blocks. Side tables, and trusted puts under hash functions that cannot be computed,
///   go to the store directly.
///
/// ```
/// use mnem_store_traits::{Blockstore, BlockstoreExt, Buffered, Bytes, MemoryStore, OpHeadsStore, RAW};
///
/// let store = MemoryStore::new();
/// let buffered = Buffered::new(store.clone());
/// let op = buffered.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// assert!(buffered.has(&op)? && !store.has(&op)?);
/// buffered.update(&op, &[])?;
/// assert!(store.has(&op)?);
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
#[derive(Debug)]
pub struct Buffered<S: Store> {
    inner: S,
    staged_bytes_max: usize,
    block_bytes_max: u64,
    staged: RwLock<Staged>,
    /// Held while staged blocks are written or deleted. Allows one landing at a time, and none that restores a deleted
    /// block.
    landing: Mutex<()>,
}

#[derive(Default)]
struct Staged {
    blocks: HashMap<Cid, StagedBlock>,
    /// Blocks whose put was skipped because the store held them or they were being written.
    required: HashSet<Cid>,
    bytes: usize,
    /// The staged blocks are being committed. A put of one of these blocks becomes a requirement of the next commit.
    landing: bool,
    closed: bool,
}

/// Prints how much is staged, not the blocks.
impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("blocks", &self.blocks.len())
            .field("required", &self.required.len())
            .field("bytes", &self.bytes)
            .field("landing", &self.landing)
            .field("closed", &self.closed)
            .finish()
    }
}

#[derive(Clone)]
struct StagedBlock {
    data: Bytes,
    /// The caller has checked the bytes.
    trusted: bool,
}

impl Staged {
    fn insert(&mut self, cid: Cid, block: StagedBlock) {
        if self.blocks.contains_key(&cid) {
            // The commit under way may have taken the block along already, and somebody may delete it after that.
            if self.landing {
                self.require(cid);
            }
            return;
        }
        self.drop_requirement(&cid);
        self.bytes += ENTRY_BYTES + block.data.len();
        self.blocks.insert(cid, block);
    }

    fn remove(&mut self, cid: &Cid) {
        if let Some(block) = self.blocks.remove(cid) {
            self.bytes -= ENTRY_BYTES + block.data.len();
        }
    }

    fn require(&mut self, cid: Cid) {
        if self.required.insert(cid) {
            self.bytes += ENTRY_BYTES;
        }
    }

    fn drop_requirement(&mut self, cid: &Cid) {
        if self.required.remove(cid) {
            self.bytes -= ENTRY_BYTES;
        }
    }

    /// Takes the requirements along, and leaves the staged blocks visible.
    fn begin_landing(&mut self) -> Landing {
        self.landing = true;
        self.bytes -= self.required.len() * ENTRY_BYTES;
        Landing {
            blocks: self.blocks.iter().map(|(cid, block)| (*cid, block.data.clone())).collect(),
            required: std::mem::take(&mut self.required),
        }
    }

    fn end_landing(&mut self, landing: Landing, landed: bool) {
        self.landing = false;
        if landed {
            landing.blocks.iter().for_each(|(cid, _)| self.remove(cid));
        } else {
            landing.required.into_iter().for_each(|cid| self.require(cid));
        }
    }
}

/// The content of the commit in progress.
#[derive(Default)]
struct Landing {
    blocks: Vec<(Cid, Bytes)>,
    required: HashSet<Cid>,
}

/// A landing in progress. However it ends, even with a panic of the store below, whatever was not written is staged and
/// required as before.
struct UnderWay<'a> {
    staged: &'a RwLock<Staged>,
    landing: Landing,
    landed: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let landing = std::mem::take(&mut self.landing);
        self.staged.write().unwrap_or_else(|e| e.into_inner()).end_landing(landing, self.landed);
    }
}

impl<S: Store> Buffered<S> {
    /// The bound of [`new`](Self::new): 64 MiB.
    pub const STAGED_BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Wraps `store`, staging up to [`STAGED_BYTES_MAX`](Self::STAGED_BYTES_MAX).
    pub fn new(store: S) -> Self {
        Self::with_bound(store, Self::STAGED_BYTES_MAX)
    }

    /// Wraps `store`, staging up to `staged_bytes_max` bytes. With 0, every put is written at once.
    pub fn with_bound(store: S, staged_bytes_max: usize) -> Self {
        let block_bytes_max = store.capabilities().block_bytes_max;
        Self { inner: store, staged_bytes_max, block_bytes_max, staged: RwLock::default(), landing: Mutex::new(()) }
    }

    /// The wrapped store, which does not see staged blocks.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Memory for staged puts in bytes, including an estimate for their names.
    pub fn staged_bytes(&self) -> usize {
        self.staged.read().unwrap_or_else(|e| e.into_inner()).bytes
    }

    /// Writes every staged block, durable when it returns `Ok`, without a head.
    ///
    /// # Errors
    /// As [`Store::commit`] of the wrapped store. Blocks that were not written stay staged.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.land(&WriteBatch::new(), "flush")
    }

    /// Drops the staged blocks, so that dropping the wrapper writes nothing.
    #[cfg(feature = "conformance")]
    pub(crate) fn discard_staged(&self) {
        *self.staged.write().unwrap_or_else(|e| e.into_inner()) = Staged::default();
    }

    // Every change of `Staged` is complete before anything can panic, so a poisoned lock can be used.
    fn read(&self, operation: &'static str) -> Result<RwLockReadGuard<'_, Staged>, StoreError> {
        let staged = self.staged.read().unwrap_or_else(|e| e.into_inner());
        if staged.closed { Err(StoreError::Closed { backend: BACKEND, operation }) } else { Ok(staged) }
    }

    fn write(&self, operation: &'static str) -> Result<RwLockWriteGuard<'_, Staged>, StoreError> {
        let staged = self.staged.write().unwrap_or_else(|e| e.into_inner());
        if staged.closed { Err(StoreError::Closed { backend: BACKEND, operation }) } else { Ok(staged) }
    }

    fn lock_landing(&self) -> MutexGuard<'_, ()> {
        self.landing.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn staged_block(&self, cid: &Cid, operation: &'static str) -> Result<Option<StagedBlock>, StoreError> {
        Ok(self.read(operation)?.blocks.get(cid).cloned())
    }

    /// The verified bytes of a staged block. Bytes that were checked when they were staged cannot have changed in
    /// memory.
    fn staged_data(&self, cid: &Cid, operation: &'static str) -> Result<Option<Bytes>, StoreError> {
        let Some(block) = self.staged_block(cid, operation)? else { return Ok(None) };
        if block.trusted {
            check::check_read(BACKEND, cid, &block.data)?;
        }
        Ok(Some(block.data))
    }

    /// Looks for blocks among the staged ones, which get the answer `if_staged`, then for all others in the store
    /// below, in one request. A block that lands in between is found there.
    fn look_for(&self, cids: &[Cid], operation: &'static str, if_staged: bool) -> Result<Vec<bool>, StoreError> {
        let mut answers = vec![if_staged; cids.len()];
        let below: Vec<usize> = {
            let staged = self.read(operation)?;
            (0..).zip(cids).filter(|(_, cid)| !staged.blocks.contains_key(*cid)).map(|(index, _)| index).collect()
        };
        if below.is_empty() {
            return Ok(answers);
        }
        below.iter().for_each(|index| answers[*index] = false);
        let others: Vec<Cid> = below.iter().filter_map(|index| cids.get(*index).copied()).collect();
        for (index, is_present) in below.into_iter().zip(self.inner.has_many(&others)?) {
            if let Some(answer) = answers.get_mut(index) {
                *answer = is_present;
            }
        }
        Ok(answers)
    }

    /// Stages checked blocks if all of them fit. Otherwise it writes them together with the staged ones.
    fn stage(&self, blocks: Vec<(Cid, StagedBlock)>, operation: &'static str) -> Result<(), StoreError> {
        let mut absent = Vec::with_capacity(blocks.len());
        let mut present = Vec::new();
        let cids: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
        for ((cid, block), is_below) in blocks.into_iter().zip(self.look_for(&cids, operation, false)?) {
            if is_below { present.push(cid) } else { absent.push((cid, block)) }
        }
        {
            let mut staged = self.write(operation)?;
            let new = absent.iter().filter(|(cid, _)| !staged.blocks.contains_key(cid));
            let cost: usize = new.map(|(_, block)| ENTRY_BYTES + block.data.len()).sum();
            if staged.bytes + cost + present.len() * ENTRY_BYTES <= self.staged_bytes_max {
                present.into_iter().for_each(|cid| staged.require(cid));
                absent.into_iter().for_each(|(cid, block)| staged.insert(cid, block));
                return Ok(());
            }
        }
        let mut batch = WriteBatch::new();
        for (cid, block) in absent {
            batch.put_trusted(cid, block.data);
        }
        self.land(batch.require_all(present), operation)
    }

    /// Commits everything staged together with `batch`. Staged blocks stay visible throughout, and stay staged on
    /// failure.
    fn land(&self, batch: &WriteBatch, operation: &'static str) -> Result<(), StoreError> {
        let one_at_a_time = self.lock_landing();
        let landing = self.write(operation)?.begin_landing();
        self.commit_landing(batch, landing, &one_at_a_time)
    }

    fn commit_landing(
        &self,
        batch: &WriteBatch,
        landing: Landing,
        _held: &MutexGuard<'_, ()>,
    ) -> Result<(), StoreError> {
        let mut under_way = UnderWay { staged: &self.staged, landing, landed: false };
        let landing = &under_way.landing;
        // To the caller what is staged is there already, and a put of what is there writes nothing: least of all one
        // that nobody checks.
        let trusted: HashSet<Cid> = batch.puts().iter().filter(|put| put.trusted).map(|put| put.cid).collect();
        let staged: HashSet<Cid> =
            landing.blocks.iter().map(|(cid, _)| *cid).filter(|cid| trusted.contains(cid)).collect();
        let mut whole = WriteBatch::new();
        for (cid, data) in &landing.blocks {
            whole.put_trusted(*cid, data.clone());
        }
        whole.extend(batch.puts().iter().filter(|put| !(put.trusted && staged.contains(&put.cid))).cloned());
        whole.require_all(landing.required.iter().chain(batch.required()).copied());
        if let Some(change) = batch.head() {
            whole.change_heads(change.clone());
        }
        let committed = if whole.is_empty() { Ok(()) } else { self.inner.commit(&whole) };
        under_way.landed = committed.is_ok();
        committed
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Store> Blockstore for Buffered<S> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        match self.staged_data(cid, "get")? {
            Some(data) => Ok(Some(data)),
            None => self.inner.get(cid),
        }
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check::check_size(cid, &data, self.block_bytes_max)?;
        check::check_block(cid, &data)?;
        self.stage(vec![(*cid, StagedBlock { data, trusted: false })], "put")
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        let _no_landing = self.lock_landing();
        drop(self.read("delete")?);
        // Below first: when that fails, the staged block is still there.
        self.inner.delete(cid)?;
        let mut staged = self.write("delete")?;
        staged.remove(cid);
        staged.drop_requirement(cid);
        Ok(())
    }

    /// Staged blocks first, then those of the wrapped store. Holds the names of the staged blocks for the length of the
    /// listing.
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let staged: HashSet<Cid> = self.read("list blocks")?.blocks.keys().copied().collect();
        let first: Vec<Cid> = staged.iter().copied().collect();
        let below = self.inner.cids()?;
        // A block that lands during the listing is in both; it was yielded as staged.
        let rest = below.filter(move |item| !matches!(item, Ok(cid) if staged.contains(cid)));
        Ok(Box::new(first.into_iter().map(Ok).chain(rest)))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.staged_block(cid, "has")?.is_some() || self.inner.has(cid)?)
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        match self.staged_block(cid, "size")? {
            Some(block) => Ok(Some(block.data.len() as u64)),
            None => self.inner.size(cid),
        }
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        match self.staged_data(cid, "with_block")? {
            Some(data) => {
                f(&data);
                Ok(true)
            }
            None => self.inner.with_block(cid, f),
        }
    }

    /// A block that nobody can check goes to the wrapped store at once, so that a refusal comes here and not in the
    /// commit of all others.
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check::check_size(cid, &data, self.block_bytes_max)?;
        if !check::is_checkable(cid) {
            drop(self.read("put_trusted")?);
            return self.inner.put_trusted(cid, data);
        }
        self.stage(vec![(*cid, StagedBlock { data, trusted: true })], "put_trusted")
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let drained = drain_checked(blocks, self.block_bytes_max)?;
        let blocks = drained.into_iter().map(|(cid, data)| (cid, StagedBlock { data, trusted: false }));
        self.stage(blocks.collect(), "put_many")
    }

    /// Answers staged blocks from memory, then asks the store below for the others in one request.
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        let mut below = Vec::new();
        for (index, cid) in cids.iter().enumerate() {
            match self.staged_data(cid, "get_many")? {
                Some(data) => {
                    if f(index, Some(data)).is_break() {
                        return Ok(());
                    }
                }
                None => below.push((index, *cid)),
            }
        }
        let (indexes, cids): (Vec<usize>, Vec<Cid>) = below.into_iter().unzip();
        self.inner.get_many(&cids, &mut |below, data| match indexes.get(below) {
            Some(index) => f(*index, data),
            None => ControlFlow::Continue(()),
        })
    }

    /// Looks among the staged blocks, then asks the store below for the others in one request.
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.look_for(cids, "has_many", true)
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        let _no_landing = self.lock_landing();
        drop(self.read("delete_many")?);
        // Below first: when that fails, the staged blocks are still there.
        self.inner.delete_many(&mut cids.iter().map(|cid| Ok(*cid)))?;
        let mut staged = self.write("delete_many")?;
        for cid in &cids {
            staged.remove(cid);
            staged.drop_requirement(cid);
        }
        Ok(())
    }

    /// Listings of staged blocks are in no order.
    fn sweep(
        &self,
        _after: Option<&Cid>,
        _up_to: Option<&Cid>,
        _is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        self.read("sweep").map(|_| None)
    }

    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        // Whole calls are staged, and everything staged lands in one commit.
        let atomic = inner.atomic_commit;
        inner.with_put_durability(Durability::None).with_atomic_put_many(atomic)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Store> OpHeadsStore for Buffered<S> {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        drop(self.read("read heads")?);
        self.inner.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.land(WriteBatch::new().update(*new, supersedes.iter().copied()), "update")
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.land(WriteBatch::new().swap(expected.iter().copied(), *new), "swap")
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.inner.heads_capabilities()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Buffered<S> {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.land(batch, "commit")
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        self.inner.side_table(name)
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.inner.side_tables()
    }

    /// Writes the staged blocks, then closes the wrapped store, even if the write fails. To be able to retry, call
    /// [`Buffered::flush`] first.
    fn close(&self) -> Result<(), StoreError> {
        let one_at_a_time = self.lock_landing();
        let landing = {
            let mut staged = self.staged.write().unwrap_or_else(|e| e.into_inner());
            if staged.closed {
                return Ok(());
            }
            // From here on nothing can be staged that would not land.
            staged.closed = true;
            staged.begin_landing()
        };
        let landed = self.commit_landing(&WriteBatch::new(), landing, &one_at_a_time);
        let closed = self.inner.close();
        landed.and(closed)
    }
}

impl<S: Store> Drop for Buffered<S> {
    fn drop(&mut self) {
        let staged = self.staged.get_mut().unwrap_or_else(|e| e.into_inner());
        if staged.blocks.is_empty() {
            return;
        }
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "staged blocks were lost: they could not be written when the buffered store was dropped");
        }
    }
}
