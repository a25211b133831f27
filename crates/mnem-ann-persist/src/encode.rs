//! The canonical bytes of an index and the CID they give. `decode.rs` is the mirror of this file.

use mnem_store_traits::{Cid, RAW, cid_of};

use crate::{DistanceMetric, KnnEdge, KnnEdgeIndex};

/// What the hash of an index begins with, so that its CID is never that of a block of the same bytes.
const DOMAIN: &[u8] = b"mnem/knn-edge/v1";

// Canonical DAG-CBOR sorts map keys by length, then bytes, and takes the shortest form of every length. So everything in a row but the
// values is fixed; decoding compares it.
pub(crate) const MAP_OF_4_K: &[u8] = b"\xa4\x61k";
pub(crate) const EDGES: &[u8] = b"\x65edges";
pub(crate) const METRIC: &[u8] = b"\x66metric";
pub(crate) const ROOT_CID_LINK: &[u8] = b"\x68root_cid\xd8\x2a";
pub(crate) const MAP_OF_3_DST: &[u8] = b"\xa3\x63dst\x50";
pub(crate) const SRC: &[u8] = b"\x63src\x50";
pub(crate) const WEIGHT: &[u8] = b"\x66weight\xfb";

/// What a CID inside a link begins with.
pub(crate) const LINK_PREFIX: u8 = 0;

/// Length of one edge in a row.
pub(crate) const EDGE_BYTES: usize = 59;

/// The CBOR major types that a row contains beside the fixed parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Major {
    Unsigned = 0,
    Bytes = 2,
    Text = 3,
    Array = 4,
}

impl KnnEdgeIndex {
    /// The index as canonical DAG-CBOR: also its row in format 1.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.row_capacity());
        self.write_canonical(&mut out);
        out
    }

    /// The name of the index: CIDv1, raw codec, sha2-256 over a domain, the root's CID, `k` in 4 bytes, most significant first, the
    /// metric's [tag](DistanceMetric::tag) and the [canonical bytes](Self::canonical_bytes).
    ///
    /// It is not the hash of the row, so the row is no block.
    pub fn compute_cid(&self) -> Cid {
        let mut hashed = Vec::with_capacity(DOMAIN.len() + 128 + self.row_capacity());
        hashed.extend_from_slice(DOMAIN);
        hashed.extend_from_slice(&self.root_cid().to_bytes());
        hashed.extend_from_slice(&self.k().to_be_bytes());
        hashed.push(self.metric().tag());
        self.write_canonical(&mut hashed);
        cid_of(RAW, &hashed)
    }

    fn row_capacity(&self) -> usize {
        self.edges().len() * EDGE_BYTES + 160
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAP_OF_4_K);
        write_head(out, Major::Unsigned, u64::from(self.k()));
        out.extend_from_slice(EDGES);
        write_head(out, Major::Array, self.edges().len() as u64);
        for edge in self.edges() {
            write_edge(out, edge);
        }
        out.extend_from_slice(METRIC);
        write_metric(out, self.metric());
        out.extend_from_slice(ROOT_CID_LINK);
        let root = self.root_cid().to_bytes();
        write_head(out, Major::Bytes, root.len() as u64 + 1);
        out.push(LINK_PREFIX);
        out.extend_from_slice(&root);
    }
}

fn write_edge(out: &mut Vec<u8>, edge: &KnnEdge) {
    out.extend_from_slice(MAP_OF_3_DST);
    out.extend_from_slice(&edge.dst.0);
    out.extend_from_slice(SRC);
    out.extend_from_slice(&edge.src.0);
    out.extend_from_slice(WEIGHT);
    // DAG-CBOR knows floats of 64 bits only; every f32 is one exactly. The sign of zero is kept, as the published rows keep it; some
    // general encoders drop it, and with them the CID would be another.
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
