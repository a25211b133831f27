//! Reads the parts of an index, each verified against the manifest.

use mnem_store_traits::{Bytes, Cid, SideTable, StoreError};

use super::{
    chunk::Chunk,
    manifest::{Manifest, Sum, sum},
};
use crate::{
    KnnEdge, NodeId,
    error::{damaged, gone},
    keys::{self, Part},
    limits::CHUNK_BYTES_MAX,
};

/// An index in format 2, and the table that holds its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) table: &'a dyn SideTable,
    pub(crate) cid: &'a Cid,
    pub(crate) manifest: &'a Manifest,
}

impl Parts<'_> {
    fn part(&self, part: Part, number: usize, expected: Option<Sum>) -> Result<Bytes, StoreError> {
        let key = keys::part(self.cid, part, number as u32);
        let Some(bytes) = self.table.get(&key)? else {
            // A deletion removes the manifest first.
            let deleted = self.table.get(&self.cid.to_bytes())?.is_none();
            return Err(if deleted { gone(self.cid) } else { damaged(self.cid, part, number, "it is missing") });
        };
        if expected != Some(sum(&bytes)) {
            return Err(damaged(self.cid, part, number, "its checksum does not match"));
        }
        Ok(bytes)
    }

    /// The bytes of a page of ids: complete ids, as many as the manifest says.
    pub(crate) fn page(&self, number: usize) -> Result<Bytes, StoreError> {
        let bytes = self.part(Part::Ids, number, self.manifest.pages.get(number).map(|(_, sum)| *sum))?;
        if bytes.len() != self.manifest.ids_in(number) * 16 {
            return Err(damaged(self.cid, Part::Ids, number, "its number of ids differs from the manifest"));
        }
        Ok(bytes)
    }

    /// The bytes of a chunk of edges. [`Chunk::parse`] finds its columns.
    pub(crate) fn chunk_bytes(&self, number: usize) -> Result<Bytes, StoreError> {
        self.part(Part::Edges, number, self.manifest.chunks.get(number).map(|(_, sum)| *sum))
    }

    pub(crate) fn parse<'b>(&self, number: usize, bytes: &'b [u8]) -> Result<Chunk<'b>, StoreError> {
        Chunk::parse(bytes).ok_or_else(|| damaged(self.cid, Part::Edges, number, "its columns are inconsistent"))
    }

    /// All ids, ascending.
    pub(crate) fn ids(&self) -> Result<Vec<NodeId>, StoreError> {
        let mut ids: Vec<NodeId> = Vec::new();
        for number in 0..self.manifest.pages.len() {
            ids.extend(self.page(number)?.as_chunks::<16>().0.iter().map(|id| NodeId(*id)));
        }
        if !ids.is_sorted_by(|a, b| a < b) {
            return Err(damaged(self.cid, Part::Ids, 0, "the ids are not ascending"));
        }
        Ok(ids)
    }

    /// Appends the edges of one chunk, in order.
    pub(crate) fn edges_of(&self, number: usize, ids: &[NodeId], out: &mut Vec<KnnEdge>) -> Result<(), StoreError> {
        let bytes = self.chunk_bytes(number)?;
        out.reserve(self.parse(number, &bytes)?.edges_len());
        self.each_edge(number, &bytes, ids, |edge| {
            out.push(edge);
            Ok(())
        })
    }

    /// Calls back with each edge of a chunk, in order.
    pub(crate) fn each_edge(
        &self,
        number: usize,
        bytes: &[u8],
        ids: &[NodeId],
        mut take: impl FnMut(KnnEdge) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let chunk = self.parse(number, bytes)?;
        let unknown = || damaged(self.cid, Part::Edges, number, "it refers to a node that does not exist");
        for (source, range) in chunk.sources() {
            let src = *ids.get(source as usize).ok_or_else(unknown)?;
            for (destination, weight) in chunk.edges(range) {
                let dst = *ids.get(destination as usize).ok_or_else(unknown)?;
                take(KnnEdge { src, dst, weight })?;
            }
        }
        Ok(())
    }

    /// An upper bound of the number of edges that does not trust the manifest.
    pub(crate) fn edges_max(&self) -> usize {
        let room = self.manifest.chunks.len().saturating_mul(CHUNK_BYTES_MAX / 8);
        usize::try_from(self.manifest.header.edge_count).unwrap_or(usize::MAX).min(room)
    }
}
