//! Reads an index in a table without loading it.

use std::sync::{Arc, Mutex, OnceLock};

use mnem_store_traits::{Bytes, Cid, SideTable, StoreError};

use crate::{
    DistanceMetric, EdgeSource, Format, IndexHeader, KnnEdge, KnnEdgeIndex, NodeId,
    encode::CidHasher,
    error::{damaged, damaged_row, no_manifest},
    index::Checker,
    keys::{self, Part},
    limits::PAGE_IDS,
    packed::{MAGIC, Manifest, Parts},
    table::index_of_row,
};

/// An index that is read from its table on demand.
///
/// In format 2, opening reads the manifest. [`neighbors`](Self::neighbors) then reads one page of ids to find the node,
/// one chunk with its edges, and the pages with the ids of its neighbours. Pages are cached (16 bytes per node once all
/// were needed), and so is the last chunk. Every part is compared with its checksum when it is read. The checksums
/// protect against accidents; only [`check`](Self::check) and [`load`](crate::load) compare the edges with the CID,
/// which requires reading all of them.
///
/// An index in format 1 is one row: opening reads all of it and compares it with the CID.
#[derive(Debug)]
pub struct EdgeReader {
    table: Arc<dyn SideTable>,
    cid: Cid,
    header: IndexHeader,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Row(KnnEdgeIndex),
    Packed { manifest: Manifest, pages: Vec<OnceLock<Bytes>>, last: Mutex<Option<(usize, Bytes)>> },
}

/// Opens the index of this CID. Returns `None` if the table does not hold it.
///
/// # Errors
/// - [`StoreError::Damaged`]: the manifest or row cannot be decoded, or belongs to another index. With an
///   [`IndexError`](crate::IndexError) as its cause: the row matches its CID, but its edges do not form an index;
///   [`load_as_written`](crate::load_as_written) reads it.
/// - [`StoreError::UnsupportedFormat`]: a later format.
/// - Otherwise as [`SideTable::get`].
pub fn open(table: Arc<dyn SideTable>, cid: &Cid) -> Result<Option<EdgeReader>, StoreError> {
    if !keys::is_index(cid) {
        return Ok(None);
    }
    let Some(row) = table.get(&cid.to_bytes())? else { return Ok(None) };
    let (header, body) = if row.starts_with(MAGIC) {
        let manifest = Manifest::decode(cid, &row).map_err(|error| no_manifest(cid, error))?;
        let pages = vec![OnceLock::new(); manifest.pages.len()];
        (manifest.header, Body::Packed { manifest, pages, last: Mutex::new(None) })
    } else {
        let index = index_of_row(cid, &row)?;
        (index.header(), Body::Row(index))
    };
    Ok(Some(EdgeReader { table, cid: *cid, header, body }))
}

impl EdgeReader {
    /// The CID of the index.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The root whose vectors the index was derived from.
    pub fn root_cid(&self) -> &Cid {
        &self.header.root_cid
    }

    /// The maximum number of neighbours per node.
    pub fn k(&self) -> u32 {
        self.header.k
    }

    /// How weights were computed.
    pub fn metric(&self) -> DistanceMetric {
        self.header.metric
    }

    /// The number of edges.
    pub fn len(&self) -> u64 {
        self.header.edge_count
    }

    /// Whether there are no edges.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the index is stored.
    pub fn format(&self) -> Format {
        match self.body {
            Body::Row(_) => Format::Row,
            Body::Packed { .. } => Format::Packed,
        }
    }

    /// The number of nodes in all edges; `None` in format 1, which does not store it.
    pub fn nodes(&self) -> Option<u32> {
        match &self.body {
            Body::Row(_) => None,
            Body::Packed { manifest, .. } => Some(manifest.nodes),
        }
    }

