//! Copying only the reachable blocks.

use mnem_store_traits::{Bytes, Cid, ErrorKind, Store, StoreError};
use serde::Serialize;

use super::{CopyError, CopyReport, Ended, Heads, OfAStore as _, Promise, Writer, error::differs, tables};
use crate::{
    Progress, Stage,
    limits::{COPY_ASKED_BLOCKS_MAX, COPY_LOOKUP_BYTES_MAX, COPY_PASSES_MAX},
    progress::{Cancelled, OnProgress},
    reach::{Absent, Allowed, Barrier, Missing, Reach},
};

/// Options for a copy of the reachable blocks.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a call is made with them"]
pub struct ReachableOptions {
    opaque_leaves: bool,
    skip_missing: bool,
    merge_heads: bool,
}

/// The result of a copy of the reachable blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReachableReport {
    /// As for any copy; the blocks are those that the heads reach.
    #[serde(flatten)]
    pub copied: CopyReport,
    /// Blocks that may link to others and were not searched for links. Always 0 without
    /// [`ReachableOptions::opaque_leaves`].
    pub opaque: u64,
    /// Blocks that were left out because they are absent. Always 0 without [`ReachableOptions::skip_missing`].
    pub missing_count: u64,
    /// The first 10,000 of them, in the order of the walk.
    pub missing: Vec<Absent>,
}

impl ReachableOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies blocks that may link to others and are not searched for links
    /// ([`LinkSupport::Opaque`](crate::LinkSupport::Opaque)), without what they link to. Default: no, such a block ends
    /// the copy with [`CopyError::Opaque`].
    pub fn opaque_leaves(mut self, yes: bool) -> Self {
        self.opaque_leaves = yes;
        self
    }

    /// Leaves out blocks that are linked to and absent, and lists them in the report. Default: no, such a block ends
    /// the copy. A head must have its block in any case, and a damaged block is never left out.
    pub fn skip_missing(mut self, yes: bool) -> Self {
        self.skip_missing = yes;
        self
    }

    /// Keeps heads of the target that the source does not know, as
    /// [`CopyOptions::merge_heads`](super::CopyOptions::merge_heads). Default: no.
    pub fn merge_heads(mut self, yes: bool) -> Self {
        self.merge_heads = yes;
        self
    }
}

/// Copies the heads of `from`, every block that they reach, and all side tables to `to`, and then walks the copy from
/// its heads.
///
/// Use it to make a copy without unreachable blocks, which is the safe way to free their space. It loses no block that
/// might be reachable: an opaque, absent or damaged block ends the copy unless the options allow it.
///
/// The target may be an earlier copy, as for [`copy`](fn@super::copy): its heads are replaced, and other blocks in it
/// stay. The heads are written last. To finish an interrupted copy, run it again.
///
/// The source may be written to meanwhile: the heads are read first, and everything that they reach is copied. If a
/// collection removes blocks that the old heads reached, the copy begins again with the new heads.
///
/// The copy holds in memory one CID for each block reached, twice; one batch of about 16 MiB; and about 8 MiB of blocks
/// that are read ahead.
///
/// ```
/// use mnem_storage::{
///     Blockstore, BlockstoreExt, Bytes, MemoryStore, OpHeadsStore, RAW, ReachableOptions, copy_reachable, unwatched,
/// };
///
/// let (from, to) = (MemoryStore::new(), MemoryStore::new());
/// let op = from.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// let old = from.put_as(RAW, Bytes::from_static(b"no head reaches this"))?;
/// from.update(&op, &[])?;
/// let report = copy_reachable(&from, &to, &ReachableOptions::new(), &mut unwatched)?;
/// assert_eq!(report.copied.blocks, 1);
/// assert_eq!((to.heads()?, to.has(&old)?), (vec![op], false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`copy`](fn@super::copy), and:
/// - [`CopyError::Opaque`]: the heads reach a block of a codec that is not followed.
/// - [`CopyError::Source`] with [`StoreError::MissingBlock`], [`StoreError::Corrupt`] or [`StoreError::Malformed`]: a
///   block that the heads reach is absent, damaged, or not valid in its codec.
/// - [`CopyError::Source`] with [`StoreError::InvalidArgument`]: the source has no heads, so nothing is reachable.
///   Nothing was written.
///
/// After an error, the heads of the target are unchanged. After a failure between two heads or in the proof, some or
/// all of them are set.
pub fn copy_reachable(
    from: &dyn Store,
    to: &dyn Store,
    options: &ReachableOptions,
    progress: OnProgress<'_>,
) -> Result<ReachableReport, CopyError> {
    let mut report = ReachableReport::default();
    let copied = copy_all(from, to, options, &mut report, progress);
    report.copied.count_present();
    copied.map_err(|ended| match ended {
        Ended::Failed(error) => error,
        Ended::Cancelled => CopyError::Stopped { blocks: report.copied.blocks, new: report.copied.new },
    })?;
    tracing::debug!(blocks = report.copied.blocks, new = report.copied.new, "copied what the heads of a store reach");
    Ok(report)
}

