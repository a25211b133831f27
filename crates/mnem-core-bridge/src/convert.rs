//! Conversions between the engine's types and those of this family: CIDs, which are the same inside, and errors.

use mnem_core::{error::StoreError as CoreError, id::Cid as CoreCid};
use mnem_store_traits::{Cid, StoreError, cid_from_bytes};

/// Converts a CID to the engine's type.
pub fn core_cid(cid: &Cid) -> CoreCid {
    CoreCid::from(*cid)
}

/// Converts a CID of the engine. The engine does not expose the inner CID, so this goes through bytes.
///
/// # Errors
/// [`StoreError::InvalidArgument`]: the bytes are not a CID, which the engine's types rule out.
pub fn store_cid(cid: &CoreCid) -> Result<Cid, StoreError> {
    cid_from_bytes(&cid.to_bytes())
        .map_err(|error| StoreError::InvalidArgument { operation: "read a CID", reason: error.to_string() })
}

/// Converts an error to the engine's type.
///
/// A mismatch, a damaged block and an absent block keep their kind. The engine has no other kinds: all others become
/// its `Io`, with the message of the error and of every cause, separated by colons.
pub fn core_error(error: StoreError) -> CoreError {
    match &error {
        StoreError::CidMismatch { cid, actual } => {
            CoreError::CidMismatch { claimed: core_cid(cid), computed: core_cid(actual) }
        }
        StoreError::Corrupt { cid, .. } => {
            CoreError::Corruption { cid: cid.to_string(), detail: error.in_full().to_string() }
        }
        // The engine's kind has no field for the linking block; if that is known, the message is more useful.
        StoreError::MissingBlock { cid, linked_from: None } => CoreError::NotFound { cid: core_cid(cid) },
        _ => CoreError::Io(error.in_full().to_string()),
    }
}
