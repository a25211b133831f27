//! The contract for op heads: the set that names the current operations.

use std::fmt::Debug;

use cid::Cid;

use crate::{HeadsCapabilities, StoreError};

/// A small set of CIDs that names the current operations.
///
/// A head is only a CID: this trait does not check whether its block exists. [`Store::commit`](crate::Store::commit)
/// does. A commit can also change many heads at once: [`WriteBatch::update_all`](crate::WriteBatch::update_all).
///
/// ```
/// use mnem_store_traits::{MemoryStore, OpHeadsStore, RAW, StoreError, cid_of};
///
/// let store = MemoryStore::new();
/// let [a, b, merged] = [&b"a"[..], b"b", b"a and b"].map(|op| cid_of(RAW, op));
/// store.update(&a, &[])?;
/// store.update(&b, &[])?; // another writer, unaware of a: both stay
/// let both = store.heads()?;
/// assert_eq!(both.len(), 2);
/// store.swap(&both, &merged)?;
/// match store.swap(&both, &a) {
///     Err(StoreError::HeadsMoved { actual }) => assert_eq!(actual, [merged]), // read, merge, try again
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), StoreError>(())
/// ```
///
/// # Contract
/// - No reader ever sees an empty set after the first head. Law: `heads_are_never_empty_again`.
/// - Concurrent updates lose no head that none of them superseded, and a change builds on the changes of other handles.
///   Laws: `concurrent_updates_lose_no_head`, `head_changes_build_on_those_of_other_handles`.
/// - `Ok` means durable, unless [`heads_capabilities`](Self::heads_capabilities) says less. Law:
///   `heads_survive_reopen`.
/// - After a failed sync, the handle refuses writes with [`StoreError::Poisoned`]; reads continue.
pub trait OpHeadsStore: Send + Sync + Debug {
    /// The current heads, without duplicates, ascending by `Cid`'s `Ord` (version, codec, hash code, digest length and
    /// bytes).
    ///
    /// # Contract
    /// - A new store has none. Law: `new_store_has_no_heads`.
    /// - Sorted and free of duplicates. Law: `heads_are_sorted_and_unique`.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`]. A set that cannot be read is never
    /// reported as empty.
    fn heads(&self) -> Result<Vec<Cid>, StoreError>;

    /// Adds `new` and removes the heads that it supersedes: the heads become (heads − `supersedes`) ∪ {`new`}.
    ///
    /// # Contract
    /// - `new` stays if it is named in `supersedes`. Law: `new_head_named_in_supersedes_stays`.
    /// - CIDs in `supersedes` that are not heads are ignored. Law: `unknown_superseded_ids_are_ignored`.
    /// - A head that was superseded may come back. Law: `superseded_head_may_come_back`.
    /// - Whole CIDs are compared: a head with the same digest under another codec is another head. Law:
    ///   `heads_are_whole_cids`.
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: `new` has a codec or a hash function of more than 63 bits. Nothing changed.
    /// - [`StoreError::Backend`]: [`StoreError::outcome`] says whether the change may have been made. Repeating it is
    ///   safe.
    /// - [`StoreError::Locked`]: another process held the lock for too long. Nothing changed; a retry can help.
    /// - [`StoreError::Poisoned`], [`StoreError::ReadOnly`], [`StoreError::Closed`]: nothing changed.
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError>;

    /// Replaces the whole set by {`new`} if it equals `expected`.
    ///
    /// `expected` is a set: order and repetition do not matter. If it is empty, there must be no head yet. It may
    /// contain `new`.
    ///
    /// # Contract
    /// - The comparison and the replacement are one step: of two swaps from the same set, one succeeds. Laws:
    ///   `swap_replaces_expected_heads`, `swap_from_other_heads_is_refused`, `swap_of_empty_sets_the_first_head`,
    ///   `concurrent_swaps_let_one_win`.
    ///
    /// # Errors
    /// - [`StoreError::HeadsMoved`]: the heads differ from `expected`. The error holds them, and they are unchanged.
    /// - Otherwise as [`update`](Self::update).
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError>;

    /// The promises of this store beyond the minimum.
    ///
    /// # For implementers
    /// The default claims the least. See [`HeadsCapabilities`].
    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST
    }
}
