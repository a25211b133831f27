//! The canonical bytes of an index, and its CID. The mirror of `decode.rs`.

use mnem_store_traits::{Cid, RAW, cid::multihash::Multihash};
use sha2::{Digest as _, Sha256};

use crate::{DistanceMetric, EdgeSource as _, IndexHeader, KnnEdge, KnnEdgeIndex, NodeId};

/// Prefix of the hashed bytes of an index, so that its CID differs from that of a block of the same bytes.
const DOMAIN: &[u8] = b"mnem/knn-edge/v1";

// Canonical DAG-CBOR sorts map keys by length, then bytes, and uses the shortest form of every length. So everything in
// a row except the values is fixed, and decoding compares it.
pub(crate) const MAP_OF_4_K: &[u8] = b"\xa4\x61k";
pub(crate) const EDGES: &[u8] = b"\x65edges";
pub(crate) const METRIC: &[u8] = b"\x66metric";
pub(crate) const ROOT_CID_LINK: &[u8] = b"\x68root_cid\xd8\x2a";
pub(crate) const MAP_OF_3_DST: &[u8] = b"\xa3\x63dst\x50";
pub(crate) const SRC: &[u8] = b"\x63src\x50";
pub(crate) const WEIGHT: &[u8] = b"\x66weight\xfb";

/// The byte before a CID in a link.
pub(crate) const LINK_PREFIX: u8 = 0;

/// Length of an edge in a row, in bytes.
pub(crate) const EDGE_BYTES: usize = 59;

// Offsets of the variable parts of an edge.
const DST_AT: usize = MAP_OF_3_DST.len();
const SRC_AT: usize = DST_AT + 16 + SRC.len();
const WEIGHT_AT: usize = SRC_AT + 16 + WEIGHT.len();

/// Edges that are hashed with one call.
const EDGES_AT_ONCE: usize = 256;

/// The CBOR major types in a row, besides the fixed parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Major {
    Unsigned = 0,
    Bytes = 2,
    Text = 3,
    Array = 4,
}

impl KnnEdgeIndex {
    /// Encodes the index as canonical DAG-CBOR, which is also its row in format 1.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let header = self.header();
        let mut out = Vec::with_capacity(self.row_capacity());
        write_before_edges(&mut out, &header);
        self.edges().iter().for_each(|edge| write_edge(&mut out, edge));
        write_behind_edges(&mut out, &header);
        out
    }

    /// The CID of the index: CIDv1, raw codec, sha2-256 over a domain, the root's CID, `k` in 4 bytes, big-endian, the
    /// metric's [tag](DistanceMetric::tag) and the [canonical bytes](Self::canonical_bytes).
    ///
    /// It is not the hash of the row, so the row is not a block. It is computed once, without building those bytes, and
    /// cached.
    pub fn compute_cid(&self) -> Cid {
        *self.cid.get_or_init(|| {
            let mut hasher = CidHasher::new(&self.header());
            self.edges().iter().for_each(|edge| hasher.edge(edge));
            hasher.finish()
        })
    }

    fn row_capacity(&self) -> usize {
        self.edges().len() * EDGE_BYTES + 160
    }
}

fn write_before_edges(out: &mut Vec<u8>, header: &IndexHeader) {
    out.extend_from_slice(MAP_OF_4_K);
    write_head(out, Major::Unsigned, u64::from(header.k));
    out.extend_from_slice(EDGES);
    write_head(out, Major::Array, header.edge_count);
}

fn write_behind_edges(out: &mut Vec<u8>, header: &IndexHeader) {
    out.extend_from_slice(METRIC);
    write_metric(out, header.metric);
    out.extend_from_slice(ROOT_CID_LINK);
    let root = header.root_cid.to_bytes();
    write_head(out, Major::Bytes, root.len() as u64 + 1);
    out.push(LINK_PREFIX);
    out.extend_from_slice(&root);
}

/// Writes the hashed bytes before the canonical bytes.
fn write_domain(out: &mut Vec<u8>, header: &IndexHeader) {
    out.extend_from_slice(DOMAIN);
    out.extend_from_slice(&header.root_cid.to_bytes());
    out.extend_from_slice(&header.k.to_be_bytes());
    out.push(header.metric.tag());
}