    /// The edges of one source, ascending by destination. Empty if the node is not a source.
    ///
    /// To get the nearest first, sort by weight, if the metric is a similarity such as [`DistanceMetric::Cosine`].
    ///
    /// ```
    /// # use mnem_ann_persist::{KnnEdge, NodeId};
    /// # let edge = |n, weight| KnnEdge { src: NodeId([0; 16]), dst: NodeId([n; 16]), weight };
    /// # let mut edges = vec![edge(1, 0.2), edge(2, 0.9)];
    /// edges.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    /// # assert_eq!(edges[0].dst, NodeId([2; 16]));
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a part that is missing or damaged; otherwise as [`SideTable::get`].
    pub fn neighbors(&self, src: &NodeId) -> Result<Vec<KnnEdge>, StoreError> {
        match &self.body {
            Body::Row(index) => Ok(of_source(index.edges(), src).to_vec()),
            Body::Packed { manifest, pages, last } => Packed { reader: self, manifest, pages, last }.neighbors(src),
        }
    }

    /// Streams all edges, ascending by source, then destination. Takes memory for 16 bytes per node and one chunk.
    ///
    /// # Errors
    /// Those of reading the ids. After an item that is an error, the iterator ends.
    pub fn edges(&self) -> Result<impl Iterator<Item = Result<KnnEdge, StoreError>> + Send + use<'_>, StoreError> {
        type Edges<'a> = Box<dyn Iterator<Item = Result<KnnEdge, StoreError>> + Send + 'a>;
        Ok(match &self.body {
            Body::Row(index) => Box::new(index.edges().iter().map(|edge| Ok(*edge))) as Edges<'_>,
            Body::Packed { manifest, .. } => {
                let parts = self.parts(manifest);
                let ids = parts.ids()?;
                Box::new(Stream { parts, ids, next: 0, chunk: Vec::new().into_iter() })
            }
        })
    }

    /// Reads all edges and compares them with the CID, with the memory of [`edges`](Self::edges).
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: the edges do not match the CID. Otherwise as [`SideTable::get`].
    pub fn check(&self) -> Result<(), StoreError> {
        // A row was compared when it was opened.
        if let Body::Row(_) = self.body {
            return Ok(());
        }
        let mut judge = Judge::new(&self.header);
        for edge in self.edges()? {
            judge.edge(&self.cid, &edge?)?;
        }
        judge.end(&self.cid, &self.header)
    }

    fn parts<'a>(&'a self, manifest: &'a Manifest) -> Parts<'a> {
        Parts { table: &*self.table, cid: &self.cid, manifest }
    }
}

impl EdgeSource for EdgeReader {
    fn header(&self) -> IndexHeader {
        self.header
    }

    fn stream(&self) -> Result<impl Iterator<Item = Result<KnnEdge, StoreError>> + '_, StoreError> {
        self.edges()
    }
}

fn of_source<'a>(edges: &'a [KnnEdge], src: &NodeId) -> &'a [KnnEdge] {
    let start = edges.partition_point(|edge| edge.src < *src);
    let end = edges.partition_point(|edge| edge.src <= *src);
    edges.get(start..end).unwrap_or_default()
}

/// The body of a reader in format 2.
struct Packed<'a> {
    reader: &'a EdgeReader,
    manifest: &'a Manifest,
    pages: &'a [OnceLock<Bytes>],
    last: &'a Mutex<Option<(usize, Bytes)>>,
}

