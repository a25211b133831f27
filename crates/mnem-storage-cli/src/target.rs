//! A store that a command writes to. Closing it checks that it is still at its path.

use std::{
    ops::Deref,
    path::Path,
    time::{Duration, Instant},
};

use mnem_storage::{
    Elsewhere, OpenOptions, Place, Store, StoreError,
    driver::{Driver, ManagedStore},
    knn::Format,
};

use crate::{
    error::{Failure, Result},
    output::counted,
};

/// How long an interrupted command counts blocks for its report.
const COUNTING_TIME: Duration = Duration::from_millis(150);

/// A store opened for writing. An open file survives the removal of its name, so closing the store checks the path.
pub(crate) struct Target {
    store: Box<dyn ManagedStore>,
    knn_format: Format,
    place: Place,
}

impl Target {
    pub(crate) fn open(options: &OpenOptions, path: impl AsRef<Path>) -> std::result::Result<Self, StoreError> {
        let path = path.as_ref();
        let store = options.open_managed(path)?;
        let (place, knn_format) = (Place::new(&*store, path), Format::of_store(store.format()));
        Ok(Self { store, knn_format, place })
    }

    /// The driver of the store.
    pub(crate) fn driver(&self) -> &'static dyn Driver {
        self.store.driver()
    }

    /// The store, with what its driver offers beyond the contract.
    pub(crate) fn managed(&self) -> &dyn ManagedStore {
        &*self.store
    }

    /// The format of the store's nearest-neighbour indexes.
    pub(crate) fn knn_format(&self) -> Format {
        self.knn_format
    }

    /// Closes the store.
    ///
    /// # Errors
    /// [`Failure::Elsewhere`] with `done` if the store was moved, replaced or removed.
    pub(crate) fn close(&self, done: &str) -> Result<()> {
        self.is_still_there(done).and(self.store.close().map_err(Failure::from))
    }

    /// Replaces a failure by [`Failure::Elsewhere`] if the store was moved, replaced or removed.
    pub(crate) fn explained(&self, failure: Failure) -> Failure {
        self.is_still_there("the command did not finish").err().unwrap_or(failure)
    }

    fn is_still_there(&self, done: &str) -> Result<()> {
        self.place.check().map_err(|error| elsewhere(error, done))
    }
}

impl Deref for Target {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// The number of blocks in the store, or a lower bound if counting takes long. `known`: the number of blocks of which
/// the caller knows that the store holds them, so that the bound is not below it.
pub(crate) fn in_all(store: &dyn Store, known: u64) -> String {
    in_all_by(Instant::now() + COUNTING_TIME, store, known)
}

fn in_all_by(end: Instant, store: &dyn Store, known: u64) -> String {
    let mut blocks = 0;
    for cid in store.cids().into_iter().flatten() {
        if cid.is_err() || Instant::now() > end {
            return format!("at least {} in total", counted(known.max(blocks), "block"));
        }
        blocks += 1;
    }
    format!("{} in total", counted(blocks, "block"))
}

/// Converts an error of a store; [`Failure::Elsewhere`] with `done` if the store was moved, replaced or removed.
pub(crate) fn elsewhere(error: StoreError, done: &str) -> Failure {
    let cause = if let StoreError::Backend { source, .. } = &error { source.downcast_ref::<Elsewhere>() } else { None };
    match cause {
        Some(elsewhere) => Failure::Elsewhere { done: done.to_owned(), source: elsewhere.clone() },
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use mnem_storage::{Blockstore as _, BlockstoreExt as _, MemoryStore, RAW};

    use super::*;

    #[test]
    fn a_bound_on_the_number_of_blocks_is_not_below_what_is_known() {
        let store = MemoryStore::new();
        assert_eq!(in_all(&store, 0), "0 blocks in total");
        for n in 0..5_u8 {
            store.put_as(RAW, vec![n].into()).expect("stored");
        }
        assert_eq!(store.cids().expect("a listing").count(), 5);
        let (past, soon) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        for (end, known, expected) in [
            (soon, 0, "5 blocks in total"),
            (soon, 3, "5 blocks in total"),
            (past, 0, "at least 0 blocks in total"),
            (past, 3, "at least 3 blocks in total"),
        ] {
            assert_eq!(in_all_by(end, &store, known), expected, "{known}");
        }
    }
}
