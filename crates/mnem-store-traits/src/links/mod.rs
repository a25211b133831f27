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

/// The links of a block, in encoded order, repetitions kept.
///
/// Links are read from DAG-CBOR, DAG-PB and DAG-JSON. A block of any other codec has none here: [`link_support`] says
/// whether that codec has no links at all, or may have some that nobody looks for.
///
/// Decoding is strict, so this is also the check that a block is valid in its codec:
/// - DAG-CBOR: exactly one item in its canonical encoding, and exactly one CID in each link.
/// - DAG-PB: exactly the fields of the format, in an allowed order, each at most once, with the shortest varints, and
///   exactly one CID in each link. The names of links may be any bytes.
/// - DAG-JSON: one JSON value in UTF-8 without repeated keys. Maps that begin with the key `/` obey the rules of its
///   reserved namespace. White space, the order of keys and the form of numbers are free, as its specification
///   demands of decoders.
///
/// Nesting is limited to 128. Memory is bounded by the links found, never by the block's tree; DAG-JSON adds 8 bytes
/// for each key of the maps that are open at once.
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
/// [`StoreError::Malformed`]: the block is DAG-CBOR, DAG-PB or DAG-JSON by its CID and not by its bytes. For DAG-CBOR its cause
/// is a [`DagCborError`](crate::DagCborError).
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
