//! Comparing a block with its CID.

use cid::Cid;

use crate::{
    StoreError,
    hashes::{function_of, sha2_256},
};

/// The result of [`check_hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashCheck {
    /// The bytes match the CID.
    Match,
    /// The bytes do not match. Holds the CID that they have, with the same version, codec and hash function. If the
    /// function is identity and there are more than 64 bytes, no identity CID can name them, and the CID uses sha2-256.
    /// Never the CID that was checked.
    Mismatch(Cid),
    /// This build cannot compute the hash function, or the digest was truncated.
    Unsupported,
}

/// Whether this build can check bytes against `cid`: its hash function is one of
/// [`supported_hashes`](crate::supported_hashes), and its digest is not truncated.
pub fn is_checkable(cid: &Cid) -> bool {
    function_of(cid).is_some()
}

/// Hashes `data` with the hash function of `cid`, and compares.
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

/// Checks whether a writer may store `data` under `cid`.
///
/// # Errors
/// - [`StoreError::CidMismatch`]: the bytes do not match.
/// - [`StoreError::UnsupportedHash`]: this build cannot check them.
pub fn check_block(cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
    match check_hash(cid, data) {
        HashCheck::Match => Ok(()),
        HashCheck::Mismatch(actual) => Err(StoreError::CidMismatch { cid: *cid, actual: Box::new(actual) }),
        HashCheck::Unsupported => {
            Err(StoreError::UnsupportedHash { cid: *cid, code: cid.hash().code(), digest_bytes: cid.hash().size() })
        }
    }
}

/// Checks whether a reader may return `data`, which `backend` holds under `cid`. Bytes that cannot be checked are
/// accepted.
///
/// # Errors
/// - [`StoreError::Corrupt`]: the bytes do not match.
pub fn check_read(backend: &'static str, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
    match check_hash(cid, data) {
        HashCheck::Mismatch(_) => Err(StoreError::Corrupt { backend, cid: *cid }),
        HashCheck::Match | HashCheck::Unsupported => Ok(()),
    }
}

/// Checks whether a block of this size may be stored under this CID.
///
/// # Errors
/// - [`StoreError::InvalidArgument`]: the CID has a codec or a hash function of more than 63 bits.
/// - [`StoreError::BlockTooLarge`]: it is too large.
pub fn check_size(cid: &Cid, data: &[u8], block_bytes_max: u64) -> Result<(), StoreError> {
    check_numbers("put", cid)?;
    let block_bytes = data.len() as u64;
    if block_bytes > block_bytes_max {
        return Err(StoreError::BlockTooLarge { cid: *cid, block_bytes, block_bytes_max });
    }
    Ok(())
}

/// Refuses a CID that multiformats do not allow: their numbers have at most 63 bits. The encoding has room for one bit
/// more, and some readers take it for damage.
pub(crate) fn check_numbers(operation: &'static str, cid: &Cid) -> Result<(), StoreError> {
    const MOST: u64 = i64::MAX as u64;
    if cid.codec() <= MOST && cid.hash().code() <= MOST {
        return Ok(());
    }
    let reason = format!("{cid} has a codec or a hash function of more than 63 bits, which multiformats do not allow");
    Err(StoreError::InvalidArgument { operation, reason })
}

/// The CIDv1 with sha2-256 of `data` in `codec` ([`RAW`](crate::RAW), [`DAG_CBOR`](crate::DAG_CBOR), …).
pub fn cid_of(codec: u64, data: &[u8]) -> Cid {
    Cid::new_v1(codec, sha2_256(data))
}

/// Reads a CID from exactly these bytes. Unlike `Cid::try_from`, refuses trailing bytes and non-canonical encodings.
///
/// # Errors
/// The parser's, or [`cid::Error::ParsingError`] for trailing bytes or a non-canonical encoding.
pub fn cid_from_bytes(bytes: &[u8]) -> Result<Cid, cid::Error> {
    let cid = Cid::read_bytes(bytes)?;
    if cid.to_bytes() == bytes { Ok(cid) } else { Err(cid::Error::ParsingError) }
}
