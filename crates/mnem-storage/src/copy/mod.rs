//! Copying a store into another one.

mod blocks;
mod digest;
mod error;
mod heads;
mod in_step;
mod options;
mod proof;
mod reachable;
mod reached;
mod rows;
mod tables;

use mnem_store_traits::{Cid, Store};
use serde::Serialize;

use self::{blocks::Writer, heads::Heads};
use crate::{limits::COPY_PASSES_MAX, progress::OnProgress, report};

pub use self::{
    error::CopyError,
    options::CopyOptions,
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
    /// What was proved of the target.
    pub promise: Promise,
    /// Blocks in the source, and now in the target.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the target did not hold before.
    pub new: u64,
    /// Blocks that it did hold: `blocks` − `new`.
    pub present: u64,
    /// Blocks whose hash this build cannot compute: copied as stored.
    pub unchecked: u64,
    /// The first of them, as many as are listed.
    #[serde(serialize_with = "report::cids")]
    pub unchecked_cids: Vec<Cid>,
    /// Side tables, ascending by name.
    pub tables: Vec<TableCopied>,
    /// The heads of the source when the copy began, ascending. The target has them now.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
    /// Heads that the target had before and has no more, ascending.
    #[serde(serialize_with = "report::cids")]
    pub heads_replaced: Vec<Cid>,
    /// Heads of the target that the source does not know, ascending: kept as [`CopyOptions::merge_heads`] demands.
    #[serde(serialize_with = "report::cids")]
    pub heads_merged: Vec<Cid>,
}

/// What a copy proved of its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Promise {
    /// The target holds the blocks that the source listed, and no others, and both have the same heads. Each listing was read once, unless one was not
    /// ascending: then both were read again at the end.
    Equal,
    /// The target holds everything that the source held when the copy began and did not lose meanwhile, and whatever it held before: the heads of the source have
    /// moved since, it lost a block that it had listed, or the target has more.
    #[default]
    HoldsAll,
    /// The target holds everything that the heads reach: of [`copy_reachable`].
    HoldsReached,
}

impl Promise {
    /// A word for it: `equal`, `holds_all`, `holds_reached`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::HoldsAll => "holds_all",
            Self::HoldsReached => "holds_reached",
        }
    }
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

/// [`copy_with`] the default options.
///
/// # Errors
/// As [`copy_with`].
pub fn copy(from: &dyn Store, to: &dyn Store, progress: OnProgress<'_>) -> Result<CopyReport, CopyError> {
    copy_with(from, to, &CopyOptions::new(), progress)
}

