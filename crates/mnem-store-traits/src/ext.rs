//! Helpers for callers of any block store, built on the contract alone.

use bytes::Bytes;
use cid::Cid;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Blockstore, StoreError, Walk, cid_of, typed};

/// A link whose block is not in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingLink {
    /// The absent block.
    pub cid: Cid,
    /// The block that links to it; `None` if it is the root itself.
    pub linked_from: Option<Cid>,
}

/// Helpers for callers, available on every [`Blockstore`], including `dyn Blockstore`.
///
/// ```
/// use mnem_store_traits::{BlockstoreExt, Bytes, MemoryStore, RAW, StoreError, cid_of};
///
/// let store = MemoryStore::new();
/// let cid = store.put_as(RAW, Bytes::from_static(b"a block"))?;
/// assert_eq!(store.get_required(&cid)?, "a block");
/// assert!(store.missing_links(&cid)?.is_empty());
/// let absent = cid_of(RAW, b"nobody put this");
/// assert_eq!(store.missing_links(&absent)?[0].cid, absent);
/// # Ok::<(), StoreError>(())
/// ```
pub trait BlockstoreExt: Blockstore {
    /// The bytes of a block that must be present.
    ///
    /// # Errors
    /// [`StoreError::MissingBlock`] if it is absent; otherwise as [`Blockstore::get`].
    fn get_required(&self, cid: &Cid) -> Result<Bytes, StoreError> {
        self.get(cid)?.ok_or(StoreError::MissingBlock { cid: *cid, linked_from: None })
    }

    /// Stores `data` under its CIDv1 with sha2-256 in `codec`, and returns that CID.
    ///
    /// # Errors
    /// As [`Blockstore::put`].
    fn put_as(&self, codec: u64, data: Bytes) -> Result<Cid, StoreError> {
        let cid = cid_of(codec, &data);
        self.put(&cid, data)?;
        Ok(cid)
    }

    /// Stores `value` as a DAG-CBOR block and returns its CID. A field of type [`Cid`] becomes a link.
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: DAG-CBOR cannot represent the value, for example NaN or a map key that is not
    ///   text.
    /// - Otherwise as [`Blockstore::put`].
    fn put_dag_cbor<T: Serialize + ?Sized>(&self, value: &T) -> Result<Cid, StoreError> {
        let (cid, data) = typed::encode("put_dag_cbor", value)?;
        self.put(&cid, data)?;
        Ok(cid)
    }

    /// The value of a DAG-CBOR block, or `None` if the store does not hold it. Links fill fields of type [`Cid`].
    ///
    /// ```
    /// use mnem_store_traits::{BlockstoreExt, Cid, MemoryStore, StoreError};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, PartialEq, Serialize, Deserialize)]
    /// struct Operation {
    ///     note: String,
    ///     parents: Vec<Cid>,
    /// }
    ///
    /// let store = MemoryStore::new();
    /// let first = store.put_dag_cbor(&Operation { note: "first".into(), parents: vec![] })?;
    /// let second = Operation { note: "second".into(), parents: vec![first] };
    /// let cid = store.put_dag_cbor(&second)?;
    /// assert_eq!(store.get_dag_cbor(&cid)?, Some(second));
    /// assert_eq!(store.walk(&cid).count(), 2); // `parents` holds links
    /// # Ok::<(), StoreError>(())
    /// ```
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: the CID has another codec, or the block is DAG-CBOR but not a `T`. The block
    ///   is valid.
    /// - [`StoreError::Malformed`]: the block is not DAG-CBOR.
    /// - Otherwise as [`Blockstore::get`].
    fn get_dag_cbor<T: DeserializeOwned>(&self, cid: &Cid) -> Result<Option<T>, StoreError> {
        self.get(cid)?.map(|data| typed::decode(cid, &data)).transpose()
    }

    /// The blocks reachable from `root`: see [`Walk`].
    fn walk(&self, root: &Cid) -> Walk<&Self> {
        Walk::new(self, *root)
    }

    /// Every block that `root` reaches and the store does not hold, each once, in the order of [`Walk`].
    ///
    /// If there are none, the graph is complete as far as links are followed. Blocks for which
    /// [`is_opaque`](crate::is_opaque) is true count as leaves; [`Walk::opaque`] counts them.
    ///
    /// # Errors
    /// The first error other than an absence: a block that cannot be read may hide links.
    fn missing_links(&self, root: &Cid) -> Result<Vec<MissingLink>, StoreError> {
        let mut missing = Vec::new();
        for item in self.walk(root) {
            match item {
                Ok(_) => {}
                Err(StoreError::MissingBlock { cid, linked_from }) => {
                    missing.push(MissingLink { cid, linked_from: linked_from.map(|parent| *parent) });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }
}

impl<S: Blockstore + ?Sized> BlockstoreExt for S {}
