//! A chunk of edges: four columns.
//!
//! The number of sources; for each source its ordinal; for each source the end of its edges; for each edge the ordinal
//! of its destination; for each edge its weight. All numbers have 4 bytes, little-endian.

use std::ops::Range;

use crate::limits::CHUNK_BYTES_MAX;

/// A chunk being built.
#[derive(Debug, Default)]
pub(crate) struct ChunkBuilder {
    sources: Vec<u32>,
    ends: Vec<u32>,
    destinations: Vec<u32>,
    weights: Vec<f32>,
}

impl ChunkBuilder {
    fn bytes(&self) -> usize {
        4 + self.sources.len() * 8 + self.destinations.len() * 8
    }

    /// The number of edges of one more source that fit.
    pub(crate) fn room(&self) -> usize {
        CHUNK_BYTES_MAX.saturating_sub(self.bytes() + 8) / 8
    }

    /// The number of edges of one source that fit into an empty chunk.
    pub(crate) fn room_when_empty() -> usize {
        Self::default().room()
    }

    pub(crate) fn first(&self) -> Option<u32> {
        self.sources.first().copied()
    }

    /// Adds edges of one source. They must fit: see [`room`](Self::room).
    pub(crate) fn push(&mut self, source: u32, destinations: &[u32], weights: &[f32]) {
        self.sources.push(source);
        self.destinations.extend_from_slice(destinations);
        self.weights.extend_from_slice(weights);
        self.ends.push(self.destinations.len() as u32);
    }

    /// Returns the chunk's bytes and empties the builder.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes());
        bytes.extend_from_slice(&(self.sources.len() as u32).to_le_bytes());
        for column in [&self.sources, &self.ends, &self.destinations] {
            bytes.extend(column.iter().flat_map(|number| number.to_le_bytes()));
        }
        bytes.extend(self.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        self.sources.clear();
        self.ends.clear();
        self.destinations.clear();
        self.weights.clear();
        bytes
    }
}

/// A parsed chunk: the columns, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    sources: &'a [[u8; 4]],
    ends: &'a [[u8; 4]],
    destinations: &'a [[u8; 4]],
    weights: &'a [[u8; 4]],
}

impl<'a> Chunk<'a> {
    /// Finds the columns. Returns `None` if their lengths do not match, or sources do not ascend.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<4>() else { return None };
        let (count, words) = words.split_first()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (sources, words) = words.split_at_checked(count)?;
        let (ends, words) = words.split_at_checked(count)?;
        let (destinations, weights) = words.split_at_checked(words.len() / 2)?;
        let last = ends.last().map_or(0, |end| u32::from_le_bytes(*end) as usize);
        let fits = last == destinations.len() && destinations.len() == weights.len();
        let ascend = |words: &[[u8; 4]]| words.is_sorted_by(|a, b| u32::from_le_bytes(*a) < u32::from_le_bytes(*b));
        (fits && ascend(sources) && ascend(ends)).then_some(Self { sources, ends, destinations, weights })
    }

    pub(crate) fn edges_len(&self) -> usize {
        self.destinations.len()
    }

    /// Every source with the range of its edges.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (u32, Range<usize>)> + use<'a> {
        let mut start = 0;
        self.sources.iter().zip(self.ends).map(move |(source, end)| {
            let range = start..u32::from_le_bytes(*end) as usize;
            start = range.end;
            (u32::from_le_bytes(*source), range)
        })
    }

    /// The edges of one source: destination and weight.
    pub(crate) fn of_source(&self, source: u32) -> impl Iterator<Item = (u32, f32)> + use<'a> {
        let at = self.sources.binary_search_by_key(&source, |source| u32::from_le_bytes(*source));
        let range = at.ok().map(|at| {
            let end_of = |at: usize| self.ends.get(at).map_or(0, |end| u32::from_le_bytes(*end) as usize);
            at.checked_sub(1).map_or(0, end_of)..end_of(at)
        });
        self.edges(range.unwrap_or(0..0))
    }

    /// The edges of a range that [`sources`](Self::sources) returned.
    pub(crate) fn edges(&self, range: Range<usize>) -> impl Iterator<Item = (u32, f32)> + use<'a> {
        let destinations = self.destinations.get(range.clone()).unwrap_or_default();
        let weights = self.weights.get(range).unwrap_or_default();
        let pairs = destinations.iter().zip(weights);
        pairs.map(|(destination, weight)| (u32::from_le_bytes(*destination), f32::from_le_bytes(*weight)))
    }
}
