//! The contract for immutable blocks.

use std::{fmt::Debug, ops::ControlFlow};

use bytes::Bytes;
use cid::Cid;

use crate::{Capabilities, StoreError, check_many::check_many};

/// The result of [`Blockstore::cids`]: CIDs in no particular order, or the error that ended the listing.
pub type CidIter<'a> = Box<dyn Iterator<Item = Result<Cid, StoreError>> + Send + 'a>;

/// The argument of [`Blockstore::put_many`]: blocks, or the error that ends the batch.
pub type Blocks<'a> = dyn Iterator<Item = Result<(Cid, Bytes), StoreError>> + 'a;

/// The argument of [`Blockstore::delete_many`]: CIDs, or the error that ends the batch.
pub type Cids<'a> = dyn Iterator<Item = Result<Cid, StoreError>> + 'a;

/// The callback of [`Blockstore::get_many`]: the index in the request, and the bytes, or `None` if the store does not
/// hold the block.
pub type OnBlock<'a> = dyn FnMut(usize, Option<Bytes>) -> ControlFlow<()> + 'a;

/// The argument of [`Blockstore::sweep`]: whether a block is to be removed.
pub type IsDead<'a> = dyn FnMut(&Cid) -> bool + 'a;

/// The result of a [`Blockstore::sweep`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Blocks that were shown.
    pub blocks: u64,
    /// Blocks that were removed.
    pub removed: u64,
    /// Bytes of the removed blocks.
    pub removed_bytes: u64,
    /// The last block that was shown, if the call ended before the end of the part because its blocks are large. The
    /// rest of the part is unchanged: call again, and begin after this block.
    pub ended_at: Option<Cid>,
}

impl Swept {
    /// Counts a block of this length, which is removed if it is dead. For implementers.
    pub fn count(&mut self, block_bytes: u64, is_dead: bool) {
        self.blocks += 1;
        if is_dead {
            self.removed += 1;
            self.removed_bytes += block_bytes;
        }
    }
}

/// Immutable bytes, each named by its CID.
///
/// *Durable* means that a write survives a power cut once the call returned `Ok`. *Visible* means that a read through
/// another handle returns it. Every sentence under a *Contract* heading binds every implementation. For each one that
/// can be observed, the suite behind the feature `conformance` has a law of the given name. `CONTRACT.md` in this crate
/// states the same contract on one page.
///
/// ```
/// use mnem_store_traits::{Blockstore, Bytes, ErrorKind, MemoryStore, RAW, StoreError, cid_of};
///
/// let store = MemoryStore::new();
/// let data = Bytes::from_static(b"a block");
/// let cid = cid_of(RAW, &data);
/// store.put(&cid, data.clone())?;
/// assert_eq!(store.get(&cid)?, Some(data));
/// assert_eq!(store.size(&cid)?, Some(7));
/// let mut first = 0;
/// store.with_block(&cid, &mut |bytes| first = bytes[0])?; // no copy, where the backend can lend
/// assert_eq!(first, b'a');
/// let refused = store.put(&cid, Bytes::from_static(b"other bytes"));
/// assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::CidMismatch));
/// # Ok::<(), StoreError>(())
/// ```
///
/// # Contract
/// - The key of a block is the whole CID: version, codec, hash function and digest. The same bytes under two CIDs are
///   two blocks. CIDv0 and identity CIDs are CIDs like any other: absent until they are put, and never synthesised from
///   the digest. Laws: `version_is_part_of_the_key`, `codec_is_part_of_the_key`, `hash_function_is_part_of_the_key`,
///   `identity_is_not_synthesised`.
/// - An I/O error is an error, never an absence and never an earlier answer. Absence is `Ok(None)` or `Ok(false)`.
///   Laws: `absent_is_none`, `failed_read_is_an_error_and_no_absence`, `failed_read_is_no_old_answer`.
/// - `Ok` means durable, unless [`capabilities`](Self::capabilities) claims less, which it does if the caller asked
///   for less when opening the store, or if the store cannot offer more. A sync that began before a write
///   does not make that write durable. Laws: `acknowledged_blocks_survive_reopen`,
///   `write_beside_a_waiting_sync_is_durable`.
/// - No reader waits for a sync, an iterator or a callback of a writer. Laws: `readers_do_not_wait_for_a_sync`,
///   `reader_does_not_wait_for_a_batch`.
/// - After a failed sync, the handle refuses writes with [`StoreError::Poisoned`] until the store is reopened; reads go
///   on. A handle may also refuse writes after any other failure that leaves it unsure of what is on the medium. Law:
///   `failed_sync_refuses_writes_until_reopened`.
/// - A write may fail with [`StoreError::Locked`] if another process holds what it needs. Then nothing changed, and a
///   retry can help.
/// - Nothing panics, whatever is in the store. A panic of the caller's iterator or callback leaves the store usable.
///   Law: `panicking_iterator_leaves_the_store_usable`.
pub trait Blockstore: Send + Sync + Debug {
    /// The bytes of a block, or `None` if the store does not hold it.
    ///
    /// # Contract
    /// - The bytes are hashed on every read and match `cid`. Bytes under a hash function that this build cannot compute
    ///   are returned as they were stored. Laws: `put_then_get_returns_the_bytes`,
    ///   `unknown_hash_is_returned_as_stored`.
    /// - A read that begins after a `put`, `put_many` or `commit` of the block returned `Ok` finds it, in every thread
    ///   and through every handle. Laws: `put_is_visible_to_another_thread`, `put_is_visible_through_a_second_handle`,
    ///   `large_write_of_another_handle_is_seen_whole`, `changes_that_keep_every_number_are_seen`,
    ///   `handle_far_behind_catches_up`.
    /// - Returned bytes never change, whatever is written, deleted or compacted later. Law:
    ///   `bytes_handed_out_never_change`.
    ///
    /// # Errors
    /// - [`StoreError::Corrupt`]: the stored bytes do not match the CID. They are never returned. Heal the block with
    ///   `delete`, then `put`.
    /// - [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`]: the store could not be read.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError>;

