//! Values of Rust types as DAG-CBOR blocks.

use bytes::Bytes;
use cid::Cid;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cause, DAG_CBOR, StoreError, cid_of};

/// The block that `value` is, with its CID: CIDv1, DAG-CBOR, sha2-256.
///
/// # Errors
/// [`StoreError::InvalidArgument`]: DAG-CBOR cannot hold the value.
pub(crate) fn encode<T: Serialize + ?Sized>(operation: &'static str, value: &T) -> Result<(Cid, Bytes), StoreError> {
    let data = serde_ipld_dagcbor::to_vec(value)
        .map_err(|error| StoreError::InvalidArgument { operation, reason: format!("not a DAG-CBOR value: {error}") })?;
    Ok((cid_of(DAG_CBOR, &data), data.into()))
}

/// The value that a block holds.
///
/// # Errors
/// [`StoreError::Malformed`]: the block is of another codec, or holds something else.
pub(crate) fn decode<T: DeserializeOwned>(cid: &Cid, data: &[u8]) -> Result<T, StoreError> {
    let malformed = |source| StoreError::Malformed { cid: *cid, source };
    if cid.codec() != DAG_CBOR {
        return Err(malformed(Cause::new(format!("its codec is 0x{:x}, not DAG-CBOR (0x71)", cid.codec()))));
    }
    serde_ipld_dagcbor::from_slice(data).map_err(|error| malformed(Cause::new(error)))
}
