//! Does this block have this CID? The one place where bytes are hashed.

use cid::{Cid, multihash::Multihash};
use sha2::Digest as _;

use crate::StoreError;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const BLAKE3: u64 = 0x1e;
const DIGEST_BYTES: usize = 32;

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

/// Whether this build can check bytes against `cid`: sha2-256 and blake3 with 32 bytes of digest, and identity.
pub fn is_checkable(cid: &Cid) -> bool {
    match cid.hash().code() {
        IDENTITY => true,
        SHA2_256 | BLAKE3 => usize::from(cid.hash().size()) == DIGEST_BYTES,
        _ => false,
    }
}

/// Hashes `data` with the hash function that `cid` names, and compares.
pub fn check_hash(cid: &Cid, data: &[u8]) -> HashCheck {
    let hash = cid.hash();
    if !is_checkable(cid) {
        return HashCheck::Unsupported;
    }
    let actual = match hash.code() {
        IDENTITY if hash.digest() == data => return HashCheck::Match,
        IDENTITY => Multihash::wrap(IDENTITY, data).unwrap_or_else(|_| sha2_256(data)),
        BLAKE3 => multihash(BLAKE3, blake3::hash(data).into()),
        _ => sha2_256(data),
    };
    if actual == *hash {
        return HashCheck::Match;
    }
    // Version 0 knows one hash function, which is then the one computed.
    HashCheck::Mismatch(
        Cid::new(cid.version(), cid.codec(), actual).unwrap_or_else(|_| Cid::new_v1(cid.codec(), actual)),
    )
}

fn sha2_256(data: &[u8]) -> Multihash<64> {
    multihash(SHA2_256, sha2::Sha256::digest(data).into())
}

fn multihash(code: u64, digest: [u8; DIGEST_BYTES]) -> Multihash<64> {
    match Multihash::wrap(code, &digest) {
        Ok(hash) => hash,
        Err(_) => unreachable!("32 bytes fit into the 64 of a multihash"),
    }
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
