//! What callers can do with any block store, built on the contract alone.

use bytes::Bytes;
use cid::Cid;

use crate::{Blockstore, StoreError, Walk, cid_of};

/// A link whose block is not in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingLink {
    /// The absent block.
    pub cid: Cid,
    /// The block that links to it; `None` when it is the root itself.
    pub linked_from: Option<Cid>,
}

/// Conveniences for callers, available on every [`Blockstore`], `dyn` included.
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
    /// The bytes of a block that must be there.
    ///
    /// # Errors
    /// [`StoreError::MissingBlock`] if it is not; otherwise as [`Blockstore::get`].
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

    /// The blocks reachable from `root`: see [`Walk`].
    fn walk(&self, root: &Cid) -> Walk<&Self> {
        Walk::new(self, *root)
    }

    /// Every block that `root` reaches and the store does not hold, each once, in the order of [`Walk`]. Empty: the graph is complete.
    ///
    /// # Errors
    /// The first error other than an absence: a block that is there and cannot be read may hide links.
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
