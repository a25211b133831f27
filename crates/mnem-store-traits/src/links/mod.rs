//! The links of a block, by its codec.

mod codecs;
mod dag_cbor;
mod dag_json;
mod dag_pb;
mod fault;
mod json;

use cid::Cid;

pub(crate) use self::codecs::CodecText;
pub use self::codecs::{DAG_CBOR, DAG_JSON, DAG_PB, LinkSupport, RAW, codec_name, is_opaque, link_support};
use crate::{Cause, StoreError};

/// The links of a block, in encoded order, with repetitions.
///
/// Links are read from DAG-CBOR, DAG-PB and DAG-JSON. For a block of any other codec the result is empty:
/// [`link_support`] says whether that codec has no links, or may have links that are not read.
///
/// Decoding is strict, so this also checks that a block is valid in its codec:
/// - DAG-CBOR: exactly one item in its canonical encoding, and exactly one CID in each link.
/// - DAG-PB: exactly the fields of the format, in an allowed order, each at most once, with the shortest varints, and
///   exactly one CID in each link. The names of links may be any bytes.
/// - DAG-JSON: one JSON value in UTF-8 without repeated keys. Maps that begin with the key `/` follow the rules of its
///   reserved namespace. White space, the order of keys and the form of numbers are free, as its specification requires
///   of decoders.
///
/// Nesting is limited to 128 levels. Memory is bounded by the number of links, not by the size of the block's tree;
/// DAG-JSON adds 8 bytes for each key of the maps that are open at once.
///
/// ```
/// use mnem_store_traits::{DAG_JSON, RAW, cid_of, links};
///
/// let leaf = cid_of(RAW, b"leaf");
/// let data = format!(r#"{{"name":"a leaf","of":{{"/":"{leaf}"}}}}"#);
/// assert_eq!(links(&cid_of(DAG_JSON, data.as_bytes()), data.as_bytes())?, [leaf]);
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
///
/// # Errors
/// [`StoreError::Malformed`]: the CID says DAG-CBOR, DAG-PB or DAG-JSON, and the bytes are not valid in that codec. For
/// DAG-CBOR, the cause is a [`DagCborError`](crate::DagCborError).
pub fn links(cid: &Cid, data: &[u8]) -> Result<Vec<Cid>, StoreError> {
    let mut found = Vec::new();
    let read = match cid.codec() {
        DAG_CBOR => dag_cbor::collect(data, &mut found).map_err(Cause::new),
        DAG_PB => dag_pb::collect(data, &mut found).map_err(Cause::new),
        DAG_JSON => dag_json::collect(data, &mut found).map_err(Cause::new),
        _ => Ok(()),
    };
    read.map_err(|source| StoreError::Malformed { cid: *cid, source })?;
    Ok(found)
}
