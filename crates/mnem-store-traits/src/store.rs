//! The contract of a whole store: blocks, heads, and one durable step for both.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use cid::Cid;

use crate::{
    BatchPut, Blockstore, HeadChange, OpHeadsStore, SideTable, StoreError, WriteBatch, check,
    check_many::{Block, check_many},
};

/// A block store together with its op heads.
///
/// `Arc<dyn Store>` coerces to `Arc<dyn Blockstore>` and to `Arc<dyn OpHeadsStore>`.
///
/// ```
/// use std::sync::Arc;
///
/// use mnem_store_traits::{
///     Blockstore, Bytes, ErrorKind, MemoryStore, OpHeadsStore, RAW, Store, StoreError, WriteBatch, cid_of,
/// };
///
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
/// let (old, new) = (Bytes::from_static(b"a node"), Bytes::from_static(b"an operation"));
/// let (node, op) = (cid_of(RAW, &old), cid_of(RAW, &new));
/// // The operation relies on a node that is not there: nothing moves.
/// let mut batch = WriteBatch::new();
/// batch.put(op, new).require(node).swap([], op);
/// assert_eq!(store.commit(&batch).map_err(|error| error.kind()), Err(ErrorKind::MissingBlock));
/// assert!(store.heads()?.is_empty());
/// store.commit(batch.put(node, old))?;
/// assert_eq!(store.heads()?, [op]);
/// let blocks: Arc<dyn Blockstore> = store;
/// assert!(blocks.has(&node)?);
/// # Ok::<(), StoreError>(())
/// ```
pub trait Store: Blockstore + OpHeadsStore {
    /// Stores the blocks of the batch, then makes its head change. A head never lands without its blocks.
    ///
    /// # Contract
    /// - All checks come before anything is written: wrong or unsupported hashes, sizes, an empty set of new heads.
    ///   Laws: `commit_keeps_nothing_of_a_bad_batch`, `commit_checks_every_supported_hash`,
    ///   `commit_refuses_an_empty_set_of_new_heads`.
    /// - A trusted put of a batch is accepted if [`put_trusted`](crate::Blockstore::put_trusted) accepts it. Law:
    ///   `commit_takes_duplicates_and_trusted_puts`.
    /// - The blocks are durable before the head, or both become durable in one step
    ///   ([`Capabilities::atomic_commit`](crate::Capabilities)). Laws: `commit_lands_blocks_and_head`,
    ///   `commit_survives_reopen`, `writes_of_every_shape_survive_a_power_cut`.
    /// - Blocks named by [`WriteBatch::require`] are present when the head is written, and durable then. An earlier
    ///   lookup can only save work: presence is decided in the step that writes the head. Laws:
    ///   `commit_refuses_a_missing_requirement`, `requirements_are_whole_cids`.
    /// - Requirements are decided before the heads are compared. If a required block is absent and the swap expects
    ///   other heads, the error is `MissingBlock`. Law: `commit_decides_requirements_before_its_swap`.
    /// - The head change is also made if every block of the batch is already present. Law:
    ///   `commit_lands_the_head_when_blocks_are_present`.
    /// - A change may name many new heads, as a set. Each of them lands as a single head would. Laws:
    ///   `commit_adds_every_new_head`, `commit_swaps_to_every_new_head`, `commit_takes_thousands_of_heads`,
    ///   `sets_of_heads_survive_reopen`.
    /// - The new heads of one commit land in one step. After a power cut, all of them are there or none. If
    ///   [`atomic_heads`](crate::HeadsCapabilities::atomic_heads) is claimed, no reader sees some without the others.
    ///   Laws: `heads_of_a_commit_survive_a_power_cut_together`, `failed_commit_lands_all_new_heads_or_none`,
    ///   `new_heads_of_a_commit_are_seen_as_one_step`.
    /// - If the heads are not as a swap expects, they stay as they are. Blocks of the batch may remain, unless
    ///   `atomic_commit` is claimed. Law: `commit_with_a_failed_swap_moves_no_head`.
    ///
    /// # Errors
    /// - [`StoreError::CidMismatch`], [`StoreError::UnsupportedHash`], [`StoreError::BlockTooLarge`]: nothing was
    ///   stored.
    /// - [`StoreError::InvalidArgument`]: the head change names no new head, or a CID has a codec or a hash function of
    ///   more than 63 bits; nothing was stored.
    /// - [`StoreError::MissingBlock`]: a required block is absent; the heads are unchanged.
    /// - [`StoreError::HeadsMoved`]: a swap found other heads.
    /// - [`StoreError::Backend`]: [`StoreError::outcome`] says whether the commit may be present after reopening.
    ///
    /// # For implementers
    /// The default checks, calls `put_many`, looks up the required blocks, then calls `update` or `swap`. That is right
    /// for a backend whose calls are durable one by one, and that shows a block only once it is durable. Override it if
    /// blocks and heads fit into one transaction, or if the lookup and the head change can be one step: between the
    /// two, another caller may delete a required block. For several new heads, the default calls `update` or `swap`
    /// once for each. Override it if a crash may come between two of these calls, or if you claim `atomic_heads`.
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        commit_in_steps(self, batch)
    }

    /// The side table with this name. Opening it writes nothing.
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: the name does not match `[a-z0-9_]{1,32}`.
    /// - [`StoreError::Unsupported`]: the backend has no side tables
    ///   ([`Capabilities::side_tables`](crate::Capabilities)).
    /// - [`StoreError::Closed`].
    ///
    /// # For implementers
    /// The default is `Unsupported`.
    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        crate::side_table::check_table_name(name)?;
        Err(StoreError::Unsupported { operation: "side_table".into(), reason: "the store has no side tables".into() })
    }

    /// The names of the side tables that hold at least one key, ascending.
    ///
    /// # Errors
    /// As [`Blockstore::get`].
    ///
    /// # For implementers
    /// The default is none.
    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Closes the store and reports errors that dropping it would hide. Later calls fail with [`StoreError::Closed`];
    /// closing again is `Ok`.
    ///
    /// # Contract
    /// - It closes this opening of the store: the handle, its clones, its side tables. Other openings go on. Law:
    ///   `close_leaves_other_openings_open`.
    /// - It waits for a write in progress and loses nothing that was acknowledged. Law: `closed_store_refuses_calls`.
    /// - The iterator or callback of another call may call it. A batch whose iterator closes the store changes nothing.
    ///   Law: `close_within_callers_code_is_a_close`.
    ///
    /// # Errors
    /// - [`StoreError::Backend`]: the store could not be closed cleanly. It is closed nevertheless, and recovers at the
    ///   next open.
    ///
    /// # For implementers
    /// The default does nothing. That is right only if there is nothing to close and no later call can fail.
    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The default of [`Store::commit`]: check everything, put the blocks, look up the required ones, change the heads.
