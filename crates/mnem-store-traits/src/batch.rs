//! The content of a commit.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use cid::Cid;
use serde::Serialize;

use crate::{StoreError, check::check_numbers, typed};

/// Blocks and at most one head change, to be applied by [`Store::commit`](crate::Store::commit).
///
/// ```
/// use mnem_store_traits::{Bytes, MemoryStore, OpHeadsStore, RAW, Store, WriteBatch, cid_of};
///
/// let store = MemoryStore::new();
/// let data = Bytes::from_static(b"an operation");
/// let op = cid_of(RAW, &data);
/// store.commit(WriteBatch::new().put(op, data).update(op, []))?;
/// assert_eq!(store.heads()?, [op]);
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
///
/// A batch can be committed again, for instance with another head change:
///
/// ```
/// use mnem_store_traits::{MemoryStore, OpHeadsStore, Store, StoreError, WriteBatch};
///
/// let store = MemoryStore::new();
/// let mut batch = WriteBatch::new();
/// let operation = batch.put_dag_cbor("an operation")?;
/// loop {
///     match store.commit(batch.swap(store.heads()?, operation)) {
///         Err(StoreError::HeadsMoved { .. }) => continue,
///         result => break result?,
///     }
/// }
/// assert_eq!(store.heads()?, [operation]);
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a batch does nothing until it is committed"]
pub struct WriteBatch {
    puts: Vec<BatchPut>,
    required: Vec<Cid>,
    head: Option<HeadChange>,
}

/// One block of a [`WriteBatch`].
#[derive(Clone)]
#[non_exhaustive]
pub struct BatchPut {
    /// Its CID.
    pub cid: Cid,
    /// Its bytes.
    pub data: Bytes,
    /// Whether the caller has checked the bytes: see [`Blockstore::put_trusted`](crate::Blockstore::put_trusted).
    pub trusted: bool,
}

/// Prints the number of blocks and their bytes, not the blocks.
impl fmt::Debug for WriteBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBatch")
            .field("puts", &self.puts.len())
            .field("put_bytes", &self.puts.iter().map(|put| put.data.len()).sum::<usize>())
            .field("required", &self.required.len())
            .field("head", &self.head)
            .finish()
    }
}

/// Prints the length of the block, not its bytes.
impl fmt::Debug for BatchPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchPut")
            .field("cid", &self.cid)
            .field("bytes", &self.data.len())
            .field("trusted", &self.trusted)
            .finish()
    }
}

/// A change of the op heads.
///
/// Every list is a set: order and repetition do not matter. `new` has at least one head; a store refuses an empty `new`
/// with [`StoreError::InvalidArgument`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadChange {
    /// The heads become (heads − `supersedes`) ∪ `new`. With one new head, this is
    /// [`OpHeadsStore::update`](crate::OpHeadsStore::update).
    Update {
        /// The new heads.
        new: Vec<Cid>,
        /// The heads they replace.
        supersedes: Vec<Cid>,
    },
    /// The heads become `new` if they equal `expected`. With one new head, this is
    /// [`OpHeadsStore::swap`](crate::OpHeadsStore::swap).
    Swap {
        /// The heads that must be current.
        expected: Vec<Cid>,
        /// The heads afterwards.
        new: Vec<Cid>,
    },
}

impl HeadChange {
    /// The new heads, in the given order.
    pub fn new_heads(&self) -> &[Cid] {
        let (Self::Update { new, .. } | Self::Swap { new, .. }) = self;
        new
    }

    /// Refuses a change without a new head, and heads that are not valid CIDs in multiformats. [`WriteBatch::check`]
    /// and [`apply`](Self::apply) do the same.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`]: the set of new heads is empty, or one has a codec or a hash function of more
    /// than 63 bits.
    pub fn check(&self) -> Result<(), StoreError> {
        let operation = match self {
            Self::Update { .. } => "update heads",
            Self::Swap { .. } => "swap heads",
        };
        if self.new_heads().is_empty() {
            let reason = "the set of new heads is empty; name at least one head".to_owned();
            return Err(StoreError::InvalidArgument { operation, reason });
        }
        self.new_heads().iter().try_for_each(|cid| check_numbers(operation, cid))
    }

    /// The heads after this change, given the heads before it. No other code computes heads.
    ///
    /// With `n` heads and `k` CIDs in the change, the cost is O((n + k) log(n + k)).
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: as [`check`](Self::check).
    /// - [`StoreError::HeadsMoved`]: a swap expects other heads than `heads`.
    pub fn apply(&self, heads: &BTreeSet<Cid>) -> Result<BTreeSet<Cid>, StoreError> {
        self.check()?;
        match self {
            Self::Update { new, supersedes } => {
                let mut after = heads.clone();
                for cid in supersedes {
                    after.remove(cid);
                }
                after.extend(new);
                Ok(after)
            }
            Self::Swap { expected, new } => {
                if expected.iter().copied().collect::<BTreeSet<_>>() != *heads {
                    return Err(StoreError::HeadsMoved { actual: heads.iter().copied().collect() });
                }
                Ok(new.iter().copied().collect())
            }
        }
    }
}

impl WriteBatch {
    /// An empty batch. Committing it does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a block. It is hashed before anything is written.
    pub fn put(&mut self, cid: Cid, data: Bytes) -> &mut Self {
        self.puts.push(BatchPut { cid, data, trusted: false });
        self
    }

