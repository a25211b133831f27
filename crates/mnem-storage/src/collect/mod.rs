//! Garbage collection: removing unreachable blocks.

mod indexes;
mod marking;
mod marks;
mod parts;
mod pending;
mod sweep;
#[cfg(test)]
mod tests;

use mnem_store_traits::{Cid, ErrorKind, Store, StoreError};
use serde::Serialize;

use self::{
    marking::Marking,
    marks::{Fingerprints, Marks},
    parts::Parts,
};
use crate::{
    Absent, StoreCause,
    limits::{COLLECT_BATCH_BLOCKS_MAX, COLLECT_PART_BLOCKS, COLLECT_SWEEP_BLOCKS_MAX},
    progress::{self, OnProgress},
    reach::{Allowed, CodecOf},
    report,
};

/// Options for a collection. Unless they say otherwise, only the heads and what they reach are kept.
#[derive(Clone, Debug, Default)]
pub struct CollectOptions {
    keep: Vec<Cid>,
    dry_run: bool,
    allow_missing: bool,
    opaque_leaves: bool,
    indexes: bool,
}

/// The result of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CollectReport {
    /// The heads, ascending. They and the blocks that they reach were kept.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
    /// Blocks in the store before.
    pub blocks: u64,
    /// Unreachable blocks.
    pub dead: u64,
    /// Bytes of those blocks.
    pub dead_bytes: u64,
    /// The number of blocks removed: without an error all unreachable ones, or none in a dry run.
    pub removed: u64,
    /// Reached blocks that may link to others and were not searched for links. Always 0 without
    /// [`CollectOptions::opaque_leaves`].
    pub opaque: u64,
    /// Blocks that are linked to and absent. Always 0 without [`CollectOptions::allow_missing`].
    pub missing_count: u64,
    /// The first 10,000 of them.
    pub missing: Vec<Absent>,
    /// Reached blocks that are damaged, or not valid in their codec. They were kept, but not what only they link to.
    /// Always 0 without [`CollectOptions::allow_missing`].
    pub unreadable_count: u64,
    /// The first 10,000 of them.
    #[serde(serialize_with = "report::cids")]
    pub unreadable: Vec<Cid>,
    /// Indexes of nearest neighbours whose root is unreachable.
    pub dead_index_count: u64,
    /// The first 10,000 of them, ascending.
    pub dead_indexes: Vec<DeadIndex>,
    /// The number of indexes removed.
    pub indexes_removed: u64,
    /// Indexes that cannot be read. Their roots are unknown, so they were kept.
    pub indexes_unreadable: u64,
}

/// An index of nearest neighbours whose root is unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeadIndex {
    /// The index.
    #[serde(serialize_with = "report::cid")]
    pub cid: Cid,
    /// The root for which it was built.
    #[serde(serialize_with = "report::cid")]
    pub root_cid: Cid,
}

/// The reason why a collection ended early.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The store refused or failed. Prints like the store's error.
    #[error(transparent)]
    Store(StoreCause),
    /// A reached block may link to others, and links of its codec are not followed, so what only it links to would be
    /// removed. Nothing was removed.
    #[error("block {cid} is reached and may link to other blocks, but its codec {} is not followed", CodecOf(cid))]
    Opaque {
        /// The block.
        cid: Box<Cid>,
    },
    /// The callback stopped the collection. Holds the result up to then.
    #[error("the collection stopped: {} blocks were removed", .0.removed)]
    Stopped(Box<CollectReport>),
}

impl CollectError {
    /// The store's error, if any.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Opaque { .. } | Self::Stopped(_) => None,
        }
    }

    /// The kind of the store's error, to branch on; `None` if the store is not the cause.
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
    /// Keeps what the heads reach, removes the rest, and refuses wherever a live block might be lost.
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks to keep besides the heads, with all that they reach. Default: none.
    #[must_use]
    pub fn keep(mut self, cids: impl IntoIterator<Item = Cid>) -> Self {
        self.keep.extend(cids);
        self
    }

    /// Only counts, and removes nothing. Default: no.
    #[must_use]
    pub fn dry_run(mut self, yes: bool) -> Self {
        self.dry_run = yes;
        self
    }

    /// Continues if a reached block is missing, damaged, or not valid in its codec. What only such a block links to is
    /// removed. A head, and a block of [`keep`](Self::keep), must be present and intact in any case. Default: no.
    #[must_use]
    pub fn allow_missing(mut self, yes: bool) -> Self {
        self.allow_missing = yes;
        self
    }

    /// Keeps blocks that may link to others and are not searched for links
    /// ([`LinkSupport::Opaque`](crate::LinkSupport::Opaque)), without what only they link to. Default: no, such a block
    /// ends the collection with [`CollectError::Opaque`].
    #[must_use]
    pub fn opaque_leaves(mut self, yes: bool) -> Self {
        self.opaque_leaves = yes;
        self
    }

    /// Removes the indexes of nearest neighbours whose root is unreachable. Default: no, they are listed.
    #[must_use]
    pub fn indexes(mut self, yes: bool) -> Self {
        self.indexes = yes;
        self
    }
}

