//! Values of Rust types as DAG-CBOR blocks.

use std::any::type_name;

use bytes::Bytes;
use cid::Cid;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_ipld_dagcbor::EncodeError;

use crate::{DAG_CBOR, DagCborError, StoreError, cid_of, links};

/// Encodes `value` as a block, with its CID: CIDv1, DAG-CBOR, sha2-256.
///
/// # Errors
/// [`StoreError::InvalidArgument`]: DAG-CBOR cannot represent the value.
pub(crate) fn encode<T: Serialize + ?Sized>(operation: &'static str, value: &T) -> Result<(Cid, Bytes), StoreError> {
    let data = serde_ipld_dagcbor::to_vec(value).map_err(|error| {
        let why = match error {
            EncodeError::Msg(text) => text,
            EncodeError::Write(error) => error.to_string(),
        };
        StoreError::InvalidArgument { operation, reason: format!("not a DAG-CBOR value: {why}") }
    })?;
    Ok((cid_of(DAG_CBOR, &data), data.into()))
}

/// Decodes the value of a block.
///
/// # Errors
/// [`StoreError::InvalidArgument`]: the block has another codec, or is DAG-CBOR and holds another value.
/// [`StoreError::Malformed`]: it is not DAG-CBOR.
pub(crate) fn decode<T: DeserializeOwned>(cid: &Cid, data: &[u8]) -> Result<T, StoreError> {
    let invalid = |reason| StoreError::InvalidArgument { operation: "get_dag_cbor", reason };
    if cid.codec() != DAG_CBOR {
        return Err(invalid(format!("block {cid} has the codec 0x{:x}, not DAG-CBOR (0x71)", cid.codec())));
    }
    from_dag_cbor(data).or_else(|error| {
        // The decoder does not say whether the block or the type is at fault.
        links(cid, data)?;
        Err(invalid(format!("block {cid} is DAG-CBOR, but not a {}: {error}", type_name::<T>())))
    })
}

/// Decodes a value from DAG-CBOR bytes.
///
/// Bytes that `T` skips are not checked as strictly as [`links`](crate::links()) checks a block.
///
/// # Errors
/// [`DagCborError`]: the bytes are not DAG-CBOR, or hold another value.
pub fn from_dag_cbor<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, DagCborError> {
    serde_ipld_dagcbor::from_slice(data).map_err(DagCborError::of_decoder)
}
