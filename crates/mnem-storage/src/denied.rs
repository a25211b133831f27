//! Errors that concern the permissions of this process, not the state of a store.

use std::{error::Error, io};

use mnem_store_traits::StoreError;

/// Whether the system denied this process access.
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
