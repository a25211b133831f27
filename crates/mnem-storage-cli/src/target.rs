//! A store that a command writes to, and that must be where it was in the end.

use std::{
    ops::Deref,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mnem_storage::{Elsewhere, OpenOptions, Place, Store, StoreError, driver::Driver, knn::Format};

use crate::{
    error::{Failure, Result},
    output::counted,
};

/// How long interrupted work counts what is there.
const COUNTING_TIME: Duration = Duration::from_millis(300);

/// An open store. A file stays open when its name goes, so whoever writes to one looks at the name once more before it is closed.
pub(crate) struct Target {
    store: Arc<dyn Store>,
    driver: &'static dyn Driver,
    knn_format: Format,
    place: Place,
}

impl Target {
    pub(crate) fn open(options: &OpenOptions, path: impl AsRef<Path>) -> std::result::Result<Self, StoreError> {
        let path = path.as_ref();
        let store = options.open_managed(path)?;
        let (driver, place) = (store.driver(), Place::new(&*store, path));
        let knn_format = Format::of_store(store.format());
        Ok(Self { store: store.into_store(), driver, knn_format, place })
    }

    /// Which backend it is of.
    pub(crate) fn driver(&self) -> &'static dyn Driver {
        self.driver
    }

    /// The format in which its indexes of neighbours are stored.
    pub(crate) fn knn_format(&self) -> Format {
        self.knn_format
    }

    /// Closes it, unless it has moved.
    ///
    /// # Errors
    /// It is not where it was opened: then `done` says what was done to it.
    pub(crate) fn close(&self, done: &str) -> Result<()> {
        self.is_still_there(done).and(self.store.close().map_err(Failure::from))
    }

    /// Whether what failed did so because the store has moved.
    pub(crate) fn explained(&self, failure: Failure) -> Failure {
        self.is_still_there("not everything was done").err().unwrap_or(failure)
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

/// How many blocks a store holds, for somebody who does not want to wait: what could be counted in a moment.
pub(crate) fn in_all(store: &dyn Store) -> String {
    let (end, mut blocks) = (Instant::now() + COUNTING_TIME, 0);
    for cid in store.cids().into_iter().flatten() {
        if cid.is_err() || Instant::now() > end {
            return format!("at least {} in all", counted(blocks, "block"));
        }
        blocks += 1;
    }
    format!("{} in all", counted(blocks, "block"))
}

/// An error of a store, in the words of the command where the store has moved.
pub(crate) fn elsewhere(error: StoreError, done: &str) -> Failure {
    let cause = if let StoreError::Backend { source, .. } = &error { source.downcast_ref::<Elsewhere>() } else { None };
    match cause {
        Some(elsewhere) => Failure::Elsewhere { done: done.to_owned(), source: elsewhere.clone() },
        None => error.into(),
    }
}
