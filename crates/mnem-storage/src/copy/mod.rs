//! Copying a store to another one.

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

/// The result of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// What was proved about the target.
    pub promise: Promise,
    /// Blocks in the source, all of which the target now holds.
    pub blocks: u64,
    /// Blocks that the target did not hold before.
    pub new: u64,
    /// Bytes of the new blocks.
    pub new_bytes: u64,
    /// Blocks that it already held: `blocks` − `new`.
    pub present: u64,
    /// Blocks whose hash this build cannot compute: copied as stored.
    pub unchecked: u64,
    /// The first of them, up to the limit of the list.
    #[serde(serialize_with = "report::cids")]
    pub unchecked_cids: Vec<Cid>,
    /// Side tables, ascending by name.
    pub tables: Vec<TableCopied>,
    /// The heads of the source when the copy began, ascending. The target has them now.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
    /// Heads that the target had before and no longer has, ascending.
    #[serde(serialize_with = "report::cids")]
    pub heads_replaced: Vec<Cid>,
    /// Heads of the target that the source does not know, ascending, kept because of [`CopyOptions::merge_heads`].
    #[serde(serialize_with = "report::cids")]
    pub heads_merged: Vec<Cid>,
}

/// What a copy proved about its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Promise {
    /// The target holds the blocks that the source listed and no others, and both have the same heads. Each listing was
    /// read once. If one was not ascending and more than 10,000 blocks were new, both were read again at the end.
    Equal,
    /// The target holds everything that the source held when the copy began and did not lose meanwhile, and everything
    /// that it held before. The heads of the source have moved since, it lost a block that it had listed, or the target
    /// holds more.
    #[default]
    HoldsAll,
    /// The target holds everything that the heads reach. From [`copy_reachable`].
    HoldsReached,
}

impl Promise {
    /// The name of the promise: `equal`, `holds_all`, `holds_reached`.
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

/// [`copy_with`] with the default options.
///
/// # Errors
/// As [`copy_with`].
pub fn copy(from: &dyn Store, to: &dyn Store, progress: OnProgress<'_>) -> Result<CopyReport, CopyError> {
    copy_with(from, to, &CopyOptions::new(), progress)
}

/// Copies every block, side table and head of `from` to `to`, and proves what the target then holds.
///
/// *The source may be written to meanwhile.* The copy reads the heads first and then lists the blocks. In the end, the
/// target holds everything that the source held when the copy began and that was not deleted meanwhile, with the heads
/// of that time. If heads move and blocks are removed at the same time, as by a collection of the source, the copy
/// begins again with the new heads, up to ten passes in all. What its heads reach is complete. [`CopyReport::promise`]
/// says what was proved.
///
/// *The target belongs to the copy.* Others may write to it meanwhile, but must not delete from it. The copy relies
/// on what the target lists, and looks up again what it writes.
///
/// *The target may be an earlier copy.* Both listings are read side by side. Blocks that the target holds are neither
/// read nor written again. Heads of the target whose blocks the source holds are replaced by the heads of the source.
/// Any other head is an error, unless [`CopyOptions::merge_heads`] keeps it. Nothing else is removed from the target:
/// blocks and rows that the source no longer has stay. To finish an interrupted copy, run it again.
///
/// The copy writes the blocks, then the side tables, then the heads in one commit, and then proves the result. Until
/// the heads are written, the copy is incomplete. Blocks are hashed when they are read and again when they are written.
/// Blocks whose hash this build cannot compute are copied as stored, and listed in the report. Rows of side tables are
/// copied as they are. An exception is an index of nearest neighbours in a row of more than 16 MiB, which only files of
/// the published program have: it becomes parts ([`knn::store`](crate::knn::store)). If heads move meanwhile, the copy
/// follows the links from its heads in the target before it sets them, which reads each of its blocks with links.
///
/// The copy holds in memory one batch of about 16 MiB; about 4 MiB of blocks that are read together; one page of names
/// of each store; 8 to 16 bytes for each block with links, if heads move meanwhile; and an index that becomes parts,
/// whole.
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
/// [`CopyError::Stopped`]: the callback stopped it. [`CopyError::Differs`]: the target lacks something that was written
/// to it, or has other heads than those that were set. Otherwise [`CopyError`] names the store at fault, with:
/// - [`StoreError::InvalidArgument`](crate::StoreError::InvalidArgument): the target has a head that the source does
///   not know, or has heads while the source has none. Nothing was written.
/// - [`StoreError::Unsupported`](crate::StoreError::Unsupported): the source has side tables, and the target does not
///   support them. Nothing was written.
/// - [`StoreError::Corrupt`](crate::StoreError::Corrupt): a block of that store is damaged; [`verify`](crate::verify())
///   lists all of them. Blocks that the target held before are read only with [`CopyOptions::compare`].
/// - [`StoreError::MissingBlock`](crate::StoreError::MissingBlock), of the source: its heads moved and blocks that they
///   had reached were removed, in each of 10 passes.
/// - Otherwise those of the two stores. The blocks copied so far remain, and the heads of the target are complete or
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
        // The blocks that the current heads reach are present, because a collection does not remove them.
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
            new_bytes: self.new_bytes,
            heads: heads.of_source.clone(),
            heads_replaced: heads.replaced.clone(),
            heads_merged: heads.merged.clone(),
            ..Self::default()
        };
    }

    fn count_present(&mut self) {
        // A block of an earlier pass may have been deleted.
        self.new = self.new.min(self.blocks);
        self.present = self.blocks - self.new;
    }
}

pub(crate) fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
