//! Scanning the raw files of a damaged store.

use crate::{Bytes, Cid, StoreError};

/// A scan of a store's raw files from beginning to end, which follows none of their structure:
/// [`Driver::scan_raw`](super::Driver::scan_raw).
///
/// Each step is an item. An error names a stretch that cannot be read, and the scan continues after it. It holds one
/// window of the files and one block in memory, whatever the files contain.
pub trait RawScan: Iterator<Item = Result<RawFind, StoreError>> {
    /// The bytes of the last [`RawFind::Block`], if they match the hash in its CID; never other bytes. `None` if they
    /// are damaged or truncated, if this build cannot compute that hash, or if the last step found no block.
    ///
    /// # Errors
    /// [`StoreError::Backend`]: they cannot be read.
    fn read(&mut self) -> Result<Option<Bytes>, StoreError>;

    /// The length of the files, in bytes: the sum of all [`RawFind::Scanned`].
    fn total_bytes(&self) -> u64;

    /// The heads after each commit whose record was found so far and is proved to be the store's own: those of the
    /// newest commit first. Later commits may be lost. A bounded number of older commits is remembered.
    ///
    /// # For implementers
    /// The default is none, which is right if the files prove no commit.
    fn recorded_heads(&self) -> Vec<Vec<Cid>> {
        Vec::new()
    }
}

/// One step of a [`RawScan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawFind {
    /// A place that names a block. [`RawScan::read`] returns its bytes if they are intact. The store may have deleted
    /// the block, and a block may be found several times.
    Block(Cid),
    /// A CID that is, or was, a head: of the last commit or an earlier one.
    Head(Cid),
    /// The end of a stretch of this many bytes, for a caller that reports progress or wants to stop.
    Scanned(u64),
}
