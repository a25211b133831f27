//! Garbage collection: removing the blocks that nothing reaches.

mod indexes;
mod marking;
mod marks;
mod pending;
mod sweep;
#[cfg(test)]
mod tests;

use mnem_store_traits::{Cid, ErrorKind, Store, StoreError};
use serde::Serialize;

use self::{
    marking::Marking,
    marks::{Fingerprints, Marks},
};
use crate::{
    Absent, StoreCause,
    limits::COLLECT_BATCH_BLOCKS_MAX,
    progress::{self, OnProgress},
    reach::{Allowed, CodecOf},
    report,
};

/// What to collect. Nothing but the heads, and what they reach, is kept unless the options say so.
#[derive(Clone, Debug, Default)]
pub struct CollectOptions {
    keep: Vec<Cid>,
    dry_run: bool,
    allow_missing: bool,
    opaque_leaves: bool,
    indexes: bool,
}

/// What a collection found and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CollectReport {
    /// The heads, ascending. They and what they reach were kept.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
    /// Blocks in the store before.
    pub blocks: u64,
    /// Blocks that nothing reaches.
    pub dead: u64,
    /// Bytes of those blocks.
    pub dead_bytes: u64,
    /// How many of them were removed. Without an error all of them, or none in a dry run.
    pub removed: u64,
    /// Reached blocks that may link to others and were not searched for links. Always 0 without
    /// [`CollectOptions::opaque_leaves`].
    pub opaque: u64,
    /// Blocks that are linked to and absent. Always 0 without [`CollectOptions::allow_missing`].
    pub missing_count: u64,
    /// The first 10,000 of them.
    pub missing: Vec<Absent>,
    /// Reached blocks that are damaged, or not valid in their codec. They were kept; what only they link to was not. Always 0
    /// without [`CollectOptions::allow_missing`].
    pub unreadable_count: u64,
    /// The first 10,000 of them.
    #[serde(serialize_with = "report::cids")]
    pub unreadable: Vec<Cid>,
    /// Indexes of k-NN edges that were made of a block which nothing reaches, ascending.
    pub dead_indexes: Vec<DeadIndex>,
    /// How many of them were removed.
    pub indexes_removed: u64,
    /// Indexes that cannot be read: nobody knows what they were made of, and they were kept.
    pub indexes_unreadable: u64,
}

/// An index of k-NN edges that was made of a block which nothing reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeadIndex {
    /// The index.
    #[serde(serialize_with = "report::cid")]
    pub cid: Cid,
    /// The block that it was made of.
    #[serde(serialize_with = "report::cid")]
    pub root_cid: Cid,
}

/// Why a collection ended early.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The store refused or failed. Says what the store's error says.
    #[error(transparent)]
    Store(StoreCause),
    /// A reached block may link to others, and links of its codec are not followed: what only it links to would be removed.
    /// Nothing was.
    #[error(
        "block {cid} is reached and may link to other blocks: links of its codec, {}, are not followed",
        CodecOf(cid)
    )]
    Opaque {
        /// The block.
        cid: Box<Cid>,
    },
    /// The callback for progress asked for the end. What had been done by then.
    #[error("the collection was stopped: {} blocks were removed", .0.removed)]
    Stopped(Box<CollectReport>),
}

impl CollectError {
    /// The store's error, where there is one.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Opaque { .. } | Self::Stopped(_) => None,
        }
    }

    /// The kind of the store's error, to branch on; `None` where the store is not at fault.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.store_error().map(StoreError::kind)
    }
}

impl From<StoreError> for CollectError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

type Ended = progress::Ended<CollectError>;

