//! The store's error inside an error of this crate.

use std::{fmt, ops::Deref};

use mnem_store_traits::StoreError;

/// The store's error inside an error of this crate: [`VerifyError`](crate::VerifyError),
/// [`CopyError`](crate::CopyError), [`CollectError`](crate::CollectError), [`ImportError`](crate::car::ImportError) and
/// [`ExportError`](crate::car::ExportError).
///
/// Dereferences to the error and prints like it. As a [`source`](std::error::Error::source) it is the error itself, so
/// a chain of causes contains no link of this type. Boxed to keep the errors small.
#[derive(Clone, Debug)]
pub struct StoreCause(Box<StoreError>);

impl StoreCause {
    /// The error itself.
    pub fn into_inner(self) -> StoreError {
        *self.0
    }
}

impl From<StoreError> for StoreCause {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

impl Deref for StoreCause {
    type Target = StoreError;

    fn deref(&self) -> &StoreError {
        &self.0
    }
}

impl fmt::Display for StoreCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
