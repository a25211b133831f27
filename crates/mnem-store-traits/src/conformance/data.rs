//! Blocks and CIDs for laws: the same in every run.

use std::fmt;

use bytes::Bytes;
use cid::{Cid, multihash::Multihash};

use crate::{DAG_CBOR, HashFunction, RAW, cid_of, is_checkable};

pub(crate) const IDENTITY: u64 = 0x00;
pub(crate) const SHA2_256: u64 = 0x12;
/// The first multicodec for private use. No public hash function has a code from here on.
const PRIVATE_USE: u64 = 0x30_0000;
pub(crate) const BLAKE3: u64 = 0x1e;

/// Sizes on both sides of the limits that formats, pages and buffers commonly have.
pub(crate) const SIZES: [usize; 13] = [0, 1, 63, 64, 127, 128, 255, 256, 4095, 4096, 65_535, 65_536, 1024 * 1024];

/// A block that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) cid: Cid,
    pub(crate) data: Bytes,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.cid, self.data.len())
    }
}

/// These bytes as a raw block with sha2-256.
pub(crate) fn raw(data: impl Into<Bytes>) -> Block {
    let data = data.into();
    Block { cid: cid_of(RAW, &data), data }
}

/// A raw block with this text as its bytes.
pub(crate) fn block(text: &str) -> Block {
    raw(text.to_owned())
}

/// `n` small blocks, different from those of any other `prefix`.
pub(crate) fn blocks(prefix: &str, n: usize) -> Vec<Block> {
    (0..n).map(|i| block(&format!("{prefix} {i}"))).collect()
}

/// A raw block of this size. Its bytes differ from page to page, whatever the page size.
pub(crate) fn sized(len: usize) -> Block {
    /// A prime, so that the pattern does not repeat from page to page.
    const TILE: usize = 8191;
    let mut state = len as u64;
    let mut data = Vec::with_capacity(len);
    while data.len() < len.min(TILE) {
        // One step of splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        data.push((word ^ (word >> 31)) as u8);
    }
    while data.len() < len {
        let tile = data.len().min(TILE).min(len - data.len());
        data.extend_from_within(..tile);
    }
    raw(data)
}

/// A CIDv1 with any hash code and digest.
pub(crate) fn cid_v1(codec: u64, code: u64, digest: &[u8]) -> Cid {
    Cid::new_v1(codec, multihash(code, digest))
}

/// A CIDv1 with blake3.
pub(crate) fn blake3_cid(codec: u64, data: &[u8]) -> Cid {
    cid_v1(codec, BLAKE3, blake3::hash(data).as_bytes())
}

/// A CIDv1 with the identity hash: its digest is the data itself, at most 64 bytes.
pub(crate) fn identity_cid(codec: u64, data: &[u8]) -> Cid {
    cid_v1(codec, IDENTITY, data)
}

/// A block with an identity CID: at most 64 bytes.
pub(crate) fn identity_block(data: impl Into<Bytes>) -> Block {
    let data = data.into();
    Block { cid: identity_cid(RAW, &data), data }
}

/// A CIDv0, which is always DAG-PB with sha2-256.
pub(crate) fn v0_cid(data: &[u8]) -> Cid {
    Cid::new_v0(*cid_of(RAW, data).hash()).expect("a sha2-256 digest of 32 bytes makes a CIDv0")
}

/// The code of a hash function that no store supports.
pub(crate) fn unknown_hash_code() -> u64 {
    let is_unknown = |code: &u64| !is_checkable(&cid_v1(RAW, *code, &[0; 64]));
    (PRIVATE_USE..).find(is_unknown).expect("more codes than functions")
}

/// A CID with a hash function that no store supports. The digest is `fill`, repeated.
pub(crate) fn unknown_hash_cid(fill: u8) -> Cid {
    cid_v1(RAW, unknown_hash_code(), &[fill; 64])
}

/// CIDs that no store can check bytes against: an unknown hash function, and digests that were cut short.
pub(crate) fn uncheckable_cids() -> Vec<Cid> {
    let cut = [(SHA2_256, 20), (SHA2_256, 31), (BLAKE3, 16)].map(|(code, len)| cid_v1(RAW, code, &vec![7; len]));
    [unknown_hash_cid(7)].into_iter().chain(cut).collect()
}

