//! The contract for immutable blocks.

use std::{fmt::Debug, ops::ControlFlow};

use bytes::Bytes;
use cid::Cid;

use crate::{Capabilities, StoreError, check_many::check_many};

/// What [`Blockstore::cids`] returns: CIDs in no particular order, or the error that ended the listing.
pub type CidIter<'a> = Box<dyn Iterator<Item = Result<Cid, StoreError>> + Send + 'a>;

/// What [`Blockstore::put_many`] takes: blocks, or the error that ends the batch.
pub type Blocks<'a> = dyn Iterator<Item = Result<(Cid, Bytes), StoreError>> + 'a;

/// What [`Blockstore::delete_many`] takes: CIDs, or the error that ends the batch.
pub type Cids<'a> = dyn Iterator<Item = Result<Cid, StoreError>> + 'a;

/// What [`Blockstore::get_many`] calls with each block: its place in the request, and its bytes or `None` if the store does not hold it.
pub type OnBlock<'a> = dyn FnMut(usize, Option<Bytes>) -> ControlFlow<()> + 'a;

/// Immutable bytes, each named by its CID.
///
/// *Durable* means: survives a power cut once the call returned `Ok`. *Visible* means: another handle's read sees it. Every sentence
/// under a *Contract* heading is a promise of every implementation; the suite behind feature `conformance` has a law of the name given
/// for each one that can be observed. `CONTRACT.md` in this crate is the same contract as a page.
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
/// - The key of a block is the whole CID: version, codec, hash function and digest. The same bytes under two CIDs are two blocks. CIDv0 and
///   identity CIDs are CIDs like any other: stored when put, absent until then, never made up from the digest.
///   Laws: `version_is_part_of_the_key`, `codec_is_part_of_the_key`, `hash_function_is_part_of_the_key`, `identity_is_not_synthesised`.
/// - An I/O error is an error, never an absence and never an earlier answer. Absence is `Ok(None)` or `Ok(false)`.
///   Laws: `absent_is_none`, `failed_read_is_an_error_and_no_absence`, `failed_read_is_no_old_answer`.
/// - `Ok` means durable, unless [`capabilities`](Self::capabilities) says less, which a store may only do when it was opened with weaker
///   durability by name. A write that joins a sync under way is not durable by that sync.
///   Laws: `acknowledged_blocks_survive_reopen`, `write_beside_a_waiting_sync_is_durable`.
/// - No reader waits for a sync, an iterator or a callback of a writer. Laws: `readers_do_not_wait_for_a_sync`,
///   `reader_does_not_wait_for_a_batch`.
/// - After a failed sync the handle refuses further writes with [`StoreError::Poisoned`] until the store is reopened; reads go on. It may do
///   so after any failure that leaves it unsure of what is on the medium. Law: `failed_sync_refuses_writes_until_reopened`.
/// - A write may be refused with [`StoreError::Locked`] where another process holds what it needs: nothing changed, and a retry can help.
/// - Nothing panics, whatever is in the store, and a panic of the caller's iterator or callback leaves the store usable.
///   Law: `panicking_iterator_leaves_the_store_usable`.
pub trait Blockstore: Send + Sync + Debug {
    /// The bytes of a block, or `None` if the store does not hold it.
    ///
    /// # Contract
    /// - The bytes are hashed on every read and match `cid`. Bytes stored under a hash function that this build cannot compute are
    ///   returned as they were stored. Laws: `put_then_get_returns_the_bytes`, `unknown_hash_is_returned_as_stored`.
    /// - A read that begins after a `put`, `put_many` or `commit` of the block returned `Ok` sees it, in every thread and through every
    ///   handle. Laws: `put_is_visible_to_another_thread`, `put_is_visible_through_a_second_handle`,
    ///   `large_write_of_another_handle_is_seen_whole`.
    /// - Bytes that were handed out never change, whatever is written, deleted or compacted afterwards. Law: `bytes_handed_out_never_change`.
    ///
    /// # Errors
    /// - [`StoreError::Corrupt`]: the store holds other bytes than the CID names. They are never returned. Heal with `delete`, then `put`.
    /// - [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`]: the store could not be read.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError>;