/// Copies every block, side table and head of `from` into `to`, and proves what the target then holds.
///
/// *The source may be written to meanwhile.* Everything that it held when the copy began, and that nobody deleted meanwhile, is in the
/// target at the end, with the heads of that time: heads are read first, then blocks are listed. If heads move and blocks go at the same
/// time, as when the source is collected, the copy begins again with the new heads, several times if need be: what its heads reach is whole.
/// [`CopyReport::promise`] says what was proved.
///
/// *The target belongs to the copy.* Others may write to it meanwhile; nobody may delete from it. What it lists is there, what is written is looked up again.
///
/// *The target may be an earlier copy.* Both listings are followed side by side. Blocks that the target holds are not read and not written again. Heads of the target whose
/// blocks the source holds are replaced by the heads of the source. Another head is an error, unless
/// [`CopyOptions::merge_heads`] keeps it. Nothing else is removed from the target: blocks and rows that the source has no more stay.
/// An interrupted copy is finished by running it again.
///
/// In this order: blocks, side tables and heads (in one commit) are written; the proof. Until the heads are there the copy is
/// incomplete. Blocks are hashed as they are read and again as they are written. Those whose hash this build cannot
/// compute are copied as stored, and listed in the report. Rows of side tables are copied as they are, but for indexes of nearest neighbours
/// in rows of more than 16 MiB, which only files of the published program have: those become parts ([`knn::store`](crate::knn::store)).
///
/// If heads move meanwhile, the copy is followed from its heads before it is given them: a read of each of its blocks with links.
///
/// Memory: one batch of about 16 MiB; about 4 MiB of blocks that are read together; one page of names of each store; 8 to 16 bytes for each
/// block with links, if heads move meanwhile; an index that becomes parts, whole.
///
/// ```
/// use mnem_storage::{BlockstoreExt, Bytes, MemoryStore, OpHeadsStore, Promise, RAW, copy, unwatched};
///
/// let (from, to) = (MemoryStore::new(), MemoryStore::new());
/// let op = from.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// from.update(&op, &[])?;
/// let report = copy(&from, &to, &mut unwatched)?;
/// assert_eq!((report.blocks, report.new, report.promise), (1, 1, Promise::Equal));
/// let next = from.put_as(RAW, Bytes::from_static(b"the next one"))?;
/// from.update(&next, &[op])?;
/// let report = copy(&from, &to, &mut unwatched)?; // the next day
/// assert_eq!((report.new, report.present), (1, 1));
/// assert_eq!((to.heads()?, report.heads_replaced), (vec![next], vec![op]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CopyError::Stopped`], as the callback wished; [`CopyError::Differs`]: what was written to the target is not there, or it has other heads than
/// those it was given; else [`CopyError`] says which store is at fault, and in it:
/// - [`StoreError::InvalidArgument`](crate::StoreError::InvalidArgument): the target has a head that the source does not know, or has heads where the source has none.
///   Nothing was written.
/// - [`StoreError::Unsupported`](crate::StoreError::Unsupported): the source has side tables, and the target cannot. Nothing was written.
/// - [`StoreError::Corrupt`](crate::StoreError::Corrupt): a block of that store is damaged; [`verify`](crate::verify()) lists all of them. Those that the target held
///   before are only read with [`CopyOptions::compare`].
/// - [`StoreError::MissingBlock`](crate::StoreError::MissingBlock), of the source: its heads moved, and something that they had reached went, in each of 10 passes.
/// - Otherwise those of the two stores. Whatever was copied remains, and the heads of the target are complete or
///   untouched.
pub fn copy_with(
    from: &dyn Store,
    to: &dyn Store,
    options: &CopyOptions,
    progress: OnProgress<'_>,
) -> Result<CopyReport, CopyError> {
    let mut report = CopyReport::default();
    let copied = copy_all(from, to, options, &mut report, progress);
    report.count_present();
    copied.map_err(|ended| match ended {
        Ended::Failed(error) => error,
        Ended::Cancelled => CopyError::Stopped { blocks: report.blocks, new: report.new },
    })?;
    let CopyReport { blocks, new, promise, .. } = report;
    tracing::debug!(blocks, new, promise = promise.name(), "copied a store");
    Ok(report)
}

fn copy_all(
    from: &dyn Store,
    to: &dyn Store,
    options: &CopyOptions,
    report: &mut CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    for pass in 1.. {
        let heads = Heads::read(from, to, options.merge_heads)?;
        let tables = tables::names(from, to)?;
        report.begin_pass(&heads);
        let same = blocks::copy(from, to, &mut Writer::new(to, options.compare, report), progress)?;
        tables::copy(from, to, &tables, report, progress)?;
        // What the current heads reach is there: a collection removes none of it.
        if heads.have_moved(from)?
            && let Some(missing) = reached::missing(to, &heads.of_source, progress)?
        {
            if pass < COPY_PASSES_MAX {
                continue;
            }
            return Err(CopyError::Source(missing.into()).into());
        }
        heads.set(to)?;
        proof::prove(from, to, &heads, same, report, progress)?;
        break;
    }
    Ok(())
}

impl CopyReport {
    fn begin_pass(&mut self, heads: &Heads) {
        *self = Self {
            new: self.new,
            heads: heads.of_source.clone(),
            heads_replaced: heads.replaced.clone(),
            heads_merged: heads.merged.clone(),
            ..Self::default()
        };
    }

    fn count_present(&mut self) {
        // A block of an earlier pass may have gone.
        self.new = self.new.min(self.blocks);
        self.present = self.blocks - self.new;
    }
}

pub(crate) fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
