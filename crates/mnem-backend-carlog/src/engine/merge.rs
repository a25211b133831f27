//! Merges several parts of the index into one.

use super::{
    page::NoAnswer,
    run::{Entries, Entry, Run},
};

/// A run, from its first entry not taken yet.
struct Source<'a> {
    next: Option<Entry>,
    rest: Entries<'a>,
}

/// The entries of consecutive runs, in ascending order. A mark and the place that it marks cancel each other.
pub(crate) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    /// A mark whose place may follow.
    mark: Option<Entry>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(runs: impl Iterator<Item = &'a Run>) -> Result<Self, NoAnswer> {
        let sources = runs.map(|run| {
            let mut rest = run.entries();
            Ok(Source { next: rest.next()?, rest })
        });
        Ok(Self { sources: sources.collect::<Result<_, _>>()?, mark: None })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Entry>, NoAnswer> {
        loop {
            let least = self.sources.iter().filter_map(|source| source.next).min();
            if let Some(mark) = self.mark {
                let is_marked = |(fingerprint, place): Entry| fingerprint == mark.0 && place.to_mark() == mark.1;
                match least {
                    Some(entry) if is_marked(entry) => {
                        self.pass(entry)?;
                        self.mark = None;
                        continue;
                    }
                    _ => self.mark = None,
                }
                // The marked place is in an older run.
                return Ok(Some(mark));
            }
            let Some(entry) = least else { return Ok(None) };
            self.pass(entry)?;
            if !entry.1.is_mark() {
                return Ok(Some(entry));
            }
            self.mark = Some(entry);
        }
    }

    /// Skips this entry in every run that has it next.
    fn pass(&mut self, entry: Entry) -> Result<(), NoAnswer> {
        for source in &mut self.sources {
            if source.next == Some(entry) {
                source.next = source.rest.next()?;
            }
        }
        Ok(())
    }
}