impl From<CollectError> for Ended {
    fn from(error: CollectError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl CollectOptions {
    /// Keeps what the heads reach, removes all else, and refuses wherever a live block might be lost.
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks to keep beside the heads, with all that they reach. Default: none.
    #[must_use]
    pub fn keep(mut self, cids: impl IntoIterator<Item = Cid>) -> Self {
        self.keep.extend(cids);
        self
    }

    /// Whether to count only, and remove nothing. Default: no.
    #[must_use]
    pub fn dry_run(mut self, yes: bool) -> Self {
        self.dry_run = yes;
        self
    }

    /// Whether to go on where a reached block is missing, damaged, or not valid in its codec. What only such a block links to is
    /// removed. A head, and a block of [`keep`](Self::keep), must be there and whole in any case. Default: no.
    #[must_use]
    pub fn allow_missing(mut self, yes: bool) -> Self {
        self.allow_missing = yes;
        self
    }

    /// Whether to keep blocks that may link to others and are not searched for links
    /// ([`LinkSupport::Opaque`](crate::LinkSupport::Opaque)) without what only they link to. Default: no, such a block ends the
    /// collection with [`CollectError::Opaque`].
    #[must_use]
    pub fn opaque_leaves(mut self, yes: bool) -> Self {
        self.opaque_leaves = yes;
        self
    }

    /// Whether to remove the indexes of k-NN edges whose root nothing reaches. Default: no, they are listed.
    #[must_use]
    pub fn indexes(mut self, yes: bool) -> Self {
        self.indexes = yes;
        self
    }
}

/// Removes every block that neither the heads nor [`CollectOptions::keep`] reach.
///
/// # Deleting
/// No writer may be at work, as for [`Blockstore::delete`](crate::Blockstore::delete): a writer may rely on a dead block that it found
/// present. Keeping them away is the caller's duty. A store on disk that is opened
/// [`exclusive`](crate::OpenOptions::exclusive) keeps other processes and handles away; the example `collector` shows how a
/// program keeps its own threads away, and opens with [`check`](crate::OpenOptions::check): in a damaged store a head can be missing
/// without a sign, and what it alone reaches would be dead. Blocks that were put after the collection began are left alone, and it ends with
/// [`HeadsMoved`](StoreError::HeadsMoved) before the next batch once the heads have changed: that limits the harm of a mistake, and does
/// not replace the exclusion.
///
/// # How
/// All blocks are listed; what heads and kept blocks reach is marked; all blocks are listed again, and those without a mark removed
/// with [`delete_many`](crate::Blockstore::delete_many), up to 8,192 at a time: as many as take about 0.4 seconds. Nothing is removed before all of it is marked.
/// Interrupted or killed anywhere, it has removed some of the dead blocks and nothing else, and the next run goes on.
///
/// Blocks of followed codecs (DAG-CBOR, DAG-PB, DAG-JSON) are read where the store keeps them, without a copy, and checked. Many are read in the
/// order of their CIDs, in which neighbours share a page of the store. Blocks of codecs without links are not read: a damaged one is kept like
/// any other.
///
/// Memory: about 9 bytes for each block of the store; 36 for each block that waits to be followed, of which there are no more than half a million unless
/// single blocks have very many links; one batch of CIDs; and about 100 for each block that is linked to and absent, which is remembered whole: no
/// fingerprint may stand for it, since it may have been put after the listing and must be followed then. Eight of the 9 bytes are a fingerprint, most of it under a random key. Two
/// blocks with one fingerprint keep each other; none is ever lost by it.
///
/// ```
/// use mnem_storage::{
///     Blockstore, BlockstoreExt, Bytes, CollectOptions, MemoryStore, OpHeadsStore, RAW, collect, unwatched,
/// };
///
/// let store = MemoryStore::new();
/// let op = store.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// let old = store.put_as(RAW, Bytes::from_static(b"no head reaches this"))?;
/// store.update(&op, &[])?;
/// let found = collect(&store, &CollectOptions::new().dry_run(true), &mut unwatched)?;
/// assert_eq!((found.blocks, found.dead, found.removed), (2, 1, 0));
/// collect(&store, &CollectOptions::new(), &mut unwatched)?;
/// assert_eq!((store.has(&op)?, store.has(&old)?), (true, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Nothing was removed after:
/// - [`CollectError::Store`] with [`StoreError::InvalidArgument`]: there are no heads and nothing is to be kept.
/// - with [`StoreError::MissingBlock`], [`StoreError::Corrupt`], [`StoreError::Malformed`]: a reached block is missing, damaged, or not valid in
///   its codec, and [`allow_missing`](CollectOptions::allow_missing) is not set; or it is a head or to be kept.
/// - [`CollectError::Opaque`]: links of a reached block are not followed, and [`opaque_leaves`](CollectOptions::opaque_leaves) is not set.
///
/// Some dead blocks may be gone after:
/// - [`CollectError::Stopped`], as the callback wished.
/// - [`CollectError::Store`] with [`StoreError::HeadsMoved`]: the heads changed meanwhile; or with any other error of the store.
pub fn collect(
    store: &dyn Store,
    options: &CollectOptions,
    progress: OnProgress<'_>,
) -> Result<CollectReport, CollectError> {
    let tuning = Tuning { fingerprints: Fingerprints::new(), batch_blocks_max: COLLECT_BATCH_BLOCKS_MAX };
    collect_tuned(tuning, store, options, progress)
}

/// What only tests choose.
struct Tuning {
    fingerprints: Fingerprints,
    batch_blocks_max: usize,
}

fn collect_tuned(
    tuning: Tuning,
    store: &dyn Store,
    options: &CollectOptions,
    progress: OnProgress<'_>,
) -> Result<CollectReport, CollectError> {
    let heads = store.heads()?;
    if heads.is_empty() && options.keep.is_empty() {
        let reason =
            "the store has no heads and nothing else is to be kept, so every block would be removed".to_owned();
        return Err(StoreError::InvalidArgument { operation: "collect", reason }.into());
    }
    let mut report = CollectReport { heads, ..CollectReport::default() };
    let collected = run(tuning, store, options, &mut report, progress);
    let CollectReport { blocks, dead, removed, .. } = report;
    tracing::debug!(blocks, dead, removed, "collected a store");
    match collected {
        Ok(()) => Ok(report),
        Err(Ended::Failed(error)) => Err(error),
        Err(Ended::Cancelled) => Err(CollectError::Stopped(report.into())),
    }
}

fn run(
    tuning: Tuning,
    store: &dyn Store,
    options: &CollectOptions,
    report: &mut CollectReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut marks = Marks::new(tuning.fingerprints);
    marking::list(store, &mut marks, report, progress)?;
    let mut roots = [&report.heads[..], &options.keep].concat();
    roots.sort_unstable();
    let allowed = Allowed { opaque: options.opaque_leaves, missing: options.allow_missing };
    Marking::new(store, &roots, allowed, &mut marks, report).run(progress)?;
    let batch_blocks_max = if options.dry_run { 0 } else { tuning.batch_blocks_max };
    sweep::sweep(store, &marks, batch_blocks_max, report, progress)?;
    indexes::check(store, &marks, options.indexes && !options.dry_run, report, progress)
}