    /// Stores a block, after checking that the bytes hash to `cid`.
    ///
    /// # Contract
    /// - The bytes are hashed before anything is written; what does not match is not kept. Laws: `put_rejects_wrong_bytes`,
    ///   `put_checks_every_supported_hash`, `put_rejects_unsupported_hash`, `put_rejects_truncated_digest`.
    /// - sha2-256 and blake3 with 32 bytes, and identity, are always supported. A store may know more functions; any
    ///   other is refused. Law: `put_takes_every_supported_hash`.
    /// - A block that is there already is not written again, and `Ok` still means that it is durable, also when another writer put it
    ///   a moment ago and has not synced it yet, or could not. Laws: `put_twice_is_ok`, `second_put_makes_an_unsynced_block_durable`,
    ///   `put_after_reopening_makes_an_unsynced_block_durable`.
    /// - A block of 0 bytes is a block. Blocks of up to [`Capabilities::block_bytes_max`] are taken, which is never less than
    ///   16 MiB. Laws: `empty_block_is_a_block`, `block_of_16_mib_is_taken`, `block_above_the_limit_is_refused`.
    ///
    /// # Errors
    /// - [`StoreError::CidMismatch`], [`StoreError::UnsupportedHash`], [`StoreError::BlockTooLarge`]: nothing was stored; no retry can help.
    /// - [`StoreError::Backend`]: the block may or may not be there, as [`StoreError::outcome`] says. Putting it again is always safe.
    /// - [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Closed`]: nothing was stored.
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError>;

    /// Removes a block. Removing what is absent is `Ok`.
    ///
    /// # Contract
    /// - After `Ok` no read finds the block, until it is put again; other blocks stay, also those that other threads put meanwhile.
    ///   Laws: `delete_removes_only_its_block`, `deletes_lose_no_put_of_another_thread`, `delete_is_visible_to_another_thread`,
    ///   `delete_of_absent_is_ok`, `deleted_block_can_be_put_again`.
    ///
    /// # Deleting
    /// Deleting is for garbage collection. It must not run beside writers that may rely on the block: a `put` that found the block present
    /// a moment ago has told its caller so. Keeping the two apart is the caller's duty; the store does not guard it.
    ///
    /// # Errors
    /// - [`StoreError::Backend`]: the block may or may not be gone; deleting it again is safe.
    /// - [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Closed`]: nothing was removed.
    fn delete(&self, cid: &Cid) -> Result<(), StoreError>;

    /// Every CID in the store, streamed, in no particular order.
    ///
    /// # Contract
    /// - Each block that is there during the whole iteration is yielded exactly once. Blocks that come or go meanwhile may or may not appear.
    ///   Laws: `cids_lists_every_block_once`, `cids_keeps_steady_blocks_under_writes`.
    /// - An error ends it. When the store is closed meanwhile, it goes on to its end or fails. Laws: `failed_read_ends_a_listing`,
    ///   `close_cuts_no_listing_short`.
    /// - It blocks no writer, and the consumer may write to the same store between two items. Law: `cids_does_not_block_writers`.
    /// - It holds at most one page or one shard of names in memory, however many blocks there are.
    ///
    /// # Errors
    /// An item is an error when the listing could not go on; it ends there, so that a failed listing is never taken for a complete one.
    fn cids(&self) -> Result<CidIter<'_>, StoreError>;

