//! The file `manifest`: the files of the store, and how far the index on disk goes. Replaced by rename.

use std::{collections::BTreeSet, fmt::Write as _, str::SplitWhitespace};

use mnem_store_traits::Cid;

use super::{
    replay::Position,
    sealed::{hex, seal, unhex, unhex_vec, unseal},
};
use crate::limits::SEGMENT_NUMBER_MAX;

/// The first line.
const FIRST_LINE: &str = "mnem-backend-carlog manifest 1";

/// Numbers count up from 1. A number beyond this one is invalid, and incrementing it might overflow.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) store: [u8; 16],
    /// Grows with each replacement.
    pub(crate) generation: u64,
    /// The segments, in the order of the log. More may follow; each one names the last commit of the previous one.
    pub(crate) segments: Vec<u32>,
    /// The index on disk, or `None` if there is none.
    pub(crate) covered: Option<Covered>,
}

/// The part of the log that an opening need not read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    /// The end of this part. Everything before it is synced.
    pub(crate) position: Position,
    /// The extents of its segments.
    pub(crate) segments: Vec<Extent>,
    /// The heads at that position.
    pub(crate) heads: BTreeSet<Cid>,
    /// The index runs of this part, the newest first.
    pub(crate) runs: Vec<u64>,
    /// The file with the rows of all side tables, or `None` if there are no rows.
    pub(crate) rows: Option<u64>,
}

/// The covered part of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) end: u64,
    /// The number of sections that are not blocks of the store: deleted blocks and values of rows. Records are not
    /// counted.
    pub(crate) others: u64,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\nstore {}\ngeneration {}\n", hex(&self.store), self.generation);
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        let extents = self.covered.as_ref().map(|covered| &covered.segments[..]).unwrap_or_default();
        for (at, segment) in self.segments.iter().enumerate() {
            let extent = extents.get(at).map(|Extent { end, others }| format!(" {end} {others}"));
            line("segment", format!("{segment}{}", extent.unwrap_or_default()));
        }
        if let Some(Covered { position, heads, runs, rows, .. }) = &self.covered {
            let Position { segment, end, mac, seq, closed, .. } = position;
            let closed = if *closed { " closed" } else { "" };
            line("covered", format!("{segment} {end} {seq} {}{closed}", hex(mac)));
            heads.iter().for_each(|head| line("head", hex(&head.to_bytes())));
            runs.iter().for_each(|run| line("run", run.to_string()));
            rows.iter().for_each(|rows| line("rows", rows.to_string()));
        }
        seal(text)
    }

    /// Reads a manifest. The error names the fault.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut lines = unseal(bytes)?.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err("its first line is not that of a manifest");
        }
        let mut line = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        let (store, generation) = (line("store "), line("generation "));
        let store = store.and_then(unhex).ok_or("it names no store")?;
        let generation = generation.and_then(|text| text.parse().ok()).ok_or("it has no generation")?;
        let mut manifest = Self { store, generation, segments: Vec::new(), covered: None };
        let mut extents = Vec::new();
        for line in lines {
            manifest.read_line(line, &mut extents).ok_or("it has a line that this build does not know")?;
        }
        manifest.check(extents)?;
        Ok(manifest)
    }

    fn read_line(&mut self, line: &str, extents: &mut Vec<Extent>) -> Option<()> {
        let (name, value) = line.split_once(' ')?;
        match (name, &mut self.covered) {
            ("segment", None) => {
                let mut words = value.split_whitespace();
                self.segments.push(words.next()?.parse().ok()?);
                if let Some(end) = words.next() {
                    extents.push(Extent { end: end.parse().ok()?, others: words.next()?.parse().ok()? });
                }
                words.next().is_none().then_some(())?;
            }
            ("covered", covered @ None) => {
                let position = read_position(value.split_whitespace())?;
                let (heads, runs) = (BTreeSet::new(), Vec::new());
                *covered = Some(Covered { position, segments: Vec::new(), heads, runs, rows: None });
            }
            ("head", Some(covered)) => {
                covered.heads.insert(Cid::try_from(unhex_vec(value)?).ok()?);
            }
            ("run", Some(covered)) => covered.runs.push(value.parse().ok()?),
            ("rows", Some(covered)) if covered.rows.is_none() => covered.rows = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    fn check(&mut self, extents: Vec<Extent>) -> Result<(), &'static str> {
        let covered = self.covered.iter().flat_map(|covered| covered.runs.iter().chain(&covered.rows));
        if covered.chain([&self.generation]).any(|number| *number > NUMBER_MAX) {
            return Err("it has a number that no manifest reaches");
        }
        if self.segments.is_empty() || !self.segments.is_sorted_by(|a, b| a < b) {
            return Err("its segments are not ascending");
        }
        if self.segments.last().is_some_and(|last| *last > SEGMENT_NUMBER_MAX) {
            return Err("it has a segment that no store reaches");
        }
        if extents.len() != if self.covered.is_some() { self.segments.len() } else { 0 } {
            return Err("it does not say where its segments end");
        }
        if let Some(covered) = &mut self.covered {
            let Position { segment, end, .. } = covered.position;
            let is_last =
                self.segments.last() == Some(&segment) && extents.last().map(|extent| extent.end) == Some(end);
            if !is_last || covered.runs.is_empty() {
                return Err("what it covers is not in its segments and runs");
            }
            covered.segments = extents;
        }
        Ok(())
    }
}

