//! The index: finds the place of each block in a table in memory and in runs on disk. The newest part comes first.

use std::sync::Arc;

use super::{memtable::Memtable, page::NoAnswer, place::Place, run::Run};

/// The runs of an index, the newest first.
pub(crate) type Runs = Arc<Vec<Arc<Run>>>;

/// All parts of the index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub(crate) recent: Memtable,
    /// The table that is being written as a run.
    pub(crate) frozen: Option<Arc<Memtable>>,
    pub(crate) runs: Runs,
}

impl Index {
    /// Begins the search for a fingerprint. [`Search::next`] may read from disk and needs no lock.
    pub(crate) fn search(&self, fingerprint: u64) -> Search {
        let mut search =
            Search { fingerprint, live: Vec::new(), marks: Vec::new(), runs: self.runs.clone(), next_run: 0 };
        // The places found are tried from the end, so those of the newest part are pushed last.
        if let Some(frozen) = &self.frozen {
            let mut newer = Search { runs: Runs::default(), live: Vec::new(), marks: Vec::new(), ..search };
            newer.take(self.recent.places(fingerprint));
            search.marks = newer.marks;
            search.take(frozen.places(fingerprint));
            search.live.extend(newer.live);
        } else {
            search.take(self.recent.places(fingerprint));
        }
        search
    }

    /// Joins the table that was to be written as a run with the entries added since.
    pub(crate) fn take_back_frozen(&mut self) {
        let Some(frozen) = self.frozen.take() else { return };
        let newer = std::mem::replace(&mut self.recent, Arc::unwrap_or_clone(frozen));
        self.recent.absorb(newer);
    }

    /// Begins to check which of these entries are in the index.
    pub(crate) fn check(&self, entries: impl Iterator<Item = (u64, Place)>) -> Check {
        let mut check = Check { runs: self.runs.clone(), live: Vec::new(), unknown: Vec::new() };
        for (at, (fingerprint, place)) in entries.enumerate() {
            let tables = [Some(&self.recent), self.frozen.as_deref()];
            let in_tables = tables.into_iter().flatten().find_map(|table| verdict(table.places(fingerprint), place));
            check.live.push(in_tables == Some(true));
            if in_tables.is_none() {
                check.unknown.push((fingerprint, place, at));
            }
        }
        check
    }

    /// The number of entries in all parts, including marks of deleted blocks and the places that they mark.
    pub(crate) fn entries(&self) -> u64 {
        let tables = self.recent.len() + self.frozen.as_ref().map_or(0, |table| table.len());
        tables as u64 + self.runs.iter().map(|run| run.header.entries).sum::<u64>()
    }
}

/// Whether this part of the index has the place as live or as deleted. `None` if it does not mention the place.
fn verdict(mut places: impl Iterator<Item = Place>, place: Place) -> Option<bool> {
    places.find(|found| found.to_mark() == place.to_mark()).map(|found| found == place)
}

/// A search for the places of one fingerprint.
#[derive(Debug)]
pub(crate) struct Search {
    fingerprint: u64,
    live: Vec<Place>,
    marks: Vec<Place>,
    runs: Runs,
    next_run: usize,
}

impl Search {
    /// The next place, latest first. Reads an older run only if no newer part has another place.
    pub(crate) fn next(&mut self) -> Result<Option<Place>, NoAnswer> {
        loop {
            if let Some(place) = self.live.pop() {
                return Ok(Some(place));
            }
            let Some(run) = self.runs.get(self.next_run).cloned() else { return Ok(None) };
            self.next_run += 1;
            let mut found = Vec::new();
            run.places(self.fingerprint, &mut found)?;
            self.take(found.into_iter());
        }
    }

    /// Takes the places of the next older part, in ascending order.
    fn take(&mut self, places: impl Iterator<Item = Place>) {
        for place in places {
            if place.is_mark() {
                self.marks.push(place);
            } else if !self.marks.contains(&place.to_mark()) {
                self.live.push(place);
            }
        }
    }
}

/// A check of many entries.
#[derive(Debug)]
pub(crate) struct Check {
    runs: Runs,
    live: Vec<bool>,
    /// The entries that no table has, with their positions in the request.
    unknown: Vec<(u64, Place, usize)>,
}

impl Check {
    /// Whether each of the entries is in the index.
    pub(crate) fn finish(mut self) -> Result<Vec<bool>, NoAnswer> {
        // Neighbours lie on one page.
        self.unknown.sort_unstable();
        let mut found = Vec::new();
        for (fingerprint, place, at) in self.unknown {
            for run in self.runs.iter() {
                found.clear();
                run.places(fingerprint, &mut found)?;
                if let Some(is_live) = verdict(found.iter().copied(), place) {
                    if let Some(live) = self.live.get_mut(at) {
                        *live = is_live;
                    }
                    break;
                }
            }
        }
        Ok(self.live)
    }
}
