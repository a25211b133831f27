//! Does this block have this CID?

use cid::Cid;

use crate::{
    StoreError,
    hashes::{function_of, sha2_256},
};

/// The answer of [`check_hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashCheck {
    /// The bytes are the block's.
    Match,
    /// The bytes are not the block's. Carries the CID that they have: of the same version and codec, and of the same hash function, unless that is
    /// identity and there are more than 64 bytes. No identity CID names so many; it is their sha2-256 then. Never the CID that was asked about.
    Mismatch(Cid),
    /// This build cannot compute the hash function, or the digest was truncated.
    Unsupported,
}

/// Whether this build can check bytes against `cid`: its hash function is one of
/// [`supported_hashes`](crate::supported_hashes), and its digest is whole.
pub fn is_checkable(cid: &Cid) -> bool {
    function_of(cid).is_some()
}

/// Hashes `data` with the hash function that `cid` names, and compares.
pub fn check_hash(cid: &Cid, data: &[u8]) -> HashCheck {
    let Some(function) = function_of(cid) else { return HashCheck::Unsupported };
    let actual = function.multihash(data).unwrap_or_else(|| sha2_256(data));
    if actual == *cid.hash() {
        return HashCheck::Match;
    }
    // Version 0 knows one hash function, which is then the one computed.
    HashCheck::Mismatch(
        Cid::new(cid.version(), cid.codec(), actual).unwrap_or_else(|_| Cid::new_v1(cid.codec(), actual)),
    )
}

/// Decides whether a writer may store `data` under `cid`.
///
/// # Errors
/// - [`StoreError::CidMismatch`]: the bytes are not this block's.
/// - [`StoreError::UnsupportedHash`]: this build cannot tell.
pub fn check_block(cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
    match check_hash(cid, data) {
        HashCheck::Match => Ok(()),
        HashCheck::Mismatch(actual) => Err(StoreError::CidMismatch { cid: *cid, actual: Box::new(actual) }),
        HashCheck::Unsupported => {
            Err(StoreError::UnsupportedHash { cid: *cid, code: cid.hash().code(), digest_bytes: cid.hash().size() })
        }
    }
}

/// Decides whether a reader may hand out `data`, which `backend` holds under `cid`. What cannot be checked is handed out as stored.
///
/// # Errors
/// - [`StoreError::Corrupt`]: the bytes are not this block's.
pub fn check_read(backend: &'static str, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
    match check_hash(cid, data) {
        HashCheck::Mismatch(_) => Err(StoreError::Corrupt { backend, cid: *cid }),
        HashCheck::Match | HashCheck::Unsupported => Ok(()),
    }
}

/// Decides whether a block of this size may be stored.
///
/// # Errors
/// - [`StoreError::BlockTooLarge`]: it may not.
pub fn check_size(cid: &Cid, data: &[u8], block_bytes_max: u64) -> Result<(), StoreError> {
    let block_bytes = data.len() as u64;
    if block_bytes > block_bytes_max {
        return Err(StoreError::BlockTooLarge { cid: *cid, block_bytes, block_bytes_max });
    }
    Ok(())
}

/// The CIDv1 with sha2-256 of `data` in `codec` ([`RAW`](crate::RAW), [`DAG_CBOR`](crate::DAG_CBOR), …).
pub fn cid_of(codec: u64, data: &[u8]) -> Cid {
    Cid::new_v1(codec, sha2_256(data))
}

/// Reads a CID from exactly these bytes. Unlike `Cid::try_from`, refuses trailing bytes and any encoding but the canonical one.
///
/// # Errors
/// The parser's, or [`cid::Error::ParsingError`] when bytes are left over or the encoding is not canonical.
pub fn cid_from_bytes(bytes: &[u8]) -> Result<Cid, cid::Error> {
    let cid = Cid::read_bytes(bytes)?;
    if cid.to_bytes() == bytes { Ok(cid) } else { Err(cid::Error::ParsingError) }
}
