//! Bytes that follow a store in its file.

use crate::Cause;

/// A store's file is longer than the store. This is the cause of the
/// [`StoreError::Damaged`](crate::StoreError::Damaged) with which a driver refuses to write to it, so that a program
/// can say where to truncate. The store itself may be intact.
#[derive(Debug, thiserror::Error)]
#[error("the file is longer than its header says by {appended_bytes} bytes, {}: `truncate -s {store_bytes}` removes them", if *.closed {
    "appended from outside"
} else {
    "and was not closed; no commit uses them"
})]
pub struct AppendedBytes {
    /// The end of the store in the file, in bytes.
    pub store_bytes: u64,
    /// The number of bytes after it.
    pub appended_bytes: u64,
    /// Whether the store was closed, so that its own writer did not make the file longer.
    pub closed: bool,
    /// Any other problem of the store.
    pub source: Option<Cause>,
}
