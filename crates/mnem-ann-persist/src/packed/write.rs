//! Writes an index in format 2: first the parts, then the manifest.

use std::mem;

use mnem_store_traits::{Bytes, Cid, SideTable, StoreError};

use super::{
    chunk::ChunkBuilder,
    manifest::{MAGIC, Manifest, sum},
    ordinals::Ordinals,
};
use crate::{
    EdgeSource, KnnEdge, NodeId,
    error::invalid,
    keys::{self, Part},
    limits::{PAGE_IDS, ROW_BYTES_AT_ONCE, ROWS_AT_ONCE},
};

/// Writes the index `cid`. Its edges must be valid, and `sources` must be its sources, ascending.
///
/// The bytes depend only on the index. A part that is present and intact is not written again. The manifest always is,
/// in a call of its own, so a reader that sees it knows that the calls that wrote the parts had returned.
pub(crate) fn write<S: EdgeSource>(
    table: &dyn SideTable,
    cid: &Cid,
    source: &S,
    sources: Vec<NodeId>,
) -> Result<(), StoreError> {
    let again = table.get(&cid.to_bytes())?.is_some_and(|row| row.starts_with(MAGIC));
    let mut ids = sources;
    let manifest = match attempt(table, cid, source, &ids, again)? {
        Some(manifest) => manifest,
        None => {
            add_destinations(source, &mut ids)?;
            attempt(table, cid, source, &ids, again)?.ok_or_else(changed)?
        }
    };
    table.write(&[(Bytes::from(cid.to_bytes()), manifest.encode(cid))], &[])
}

/// Adds the destinations that are not a source.
fn add_destinations<S: EdgeSource>(source: &S, ids: &mut Vec<NodeId>) -> Result<(), StoreError> {
    let ordinals = Ordinals::new(ids);
    let mut more = Vec::new();
    for edge in source.stream()? {
        let dst = edge?.dst;
        if ordinals.of(&dst).is_none() {
            more.push(dst);
            // Remove duplicates before they outnumber the ids.
            if more.len() > 2 * ids.len() + 4096 {
                more.sort_unstable();
                more.dedup();
            }
        }
    }
    ids.extend(more);
    ids.sort_unstable();
    ids.dedup();
    check_count(ids.len())
}

/// Writes all parts. Returns `None` if a destination is not among the ids.
fn attempt<S: EdgeSource>(
    table: &dyn SideTable,
    cid: &Cid,
    source: &S,
    ids: &[NodeId],
    again: bool,
) -> Result<Option<Manifest>, StoreError> {
    check_count(ids.len())?;
    let ordinals = Ordinals::new(ids);
    let mut rows = Rows { table, cid, again, waiting: Vec::new(), waiting_bytes: 0 };
    let mut list = List::default();
    let mut chunks = Chunks { building: ChunkBuilder::default(), written: Vec::new() };
    for edge in source.stream()? {
        let KnnEdge { src, dst, weight } = edge?;
        if list.node != Some(src) {
            chunks.push(&mut rows, &mut list)?;
            list.node = Some(src);
            list.ordinal = ordinals.of(&src).ok_or_else(changed)?;
        }
        let Some(dst) = ordinals.of(&dst) else { return Ok(None) };
        list.destinations.push(dst);
        list.weights.push(weight);
    }
    chunks.push(&mut rows, &mut list)?;
    chunks.flush(&mut rows)?;
    let mut pages = Vec::with_capacity(ids.len().div_ceil(PAGE_IDS));
    for (number, page) in ids.chunks(PAGE_IDS).enumerate() {
        let bytes: Vec<u8> = page.iter().flat_map(|id| id.0).collect();
        pages.push((page[0], sum(&bytes)));
        rows.put(Part::Ids, number, bytes)?;
    }
    rows.flush()?;
    let (header, nodes) = (source.header(), ids.len() as u32);
    Ok(Some(Manifest { header, nodes, pages, chunks: chunks.written }))
}

fn check_count(nodes: usize) -> Result<(), StoreError> {
    if u32::try_from(nodes).is_ok_and(|nodes| nodes < u32::MAX) {
        return Ok(());
    }
    Err(invalid(format!("{nodes} nodes exceed the limit of {} per index", u32::MAX - 1)))
}

fn changed() -> StoreError {
    invalid("the edges changed between the two passes".to_owned())
}

/// The edges of the source that is being read.
#[derive(Default)]
struct List {
    node: Option<NodeId>,
    ordinal: u32,
    destinations: Vec<u32>,
    weights: Vec<f32>,
}

struct Chunks {
    building: ChunkBuilder,
    written: Vec<(u32, super::manifest::Sum)>,
}

impl Chunks {
    /// Adds the edges of one source, in one chunk if they fit into one.
    fn push(&mut self, rows: &mut Rows<'_>, list: &mut List) -> Result<(), StoreError> {
        let (mut destinations, mut weights) = (&list.destinations[..], &list.weights[..]);
        while !destinations.is_empty() {
            let fits = destinations.len() <= self.building.room();
            if !fits && self.building.first().is_some() {
                self.flush(rows)?;
                continue;
            }
            let count = destinations.len().min(ChunkBuilder::room_when_empty());
            let (here, later) = destinations.split_at(count);
            let (weights_here, weights_later) = weights.split_at(count);
            self.building.push(list.ordinal, here, weights_here);
            (destinations, weights) = (later, weights_later);
        }
        list.destinations.clear();
        list.weights.clear();
        Ok(())
    }

    fn flush(&mut self, rows: &mut Rows<'_>) -> Result<(), StoreError> {
        let Some(first) = self.building.first() else { return Ok(()) };
        let bytes = self.building.take();
        let number = self.written.len();
        self.written.push((first, sum(&bytes)));
        rows.put(Part::Edges, number, bytes)
    }
}

/// Rows waiting for the table, written many per call.
struct Rows<'a> {
    table: &'a dyn SideTable,
    cid: &'a Cid,
    /// Whether the index is already present, so that most rows will be.
    again: bool,
    waiting: Vec<(Bytes, Bytes)>,
    waiting_bytes: usize,
}

impl Rows<'_> {
    fn put(&mut self, part: Part, number: usize, bytes: Vec<u8>) -> Result<(), StoreError> {
        let number = u32::try_from(number).map_err(|_| invalid("an index has fewer chunks than 2^32".to_owned()))?;
        let key = keys::part(self.cid, part, number);
        // A part that cannot be read is written again, like a damaged one.
        if self.again && matches!(self.table.get(&key), Ok(Some(there)) if there == bytes) {
            return Ok(());
        }
        if self.waiting.len() >= ROWS_AT_ONCE || self.waiting_bytes + bytes.len() > ROW_BYTES_AT_ONCE {
            self.flush()?;
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push((key, Bytes::from(bytes)));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let waiting = mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if waiting.is_empty() { Ok(()) } else { self.table.write(&waiting, &[]) }
    }
}
