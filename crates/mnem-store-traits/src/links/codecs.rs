//! Codecs with links, and those that are read.

use std::fmt;

use cid::Cid;

/// The multicodec of DAG-CBOR. Its links are followed.
pub const DAG_CBOR: u64 = 0x71;

/// The multicodec of DAG-PB, the codec of every CIDv0. Its links are followed.
pub const DAG_PB: u64 = 0x70;

/// The multicodec of DAG-JSON. Its links are followed.
pub const DAG_JSON: u64 = 0x0129;

/// The multicodec of plain bytes, which have no links.
pub const RAW: u64 = 0x55;

/// What this build knows about the links in blocks of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkSupport {
    /// [`links`](crate::links()) finds every link, and refuses a block that is not valid in its codec.
    Followed,
    /// Blocks of this codec have no links.
    None,
    /// Blocks of this codec may have links, and this build does not read them. Every unknown codec is treated this way.
    Opaque,
}

use LinkSupport::{Followed, None as Never, Opaque};

/// The known codecs. A codec that is not listed is opaque.
const CODECS: [(u64, &str, LinkSupport); 25] = [
    (0x00, "identity", Never),
    (0x51, "cbor", Never),
    (RAW, "raw", Never),
    (DAG_PB, "dag-pb", Followed),
    (DAG_CBOR, "dag-cbor", Followed),
    (0x72, "libp2p-key", Never),
    (0x78, "git-raw", Opaque),
    (0x7b, "torrent-info", Opaque),
    (0x7c, "torrent-file", Opaque),
    (0x85, "dag-jose", Opaque),
    (0x86, "dag-cose", Opaque),
    (0x90, "eth-block", Opaque),
    (0x91, "eth-block-list", Opaque),
    (0x92, "eth-tx-trie", Opaque),
    (0x93, "eth-tx", Opaque),
    (0x96, "eth-state-trie", Opaque),
    (0x98, "eth-storage-trie", Opaque),
    (0xb0, "bitcoin-block", Opaque),
    (0xb1, "bitcoin-tx", Opaque),
    (0xb2, "bitcoin-witness-commitment", Opaque),
    (0xc0, "zcash-block", Opaque),
    (0xc1, "zcash-tx", Opaque),
    (DAG_JSON, "dag-json", Followed),
    (0x0200, "json", Never),
    (0x0202, "car", Opaque),
];

fn row(codec: u64) -> Option<&'static (u64, &'static str, LinkSupport)> {
    CODECS.iter().find(|(known, ..)| *known == codec)
}

/// What this build knows about the links in blocks of `codec`.
///
/// ```
/// use mnem_store_traits::{DAG_CBOR, LinkSupport, RAW, link_support};
///
/// assert_eq!(link_support(DAG_CBOR), LinkSupport::Followed);
/// assert_eq!(link_support(RAW), LinkSupport::None);
/// assert_eq!(link_support(0x85), LinkSupport::Opaque); // dag-jose
/// ```
pub fn link_support(codec: u64) -> LinkSupport {
    row(codec).map_or(Opaque, |(.., support)| *support)
}

/// The name of a codec in the multicodec table; `None` if this build does not know it.
pub fn codec_name(codec: u64) -> Option<&'static str> {
    row(codec).map(|(_, name, _)| *name)
}

/// Whether the block may link to others and [`links`](crate::links()) does not read its links. What such a block
/// reaches is unknown.
pub fn is_opaque(cid: &Cid) -> bool {
    link_support(cid.codec()) == Opaque
}

/// The codec in which a block is not valid, spelled as in its specification. Only DAG-CBOR is read under a codec other
/// than its own.
pub(crate) struct CodecText(pub(crate) u64);

impl fmt::Display for CodecText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            DAG_PB => "DAG-PB",
            DAG_JSON => "DAG-JSON",
            _ => "DAG-CBOR",
        })
    }
}