fn read_position(mut words: SplitWhitespace<'_>) -> Option<Position> {
    let segment = words.next()?.parse().ok()?;
    let end = words.next()?.parse().ok()?;
    let seq = words.next()?.parse().ok()?;
    let mac = unhex(words.next()?)?;
    let closed = match words.next() {
        None => false,
        Some("closed") => true,
        Some(_) => return None,
    };
    let position = Position { segment, end, mac, seq, last_from: end, closed };
    words.next().is_none().then_some(position)
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{RAW, cid_of};

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let position = Position { segment: 9, end: 700, mac: [7; 32], seq: 12, last_from: 700, closed: true };
        let heads = [cid_of(RAW, b"a"), cid_of(RAW, b"b")].into();
        let segments = [512, 300, 700].map(|end| Extent { end, others: end / 100 }).to_vec();
        let covered = Covered { position, segments, heads, runs: vec![12, 5], rows: Some(3) };
        let whole = Manifest { store: [4; 16], generation: 13, segments: vec![2, 4, 9], covered: Some(covered) };
        assert_eq!(Manifest::decode(&whole.encode()), Ok(whole.clone()));
        let plain = Manifest { segments: vec![1], covered: None, ..whole.clone() };
        assert_eq!(Manifest::decode(&plain.encode()), Ok(plain));
        let without = |change: &dyn Fn(&mut Covered)| {
            let mut changed = whole.clone();
            changed.covered.as_mut().map(change);
            Manifest::decode(&changed.encode())
        };
        assert!(without(&|covered| covered.runs.clear()).is_err());
        assert!(without(&|covered| covered.segments.truncate(1)).is_err());
        assert!(without(&|covered| covered.position.segment = 4).is_err());
        assert!(without(&|covered| covered.rows = None).is_ok());
        assert!(without(&|covered| covered.runs[0] = u64::MAX).is_err());
        assert!(without(&|covered| covered.rows = Some(u64::MAX)).is_err());
        let last = Manifest { generation: u64::MAX, ..whole.clone() };
        assert!(Manifest::decode(&last.encode()).is_err());
        for (segment, is_right) in [(SEGMENT_NUMBER_MAX, true), (SEGMENT_NUMBER_MAX + 1, false), (u32::MAX, false)] {
            let beyond = Manifest { segments: vec![segment], covered: None, ..whole.clone() };
            assert_eq!(Manifest::decode(&beyond.encode()).is_ok(), is_right, "{segment}");
        }
    }
}
