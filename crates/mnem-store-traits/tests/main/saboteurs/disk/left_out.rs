//! Writes that a store forgets to sync, although it syncs others of the same kind.

use std::sync::atomic::Ordering;

use super::{Change, HEADS, Handle, Value, lock};

/// Above this size a block lies in a file of its own.
const LARGE: usize = 64 * 1024;

/// The size of a segment of a log.
const SEGMENT: usize = 256 * 1024;

pub(super) fn bytes((_, value): &Change) -> usize {
    if let Some(Value::Row(row)) = value { row.len() } else { 0 }
}

impl Handle {
    /// Whether the store forgets to sync this write, because of:
    ///
    /// - `files`: in a batch with large blocks, the last block alone decides whether their files are synced;
    /// - `segments`: when a write goes on in the next segment, the full one is not synced;
    /// - `next segment`: the write that begins another 4 MiB is not synced;
    /// - `every 100th` or `256th` of a kind: when a buffer was written back, nothing is synced;
    /// - `superseding`: a head change that adds no head is taken for none;
    /// - `deletes of rows`: rows that are only deleted are not waited for.
    pub(super) fn is_left_out(&self, what: &str, kind: &str, changes: &[Change]) -> bool {
        match what {
            "files" => {
                let ends_small = changes.last().is_some_and(|last| bytes(last) <= LARGE);
                kind == "put_many" && ends_small && changes.iter().any(|each| bytes(each) > LARGE)
            }
            "segments" => changes.iter().map(bytes).sum::<usize>() > SEGMENT,
            "next segment" => {
                let rows = lock(&self.disk.visible);
                let before: usize =
                    rows.values().map(|value| if let Value::Row(row) = value { row.len() } else { 0 }).sum();
                before / (4 << 20) != (before + changes.iter().map(bytes).sum::<usize>()) / (4 << 20)
            }
            "superseding" => {
                let before = Self::heads_of(&lock(&self.disk.visible));
                let mut after = lock(&self.disk.visible).clone();
                changes.iter().for_each(|each| super::change(&mut after, each));
                changes.iter().all(|(key, _)| key == HEADS) && Self::heads_of(&after).is_subset(&before)
            }
            _ if what.starts_with("every 100th ") => {
                what.ends_with(kind) && self.writes.load(Ordering::SeqCst).is_multiple_of(100)
            }
            _ if what.starts_with("every 256th ") => {
                what.ends_with(kind) && self.writes.load(Ordering::SeqCst).is_multiple_of(256)
            }
            _ => kind == "row" && changes.iter().all(|(_, value)| value.is_none()),
        }
    }
}