/// Removes every block that neither the heads nor [`CollectOptions::keep`] reach.
///
/// # Deleting
/// No writer may be active, as for [`Blockstore::delete`](crate::Blockstore::delete): a writer may rely on a dead block
/// that it found present. Keeping writers away is the caller's duty. A store on disk that is opened
/// [`exclusive`](crate::OpenOptions::exclusive) keeps other processes and handles from writing. The example `collector`
/// shows how a program keeps its own threads away. It also opens the store with [`check`](crate::OpenOptions::check):
/// in a damaged store a head can be missing without a sign, and the blocks that only it reaches would look dead.
///
/// Blocks that are put after the listing ([`Stage::Counting`](crate::Stage::Counting)) are not removed. If the heads
/// change, the collection ends with [`HeadsMoved`](StoreError::HeadsMoved) before the next batch. This limits the harm of
/// a mistake and does not replace the exclusion.
///
/// # How it works
/// All blocks are listed. The blocks that the heads and kept blocks reach are marked. Then the store is passed through
/// once more, and the blocks without a mark are removed. A store that can do so removes them on the way
/// ([`sweep`](crate::Blockstore::sweep)), in parts of at most 65,536 blocks, and of as many bytes as the store reads in
/// one call. From another one they are removed with [`delete_many`](crate::Blockstore::delete_many), at most 8,192 at a
/// time. Each of these calls is durable and should take about 0.4 seconds, and the callback is called between two of
/// them. Nothing is removed before the marking is complete. If the collection is interrupted or killed, some of the dead
/// blocks are gone and nothing else; the next run continues.
///
/// Blocks of followed codecs (DAG-CBOR, DAG-PB, DAG-JSON) are read in place, without a copy, and checked. Many are read
/// in the order of their CIDs, in which neighbours share a page of the store. Blocks of codecs without links are not
/// read: a damaged one is kept like any other.
///
/// # Memory
/// - About 10 bytes for each block of the store.
/// - 36 bytes for each block that waits to be followed: at most half a million of them, unless single blocks have very
///   many links.
/// - About 100 bytes for each absent block that is linked to. It may be put after the listing and must then be
///   followed.
/// - One batch of CIDs, or the changes of a sweep in the store.
/// - The first 10,000 of each list in the report, at most 2 MiB for each list.
///
/// Marks are fingerprints, most of whose bits depend on a random key. If two blocks share one, both are kept, so a
/// collision never loses a block.
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
/// - with [`StoreError::MissingBlock`], [`StoreError::Corrupt`], [`StoreError::Malformed`]: a reached block is missing,
///   damaged, or not valid in its codec, and [`allow_missing`](CollectOptions::allow_missing) is not set; or it is a
///   head or a block to keep.
/// - [`CollectError::Opaque`]: links of a reached block are not followed, and
///   [`opaque_leaves`](CollectOptions::opaque_leaves) is not set.
///
/// Some dead blocks may be gone after:
/// - [`CollectError::Stopped`]: the callback stopped it.
/// - [`CollectError::Store`] with [`StoreError::HeadsMoved`]: the heads changed meanwhile; or with any other error of
///   the store.
pub fn collect(
    store: &dyn Store,
    options: &CollectOptions,
    progress: OnProgress<'_>,
) -> Result<CollectReport, CollectError> {
    let tuning = Tuning {
        fingerprints: Fingerprints::new(),
        batch_blocks_max: COLLECT_BATCH_BLOCKS_MAX,
        part_blocks: COLLECT_PART_BLOCKS,
        sweep_blocks_max: COLLECT_SWEEP_BLOCKS_MAX,
    };
    collect_tuned(tuning, store, options, progress)
}

/// Settings for tests.
struct Tuning {
    fingerprints: Fingerprints,
    batch_blocks_max: usize,
    part_blocks: usize,
    sweep_blocks_max: usize,
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
            "the store has no heads, and no blocks to keep are named, so every block would be removed".to_owned();
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
    let mut parts = Parts::new(tuning.part_blocks);
    marking::list(store, &mut marks, &mut parts, report, progress)?;
    let mut roots = [&report.heads[..], &options.keep].concat();
    roots.sort_unstable();
    let allowed = Allowed { opaque: options.opaque_leaves, missing: options.allow_missing };
    Marking::new(store, &roots, allowed, &mut marks, report).run(progress)?;
    // Without dead blocks, nothing may be written. Then, and in a dry run, `sweep::sweep` only counts.
    let sweeps = !options.dry_run && marks.has_dead();
    let swept = sweeps && parts::sweep(store, &marks, &parts, tuning.sweep_blocks_max, report, progress)?;
    if !swept {
        let batch_blocks_max = if options.dry_run { 0 } else { tuning.batch_blocks_max };
        sweep::sweep(store, &marks, batch_blocks_max, report, progress)?;
    }
    indexes::check(store, &marks, options.indexes && !options.dry_run, report, progress)
}
