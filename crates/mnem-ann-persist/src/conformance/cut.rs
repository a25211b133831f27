//! A table that fails in the middle of a write.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mnem_store_traits::{Bytes, Cause, KeyIter, Outcome, SideTable, StoreError};

/// Applies this many keys, in the order that a table promises, then fails for good: the state after a process was
/// killed.
#[derive(Debug)]
pub(crate) struct Cut {
    table: Arc<dyn SideTable>,
    keys_left: AtomicUsize,
}

impl Cut {
    pub(crate) fn after(keys: usize, table: &Arc<dyn SideTable>) -> Self {
        Self { table: table.clone(), keys_left: AtomicUsize::new(keys) }
    }

    fn take(&self, wanted: usize) -> usize {
        let taken = wanted.min(self.keys_left.load(Ordering::Relaxed));
        self.keys_left.fetch_sub(taken, Ordering::Relaxed);
        taken
    }
}

#[deny(clippy::missing_trait_methods)]
impl SideTable for Cut {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.table.get(key)
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let (these, those) = (self.take(puts.len()), self.take(deletes.len()));
        let those = if these < puts.len() { 0 } else { those };
        self.table.write(&puts[..these], &deletes[..those])?;
        if these + those == puts.len() + deletes.len() {
            return Ok(());
        }
        Err(StoreError::Backend {
            backend: "cut",
            operation: "write a side table".into(),
            outcome: Outcome::Unknown,
            source: Cause::new("stopped"),
        })
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.table.keys(prefix)
    }
}
