//! Defects of concurrent writes of different kinds, of a `close` inside a call, and of listings longer than a counter.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, Cids, KeyIter, MemoryStore, SideTable, Store, StoreError, WriteBatch,
};

use super::{
    Defect, defect, saboteurs,
    tables::{OneDefect, TableDefect},
};

saboteurs! {
    listings_have_16_bits: ListsIn16Bits => long_listings_are_complete "missing";
    keys_have_16_bits: OneDefect<KeysIn16Bits> => long_listings_are_complete "missing";
    commit_writes_rows_back: CommitWritesRowsBack => writes_of_every_kind_at_once_lose_nothing "keys() after writes";
    delete_writes_names_back: DeleteLosesCommits => writes_of_every_kind_at_once_lose_nothing "None";
    batch_of_deletes_writes_back: BatchOfDeletesLosesPuts => deletes_lose_no_put_of_another_thread "beside a delete_many";
    delete_panics: DeletePanics => deletes_lose_no_put_of_another_thread "a panic: the store's own";
    close_waits_for_readers: CloseWaitsForReaders => close_within_callers_code_is_a_close "no end: a deadlock";
    close_is_ignored_within_a_call: CloseIsIgnored => close_within_callers_code_is_a_close "Closed";
    batch_asks_once_whether_it_may: AsksOnceWhetherItMay => close_within_callers_code_is_a_close "Closed";
}

defect! {
    ListsIn16Bits {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.take(1 << 16)))
        }
    }

    DeletePanics {
        fn delete(&self, _inner: &MemoryStore, _cid: &Cid) -> Result<(), StoreError> {
            std::panic::panic_any("the store's own")
        }
    }

    // Checks that the store is open before it drains the iterator, and not again afterwards.
    AsksOnceWhetherItMay {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            inner.side_tables()?;
            inner.open_again().put_many(blocks)
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct KeysIn16Bits;

impl TableDefect for KeysIn16Bits {
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        Ok(Box::new(inner.keys(prefix)?.take(1 << 16)))
    }
}

/// A read-modify-write of everything, without excluding other writers: their writes in between are lost.
#[derive(Debug, Default)]
struct WritesBack {
    /// The number of callers that have read and not yet written back.
    reading: AtomicUsize,
    others: AtomicUsize,
}

impl WritesBack {
    /// How long each side waits for the other. A law runs both at the same time, so the race is lost in every run.
    const PATIENCE: Duration = Duration::from_millis(300);

    fn wait(until: impl Fn() -> bool) {
        let begin = Instant::now();
        while !until() && begin.elapsed() < Self::PATIENCE {
            std::thread::yield_now();
        }
    }

    /// The items that `list` finds after `write` and another write, but did not find before.
    fn lost<T: PartialEq>(
        &self,
        list: impl Fn() -> Result<Vec<T>, StoreError>,
        write: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let others = self.others.load(Ordering::SeqCst);
        let before = list()?;
        self.reading.fetch_add(1, Ordering::SeqCst);
        let written = write();
        Self::wait(|| self.others.load(Ordering::SeqCst) > others);
        self.reading.fetch_sub(1, Ordering::SeqCst);
        written?;
        let mut since = list()?;
        since.retain(|item| !before.contains(item));
        Ok(since)
    }

    fn other(&self, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        Self::wait(|| self.reading.load(Ordering::SeqCst) > 0);
        write()?;
        self.others.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Keeps rows and heads in one file, which a commit writes back.
#[derive(Debug, Default)]
pub(super) struct CommitWritesRowsBack(Arc<WritesBack>);

#[derive(Debug)]
struct Rows {
    inner: Arc<dyn SideTable>,
    file: Arc<WritesBack>,
}

impl SideTable for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.file.other(|| self.inner.write(puts, deletes))
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.inner.keys(prefix)
    }
}

impl Defect for CommitWritesRowsBack {
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let table = inner.side_table("table")?;
        let lost = self.0.lost(|| table.keys(b"")?.collect(), || inner.commit(batch))?;
        table.write(&[], &lost)
    }
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(Rows { inner: inner.side_table(name)?, file: Arc::clone(&self.0) }))
    }
}

fn listed(inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
    inner.cids()?.collect()
}

/// A delete writes the names of all blocks back, concurrently with commits.
#[derive(Debug, Default)]
pub(super) struct DeleteLosesCommits(WritesBack);

impl Defect for DeleteLosesCommits {
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        let lost = self.0.lost(|| listed(inner), || inner.delete(cid))?;
        lost.iter().try_for_each(|cid| inner.delete(cid))
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        self.0.other(|| inner.commit(batch))
    }
}

/// A batch of deletes writes the names of all blocks back, concurrently with single puts.
#[derive(Debug, Default)]
pub(super) struct BatchOfDeletesLosesPuts(WritesBack);

impl Defect for BatchOfDeletesLosesPuts {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.other(|| inner.put(cid, data))
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let lost = self.0.lost(|| listed(inner), || inner.delete_many(cids))?;
        inner.delete_many(&mut lost.into_iter().map(Ok))
    }
}

/// `close` waits for all running calls, as if it then freed what they use.
#[derive(Debug, Default)]
pub(super) struct CloseWaitsForReaders(RwLock<()>);

impl Defect for CloseWaitsForReaders {
    const DEADLINE: Duration = Duration::from_secs(2);

    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let _in_use = self.0.read().unwrap_or_else(|e| e.into_inner());
        inner.with_block(cid, f)
    }
    fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        let _not_in_use = self.0.write().unwrap_or_else(|e| e.into_inner());
        inner.close()
    }
}

/// `close` takes a call that is running for a reason to do nothing.
#[derive(Debug, Default)]
pub(super) struct CloseIsIgnored(RwLock<()>);

impl Defect for CloseIsIgnored {
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let _in_use = self.0.read().unwrap_or_else(|e| e.into_inner());
        inner.with_block(cid, f)
    }
    fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        if self.0.try_write().is_ok() { inner.close() } else { Ok(()) }
    }
}
