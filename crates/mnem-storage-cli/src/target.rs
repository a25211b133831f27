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

/// The number of blocks in the store, or a lower bound if counting takes long.
pub(crate) fn in_all(store: &dyn Store) -> String {
    let (end, mut blocks) = (Instant::now() + COUNTING_TIME, 0);
    for cid in store.cids().into_iter().flatten() {
        if cid.is_err() || Instant::now() > end {
            return format!("at least {} in total", counted(blocks, "block"));
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