/// CIDs of this data, at most 64 bytes, under every codec and version with this hash function.
pub(crate) fn cids_under(function: &HashFunction, data: &[u8]) -> Vec<Cid> {
    let hash = function.multihash(data).expect("at most 64 bytes");
    let mut cids: Vec<Cid> = [RAW, DAG_CBOR, 0x70, 0x0129].map(|codec| Cid::new_v1(codec, hash)).to_vec();
    cids.extend(Cid::new_v0(hash));
    cids
}

/// CIDs of this data under codecs that are equal in their low 8, 16, 24 or 32 bits, or in the 53 bits that a floating-point
/// number keeps. Codecs have at most 63 bits.
pub(crate) fn near_codecs(data: &[u8]) -> Vec<Cid> {
    const TOP: u64 = 1 << 62;
    [0, 1 << 8, 1 << 16, 1 << 24, 1 << 32, TOP, TOP | 1 << 8].map(|high| cid_of(RAW | high, data)).to_vec()
}

/// The same bytes under CIDs that differ in version, codec and hash function.
pub(crate) fn one_text() -> Vec<Block> {
    let data = Bytes::from_static(b"one text");
    let cids = [
        cid_of(RAW, &data),
        cid_of(DAG_CBOR, &data),
        v0_cid(&data),
        blake3_cid(RAW, &data),
        blake3_cid(DAG_CBOR, &data),
        identity_cid(RAW, &data),
    ];
    cids.map(|cid| Block { cid, data: data.clone() }).to_vec()
}

/// A CID to use as a head; heads need no block.
pub(crate) fn head(name: &str) -> Cid {
    cid_of(DAG_CBOR, name.as_bytes())
}

/// Another CID with the same digest.
pub(crate) fn sibling(cid: &Cid) -> Cid {
    Cid::new_v1(cid.codec() ^ 1, *cid.hash())
}

/// `n` heads, different from those of any other `prefix`.
pub(crate) fn heads(prefix: &str, n: usize) -> Vec<Cid> {
    (0..n).map(|i| head(&format!("{prefix} {i}"))).collect()
}

/// A DAG-CBOR block: a list of a text and links.
pub(crate) fn node(label: &str, links: &[Cid]) -> Block {
    let mut data = Vec::new();
    cbor_head(&mut data, 4, links.len() + 1);
    cbor_text(&mut data, label);
    links.iter().for_each(|cid| cbor_link(&mut data, cid));
    dag_cbor(data)
}

/// A block with these bytes and the DAG-CBOR codec.
pub(crate) fn dag_cbor(data: Vec<u8>) -> Block {
    Block { cid: cid_of(DAG_CBOR, &data), data: data.into() }
}

/// The head of a CBOR item: its major type and its length or value.
pub(crate) fn cbor_head(out: &mut Vec<u8>, major: u8, value: usize) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major | value as u8),
        24..=0xff => out.extend([major | 24, value as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((value as u16).to_be_bytes());
        }
        _ => {
            out.push(major | 26);
            out.extend((value as u32).to_be_bytes());
        }
    }
}

/// A CBOR text string.
pub(crate) fn cbor_text(out: &mut Vec<u8>, text: &str) {
    cbor_head(out, 3, text.len());
    out.extend(text.as_bytes());
}

/// A DAG-CBOR link.
pub(crate) fn cbor_link(out: &mut Vec<u8>, cid: &Cid) {
    let bytes = cid.to_bytes();
    cbor_head(out, 6, 42);
    cbor_head(out, 2, bytes.len() + 1);
    out.push(0);
    out.extend(bytes);
}

/// A DAG-PB node with links, each with a name and a size, and with data before or after the links.
pub(crate) fn dag_pb_bytes(links: &[Cid], data: &[u8], data_first: bool) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).ok().filter(|len| *len < 128).expect("laws use fields of one length byte");
        [&[tag, len], bytes].concat()
    };
    let link = |cid: &Cid| [field(0x0a, &cid.to_bytes()), field(0x12, b"a name"), vec![0x18, 7]].concat();
    let links = links.iter().flat_map(|cid| field(0x12, &link(cid))).collect();
    let data = field(0x0a, data);
    if data_first { [data, links].concat() } else { [links, data].concat() }
}

fn multihash(code: u64, digest: &[u8]) -> Multihash<64> {
    Multihash::wrap(code, digest).expect("laws use digests of at most 64 bytes")
}
