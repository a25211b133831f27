//! The keys of the edge table.
//!
//! The key of an index is its CID, whose first bytes are common to all indexes. Pages and chunks have keys with another
//! prefix, so a listing of indexes does not meet them.

use mnem_store_traits::{Bytes, Cid};

use crate::encode::cid_of_digest;

/// Prefix of the CID of every index: version 1, raw, sha2-256, 32 bytes.
pub(crate) const INDEX_PREFIX: [u8; 4] = [0x01, 0x55, 0x12, 0x20];

/// Prefix of the keys of pages and chunks. No CID has it, because there is no version 2.
pub(crate) const PART_PREFIX: u8 = 2;

const PART_KEY_BYTES: usize = 1 + 32 + 1 + 4;

/// The parts of an index in format 2, besides its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Part {
    Ids = 0,
    Edges = 1,
}

/// Whether this may be the CID of an index.
pub(crate) fn is_index(cid: &Cid) -> bool {
    let bytes = cid.to_bytes();
    bytes.starts_with(&INDEX_PREFIX) && bytes.len() == INDEX_PREFIX.len() + 32
}

/// Prefix of the keys of all parts of an index.
pub(crate) fn parts_of(cid: &Cid) -> Vec<u8> {
    let mut key = Vec::with_capacity(PART_KEY_BYTES);
    key.push(PART_PREFIX);
    key.extend_from_slice(cid.hash().digest());
    key
}

pub(crate) fn part(cid: &Cid, part: Part, number: u32) -> Bytes {
    let mut key = parts_of(cid);
    key.push(part as u8);
    key.extend_from_slice(&number.to_be_bytes());
    Bytes::from(key)
}

/// The index to which a part belongs, or `None` if the key is not that of a part.
pub(crate) fn index_of_part(key: &[u8]) -> Option<Cid> {
    match key.split_first()? {
        (&PART_PREFIX, rest) if key.len() == PART_KEY_BYTES => rest.first_chunk::<32>().map(cid_of_digest),
        _ => None,
    }
}
