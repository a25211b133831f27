//! A store that a command writes to, and that must be where it was in the end.

use std::ops::Deref;

use mnem_storage::{Elsewhere, Located, OpenOptions, Store, StoreError, knn::Format};

use crate::error::{Failure, Result};

/// An open store. A file stays open when its name goes, so whoever writes to one looks at the name once more before it is closed.
pub(crate) struct Target(Located);

impl Target {
    pub(crate) fn open(
        options: &OpenOptions,
        path: impl AsRef<std::path::Path>,
    ) -> std::result::Result<Self, StoreError> {
        options.open_located(path).map(Self)
    }

    /// The format in which its indexes of neighbours are stored.
    pub(crate) fn knn_format(&self) -> Format {
        self.0.knn_format
    }

    /// Closes it, unless it has moved.
    ///
    /// # Errors
    /// It is not where it was opened: then `done` says what was done to it.
    pub(crate) fn close(&self, done: &str) -> Result<()> {
        self.is_still_there(done).and(self.0.store.close().map_err(Failure::from))
    }

    /// Whether what failed did so because the store has moved.
    pub(crate) fn explained(&self, failure: Failure) -> Failure {
        self.is_still_there("not everything was done").err().unwrap_or(failure)
    }

    fn is_still_there(&self, done: &str) -> Result<()> {
        self.0.place.check().map_err(|error| elsewhere(error, done))
    }
}

impl Deref for Target {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.0.store
    }
}

/// An error of a store, in the words of the command where the store has moved.
pub(crate) fn elsewhere(error: StoreError, done: &str) -> Failure {
    let cause = if let StoreError::Backend { source, .. } = &error { source.downcast_ref::<Elsewhere>() } else { None };
    match cause {
        Some(elsewhere) => Failure::Elsewhere { done: done.to_owned(), source: elsewhere.clone() },
        None => error.into(),
    }
}
