//! A section of an archive: a block and where it stands, with its bytes or without.

use bytes::Bytes;
use cid::Cid;

/// One block of an archive, and where it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// Where the section begins: the offset of its length, in bytes from the start of the input.
    pub offset: u64,
    /// Where the block's CID begins.
    pub cid_offset: u64,
    /// Where the block's bytes begin.
    pub data_offset: u64,
    /// The block's CID.
    pub cid: Cid,
    /// The block's bytes, not hashed.
    pub data: Bytes,
}

/// Where one block of an archive stands, without its bytes: all offsets are in bytes from the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionOffsets {
    /// The block's CID.
    pub cid: Cid,
    /// Where the section begins: the offset of its length.
    pub offset: u64,
    /// Where the block's CID begins.
    pub cid_offset: u64,
    /// Where the block's bytes begin.
    pub data_offset: u64,
    /// How many bytes the block has.
    pub data_bytes: u64,
}

impl Section {
    /// Where it stands.
    pub fn offsets(&self) -> SectionOffsets {
        let Self { offset, cid_offset, data_offset, cid, ref data } = *self;
        SectionOffsets { cid, offset, cid_offset, data_offset, data_bytes: data.len() as u64 }
    }
}

impl SectionOffsets {
    /// Where the section ends, and the next one may begin.
    pub fn end(&self) -> u64 {
        self.data_offset + self.data_bytes
    }
}
