//! Bytes that follow a store in its file.

use crate::Cause;

/// A store's file is longer than the store: the cause of the [`StoreError::Damaged`](crate::StoreError::Damaged) with which a driver refuses to write
/// to it, so that a program can say where to cut. The store itself may be whole.
#[derive(Debug, thiserror::Error)]
#[error("the file is longer than its header says by {appended_bytes} bytes, {}: `truncate -s {store_bytes}` removes them", if *.closed {
    "which were appended"
} else {
    "which no commit uses, and was not closed"
})]
pub struct AppendedBytes {
    /// Where the store ends, in bytes.
    pub store_bytes: u64,
    /// How many bytes follow.
    pub appended_bytes: u64,
    /// Whether the store was closed, so that its own writer did not make the file longer.
    pub closed: bool,
    /// What was wrong with the store besides.
    pub source: Option<Cause>,
}
