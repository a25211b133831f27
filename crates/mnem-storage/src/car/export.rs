//! Exporting an archive from a store.

use std::io::{BufWriter, Write};

use mnem_car::{ROOTS_MAX, Writer, can_hold};
use mnem_store_traits::{Cid, Store, StoreError, Walk, is_checkable, links};
use serde::Serialize;

use super::error::ExportError;
use crate::{
    Progress, Stage,
    progress::OnProgress,
    reach::{Absent, Allowed, Barrier, Reach},
    report,
};

const BUFFER_BYTES: usize = 256 * 1024;

/// Options for an export.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a call is made with them"]
pub struct ExportOptions {
    roots: Option<Vec<Cid>>,
    opaque_leaves: bool,
    skip_missing: bool,
}

/// The result of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExportReport {
    /// The roots of the archive.
    #[serde(serialize_with = "report::cids")]
    pub roots: Vec<Cid>,
    /// Blocks written.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks whose hash this build cannot compute: written as stored. An import refuses them.
    pub unchecked: u64,
    /// Blocks that may link to others and were not searched for links: what they link to is in the archive only if
    /// something else links to it. Always 0 without [`ExportOptions::opaque_leaves`].
    pub opaque: u64,
    /// Blocks that were left out because they are absent. Always 0 without [`ExportOptions::skip_missing`].
    pub missing_count: u64,
    /// The first 10,000 of them, in the order of the walk.
    pub missing: Vec<Absent>,
    /// The size of the largest block. Other tools may refuse one above 2 MiB.
    pub largest_block_bytes: u64,
    /// Size of the archive, in bytes.
    pub archive_bytes: u64,
}

impl ExportOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The roots, in the order in which the archive names and reaches them; repetitions are left out. Default: the
    /// heads, ascending.
    pub fn roots(mut self, roots: impl IntoIterator<Item = Cid>) -> Self {
        self.roots = Some(roots.into_iter().collect());
        self
    }

    /// Exports blocks that may link to others and are not searched for links
    /// ([`LinkSupport::Opaque`](crate::LinkSupport::Opaque)), without what they link to. Default: no, such a block ends
    /// the export with [`ExportError::Opaque`].
    pub fn opaque_leaves(mut self, yes: bool) -> Self {
        self.opaque_leaves = yes;
        self
    }

    /// Leaves out blocks that are linked to and absent, and lists them in the report. Default: no, such a block ends
    /// the export. A root must be present in any case, and a damaged block is never left out.
    pub fn skip_missing(mut self, yes: bool) -> Self {
        self.skip_missing = yes;
        self
    }
}

/// Writes everything that the roots reach as a CARv1: depth-first, parents before children, links in encoded order,
/// each block once.
///
/// The same roots over the same blocks give the same bytes, from every backend. Every block is hashed when it is read.
/// Without roots and heads, the archive has an empty list of roots and no blocks. The export holds in memory one CID
/// for each block reached, and up to 4 MiB and one block of read-ahead.
///
/// The archive is complete unless the options say otherwise. An absent or damaged block ends the export. So does a
/// block of a codec that may have links and is not followed, because the archive might lack what it links to, and a
/// block whose CID no archive can hold, because no import would read it. A link to
/// an identity CID is a link like any other: its block is exported if it was stored, and missing otherwise.
///
/// # Errors
/// [`ExportError`]. The output then holds an incomplete archive, without any sign of it. So write to a temporary file
/// and rename it after `Ok`.
pub fn export(
    store: &dyn Store,
    output: impl Write,
    options: &ExportOptions,
    progress: OnProgress<'_>,
) -> Result<ExportReport, ExportError> {
    let roots = match &options.roots {
        Some(roots) => without_repetitions(roots),
        None => store.heads().map_err(|source| ExportError::Store { blocks: 0, source: source.into() })?,
    };
    if roots.len() > ROOTS_MAX {
        return Err(ExportError::TooManyRoots { roots: roots.len(), roots_max: ROOTS_MAX });
    }
    if let Some(cid) = roots.iter().find(|root| !can_hold(root)) {
        return Err(ExportError::InvalidCid { cid: Box::new(*cid), blocks: 0 });
    }
    let output = BufWriter::with_capacity(BUFFER_BYTES, output);
    let mut writer = Writer::new(output, &roots).map_err(|source| ExportError::Write { offset: 0, source })?;
    let mut written = ExportReport { roots, ..ExportReport::default() };
    let mut done = Progress { bytes: writer.offset(), ..Progress::of(Stage::Blocks) };
    let stopped = |blocks| Err(ExportError::Stopped { blocks });
    if progress(done).is_break() {
        return stopped(0);
    }
    let allowed = Allowed { opaque: options.opaque_leaves, missing: options.skip_missing };
    let mut reach = Reach::new(store, &written.roots, allowed);
    for block in reach.by_ref() {
        let (cid, data) = block.map_err(|barrier| refused(store, &written, barrier))?;
        if !can_hold(&cid) {
            return Err(ExportError::InvalidCid { cid: Box::new(cid), blocks: written.blocks });
        }
        writer.write(&cid, &data).map_err(|source| ExportError::Write { offset: writer.offset(), source })?;
        let block_bytes = data.len() as u64;
        written.blocks += 1;
        written.bytes += block_bytes;
        written.unchecked += u64::from(!is_checkable(&cid));
        written.largest_block_bytes = written.largest_block_bytes.max(block_bytes);
        done.blocks += 1;
        done.bytes = writer.offset();
        if progress(done).is_break() {
            return stopped(written.blocks);
        }
    }
    written.opaque = reach.opaque();
    (written.missing_count, written.missing) = (reach.missing.count, reach.missing.listed);
    written.archive_bytes = writer.offset();
    writer.finish().map_err(|source| ExportError::Write { offset: written.archive_bytes, source })?;
    tracing::debug!(blocks = written.blocks, bytes = written.archive_bytes, "exported an archive");
    Ok(written)
}

fn without_repetitions(roots: &[Cid]) -> Vec<Cid> {
    let mut seen = std::collections::HashSet::new();
    roots.iter().copied().filter(|root| seen.insert(*root)).collect()
}

/// Names the block that stopped the export, and a block that links to it.
fn refused(store: &dyn Store, written: &ExportReport, barrier: Barrier) -> ExportError {
    let blocks = written.blocks;
    let source = match barrier {
        Barrier::Opaque(cid) => return ExportError::Opaque { cid: Box::new(cid), blocks },
        Barrier::Store(source) => source,
    };
    let (cid, linked_from) = match &source {
        StoreError::MissingBlock { cid, linked_from } => (*cid, linked_from.as_deref().copied()),
        StoreError::Corrupt { cid, .. } | StoreError::Malformed { cid, .. } => (*cid, parent(store, written, cid)),
        _ => return ExportError::Store { blocks, source: source.into() },
    };
    ExportError::Block { cid: Box::new(cid), linked_from: linked_from.map(Box::new), blocks, source: source.into() }
}

/// Finds a block that links to `cid` by walking again up to it. Only errors pay for this walk.
fn parent(store: &dyn Store, written: &ExportReport, cid: &Cid) -> Option<Cid> {
    if written.roots.contains(cid) {
        return None;
    }
    let readable = |item| match item {
        Ok(block) => Some(Some(block)),
        Err(StoreError::MissingBlock { .. }) => Some(None),
        Err(_) => None,
    };
    let mut walk = Walk::from_roots(store, written.roots.iter().copied()).map_while(readable).flatten();
    walk.find(|(parent, data)| links(parent, data).is_ok_and(|links| links.contains(cid))).map(|(parent, _)| parent)
}
