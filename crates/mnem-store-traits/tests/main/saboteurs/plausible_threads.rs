//! Defects with several callers, derived from the prose of the contract: locks held too long, and unprotected
//! read-modify-write cycles.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, KeyIter, MemoryStore, OpHeadsStore, SideTable, Store, StoreError,
};

use super::{Defect, Gap, lock, saboteurs};

// At first, no law caught these.
saboteurs! {
    batch_locks_the_heads: BatchLocksTheHeads => callers_code_may_use_heads_and_commit "no end: a deadlock";
    lends_under_the_heads_lock: LendsUnderTheHeadsLock => callers_code_may_use_heads_and_commit "no end: a deadlock";
    table_is_one_file: TableIsOneFile => concurrent_side_table_writes_lose_no_row "lane ";
    names_are_one_file: NamesAreOneFile => concurrent_puts_lose_no_block "after threads each put their own blocks";
    removes_the_folder: RemovesTheFolder => deletes_lose_no_put_of_another_thread "Ok(None)";
}

/// Uses one lock for heads and batches, and holds it while it drains the iterator of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchLocksTheHeads(Mutex<()>);

impl Defect for BatchLocksTheHeads {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.put_many(blocks)
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.update(new, supersedes)
    }
    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let _held = lock(&self.0);
        inner.heads()
    }
}

/// Lends a block under the lock that head changes need.
#[derive(Debug, Default)]
pub(super) struct LendsUnderTheHeadsLock(Mutex<()>);

impl Defect for LendsUnderTheHeadsLock {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let _held = lock(&self.0);
        inner.with_block(cid, f)
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.update(new, supersedes)
    }
}

/// Keeps a side table as one file, which it reads, changes and writes back.
#[derive(Debug, Default)]
pub(super) struct TableIsOneFile(Arc<Gap>);

#[derive(Debug)]
struct OneFile {
    inner: Arc<dyn SideTable>,
    gap: Arc<Gap>,
}

impl Defect for TableIsOneFile {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&*self.0]
    }
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(OneFile { inner: inner.side_table(name)?, gap: Arc::clone(&self.0) }))
    }
}

impl SideTable for OneFile {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let before: BTreeSet<Bytes> = self.inner.keys(b"")?.collect::<Result<_, _>>()?;
        self.gap.meet();
        let since = self.inner.keys(b"")?.collect::<Result<BTreeSet<_>, _>>()?;
        self.inner.write(puts, deletes)?;
        let lost: Vec<Bytes> =
            since.difference(&before).filter(|key| puts.iter().all(|(put, _)| put != *key)).cloned().collect();
        self.inner.write(&[], &lost)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.inner.keys(prefix)
    }
}

/// Keeps the names of all blocks in one file, which it reads, extends and writes back.
#[derive(Debug, Default)]
pub(super) struct NamesAreOneFile {
    names: Mutex<BTreeSet<Cid>>,
    gap: Gap,
}

impl NamesAreOneFile {
    fn add(&self, added: &[Cid]) {
        let mut names = lock(&self.names).clone();
        self.gap.meet();
        names.extend(added);
        *lock(&self.names) = names;
    }
}

impl Defect for NamesAreOneFile {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        inner.put(cid, data)?;
        self.add(&[*cid]);
        Ok(())
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let mut cids = Vec::new();
        inner.put_many(&mut blocks.inspect(|item| cids.extend(item.iter().map(|(cid, _)| *cid))))?;
        self.add(&cids);
        Ok(())
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.names).remove(cid);
        inner.delete(cid)
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if lock(&self.names).contains(cid) { inner.get(cid) } else { Ok(None) }
    }
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.get(inner, cid)?.is_some())
    }
}

/// Removes a folder of blocks because it was empty a moment ago, together with a block added since.
#[derive(Debug, Default)]
pub(super) struct RemovesTheFolder {
    seen_empty: Gap,
    puts: Gap,
    /// Once is enough: after that, nothing waits.
    lost_one: AtomicBool,
}

impl RemovesTheFolder {
    /// The blocks in the same folder as this one.
    fn folder(inner: &MemoryStore, cid: &Cid) -> Result<Vec<Cid>, StoreError> {
        let name = |cid: &Cid| cid.hash().digest().first().copied();
        let cids = inner.cids()?.collect::<Result<Vec<_>, _>>()?;
        Ok(cids.into_iter().filter(|other| name(other) == name(cid)).collect())
    }
}

impl Defect for RemovesTheFolder {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.seen_empty, &self.puts]
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if !self.lost_one.load(Ordering::SeqCst) && !Self::folder(inner, cid)?.is_empty() {
            self.seen_empty.wait_for(1);
        }
        inner.put(cid, data)?;
        self.puts.look();
        Ok(())
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(cid)?;
        if !self.lost_one.load(Ordering::SeqCst) && Self::folder(inner, cid)?.is_empty() {
            self.seen_empty.look();
            self.puts.wait_for(1);
            let lost = Self::folder(inner, cid)?;
            lost.iter().try_for_each(|other| inner.delete(other))?;
            self.lost_one.store(!lost.is_empty(), Ordering::SeqCst);
        }
        Ok(())
    }
}
