//! Decodes a row of format 1. The mirror of `encode.rs`.

use mnem_store_traits::{Cid, cid, cid_from_bytes};

use crate::{
    DistanceMetric, IndexError, IndexHeader, KnnEdge, KnnEdgeIndex, NodeId,
    encode::{EDGE_BYTES, EDGES, LINK_PREFIX, MAP_OF_3_DST, MAP_OF_4_K, METRIC, Major, ROOT_CID_LINK, SRC, WEIGHT},
};

/// The reason why bytes are not a row of format 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes differ from the canonical form, or end too early.
    #[error("not a canonical k-NN edge row: at byte {offset}, expected {expected}")]
    NotCanonical {
        /// Offset of the difference, from the row's first byte.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// The root is not a CID.
    #[error("not a canonical k-NN edge row: at byte {offset}, the root is not a CID")]
    Root {
        /// Offset of the CID.
        offset: usize,
        /// The error of the CID parser.
        source: cid::Error,
    },
    /// The edges are readable, but do not form an index.
    #[error("the edges of the row are not a valid index")]
    Index(#[source] IndexError),
}

impl KnnEdgeIndex {
    /// Decodes a row of format 1.
    ///
    /// Accepts exactly the bytes that [`canonical_bytes`](Self::canonical_bytes) writes for some valid index, so that
    /// `decode(row)?.canonical_bytes() == row`. Therefore it refuses: other or further map keys, another order of keys,
    /// longer forms of lengths, floats of 16 or 32 bits, weights that are not an `f32` or not finite, edges that are
    /// unsorted, repeated, from a node to itself or more than `k` per source, and bytes after the row. Memory use is
    /// bounded by the length of the row.
    ///
    /// # Errors
    /// [`DecodeError`], with the offset of the first wrong byte.
    pub fn decode(row: &[u8]) -> Result<Self, DecodeError> {
        let (header, edges) = decode_as_written(row)?;
        Self::new(header.root_cid, header.k, header.metric, edges).map_err(DecodeError::Index)
    }
}

/// Decodes a row of format 1 whose edges need not form an index: they may be in any order, repeated, from a node to
/// itself, or more than `k` per source. Everything else is strict, so the row is the canonical form of the result.
pub(crate) fn decode_as_written(row: &[u8]) -> Result<(IndexHeader, Vec<KnnEdge>), DecodeError> {
    let mut reader = Reader { rest: row, offset: 0 };
    reader.literal(MAP_OF_4_K, "a map of 4 entries that begins with \"k\"")?;
    let k = reader.k()?;
    reader.literal(EDGES, "the key \"edges\"")?;
    let edges = reader.edges()?;
    reader.literal(METRIC, "the key \"metric\"")?;
    let metric = reader.metric()?;
    reader.literal(ROOT_CID_LINK, "the key \"root_cid\" and a link")?;
    let root_cid = reader.root()?;
    if !reader.rest.is_empty() {
        return Err(reader.not("the end of the row"));
    }
    Ok((IndexHeader { root_cid, k, metric, edge_count: edges.len() as u64 }, edges))
}

struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn not(&self, expected: &'static str) -> DecodeError {
        DecodeError::NotCanonical { offset: self.offset, expected }
    }

    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.not(expected))?;
        self.rest = rest;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.not(expected))?;
        self.rest = rest;
        self.offset += N;
        Ok(*taken)
    }

    fn literal(&mut self, literal: &[u8], expected: &'static str) -> Result<(), DecodeError> {
        let rest = self.rest.strip_prefix(literal).ok_or_else(|| self.not(expected))?;
        self.rest = rest;
        self.offset += literal.len();
        Ok(())
    }

    /// Reads the number after a major type, in its shortest form only.
    fn head(&mut self, major: Major, expected: &'static str) -> Result<u64, DecodeError> {
        let start = Self { ..*self };
        let [first] = self.array(expected)?;
        let (number, least) = match first & 0x1f {
            small @ 0..=0x17 => (u64::from(small), 0),
            24 => (u64::from(u8::from_be_bytes(self.array(expected)?)), 0x18),
            25 => (u64::from(u16::from_be_bytes(self.array(expected)?)), 0x100),
            26 => (u64::from(u32::from_be_bytes(self.array(expected)?)), 0x1_0000),
            27 => (u64::from_be_bytes(self.array(expected)?), 0x1_0000_0000),
            _ => return Err(start.not(expected)),
        };
        if first >> 5 != major as u8 || number < least {
            return Err(start.not(expected));
        }
        Ok(number)
    }

    fn k(&mut self) -> Result<u32, DecodeError> {
        let expected = "an unsigned 32-bit number in its shortest form";
        let start = self.offset;
        let k = self.head(Major::Unsigned, expected)?;
        u32::try_from(k).map_err(|_| DecodeError::NotCanonical { offset: start, expected })
    }

    fn edges(&mut self) -> Result<Vec<KnnEdge>, DecodeError> {
        let expected = "an array of at most as many edges as the row has room for";
        let start = self.offset;
        let count = self.head(Major::Array, expected)?;
        let room = self.rest.len() / EDGE_BYTES;
        let count = usize::try_from(count).ok().filter(|count| *count <= room);
        let count = count.ok_or(DecodeError::NotCanonical { offset: start, expected })?;
        let mut edges = Vec::with_capacity(count);
        for _ in 0..count {
            edges.push(self.edge()?);
        }
        Ok(edges)
    }

    fn edge(&mut self) -> Result<KnnEdge, DecodeError> {
        self.literal(MAP_OF_3_DST, "an edge: a map of 3 entries that begins with \"dst\" and 16 bytes")?;
        let dst = NodeId(self.array("16 bytes of node id")?);
        self.literal(SRC, "the key \"src\" and 16 bytes")?;
        let src = NodeId(self.array("16 bytes of node id")?);
        self.literal(WEIGHT, "the key \"weight\" and a 64-bit float")?;
        let expected = "a finite weight that an f32 can hold";
        let start = self.offset;
        let wide = f64::from_be_bytes(self.array(expected)?);
        let weight = wide as f32;
        if !weight.is_finite() || f64::from(weight).to_bits() != wide.to_bits() {
            return Err(DecodeError::NotCanonical { offset: start, expected });
        }
        Ok(KnnEdge { src, dst, weight })
    }

    fn metric(&mut self) -> Result<DistanceMetric, DecodeError> {
        let expected = "the metric: \"Cosine\", \"L2\" or \"Dot\"";
        let start = self.offset;
        let length = self.head(Major::Text, expected)?;
        let name = self.take(usize::try_from(length).unwrap_or(usize::MAX), expected)?;
        DistanceMetric::from_name(name).ok_or(DecodeError::NotCanonical { offset: start, expected })
    }

    fn root(&mut self) -> Result<Cid, DecodeError> {
        let expected = "the bytes of a link";
        let length = self.head(Major::Bytes, expected)?;
        let offset = self.offset;
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX), expected)?;
        let Some((&LINK_PREFIX, bytes)) = bytes.split_first() else {
            return Err(DecodeError::NotCanonical { offset, expected: "a zero byte before the CID" });
        };
        cid_from_bytes(bytes).map_err(|source| DecodeError::Root { offset: offset + 1, source })
    }
}
