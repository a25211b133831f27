//! Several parts of the index become one.

use std::iter::Peekable;

use super::{
    memtable::Memtable,
    page::NoAnswer,
    run::{Entries, Entry, Run},
};

/// A part of the index, from its first entry on.
enum Source<'a> {
    Table(Peekable<Box<dyn Iterator<Item = Entry> + 'a>>),
    Run(Option<Entry>, Entries<'a>),
}

impl Source<'_> {
    fn peek(&mut self) -> Option<Entry> {
        match self {
            Self::Table(entries) => entries.peek().copied(),
            Self::Run(next, _) => *next,
        }
    }

    fn advance(&mut self) -> Result<(), NoAnswer> {
        match self {
            Self::Table(entries) => drop(entries.next()),
            Self::Run(next, entries) => *next = entries.next()?,
        }
        Ok(())
    }
}

/// The entries of a table and of the runs just older than it, ascending. A mark and the place that it marks cancel each other out.
pub(crate) struct Merge<'a> {
    sources: Vec<Source<'a>>,
    /// A mark whose place may follow.
    mark: Option<Entry>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(table: &'a Memtable, runs: impl Iterator<Item = &'a Run>) -> Result<Self, NoAnswer> {
        let entries: Box<dyn Iterator<Item = Entry> + 'a> = Box::new(table.iter());
        let mut sources = vec![Source::Table(entries.peekable())];
        for run in runs {
            let mut entries = run.entries();
            sources.push(Source::Run(entries.next()?, entries));
        }
        Ok(Self { sources, mark: None })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Entry>, NoAnswer> {
        loop {
            let least = self.sources.iter_mut().filter_map(Source::peek).min();
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
                // What it marks is in an older run.
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

    /// Goes past an entry wherever it stands next.
    fn pass(&mut self, entry: Entry) -> Result<(), NoAnswer> {
        for source in &mut self.sources {
            if source.peek() == Some(entry) {
                source.advance()?;
            }
        }
        Ok(())
    }
}
