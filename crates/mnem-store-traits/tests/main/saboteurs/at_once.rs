//! Defects of writes of different kinds at the same time, and of listings longer than a number counts.

use std::sync::Arc;

use mnem_store_traits::{
    Blockstore, Bytes, Cid, CidIter, Cids, KeyIter, MemoryStore, SideTable, Store, StoreError, WriteBatch,
};

use super::{
    Defect, Gap, defect, saboteurs,
    tables::{OneDefect, TableDefect},
};

saboteurs! {
    listings_have_16_bits: ListsIn16Bits => long_listings_are_complete "missing";
    keys_have_16_bits: OneDefect<KeysIn16Bits> => long_listings_are_complete "missing";
    commit_writes_rows_back: CommitWritesRowsBack => writes_of_every_kind_at_once_lose_nothing "keys() after writes";
    delete_writes_names_back: DeleteLosesCommits => writes_of_every_kind_at_once_lose_nothing "None";
    batch_of_deletes_writes_back: BatchOfDeletesLosesPuts => deletes_lose_no_put_of_another_thread "beside a delete_many";
}

defect! {
    ListsIn16Bits {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.take(1 << 16)))
        }
    }
}

#[derive(Debug, Default)]
struct KeysIn16Bits;

impl TableDefect for KeysIn16Bits {
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        Ok(Box::new(inner.keys(prefix)?.take(1 << 16)))
    }
}

/// One that reads all, changes it and writes it back, beside others that write in the meantime: what they wrote is
/// lost.
#[derive(Debug, Default)]
struct WritesBack {
    has_read: Gap,
    others: Gap,
}

impl WritesBack {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.has_read, &self.others]
    }

    /// What `list` finds after `write` and another write, and did not find before.
    fn lost<T: PartialEq>(
        &self,
        list: impl Fn() -> Result<Vec<T>, StoreError>,
        write: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let after_another = self.others.count() + 1;
        let before = list()?;
        self.has_read.look();
        write()?;
        self.others.wait_until(after_another);
        let mut since = list()?;
        since.retain(|item| !before.contains(item));
        Ok(since)
    }

    fn other(&self, write: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.has_read.wait_until(1);
        write()?;
        self.others.look();
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
    fn gaps(&self) -> Vec<&Gap> {
        self.0.gaps()
    }
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

/// A delete writes the names of all blocks back, beside commits.
#[derive(Debug, Default)]
pub(super) struct DeleteLosesCommits(WritesBack);

impl Defect for DeleteLosesCommits {
    fn gaps(&self) -> Vec<&Gap> {
        self.0.gaps()
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        let lost = self.0.lost(|| listed(inner), || inner.delete(cid))?;
        lost.iter().try_for_each(|cid| inner.delete(cid))
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        self.0.other(|| inner.commit(batch))
    }
}

/// A batch of deletes writes the names of all blocks back, beside single puts.
#[derive(Debug, Default)]
pub(super) struct BatchOfDeletesLosesPuts(WritesBack);

impl Defect for BatchOfDeletesLosesPuts {
    fn gaps(&self) -> Vec<&Gap> {
        self.0.gaps()
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.other(|| inner.put(cid, data))
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let lost = self.0.lost(|| listed(inner), || inner.delete_many(cids))?;
        inner.delete_many(&mut lost.into_iter().map(Ok))
    }
}
