//! The engine's types and ours: CIDs, which are the same inside, and errors.

use mnem_core::{error::StoreError as CoreError, id::Cid as CoreCid};
use mnem_store_traits::{Cid, StoreError, cid_from_bytes};

/// Our CID as the engine's.
pub fn core_cid(cid: &Cid) -> CoreCid {
    CoreCid::from(*cid)
}

/// The engine's CID as ours. The engine does not hand out what is inside, so this goes through bytes.
///
/// # Errors
/// [`StoreError::InvalidArgument`]: the bytes are no CID, which the engine's own types rule out.
pub fn store_cid(cid: &CoreCid) -> Result<Cid, StoreError> {
    cid_from_bytes(&cid.to_bytes())
        .map_err(|error| StoreError::InvalidArgument { operation: "read a CID", reason: error.to_string() })
}

/// Our error as the engine's.
///
/// A mismatch, a damaged block and an absent block keep their kind. The engine knows no other kinds: the rest becomes its `Io`, with our text and,
/// behind colons, that of every cause.
pub fn core_error(error: StoreError) -> CoreError {
    match &error {
        StoreError::CidMismatch { cid, actual } => {
            CoreError::CidMismatch { claimed: core_cid(cid), computed: core_cid(actual) }
        }
        StoreError::Corrupt { cid, .. } => {
            CoreError::Corruption { cid: cid.to_string(), detail: error.in_full().to_string() }
        }
        // Who links to it has no place in the engine's kind; where it is known, the text is worth more.
        StoreError::MissingBlock { cid, linked_from: None } => CoreError::NotFound { cid: core_cid(cid) },
        _ => CoreError::Io(error.in_full().to_string()),
    }
}
