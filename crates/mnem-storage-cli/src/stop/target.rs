//! The target of a copy, which fails with [`Asked`] once somebody asked for the end: so the copy ends between two blocks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mnem_storage::{
    Blockstore, Bytes, Capabilities, Cause, Cid, HeadsCapabilities, OpHeadsStore, Outcome, SideTable, Store,
    StoreError, WriteBatch,
    traits::{Blocks, CidIter, KeyIter},
};

use super::{Asked, Stop};

/// Whether a store failed because somebody asked for the end.
pub(crate) fn was_asked(error: &StoreError) -> bool {
    matches!(error, StoreError::Backend { source, .. } if source.is::<Asked>())
}

/// A store that refuses once somebody asked for the end, and counts what reaches it.
#[derive(Debug)]
pub(crate) struct Target {
    store: Arc<dyn Store>,
    stop: Arc<Stop>,
    landed: Landed,
}

/// Blocks that commits wrote, and those that they found.
#[derive(Debug, Default)]
struct Landed {
    new: AtomicU64,
    present: AtomicU64,
}

impl Target {
    pub(crate) fn new(store: Arc<dyn Store>, stop: Arc<Stop>) -> Self {
        Self { store, stop, landed: Landed::default() }
    }

    /// How many blocks commits wrote, and how many they found.
    pub(crate) fn landed(&self) -> (u64, u64) {
        (self.landed.new.load(Ordering::Relaxed), self.landed.present.load(Ordering::Relaxed))
    }

    fn check(&self) -> Result<(), StoreError> {
        check(&self.stop)
    }
}

fn check(stop: &Stop) -> Result<(), StoreError> {
    stop.check().map_err(|asked| StoreError::Backend {
        backend: "target",
        operation: "go on".into(),
        outcome: Outcome::NotApplied,
        source: Cause::new(asked),
    })
}

#[deny(clippy::missing_trait_methods, reason = "a lost override compiles silently and is only slow, or wrong")]
impl Blockstore for Target {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.check()?;
        self.store.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.check()?;
        self.store.put(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.check()?;
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        Ok(Box::new(self.store.cids()?.map(|cid| self.check().and(cid))))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.check()?;
        self.store.has(cid)
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.check()?;
        self.store.size(cid)
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.check()?;
        self.store.with_block(cid, f)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.check()?;
        self.store.put_trusted(cid, data)
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.check()?;
        self.store.put_many(blocks)
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

#[deny(clippy::missing_trait_methods, reason = "a lost override compiles silently and is only slow, or wrong")]
impl OpHeadsStore for Target {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.check()?;
        self.store.update(new, supersedes)
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.check()?;
        self.store.swap(expected, new)
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.store.heads_capabilities()
    }
}

#[deny(clippy::missing_trait_methods, reason = "a lost override compiles silently and is only slow, or wrong")]
impl Store for Target {
    fn commit(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.check()?;
        let (new, present) = match batch.head() {
            None => (batch.puts().len() as u64, batch.required().len() as u64),
            // The blocks that a head needs have been counted.
            Some(_) => (0, 0),
        };
        self.store.commit(batch)?;
        self.landed.new.fetch_add(new, Ordering::Relaxed);
        self.landed.present.fetch_add(present, Ordering::Relaxed);
        Ok(())
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(Table { table: self.store.side_table(name)?, stop: Arc::clone(&self.stop) }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.store.side_tables()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store.close()
    }
}

#[derive(Debug)]
struct Table {
    table: Arc<dyn SideTable>,
    stop: Arc<Stop>,
}

#[deny(clippy::missing_trait_methods, reason = "a lost override compiles silently and is only slow, or wrong")]
impl SideTable for Table {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check(&self.stop)?;
        self.table.get(key)
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check(&self.stop)?;
        self.table.write(puts, deletes)
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.table.keys(prefix)
    }
}