fn copy_all(
    from: &dyn Store,
    to: &dyn Store,
    options: &ReachableOptions,
    report: &mut ReachableReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    for pass in 1.. {
        let heads = Heads::read(from, to, options.merge_heads)?;
        if heads.of_source.is_empty() {
            let reason = "it has no heads, so they reach nothing".to_owned();
            let error = StoreError::InvalidArgument { operation: "copy what the heads reach", reason };
            return Err(CopyError::Source(error.into()).into());
        }
        let may_begin_again = pass < COPY_PASSES_MAX;
        match copy_reached(from, to, &heads, options, may_begin_again, report, progress) {
            Err(Ended::Failed(CopyError::Source(error)))
                if error.kind() == ErrorKind::MissingBlock && may_begin_again && heads.have_moved(from)? => {}
            copied => return copied,
        }
    }
    Ok(())
}

fn copy_reached(
    from: &dyn Store,
    to: &dyn Store,
    heads: &Heads,
    options: &ReachableOptions,
    may_begin_again: bool,
    report: &mut ReachableReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let names = tables::names(from, to)?;
    report.copied.begin_pass(heads);
    report.copied.promise = Promise::HoldsReached;
    let allowed = Allowed { opaque: options.opaque_leaves, missing: options.skip_missing };
    let mut reach = Reach::new(from, &heads.of_source, allowed);
    let reached_bytes = write(&mut reach, Writer::new(to, false, &mut report.copied), progress)?;
    report.opaque = reach.opaque();
    Missing { count: report.missing_count, listed: report.missing } = reach.missing;
    tables::copy(from, to, &names, &mut report.copied, progress)?;
    if let Some(Absent { cid, linked_from }) = report.missing.first()
        && may_begin_again
        && heads.have_moved(from)?
    {
        // A collection may have removed it. In that case the current heads do not reach it.
        let missing = StoreError::MissingBlock { cid: *cid, linked_from: Some(Box::new(*linked_from)) };
        return Err(CopyError::Source(missing.into()).into());
    }
    heads.set(to)?;
    prove(to, heads, allowed, report, reached_bytes, progress)
}

/// Writes the reached blocks, and returns their bytes. Even if it ends early, all counted blocks are in the target.
fn write(reach: &mut Reach<'_>, mut writer: Writer<'_>, progress: OnProgress<'_>) -> Result<u64, Ended> {
    let (mut reached_bytes, mut waiting, mut waiting_bytes) = (0, Vec::new(), 0);
    writer.list_target();
    let together = if writer.asks() { COPY_ASKED_BLOCKS_MAX } else { 1 };
    let mut ended = Cancelled::check(writer.tell(progress)).map_err(Ended::from);
    while ended.is_ok() {
        let Some(block) = reach.next() else { break };
        ended = block.map_err(|barrier| of_source(barrier).into()).and_then(|(cid, data)| {
            reached_bytes += data.len() as u64;
            waiting_bytes += data.len() as u64;
            waiting.push((cid, data));
            if waiting.len() < together && waiting_bytes < COPY_LOOKUP_BYTES_MAX {
                return Ok(Cancelled::check(writer.tell(progress))?);
            }
            waiting_bytes = 0;
            write_waiting(&mut waiting, &mut writer, progress)
        });
    }
    // Not after a failure of the target.
    if matches!(ended, Ok(()) | Err(Ended::Failed(CopyError::Source(_) | CopyError::Opaque { .. }))) {
        ended = write_waiting(&mut waiting, &mut writer, progress).and(ended);
    }
    writer.finish()?;
    ended.map(|()| reached_bytes)
}

/// Counts the waiting blocks that the target holds, and writes the others.
fn write_waiting(
    waiting: &mut Vec<(Cid, Bytes)>,
    writer: &mut Writer<'_>,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let cids: Vec<Cid> = waiting.iter().map(|(cid, _)| *cid).collect();
    let present = writer.are_present(&cids)?;
    for ((cid, data), is_present) in waiting.drain(..).zip(present) {
        if is_present {
            writer.present(&cid)?;
        } else {
            writer.block(cid, data)?;
        }
        Cancelled::check(writer.tell(progress))?;
    }
    Ok(())
}

fn of_source(barrier: Barrier) -> CopyError {
    match barrier {
        Barrier::Opaque(cid) => CopyError::Opaque { cid: Box::new(cid) },
        Barrier::Store(error) => CopyError::Source(error.into()),
    }
}

/// Checks that the heads of the target reach as many blocks as those of the source.
fn prove(
    to: &dyn Store,
    heads: &Heads,
    allowed: Allowed,
    report: &ReachableReport,
    reached_bytes: u64,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let copied = &report.copied;
    if to.heads().of_target()? != heads.of_target() {
        return Err(differs("the heads are not those that were set".to_owned()).into());
    }
    let mut done = Progress { total_blocks: Some(copied.blocks), ..Progress::of(Stage::Proof) };
    let mut reach = Reach::new(to, &copied.heads, allowed);
    for block in reach.by_ref() {
        let (_, data) = block.map_err(|barrier| match barrier {
            Barrier::Store(error) => CopyError::Target(error.into()),
            Barrier::Opaque(cid) => CopyError::Opaque { cid: Box::new(cid) },
        })?;
        done.add(data.len() as u64);
        Cancelled::check(progress(done))?;
    }
    let (source, target) =
        ((copied.blocks, reached_bytes, report.missing_count), (done.blocks, done.bytes, reach.missing.count));
    if source != target {
        let [reached, there] = [copied.blocks, done.blocks];
        return Err(differs(format!("the heads reach {reached} blocks in the source and {there} in the target")).into());
    }
    Ok(())
}