impl Packed<'_> {
    fn neighbors(&self, src: &NodeId) -> Result<Vec<KnnEdge>, StoreError> {
        let Some(ordinal) = self.ordinal(src)? else { return Ok(Vec::new()) };
        let chunks = &self.manifest.chunks;
        let parts = self.reader.parts(self.manifest);
        let mut edges = Vec::new();
        // A source that needs several chunks is the first one of each. Any other is in the last chunk that begins at or
        // before it.
        let end = chunks.partition_point(|(first, _)| *first <= ordinal);
        let begin = chunks.partition_point(|(first, _)| *first < ordinal).min(end.saturating_sub(1));
        for number in begin..end {
            let bytes = self.chunk(parts, number)?;
            for (destination, weight) in parts.parse(number, &bytes)?.of_source(ordinal) {
                edges.push(KnnEdge { src: *src, dst: self.id(number, destination)?, weight });
            }
        }
        Ok(edges)
    }

    fn page(&self, number: usize) -> Result<&[[u8; 16]], StoreError> {
        let unknown = || damaged(&self.reader.cid, Part::Ids, number, "the manifest does not list it");
        let place = self.pages.get(number).ok_or_else(unknown)?;
        let bytes = match place.get() {
            Some(bytes) => bytes,
            None => {
                let bytes = self.reader.parts(self.manifest).page(number)?;
                place.get_or_init(|| bytes)
            }
        };
        Ok(bytes.as_chunks::<16>().0)
    }

    /// The ordinal of a node.
    fn ordinal(&self, id: &NodeId) -> Result<Option<u32>, StoreError> {
        let behind = self.manifest.pages.partition_point(|(first, _)| first <= id);
        let Some(number) = behind.checked_sub(1) else { return Ok(None) };
        let at = self.page(number)?.binary_search(&id.0);
        Ok(at.ok().and_then(|at| u32::try_from(number * PAGE_IDS + at).ok()))
    }

    fn id(&self, chunk: usize, ordinal: u32) -> Result<NodeId, StoreError> {
        let ordinal = ordinal as usize;
        let unknown = || damaged(&self.reader.cid, Part::Edges, chunk, "it refers to a node that does not exist");
        if ordinal / PAGE_IDS >= self.pages.len() {
            return Err(unknown());
        }
        let page = self.page(ordinal / PAGE_IDS)?;
        page.get(ordinal % PAGE_IDS).map(|id| NodeId(*id)).ok_or_else(unknown)
    }

    fn chunk(&self, parts: Parts<'_>, number: usize) -> Result<Bytes, StoreError> {
        // A panic cannot leave it half set.
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*last {
            Some((which, bytes)) if *which == number => Ok(bytes.clone()),
            _ => {
                let bytes = parts.chunk_bytes(number)?;
                *last = Some((number, bytes.clone()));
                Ok(bytes)
            }
        }
    }
}

/// All edges of an index in format 2, chunk by chunk.
struct Stream<'a> {
    parts: Parts<'a>,
    ids: Vec<NodeId>,
    next: usize,
    chunk: std::vec::IntoIter<KnnEdge>,
}

impl Iterator for Stream<'_> {
    type Item = Result<KnnEdge, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(edge) = self.chunk.next() {
                return Some(Ok(edge));
            }
            if self.next >= self.parts.manifest.chunks.len() {
                return None;
            }
            let mut edges = Vec::new();
            match self.parts.edges_of(self.next, &self.ids, &mut edges) {
                Ok(()) => self.next += 1,
                Err(error) => {
                    self.next = usize::MAX;
                    return Some(Err(error));
                }
            }
            self.chunk = edges.into_iter();
        }
    }
}

/// Checks whether a stream of edges forms the index of a CID.
pub(crate) struct Judge {
    hasher: CidHasher,
    checker: Checker,
    count: u64,
}

impl Judge {
    pub(crate) fn new(header: &IndexHeader) -> Self {
        Self { hasher: CidHasher::new(header), checker: Checker::new(header.k), count: 0 }
    }

    pub(crate) fn edge(&mut self, cid: &Cid, edge: &KnnEdge) -> Result<(), StoreError> {
        self.checker.check(edge).map_err(|error| damaged_row(cid, error))?;
        self.hasher.edge(edge);
        self.count += 1;
        Ok(())
    }

    pub(crate) fn end(self, cid: &Cid, header: &IndexHeader) -> Result<(), StoreError> {
        if self.count != header.edge_count {
            let why = format!("it has {} edges, but its header says {}", self.count, header.edge_count);
            return Err(damaged_row(cid, why));
        }
        let actual = self.hasher.finish();
        if actual == *cid { Ok(()) } else { Err(damaged_row(cid, format!("the row belongs to index {actual}"))) }
    }
}