    /// Stores a block, after checking that the bytes hash to `cid`.
    ///
    /// # Contract
    /// - The bytes are hashed before anything is written. Bytes that do not match are not kept. Laws:
    ///   `put_rejects_wrong_bytes`, `put_checks_every_supported_hash`, `put_rejects_unsupported_hash`,
    ///   `put_rejects_truncated_digest`.
    /// - sha2-256 and blake3 with 32 bytes, and identity, are always supported. A store may support more functions; it
    ///   refuses any other. Law: `put_takes_every_supported_hash`.
    /// - A block that is present is not written again. `Ok` still means that it is durable, even if another writer put
    ///   it a moment ago and has not synced it yet, or could not. Laws: `put_twice_is_ok`,
    ///   `second_put_makes_an_unsynced_block_durable`, `put_after_reopening_makes_an_unsynced_block_durable`.
    /// - A block of 0 bytes is a block. Blocks of up to [`Capabilities::block_bytes_max`] are accepted, which is at
    ///   least 16 MiB. Laws: `empty_block_is_a_block`, `block_of_16_mib_is_taken`, `block_above_the_limit_is_refused`.
    ///
    /// # Errors
    /// - [`StoreError::CidMismatch`], [`StoreError::UnsupportedHash`], [`StoreError::BlockTooLarge`]: nothing was
    ///   stored; a retry cannot help.
    /// - [`StoreError::InvalidArgument`]: the CID has a codec or a hash function of more than 63 bits, which
    ///   multiformats do not allow; nothing was stored. Law: `every_write_refuses_what_is_no_cid`.
    /// - [`StoreError::Backend`]: [`StoreError::outcome`] says whether the block may be there. Putting it again is
    ///   always safe.
    /// - [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Closed`]: nothing was stored.
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError>;

    /// Removes a block. Removing an absent block is `Ok`.
    ///
    /// # Contract
    /// - After `Ok`, no read finds the block until it is put again. Other blocks stay, including those that other
    ///   threads put meanwhile. Laws: `delete_removes_only_its_block`, `deletes_lose_no_put_of_another_thread`,
    ///   `delete_is_visible_to_another_thread`, `delete_of_absent_is_ok`, `deleted_block_can_be_put_again`.
    ///
    /// # Deleting
    /// Deleting is for garbage collection. It must not run beside writers that may rely on the block: a `put` may have
    /// told its caller a moment ago that the block is present. Keeping the two apart is the caller's duty; the store
    /// does not guard it.
    ///
    /// # Errors
    /// - [`StoreError::Backend`]: the block may or may not be gone; deleting it again is safe.
    /// - [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Closed`]: nothing was removed.
    fn delete(&self, cid: &Cid) -> Result<(), StoreError>;

