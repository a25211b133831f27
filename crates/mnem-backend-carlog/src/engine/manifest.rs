//! The file `manifest`: which files make the store. Replaced by rename.

use std::fmt::Write as _;

use super::sealed::{hex, seal, unhex, unseal};

/// The first line.
const FIRST_LINE: &str = "mnem-backend-carlog manifest 1";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) store: [u8; 16],
    /// Grows with each replacement.
    pub(crate) generation: u64,
    /// Segments in the order of the log. More may follow: each one names the last commit of the one before.
    pub(crate) segments: Vec<u32>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut lines = format!("{FIRST_LINE}\nstore {}\ngeneration {}\n", hex(&self.store), self.generation);
        for segment in &self.segments {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "segment {segment}");
        }
        seal(lines)
    }

    /// The error says what is wrong with the file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut lines = unseal(bytes)?.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err("its first line is not that of a manifest");
        }
        let mut line = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        let (store, generation) = (line("store "), line("generation "));
        let store = store.and_then(unhex).ok_or("it names no store")?;
        let generation = generation.and_then(|text| text.parse().ok()).ok_or("it has no generation")?;
        let segment = |line: &str| line.strip_prefix("segment ")?.parse().ok();
        let segments: Option<Vec<u32>> = lines.map(segment).collect();
        let segments = segments.ok_or("it has a line that this build does not know")?;
        if segments.is_empty() || !segments.is_sorted_by(|a, b| a < b) {
            return Err("its segments are not ascending");
        }
        Ok(Self { store, generation, segments })
    }
}
