//! The newest part of the index, in memory.

use std::collections::BTreeSet;

use super::{place::Place, run::Entry};

/// Additions become a table of their own, which is then joined, if they have more than 1/8 of the entries of the table.
const JOIN_FROM: usize = 8;

/// Places by the fingerprint of the CID, and marks of deleted places. If two CIDs share a fingerprint, the CID stored
/// at the place decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memtable(BTreeSet<Entry>);

impl Memtable {
    pub(crate) fn insert(&mut self, fingerprint: u64, place: Place) {
        self.0.insert((fingerprint, place));
    }

    /// Adds many places at once.
    pub(crate) fn extend(&mut self, mut entries: Vec<Entry>) {
        // Building a tree from sorted entries is much faster than inserting them, and joining two trees takes linear
        // time.
        if entries.len() > self.0.len() / JOIN_FROM {
            entries.sort_unstable();
            self.0.append(&mut entries.into_iter().collect());
        } else {
            self.0.extend(entries);
        }
    }

    /// Deletes the block that begins at this offset. If its place is not in this table, an older part of the index has
    /// it, and a mark is added.
    pub(crate) fn kill(&mut self, fingerprint: u64, segment: u32, offset: u32) {
        let mark = Place::mark(segment, offset);
        let killed = self.0.range((fingerprint, mark)..).next().copied();
        let is_killed = |entry: &Entry| entry.0 == fingerprint && !entry.1.is_mark() && entry.1.to_mark() == mark;
        match killed.filter(is_killed) {
            Some(entry) => self.0.remove(&entry),
            // A mark that is there stays: a commit may be read twice.
            None => self.0.insert((fingerprint, mark)),
        };
    }

    /// Adds the entries of a newer table.
    pub(crate) fn absorb(&mut self, newer: Self) {
        for (fingerprint, place) in newer.0 {
            if place.is_mark() {
                self.kill(fingerprint, place.segment(), place.offset() as u32);
            } else {
                self.insert(fingerprint, place);
            }
        }
    }

    /// All places and marks of a fingerprint, in ascending order.
    pub(crate) fn places(&self, fingerprint: u64) -> impl Iterator<Item = Place> {
        self.0.range((fingerprint, Place::MIN)..=(fingerprint, Place::MAX)).map(|(_, place)| *place)
    }

    /// All entries, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_that_is_read_twice_stays() {
        let mut table = Memtable::default();
        for _ in 0..2 {
            table.kill(7, 1, 500);
            assert_eq!(table.places(7).collect::<Vec<_>>(), [Place::mark(1, 500)]);
        }
    }
}