    /// Every CID in the store, streamed, in no particular order.
    ///
    /// # Contract
    /// - Each block that is present during the whole iteration is yielded exactly once. Blocks that are added or
    ///   removed meanwhile may or may not appear. Laws: `cids_lists_every_block_once`,
    ///   `cids_keeps_steady_blocks_under_writes`, `cids_that_are_alike_are_listed_on_every_page`,
    ///   `listings_go_on_when_what_comes_next_is_deleted`.
    /// - An error ends the listing. If the store is closed meanwhile, the listing continues to its end or fails. Laws:
    ///   `failed_read_ends_a_listing`, `close_cuts_no_listing_short`.
    /// - It blocks no writer, and the consumer may write to the same store between two items. Law:
    ///   `cids_does_not_block_writers`.
    /// - It holds at most one page or one shard of names in memory, and takes much the same time for each name, however
    ///   many blocks there are. Laws: `long_listings_are_complete`, `long_listings_survive_reopen`.
    ///
    /// # Errors
    /// An item is an error if the listing could not go on. The listing ends there, so that a failed listing is never
    /// taken for a complete one.
    fn cids(&self) -> Result<CidIter<'_>, StoreError>;

    /// Whether the store holds the block. May answer from the key alone, without hashing the bytes.
    ///
    /// # Contract
    /// - Agrees with `get` for every block that is not damaged. Law: `has_and_size_agree_with_get`.
    ///
    /// # Errors
    /// As [`get`](Self::get). Whether damage is noticed depends on the backend.
    ///
    /// # For implementers
    /// The default reads the block. Override it if the key can be looked up without the block.
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.with_block(cid, &mut |_| ())
    }

    /// The length of the block in bytes, or `None` if the store does not hold it. May answer without hashing the bytes.
    ///
    /// # Contract
    /// - Agrees with `get` for every block that is not damaged. Law: `has_and_size_agree_with_get`.
    ///
    /// # Errors
    /// As [`get`](Self::get). Whether damage is noticed depends on the backend.
    ///
    /// # For implementers
    /// The default reads the block. Override it if the length can be read without the bytes.
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let mut block_bytes = None;
        self.with_block(cid, &mut |data| block_bytes = Some(data.len() as u64))?;
        Ok(block_bytes)
    }

    /// Calls `f` once with the verified bytes of the block, without a copy if the backend can lend them. Returns
    /// `false`, without calling `f`, if the store does not hold the block.
    ///
    /// # Contract
    /// - `f` sees exactly what [`get`](Self::get) would return, and is not called for damaged bytes. Law:
    ///   `with_block_lends_what_get_returns`.
    /// - No lock of the store is held while `f` runs: it may read and write the same store, heads included. Laws:
    ///   `with_block_callback_may_use_the_store`, `callers_code_may_use_heads_and_commit`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # For implementers
    /// The default copies through `get`.
    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let Some(data) = self.get(cid)? else { return Ok(false) };
        f(&data);
        Ok(true)
    }

    /// Stores a block whose bytes the caller has already checked. This is the only write that skips the hash check.
    ///
    /// # Caller's promise
    /// `data` hashes to `cid`. Or this build cannot compute the hash function, and the bytes come from a source that
    /// the caller trusts, such as another store. If the promise is broken, the next read fails with
    /// [`StoreError::Corrupt`] if the hash function is supported; otherwise the damage goes unnoticed.
    ///
    /// # Contract
    /// - Everything that [`put`](Self::put) promises, except the hash check. A backend may check nevertheless and
    ///   refuse bytes that do not match. Law: `put_trusted_keeps_unknown_hashes`.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    ///
    /// # For implementers
    /// The default calls `put`, which refuses unknown hash functions. Override it to store such blocks.
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.put(cid, data)
    }

    /// Stores many blocks, durable together when it returns `Ok`.
    ///
    /// The whole batch may be held in memory: callers bound their batches.
    ///
    /// # Contract
    /// - The iterator is drained and every block checked before any lock is taken and anything is written, so the
    ///   iterator may read or write the same store. If an error is found by then (the iterator's own, a wrong or
    ///   unsupported hash, a block above the limit), nothing of the call is kept. Laws:
    ///   `put_many_keeps_nothing_of_a_bad_batch`, `put_many_keeps_nothing_when_the_iterator_fails`,
    ///   `put_many_iterator_may_use_the_store`.
    /// - After a storage error, some of the blocks may remain, unless [`Capabilities::atomic_put_many`] is claimed.
    ///   Nothing is ever deleted to undo: another writer may have been told that the block is present.
    /// - A block named twice is stored once and checked each time. The same bytes under two CIDs are two blocks. Laws:
    ///   `put_many_takes_duplicates`, `put_many_stores_the_same_bytes_under_each_cid`.
    ///
    /// # Errors
    /// As [`put`](Self::put), and any error that the iterator yields, unchanged.
    ///
    /// # For implementers
    /// The default drains, checks, and puts block by block, with one sync each. Override it with one transaction, or
    /// with few syncs.
    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        for (cid, data) in drain_checked(blocks, self.capabilities().block_bytes_max)? {
            self.put_trusted(&cid, data)?;
        }
        Ok(())
    }

    /// Reads many blocks. Calls `f` once for each index of `cids`, in any order, with the verified bytes of the block,
    /// or `None` if it is absent. A CID that occurs twice in `cids` is answered twice.
    ///
    /// The store may hold the bytes of several blocks at once: callers bound their requests, and end one early with
    /// [`ControlFlow::Break`].
    ///
    /// # Contract
    /// - Each index gets what [`get`](Self::get) would return for its CID, exactly once. Law:
    ///   `get_many_answers_each_index_once`.
    /// - After `Break`, `f` is not called again, and the result is `Ok`. Law: `get_many_ends_when_it_is_told`.
    /// - No lock of the store is held while `f` runs: it may read and write the same store, heads included. A panic of
    ///   `f` reaches the caller and leaves the store usable. Laws: `get_many_callback_may_use_the_store`,
    ///   `panicking_callback_leaves_the_store_usable`.
    ///
    /// # Errors
    /// As [`get`](Self::get), at the first block that cannot be read. Earlier answers stand. To read the others, `get`
    /// them one by one.
    ///
    /// # For implementers
    /// The default is a loop over [`get`](Self::get). Override it if one request for many blocks is cheaper than many
    /// requests, as over a network.
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        for (index, cid) in cids.iter().enumerate() {
            if f(index, self.get(cid)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether the store holds each of these blocks: one answer for each index of `cids`, in that order. A CID may
    /// occur more than once.
    ///
    /// # Contract
    /// - Each answer is one that [`has`](Self::has) could have given for its CID during the call: a block that is
    ///   present during the whole call is reported as present, and one that is absent as absent. If other threads write
    ///   meanwhile, the answers may be those of different moments. Laws: `has_many_answers_as_has`,
    ///   `has_many_answers_a_long_request`, `every_read_follows_every_write`.
    /// - A lookup that fails is an error of the whole call, and never an absence. Laws:
    ///   `failed_read_is_an_error_and_no_absence`, `every_read_that_fails_is_an_error`.
    ///
    /// # Errors
    /// As [`has`](Self::has), at the first block that cannot be looked up. To learn about the others, ask for them one
    /// by one.
    ///
    /// # For implementers
    /// The default is a loop over [`has`](Self::has). Override it if the blocks can share a transaction, a lock or a
    /// request.
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        cids.iter().map(|cid| self.has(cid)).collect()
    }

    /// Removes many blocks. The removal is durable when it returns `Ok`. Absent blocks are ignored.
    ///
    /// The whole batch may be held in memory: callers bound their batches. [Deleting](Self::delete) is for garbage
    /// collection.
    ///
    /// # Contract
    /// - After `Ok`, no read finds any of the blocks; all others stay. Laws: `delete_many_removes_only_its_blocks`,
    ///   `delete_many_ignores_absent_and_repeated_blocks`, `delete_many_survives_reopen`.
    /// - The iterator is drained before the store takes a lock or removes anything, so it may read and write the same
    ///   store. If it fails, its error is returned unchanged and every block stays. Laws:
    ///   `delete_many_removes_nothing_when_the_iterator_fails`, `delete_many_iterator_may_use_the_store`.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and any error that the iterator yields. After a storage error, some of the blocks
    /// may be gone; repeating the call is safe.
    ///
    /// # For implementers
    /// The default drains, then deletes block by block, with one sync each. Override it with one transaction, or with
    /// few syncs.
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        for cid in cids.collect::<Result<Vec<_>, _>>()? {
            self.delete(&cid)?;
        }
        Ok(())
    }

    /// Removes the dead blocks of one part of the store, in a single pass and one durable call. The part consists of
    /// the blocks that [`cids`](Self::cids) lists after `after`, or from the first, up to and including `up_to`, or to
    /// the last. `is_dead` decides about each of them.
    ///
    /// `None` means that the store has no such pass: nothing was removed, and `is_dead` was not called. In that case,
    /// list the blocks, and remove them with [`delete_many`](Self::delete_many). [Deleting](Self::delete) is for
    /// garbage collection.
    ///
    /// # Caller's promise
    /// `is_dead` does not use the store, which may hold its locks. Callers bound the number of blocks in the part: the
    /// store may hold all its changes in memory.
    ///
    /// # Contract
    /// - Each block of the part is shown once, and no other. After `Ok`, no read finds any block for which `is_dead`
    ///   returned `true`; all others stay. The counts are those of this call. Parts that follow each other have every
    ///   block between them exactly once: such a store always lists in the same order. Law:
    ///   `sweep_removes_the_dead_blocks_of_its_part`.
    /// - A store may end the call early, to bound how many bytes one call reads, after at least one block. Then
    ///   [`ended_at`](Swept::ended_at) names the last block that it showed, and what follows it in the part was not
    ///   shown. Law: `sweep_removes_the_dead_blocks_of_its_part`.
    /// - The removal is durable. Law: `sweep_survives_reopen`.
    /// - A panic of `is_dead` reaches the caller, removes nothing, and leaves the store usable. Law:
    ///   `panicking_sweep_removes_nothing`.
    ///
    /// # Errors
    /// As [`delete`](Self::delete). After a storage error, some of the dead blocks may be gone; repeating the call is
    /// safe.
    ///
    /// # For implementers
    /// The default is `None`. Override it if the store can look at its blocks in order and remove some on the way. If
    /// that reads their bytes, end the call after some tens of MiB.
    fn sweep(
        &self,
        _after: Option<&Cid>,
        _up_to: Option<&Cid>,
        _is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        Ok(None)
    }

    /// The promises of this store beyond the minimum.
    ///
    /// # Contract
    /// - A claim holds. A capability that is not claimed is either refused visibly or not promised. The value is
    ///   constant for the life of the handle. Law: `capabilities_are_at_least_the_weakest`.
    ///
    /// # For implementers
    /// The default claims the least. See [`Capabilities`].
    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
    }
}

