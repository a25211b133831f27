//! Errors that say nothing about a store, but about who looks at it.

use std::{error::Error, io};

use mnem_store_traits::StoreError;

/// Whether the system does not permit this process to look.
pub(crate) fn is_denied(error: &StoreError) -> bool {
    let (StoreError::Backend { source, .. } | StoreError::Damaged { source, .. }) = error else { return false };
    let mut cause: Option<&(dyn Error + 'static)> = Some(&**source);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = error.source();
    }
    false
}