    /// Adds a block whose bytes the caller has checked. The caller makes the promise of
    /// [`Blockstore::put_trusted`](crate::Blockstore::put_trusted).
    pub fn put_trusted(&mut self, cid: Cid, data: Bytes) -> &mut Self {
        self.puts.push(BatchPut { cid, data, trusted: true });
        self
    }

    /// Adds `value` as a DAG-CBOR block and returns its CID, for a head or for a link in another block. A field of type
    /// [`Cid`] becomes a link.
    ///
    /// ```
    /// use mnem_store_traits::{MemoryStore, OpHeadsStore, Store, StoreError, WriteBatch};
    ///
    /// let store = MemoryStore::new();
    /// let mut batch = WriteBatch::new();
    /// let text = batch.put_dag_cbor("hello")?;
    /// let operation = batch.put_dag_cbor(&[text])?; // a list of one link
    /// store.commit(batch.update(operation, []))?;
    /// assert_eq!(store.heads()?, [operation]);
    /// # Ok::<(), StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`]: DAG-CBOR cannot represent the value. The batch is unchanged.
    pub fn put_dag_cbor<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<Cid, StoreError> {
        let (cid, data) = typed::encode("put_dag_cbor", value)?;
        self.puts.push(BatchPut { cid, data, trusted: false });
        Ok(cid)
    }

    /// Requires that the block is in the store or in this batch when the batch is applied. Otherwise the commit fails
    /// with [`StoreError::MissingBlock`].
    pub fn require(&mut self, cid: Cid) -> &mut Self {
        self.required.push(cid);
        self
    }

    /// Calls [`require`](Self::require) for each of them.
    pub fn require_all(&mut self, cids: impl IntoIterator<Item = Cid>) -> &mut Self {
        self.required.extend(cids);
        self
    }

    /// Adds the head `new` and removes the heads that it supersedes. Replaces an earlier head change of this batch.
    pub fn update(&mut self, new: Cid, supersedes: impl IntoIterator<Item = Cid>) -> &mut Self {
        self.update_all([new], supersedes)
    }

    /// Adds every head in `new` and removes the heads that they supersede, in one change: after a crash, all of them
    /// are there or none. With [`atomic_heads`](crate::HeadsCapabilities::atomic_heads), no reader sees some of them
    /// without the others either. Replaces an earlier head change of this batch.
    ///
    /// `new` is a set and must not be empty: [`HeadChange::check`].
    pub fn update_all(
        &mut self,
        new: impl IntoIterator<Item = Cid>,
        supersedes: impl IntoIterator<Item = Cid>,
    ) -> &mut Self {
        let (new, supersedes) = (new.into_iter().collect(), supersedes.into_iter().collect());
        self.change_heads(HeadChange::Update { new, supersedes })
    }

    /// Replaces all heads by `new` if they equal `expected`. Replaces an earlier head change of this batch.
    pub fn swap(&mut self, expected: impl IntoIterator<Item = Cid>, new: Cid) -> &mut Self {
        self.swap_all(expected, [new])
    }

    /// Replaces all heads by the set `new` if they equal `expected`. Replaces an earlier head change of this batch.
    ///
    /// `new` is a set and must not be empty: [`HeadChange::check`].
    pub fn swap_all(
        &mut self,
        expected: impl IntoIterator<Item = Cid>,
        new: impl IntoIterator<Item = Cid>,
    ) -> &mut Self {
        let (expected, new) = (expected.into_iter().collect(), new.into_iter().collect());
        self.change_heads(HeadChange::Swap { expected, new })
    }

    /// Sets the head change. Replaces an earlier head change of this batch.
    pub fn change_heads(&mut self, change: HeadChange) -> &mut Self {
        self.head = Some(change);
        self
    }

    /// The blocks to store, in the order in which they were added. May name a CID twice.
    pub fn puts(&self) -> &[BatchPut] {
        &self.puts
    }

    /// The blocks that must be present, in the store or among [`puts`](Self::puts), when the batch is applied.
    pub fn required(&self) -> &[Cid] {
        &self.required
    }

    /// The head change, if any.
    pub fn head(&self) -> Option<&HeadChange> {
        self.head.as_ref()
    }

    /// Whether committing it does nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.required.is_empty() && self.head.is_none()
    }
}

impl Extend<(Cid, Bytes)> for WriteBatch {
    /// Adds blocks that are hashed before anything is written, as [`put`](WriteBatch::put) does.
    fn extend<T: IntoIterator<Item = (Cid, Bytes)>>(&mut self, blocks: T) {
        self.puts.extend(blocks.into_iter().map(|(cid, data)| BatchPut { cid, data, trusted: false }));
    }
}

impl Extend<BatchPut> for WriteBatch {
    /// Adds the blocks of another batch, each trusted or not as it was there.
    fn extend<T: IntoIterator<Item = BatchPut>>(&mut self, puts: T) {
        self.puts.extend(puts);
    }
}

impl FromIterator<(Cid, Bytes)> for WriteBatch {
    fn from_iter<T: IntoIterator<Item = (Cid, Bytes)>>(blocks: T) -> Self {
        let mut batch = Self::new();
        batch.extend(blocks);
        batch
    }
}