fn commit_in_steps<S: Store + ?Sized>(store: &S, batch: &WriteBatch) -> Result<(), StoreError> {
    let block_bytes_max = store.capabilities().block_bytes_max;
    batch.check(block_bytes_max)?;
    // Blocks that can be checked go through the batched call. The others must be put one by one.
    let (checkable, uncheckable): (Vec<_>, Vec<_>) = batch.puts().iter().partition(|put| check::is_checkable(&put.cid));
    if !checkable.is_empty() {
        store.put_many(&mut checkable.into_iter().map(|put| Ok((put.cid, put.data.clone()))))?;
    }
    for put in uncheckable {
        store.put_trusted(&put.cid, put.data.clone())?;
    }
    if !batch.required().is_empty() {
        let present = store.has_many(batch.required())?;
        if let Some((cid, _)) = batch.required().iter().zip(present).find(|(_, is_present)| !is_present) {
            return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
        }
    }
    batch.head().map_or(Ok(()), |change| change_heads_in_steps(store, change))
}

/// Makes one call for each new head. No superseded head is removed before all new ones are added, except by a swap,
/// whose first call compares.
fn change_heads_in_steps<S: Store + ?Sized>(store: &S, change: &HeadChange) -> Result<(), StoreError> {
    change.check()?;
    match change {
        HeadChange::Update { new, supersedes } => {
            let Some((last, others)) = new.split_last() else { return Ok(()) };
            others.iter().try_for_each(|new| store.update(new, &[]))?;
            // A new head stays even if it is among the superseded ones, also if an earlier call added it.
            let others: HashSet<&Cid> = others.iter().collect();
            let supersedes: Vec<Cid> = supersedes.iter().copied().filter(|cid| !others.contains(cid)).collect();
            store.update(last, &supersedes)
        }
        HeadChange::Swap { expected, new } => {
            let Some((first, others)) = new.split_first() else { return Ok(()) };
            store.swap(expected, first)?;
            others.iter().try_for_each(|new| store.update(new, &[]))
        }
    }
}

impl WriteBatch {
    /// Checks that a head change names a new head, then every untrusted put and the size of every put, on all cores for
    /// large batches. For implementers of [`Store::commit`].
    ///
    /// # Errors
    /// [`StoreError::BlockTooLarge`], [`StoreError::CidMismatch`], [`StoreError::UnsupportedHash`],
    /// [`StoreError::InvalidArgument`].
    pub fn check(&self, block_bytes_max: u64) -> Result<(), StoreError> {
        self.head().map_or(Ok(()), HeadChange::check)?;
        check_many(self.puts(), block_bytes_max)
    }
}

impl Block for BatchPut {
    fn parts(&self) -> (&Cid, &Bytes) {
        (&self.cid, &self.data)
    }

    fn is_hashed(&self) -> bool {
        !self.trusted
    }
}
