//! Errors of workloads.

use std::{fmt::Display, io};

use mnem_store_traits::{Blockstore, Bytes, Cid, StoreError};

/// The reason why a workload has no time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The store gave a wrong answer, so its times mean nothing.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// An input of the workload, other than the store, could not be read.
    #[error("cannot read what the workload needs")]
    Io(#[from] io::Error),
    /// An archive could not be imported.
    #[error("the import failed")]
    Import(#[from] Box<mnem_storage::car::ImportError>),
}

pub(crate) fn wrong(what: impl Display) -> WorkloadError {
    WorkloadError::Wrong(what.to_string())
}

pub(crate) fn expect_present(store: &(impl Blockstore + ?Sized), cid: &Cid, data: &Bytes) -> Result<(), WorkloadError> {
    match store.get(cid)? {
        Some(found) if found == *data => Ok(()),
        Some(_) => Err(wrong(format_args!("get of {cid} returned other bytes"))),
        None => Err(wrong(format_args!("block {cid} is not there"))),
    }
}

pub(crate) fn expect_heads(store: &dyn mnem_store_traits::Store, expected: &[Cid]) -> Result<(), WorkloadError> {
    let heads = store.heads()?;
    if heads == expected { Ok(()) } else { Err(wrong(format_args!("the heads are {heads:?}, not {expected:?}"))) }
}
