//! Copying a store into another one.

mod blocks;
mod error;
mod proof;
mod reachable;
mod rows;
mod tables;
mod target;

use std::collections::BTreeSet;

use mnem_store_traits::{Cid, Store, WriteBatch};
use serde::Serialize;

use crate::{progress::OnProgress, report};

pub use self::{
    error::CopyError,
    reachable::{ReachableOptions, ReachableReport, copy_reachable},
};
pub(crate) use self::{
    error::{Ended, OfAStore},
    rows::Rows,
};

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// Blocks in the source, and now in the target.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the target did not hold before.
    pub new: u64,
    /// Blocks that it did hold: always `blocks` − `new`.
    pub present: u64,
    /// Blocks whose hash this build cannot compute: copied as stored.
    pub unchecked: u64,
    /// The first of them, as many as are listed.
    #[serde(serialize_with = "report::cids")]
    pub unchecked_cids: Vec<Cid>,
    /// Side tables, ascending by name.
    pub tables: Vec<TableCopied>,
    /// The heads of both stores, ascending.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
}

/// A side table that was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableCopied {
    /// Its name.
    pub name: String,
    /// Keys copied.
    pub keys: u64,
    /// Bytes of their values.
    #[serde(rename = "value_bytes")]
    pub bytes: u64,
}

/// Copies every block, side table and head of `from` into `to`, and proves that both then hold the same CIDs and the same heads.
///
/// The target must be empty or hold a part of the source: no block, row key or head that the source has not. So a copy that was
/// interrupted is finished by running it again, and two different stores are never mixed. Blocks that the target holds are read, since a name
/// proves nothing about the bytes, and not written again.
///
/// In this order: the target is looked through; blocks, side tables and heads (all in one commit) are written; the
/// proof. Until the heads are there the target is incomplete, its side tables too. Blocks are hashed as they are read and again as they are written. Those
/// whose hash this build cannot compute are copied as stored, and listed in the report. Rows of side tables are copied as they are, but for indexes of
/// nearest neighbours in rows of more than 16 MiB, which only files of the published program have: those become parts ([`knn::store`](crate::knn::store)).
///
/// The source may be written to meanwhile: its heads are read first, so what they reach is copied. But then the proof may fail, since the
/// two differ.
///
/// Memory: one batch of about 16 MiB, about 8 MiB of blocks that are read ahead, and one page of names of each store; an
/// index that becomes parts, whole.
///
/// ```
/// use mnem_storage::{BlockstoreExt, Bytes, MemoryStore, OpHeadsStore, RAW, copy, unwatched};
///
/// let (from, to) = (MemoryStore::new(), MemoryStore::new());
/// let op = from.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// from.update(&op, &[])?;
/// let report = copy(&from, &to, &mut unwatched)?;
/// assert_eq!((report.blocks, report.new), (1, 1));
/// assert_eq!(to.heads()?, [op]);
/// assert_eq!(copy(&from, &to, &mut unwatched)?.new, 0); // again: all is there
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CopyError::Stopped`], as the callback wished; else [`CopyError`] says which store is at fault, and in it:
/// - [`StoreError::InvalidArgument`](crate::StoreError::InvalidArgument): the target holds what the source does not. Nothing was written.
/// - [`StoreError::Unsupported`](crate::StoreError::Unsupported): the source has side tables, and the target cannot. Nothing was written.
/// - [`StoreError::Corrupt`](crate::StoreError::Corrupt): a block of that store is damaged; [`verify`](crate::verify()) lists all of them. One of the target is healed by
///   deleting it and copying again.
/// - [`StoreError::Backend`](crate::StoreError::Backend), "target store failed to hold the same as the source": the proof found a difference; the cause says which.
/// - Otherwise those of the two stores. Whatever was copied remains, and the heads of the target are complete or
///   untouched.
pub fn copy(from: &dyn Store, to: &dyn Store, progress: OnProgress<'_>) -> Result<CopyReport, CopyError> {
    let heads = from.heads().of_source()?;
    let tables = from.side_tables().of_source()?;
    let mut report = CopyReport { heads, ..CopyReport::default() };
    let copied = copy_all(from, to, &tables, &mut report, progress);
    copied.map_err(|ended| match ended {
        Ended::Failed(error) => error,
        Ended::Cancelled => CopyError::Stopped { blocks: report.blocks, new: report.new },
    })?;
    tracing::debug!(blocks = report.blocks, new = report.new, "copied a store");
    Ok(report)
}

fn copy_all(
    from: &dyn Store,
    to: &dyn Store,
    tables: &[String],
    report: &mut CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    target::check(from, to, &report.heads, tables, progress)?;
    blocks::copy(from, to, report, progress)?;
    tables::copy(from, to, tables, report, progress)?;
    set_heads(to, &report.heads)?;
    proof::prove(from, to, report, progress)
}

fn set_heads(to: &dyn Store, heads: &[Cid]) -> Result<(), CopyError> {
    let present: BTreeSet<Cid> = to.heads().of_target()?.into_iter().collect();
    let absent: Vec<Cid> = heads.iter().filter(|head| !present.contains(head)).copied().collect();
    if absent.is_empty() {
        return Ok(());
    }
    let mut batch = WriteBatch::new();
    batch.update_all(absent.iter().copied(), []);
    for head in absent {
        // A head whose block the source does not hold is copied as such a head: a copy judges nothing.
        if to.has(&head).of_target()? {
            batch.require(head);
        }
    }
    to.commit(&batch).of_target()
}

pub(crate) fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
