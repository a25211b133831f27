//! CIDs as keys: encoding without an allocation, and decoding.

use std::{fmt, ops::Deref};

use mnem_store_traits::{
    Cid, StoreError,
    cid::{self, multihash::Multihash},
    cid_from_bytes,
};

use crate::error::At;

/// More than any CID takes: version, codec, hash code and digest length as varints of at most ten bytes, and a digest
/// of 64 bytes.
const KEY_BYTES_MAX: usize = 4 * 10 + 64;

/// The bytes of a CID, on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    len: usize,
}

impl Key {
    pub(crate) fn of(cid: &Cid) -> Self {
        let mut bytes = [0; KEY_BYTES_MAX];
        let rest = bytes.as_mut_slice();
        match cid.write_bytes(rest) {
            Ok(len) => Self { bytes, len },
            Err(_) => unreachable!("a CID takes at most {KEY_BYTES_MAX} bytes"),
        }
    }
}

/// Checks that the keys of a listing ascend. In a file that was altered and not verified, the pages of a tree may form
/// a cycle, and a listing would never end.
#[derive(Default)]
pub(crate) struct Ascending {
    last: Option<Vec<u8>>,
}

impl Ascending {
    /// A listing whose keys must come after this one.
    pub(crate) fn after(key: Option<&[u8]>) -> Self {
        Self { last: key.map(<[u8]>::to_vec) }
    }

    /// Checks the next key of a table.
    pub(crate) fn next(&mut self, at: At<'_>, table: &str, key: &[u8]) -> Result<(), StoreError> {
        match &mut self.last {
            Some(last) if key <= last.as_slice() => {
                return Err(at.damaged_row(table, key, "the keys of the table are not in order"));
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => self.last = Some(key.to_vec()),
        }
        Ok(())
    }

    /// The last key.
    pub(crate) fn into_last(self) -> Option<Vec<u8>> {
        self.last
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.deref().cmp(&**other)
    }
}

/// Decodes a key as a CID.
///
/// # Errors
/// As [`cid_from_bytes`].
pub(crate) fn decode(key: &[u8]) -> Result<Cid, cid::Error> {
    // Nearly every key: version 1, then three numbers of one byte each, which have only one encoding.
    if let [1, codec @ ..=0x7f, code @ ..=0x7f, 32, digest @ ..] = key
        && digest.len() == 32
        && let Ok(hash) = Multihash::wrap(u64::from(*code), digest)
    {
        return Ok(Cid::new_v1(u64::from(*codec), hash));
    }
    cid_from_bytes(key)
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{DAG_CBOR, RAW, cid_of};

    use super::*;

    #[test]
    fn every_kind_of_cid_is_a_key_and_back() {
        let wrap = |code, digest: &[u8]| Multihash::wrap(code, digest).expect("a digest that fits");
        let sha = *cid_of(RAW, b"x").hash();
        let cids = [
            cid_of(RAW, b"x"),
            cid_of(DAG_CBOR, b"x"),
            Cid::new_v0(sha).expect("sha2-256 in a CIDv0"),
            Cid::new_v1(0x80, sha),
            Cid::new_v1(u64::MAX >> 1, wrap(u64::MAX >> 1, &[0xff; 64])),
            Cid::new_v1(RAW, wrap(0x1e, &[7; 32])),
            Cid::new_v1(RAW, wrap(0x12, &[7; 31])),
            Cid::new_v1(RAW, wrap(0, &[])),
            Cid::new_v1(RAW, wrap(0, &[9; 32])),
        ];
        for cid in cids {
            let key = Key::of(&cid);
            assert_eq!(*key, *cid.to_bytes());
            assert_eq!(decode(&key).expect("a key that was made of a CID"), cid);
        }
    }

    #[test]
    fn keys_that_are_no_cid_are_refused() {
        let key = Key::of(&cid_of(RAW, b"x"));
        assert!(decode(&key[..35]).is_err());
        assert!(decode(&[&key[..], &[0]].concat()).is_err());
        assert!(decode(&[]).is_err());
        // The codec is encoded in two bytes where one is enough.
        assert!(decode(&[&[1, 0xd5, 0x00], &key[2..]].concat()).is_err());
    }
}