/// Bytes taken from an iterator before they are checked, so that a bad block ends a long batch early.
const DRAINED_BYTES: usize = 8 * 1024 * 1024;

/// Drains the iterator of a batch and checks the size and hash of every block, on all cores for large batches. For
/// implementers of [`Blockstore::put_many`].
///
/// # Errors
/// The first of these: the iterator's own error, unchanged; [`StoreError::BlockTooLarge`], [`StoreError::CidMismatch`],
/// [`StoreError::UnsupportedHash`].
pub fn drain_checked(blocks: &mut Blocks<'_>, block_bytes_max: u64) -> Result<Vec<(Cid, Bytes)>, StoreError> {
    let mut drained = Vec::new();
    loop {
        let checked = drained.len();
        let ended = drain_some(blocks, &mut drained);
        check_many(drained.get(checked..).unwrap_or_default(), block_bytes_max)?;
        if ended? {
            return Ok(drained);
        }
    }
}

/// Takes some blocks from an iterator; returns whether it is exhausted.
fn drain_some(blocks: &mut Blocks<'_>, drained: &mut Vec<(Cid, Bytes)>) -> Result<bool, StoreError> {
    let mut bytes = 0;
    while bytes < DRAINED_BYTES {
        let Some(block) = blocks.next() else { return Ok(true) };
        let (cid, data) = block?;
        bytes += data.len().max(1);
        drained.push((cid, data));
    }
    Ok(false)
}
