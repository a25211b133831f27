//! Writing an archive from a store.

use std::{
    io::{BufWriter, Write},
    ops::ControlFlow,
};

use mnem_store_traits::{Cid, Store, StoreError, Walk, is_checkable, links};
use serde::Serialize;

use super::{ROOTS_MAX, error::ExportError, writer::Writer};
use crate::{Progress, Stage, report};

const BUFFER_BYTES: usize = 256 * 1024;

/// What to export.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExportOptions {
    /// The roots, in the order in which the archive names and reaches them; repetitions are left out. `None`: the heads, ascending.
    pub roots: Option<Vec<Cid>>,
}

/// What an export wrote.
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
    /// The largest block. Above 2 MiB other tools may refuse it.
    pub largest_block_bytes: u64,
    /// Size of the archive, in bytes.
    pub archive_bytes: u64,
}

impl ExportOptions {
    /// The defaults, as they stand at the fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`roots`](Self::roots).
    #[must_use]
    pub fn roots(mut self, roots: impl IntoIterator<Item = Cid>) -> Self {
        self.roots = Some(roots.into_iter().collect());
        self
    }
}

/// Writes everything that the roots reach as a CARv1: depth-first, parents before children, links in encoded order, each block once.
///
/// The same roots over the same blocks give the same bytes, from every backend. Every block is hashed as it is read. Without roots and heads
/// the archive has an empty list of roots and no blocks. Memory: one CID for each block reached, and one block.
///
/// A link to an identity CID is a link like any other: its block is exported if it was stored, and missing if it was not.
///
/// # Errors
/// [`ExportError`]. The output then holds an incomplete archive, which nothing in it betrays: write to a temporary file and rename it once
/// this returned `Ok`.
pub fn export(
    store: &dyn Store,
    output: impl Write,
    options: &ExportOptions,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ExportReport, ExportError> {
    let roots = match &options.roots {
        Some(roots) => without_repetitions(roots),
        None => store.heads().map_err(|source| ExportError::Store { blocks: 0, source: source.into() })?,
    };
    if roots.len() > ROOTS_MAX {
        return Err(ExportError::TooManyRoots { roots: roots.len(), roots_max: ROOTS_MAX });
    }
    let output = BufWriter::with_capacity(BUFFER_BYTES, output);
    let mut writer = Writer::new(output, &roots).map_err(|source| ExportError::Write { offset: 0, source })?;
    let mut written = ExportReport { roots, ..ExportReport::default() };
    let mut done = Progress { bytes: writer.offset(), ..Progress::of(Stage::Blocks) };
    let stopped = |blocks| Err(ExportError::Stopped { blocks });
    if progress(done).is_break() {
        return stopped(0);
    }
    for block in Walk::from_roots(store, written.roots.iter().copied()) {
        let (cid, data) = block.map_err(|source| unreadable(store, &written, source))?;
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
    written.archive_bytes = writer.offset();
    writer.finish().map_err(|source| ExportError::Write { offset: written.archive_bytes, source })?;
    tracing::debug!(blocks = written.blocks, bytes = written.archive_bytes, "exported an archive");
    Ok(written)
}

fn without_repetitions(roots: &[Cid]) -> Vec<Cid> {
    let mut seen = std::collections::HashSet::new();
    roots.iter().copied().filter(|root| seen.insert(*root)).collect()
}

/// Names the block that stopped the export, and who links to it.
fn unreadable(store: &dyn Store, written: &ExportReport, source: StoreError) -> ExportError {
    let blocks = written.blocks;
    let (cid, linked_from) = match &source {
        StoreError::MissingBlock { cid, linked_from } => (*cid, linked_from.as_deref().copied()),
        StoreError::Corrupt { cid, .. } | StoreError::Malformed { cid, .. } => (*cid, parent(store, written, cid)),
        _ => return ExportError::Store { blocks, source: source.into() },
    };
    ExportError::Block { cid: Box::new(cid), linked_from: linked_from.map(Box::new), blocks, source: source.into() }
}

/// Finds a block that links to `cid`, by walking again up to it: only the way to an error pays for it.
fn parent(store: &dyn Store, written: &ExportReport, cid: &Cid) -> Option<Cid> {
    if written.roots.contains(cid) {
        return None;
    }
    let mut walk = Walk::from_roots(store, written.roots.iter().copied()).map_while(Result::ok);
    walk.find(|(parent, data)| links(parent, data).is_ok_and(|links| links.contains(cid))).map(|(parent, _)| parent)
}
