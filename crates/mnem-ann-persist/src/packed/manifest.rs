//! The manifest: the header of the index, its parts, and their checksums.

use mnem_store_traits::{Bytes, Cid, cid_from_bytes};
use serde::{Deserialize, Serialize};

use crate::{DistanceMetric, IndexHeader, NodeId, limits::PAGE_IDS};

/// The first bytes of a manifest. A row of format 1 begins with `a4`.
pub(crate) const MAGIC: &[u8; 8] = b"mnem-knn";

/// The format number after [`MAGIC`] that this build reads and writes.
const FORMAT: u8 = 2;

/// A checksum: the first 8 bytes of blake3.
pub(crate) type Sum = [u8; 8];

/// The checksum of a page or a chunk.
pub(crate) fn sum(bytes: &[u8]) -> Sum {
    first_eight(&blake3::hash(bytes))
}

/// The checksum of a manifest, which is valid only under one CID.
fn manifest_sum(cid: &Cid, record: &[u8]) -> Sum {
    first_eight(&blake3::Hasher::new().update(&cid.to_bytes()).update(record).finalize())
}

fn first_eight(hash: &blake3::Hash) -> Sum {
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The manifest as stored. Columns are packed: one entry per part, little-endian.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u8,
    #[serde(with = "serde_bytes")]
    root_cid: Vec<u8>,
    k: u32,
    metric: u8,
    nodes: u32,
    edges: u64,
    /// The first id of each page.
    #[serde(with = "serde_bytes")]
    page_first: Vec<u8>,
    #[serde(with = "serde_bytes")]
    page_sums: Vec<u8>,
    /// The ordinal of the first source of each chunk.
    #[serde(with = "serde_bytes")]
    chunk_first: Vec<u8>,
    #[serde(with = "serde_bytes")]
    chunk_sums: Vec<u8>,
}

/// The format number alone, which every later format has too.
#[derive(Deserialize)]
struct AnyRecord {
    format: u8,
}

/// The decoded and verified manifest of an index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) header: IndexHeader,
    pub(crate) nodes: u32,
    pub(crate) pages: Vec<(NodeId, Sum)>,
    pub(crate) chunks: Vec<(u32, Sum)>,
}

/// The reason why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("the manifest has format {0}")]
    Format(u8),
    #[error("the manifest's checksum does not match")]
    Sum,
    #[error("the manifest is truncated")]
    CutOff,
    #[error("the manifest cannot be read: {0}")]
    Record(String),
    #[error("the manifest has an invalid field: {0}")]
    Field(&'static str),
}

/// Keeps the message of the decoder.
fn unreadable(error: ciborium::de::Error<std::io::Error>) -> ManifestError {
    use ciborium::de::Error;
    ManifestError::Record(match error {
        Error::Io(_) => "it ends inside an item".to_owned(),
        Error::Syntax(offset) => format!("byte {offset} of it does not begin an item"),
        Error::Semantic(None, what) => what,
        Error::Semantic(Some(offset), what) => format!("{what} at byte {offset}"),
        Error::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
    })
}

impl Manifest {
    pub(crate) fn encode(&self, cid: &Cid) -> Bytes {
        let record = Record {
            format: FORMAT,
            root_cid: self.header.root_cid.to_bytes(),
            k: self.header.k,
            metric: self.header.metric.tag(),
            nodes: self.nodes,
            edges: self.header.edge_count,
            page_first: self.pages.iter().flat_map(|(first, _)| first.0).collect(),
            page_sums: self.pages.iter().flat_map(|(_, sum)| *sum).collect(),
            chunk_first: self.chunks.iter().flat_map(|(first, _)| first.to_le_bytes()).collect(),
            chunk_sums: self.chunks.iter().flat_map(|(_, sum)| *sum).collect(),
        };
        let mut encoded = Vec::with_capacity(256 + self.pages.len() * 24 + self.chunks.len() * 12);
        if let Err(error) = ciborium::into_writer(&record, &mut encoded) {
            unreachable!("writing to memory failed: {error}");
        }
        let mut row = Vec::with_capacity(MAGIC.len() + 8 + encoded.len());
        row.extend_from_slice(MAGIC);
        row.extend_from_slice(&manifest_sum(cid, &encoded));
        row.extend_from_slice(&encoded);
        Bytes::from(row)
    }

    /// Decodes the manifest of the index `cid`.
    pub(crate) fn decode(cid: &Cid, row: &[u8]) -> Result<Self, ManifestError> {
        let (sum, record) =
            row.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk::<8>).ok_or(ManifestError::CutOff)?;
        if *sum != manifest_sum(cid, record) {
            return Err(ManifestError::Sum);
        }
        let AnyRecord { format } = ciborium::from_reader(record).map_err(unreadable)?;
        if format != FORMAT {
            return Err(ManifestError::Format(format));
        }
        Self::from_record(ciborium::from_reader(record).map_err(unreadable)?)
    }

    fn from_record(record: Record) -> Result<Self, ManifestError> {
        use ManifestError::Field;
        let root_cid = cid_from_bytes(&record.root_cid).map_err(|_| Field("root"))?;
        let metric = DistanceMetric::from_tag(record.metric).ok_or(Field("metric"))?;
        let pages = entries(&record.page_first, &record.page_sums, NodeId).ok_or(Field("pages"))?;
        let chunks = entries(&record.chunk_first, &record.chunk_sums, u32::from_le_bytes).ok_or(Field("chunks"))?;
        let fits = usize::try_from(record.nodes).is_ok_and(|nodes| nodes.div_ceil(PAGE_IDS) == pages.len());
        if !fits || !pages.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(Field("pages"));
        }
        if chunks.iter().any(|(first, _)| *first >= record.nodes) || !chunks.is_sorted_by_key(|(first, _)| *first) {
            return Err(Field("chunks"));
        }
        if u32::try_from(chunks.len()).is_err() {
            return Err(Field("chunks"));
        }
        let header = IndexHeader { root_cid, k: record.k, metric, edge_count: record.edges };
        Ok(Self { header, nodes: record.nodes, pages, chunks })
    }

    /// The number of ids in a page.
    pub(crate) fn ids_in(&self, page: usize) -> usize {
        (self.nodes as usize).saturating_sub(page.saturating_mul(PAGE_IDS)).min(PAGE_IDS)
    }
}

/// Combines two columns, if both have the same number of complete entries.
fn entries<T, const N: usize>(first: &[u8], sums: &[u8], of: impl Fn([u8; N]) -> T) -> Option<Vec<(T, Sum)>> {
    let ((first, []), (sums, [])) = (first.as_chunks::<N>(), sums.as_chunks::<8>()) else { return None };
    (first.len() == sums.len()).then(|| first.iter().zip(sums).map(|(first, sum)| (of(*first), *sum)).collect())
}