    /// Whether the store holds the block. May answer from the key alone, without hashing the bytes.
    ///
    /// # Contract
    /// - Agrees with `get` for every block that is not damaged. Law: `has_and_size_agree_with_get`.
    ///
    /// # Errors
    /// As [`get`](Self::get); whether damage is noticed is up to the backend.
    ///
    /// # For implementers
    /// The default reads the block. Override it where the key can be looked up by itself.
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.with_block(cid, &mut |_| ())
    }

    /// The length of the block in bytes, or `None` if the store does not hold it. May answer without hashing the bytes.
    ///
    /// # Contract
    /// - Agrees with `get` for every block that is not damaged. Law: `has_and_size_agree_with_get`.
    ///
    /// # Errors
    /// As [`get`](Self::get); whether damage is noticed is up to the backend.
    ///
    /// # For implementers
    /// The default reads the block. Override it where the length can be had without the bytes.
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let mut block_bytes = None;
        self.with_block(cid, &mut |data| block_bytes = Some(data.len() as u64))?;
        Ok(block_bytes)
    }

    /// Calls `f` once with the verified bytes of the block, without a copy where the backend can lend them. `false`: the store does not
    /// hold the block and `f` was not called.
    ///
    /// # Contract
    /// - `f` sees exactly what [`get`](Self::get) would return, and is not called for damaged bytes. Law: `with_block_lends_what_get_returns`.
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

    /// Stores a block whose bytes the caller has already checked: the only way past the hash check of a write.
    ///
    /// # Caller's promise
    /// `data` hashes to `cid`; or the hash function is one that this build cannot compute, and the bytes come from a place that the caller
    /// trusts, such as another store. A broken promise is found at the next read ([`StoreError::Corrupt`]) where the hash function is
    /// supported, and never where it is not.
    ///
    /// # Contract
    /// - Apart from the hash check, all that [`put`](Self::put) promises. A backend may check all the same and refuse what does not match.
    ///   Law: `put_trusted_keeps_unknown_hashes`.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    ///
    /// # For implementers
    /// The default goes through `put`: it refuses unknown hash functions, so a backend that wants to hold such blocks overrides it.
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.put(cid, data)
    }

    /// Stores many blocks, durable together when it returns `Ok`.
    ///
    /// The whole batch may be held in memory: callers bound their batches.
    ///
    /// # Contract
    /// - The iterator is drained, and every block checked, before any lock is taken and anything is written: the iterator may read or write
    ///   the same store. An error found by then (the iterator's own, a wrong or unsupported hash, a block above the limit) keeps nothing of
    ///   the call. Laws: `put_many_keeps_nothing_of_a_bad_batch`, `put_many_keeps_nothing_when_the_iterator_fails`,
    ///   `put_many_iterator_may_use_the_store`.
    /// - After a storage error some of the blocks may remain, unless [`Capabilities::atomic_put_many`] is claimed. Nothing is ever deleted to
    ///   undo: another writer may have been told that the block is there.
    /// - A block named twice is stored once, and checked each time; the same bytes under two CIDs are two blocks. Laws:
    ///   `put_many_takes_duplicates`, `put_many_stores_the_same_bytes_under_each_cid`.
    ///
    /// # Errors
    /// As [`put`](Self::put), and whatever error the iterator yields, unchanged.
    ///
    /// # For implementers
    /// The default drains, checks, and puts block by block, with one sync for each. Override it with one transaction, or with few syncs.
    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        for (cid, data) in drain_checked(blocks, self.capabilities().block_bytes_max)? {
            self.put_trusted(&cid, data)?;
        }
        Ok(())
    }

    /// Reads many blocks and calls `f` once for each index of `cids`, in any order, with the block's verified bytes or `None` for an absent
    /// block. A CID that stands in `cids` twice is answered twice.
    ///
    /// The store may hold the bytes of several blocks at once: callers bound their requests, and end one early with [`ControlFlow::Break`].
    ///
    /// # Contract
    /// - Each index gets what [`get`](Self::get) would return for its CID, exactly once. Law: `get_many_answers_each_index_once`.
    /// - After `Break` there is no further call of `f`, and the result is `Ok`. Law: `get_many_ends_when_it_is_told`.
    /// - No lock of the store is held while `f` runs: it may read and write the same store, heads included. A panic of `f` reaches the caller and
    ///   leaves the store usable. Laws: `get_many_callback_may_use_the_store`, `panicking_callback_leaves_the_store_usable`.
    ///
    /// # Errors
    /// As [`get`](Self::get), at the first block that cannot be read. Answers given before stand. To learn about the others, `get` them one by one.
    ///
    /// # For implementers
    /// The default is a loop over [`get`](Self::get). Override it where one request for many blocks is cheaper than many requests, as over a
    /// network.
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        for (index, cid) in cids.iter().enumerate() {
            if f(index, self.get(cid)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Removes many blocks. The removal is durable when it returns `Ok`; absent blocks are ignored.
    ///
    /// The whole batch may be held in memory: callers bound their batches. [Deleting](Self::delete) is for garbage collection.
    ///
    /// # Contract
    /// - After `Ok` no read finds any of the blocks; all others stay. Laws: `delete_many_removes_only_its_blocks`,
    ///   `delete_many_ignores_absent_and_repeated_blocks`, `delete_many_survives_reopen`.
    /// - The iterator is drained before the store takes a lock or removes anything: it may read and write the same store. If it fails, its
    ///   error is returned unchanged and every block stays. Laws: `delete_many_removes_nothing_when_the_iterator_fails`,
    ///   `delete_many_iterator_may_use_the_store`.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and whatever error the iterator yields. After a storage error some of the blocks may be gone; repeating the
    /// call is safe.
    ///
    /// # For implementers
    /// The default drains, then deletes block by block, with one sync for each. Override it with one transaction, or with few syncs.
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        for cid in cids.collect::<Result<Vec<_>, _>>()? {
            self.delete(&cid)?;
        }
        Ok(())
    }

    /// What this store promises beyond the minimum.
    ///
    /// # Contract
    /// - What is claimed holds, and what is not claimed visibly does not happen or is not promised. Constant for the life of the handle.
    ///   Law: `capabilities_are_at_least_the_weakest`.
    ///
    /// # For implementers
    /// The default claims the least. See [`Capabilities`].
    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
    }
}

/// Bytes taken out of an iterator before they are checked, so that a bad block ends a long batch early.
const DRAINED_BYTES: usize = 8 * 1024 * 1024;

/// Takes a batch out of its iterator and checks every block, size and hash, on all cores where that pays. For implementers of
/// [`Blockstore::put_many`].
///
/// # Errors
/// Whatever comes first: the iterator's own error, unchanged; [`StoreError::BlockTooLarge`], [`StoreError::CidMismatch`],
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

/// Takes some blocks out of an iterator, and says whether that was all.
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