/// Computes the CID of an index from a stream of edges.
///
/// Of the 59 bytes of an edge, 40 vary. The others are preset in a buffer that is hashed whenever it is full.
pub(crate) struct CidHasher {
    hash: Sha256,
    buffer: Box<[[u8; EDGE_BYTES]]>,
    filled: usize,
    behind: Vec<u8>,
}

impl CidHasher {
    pub(crate) fn new(header: &IndexHeader) -> Self {
        let mut before = Vec::with_capacity(256);
        write_domain(&mut before, header);
        write_before_edges(&mut before, header);
        let mut behind = Vec::with_capacity(128);
        write_behind_edges(&mut behind, header);
        let mut template = Vec::with_capacity(EDGE_BYTES);
        write_edge(&mut template, &KnnEdge { src: NodeId([0; 16]), dst: NodeId([0; 16]), weight: 0.0 });
        let template: [u8; EDGE_BYTES] = std::array::from_fn(|at| template.get(at).copied().unwrap_or_default());
        let mut hash = Sha256::new();
        hash.update(&before);
        Self { hash, buffer: vec![template; EDGES_AT_ONCE].into_boxed_slice(), filled: 0, behind }
    }

    pub(crate) fn edge(&mut self, edge: &KnnEdge) {
        if self.filled == self.buffer.len() {
            self.flush();
        }
        if let Some(place) = self.buffer.get_mut(self.filled) {
            place[DST_AT..DST_AT + 16].copy_from_slice(&edge.dst.0);
            place[SRC_AT..SRC_AT + 16].copy_from_slice(&edge.src.0);
            place[WEIGHT_AT..].copy_from_slice(&f64::from(edge.weight).to_be_bytes());
            self.filled += 1;
        }
    }

    fn flush(&mut self) {
        let filled = self.buffer.get(..self.filled).unwrap_or_default();
        self.hash.update(filled.as_flattened());
        self.filled = 0;
    }

    pub(crate) fn finish(mut self) -> Cid {
        self.flush();
        self.hash.update(&self.behind);
        cid_of_digest(&self.hash.finalize().into())
    }
}

/// The CID of the index with this row in format 1, which must be canonical.
pub(crate) fn cid_of_row(header: &IndexHeader, row: &[u8]) -> Cid {
    let mut before = Vec::with_capacity(128);
    write_domain(&mut before, header);
    let mut hash = Sha256::new();
    hash.update(&before);
    hash.update(row);
    cid_of_digest(&hash.finalize().into())
}

/// The CID of the index with this digest. The bytes before the digest are the same for every index.
pub(crate) fn cid_of_digest(digest: &[u8; 32]) -> Cid {
    const SHA2_256: u64 = 0x12;
    match Multihash::wrap(SHA2_256, digest) {
        Ok(hash) => Cid::new_v1(RAW, hash),
        Err(_) => unreachable!("32 bytes fit into the 64 of a multihash"),
    }
}

fn write_edge(out: &mut Vec<u8>, edge: &KnnEdge) {
    out.extend_from_slice(MAP_OF_3_DST);
    out.extend_from_slice(&edge.dst.0);
    out.extend_from_slice(SRC);
    out.extend_from_slice(&edge.src.0);
    out.extend_from_slice(WEIGHT);
    // DAG-CBOR has only floats of 64 bits, which represent every f32 exactly. Keep the sign of zero, as the published
    // rows do; some general encoders drop it, which would change the CID.
    out.extend_from_slice(&f64::from(edge.weight).to_be_bytes());
}

fn write_metric(out: &mut Vec<u8>, metric: DistanceMetric) {
    let name = metric.name().as_bytes();
    write_head(out, Major::Text, name.len() as u64);
    out.extend_from_slice(name);
}

/// Writes a major type and its number in the shortest form.
fn write_head(out: &mut Vec<u8>, major: Major, number: u64) {
    let major = (major as u8) << 5;
    let bytes = number.to_be_bytes();
    let [.., b4, b5, b6, b7] = bytes;
    match number {
        0..=0x17 => out.push(major | b7),
        0x18..=0xff => out.extend_from_slice(&[major | 24, b7]),
        0x100..=0xffff => out.extend_from_slice(&[major | 25, b6, b7]),
        0x1_0000..=0xffff_ffff => out.extend_from_slice(&[major | 26, b4, b5, b6, b7]),
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}
