//! The parts of a log that are on the disk after a power cut: all that was synced, and any part of the rest.

use std::ops::Range;

use mnem_crash_tests::Chance;

use super::{disk::Entry, image::Image};

/// Up to this many entries in doubt, every subset is tried before any is torn.
const EVERY_SUBSET_MAX: usize = 6;

/// The fate of an entry in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Dropped,
    Kept,
    /// Each piece of this many bytes survives at random.
    Torn {
        piece: usize,
        seed: u64,
    },
}

/// The log of a disk, with the durable image at each of its syncs.
pub(super) struct Cuts {
    log: Vec<Entry>,
    /// The number of entries up to and including a sync, and the image after it. The first one is the start.
    synced: Vec<(usize, Image)>,
    /// Entries whose pages a failed sync left in doubt for good.
    doomed: Option<Range<usize>>,
}

impl Cuts {
    pub(super) fn of(start: Image, log: Vec<Entry>) -> Self {
        let mut now = start.clone();
        let mut synced = vec![(0, start)];
        let mut doomed = None;
        for (n, entry) in log.iter().enumerate() {
            apply(&mut now, entry, Fate::Kept);
            match entry {
                Entry::Sync => synced.push((n + 1, now.clone())),
                Entry::SyncFailed => {
                    doomed = Some(synced.last().map_or(0, |(end, _)| *end)..n);
                    break;
                }
                Entry::Write(..) | Entry::SetLen(_) => {}
            }
        }
        Self { log, synced, doomed }
    }

    /// The unsynced entries before the cut.
    fn in_doubt(&self, cut: usize) -> Vec<usize> {
        let log = &self.log[..cut];
        let synced = log.iter().rposition(|entry| matches!(entry, Entry::Sync)).map_or(0, |sync| sync + 1);
        let doomed = self.doomed.clone().map_or(0..0, |doomed| doomed.start..doomed.end.min(synced));
        // The length is not part of the pages: the next successful sync makes it durable.
        let pages = doomed.filter(|n| matches!(log[*n], Entry::Write(..)));
        pages.chain((synced..cut).filter(|n| matches!(log[*n], Entry::Write(..) | Entry::SetLen(_)))).collect()
    }
}

impl mnem_crash_tests::Cuts for Cuts {
    type Image = Image;

    fn entries(&self) -> usize {
        self.log.len()
    }

    fn ways(&self, cut: usize) -> usize {
        let doubt = self.in_doubt(cut);
        let pieces: usize = doubt.iter().map(|n| pieces(&self.log[*n])).sum();
        let subsets = 1 << doubt.len().min(12);
        if pieces > doubt.len() { subsets + (1 << (pieces - doubt.len()).min(12)) } else { subsets }
    }

    fn image(&mut self, cut: usize, way: usize, chance: &mut Chance) -> (Image, u64) {
        let doubt = self.in_doubt(cut);
        let fates = fates(doubt.len(), way, chance);
        let settled = self.synced.partition_point(|(end, _)| *end <= cut) - 1;
        let (end, durable) = &self.synced[settled];
        let mut image = durable.clone();
        let mut fates = doubt.iter().zip(fates).peekable();
        for n in *end..cut {
            let fate = match fates.next_if(|(doubtful, _)| **doubtful == n) {
                Some((_, fate)) => fate,
                None => Fate::Kept,
            };
            apply(&mut image, &self.log[n], fate);
        }
        (image, way as u64)
    }
}

/// The number of sectors that may survive independently.
fn pieces(entry: &Entry) -> usize {
    match entry {
        Entry::Write(offset, data) => (offset + data.len()).div_ceil(512) - offset / 512,
        Entry::SetLen(_) => 1,
        Entry::Sync | Entry::SyncFailed => 0,
    }
}

fn apply(image: &mut Image, entry: &Entry, fate: Fate) {
    match (entry, fate) {
        (_, Fate::Dropped) | (Entry::Sync | Entry::SyncFailed, _) => {}
        (Entry::SetLen(len), _) => image.set_len(*len),
        (Entry::Write(offset, data), Fate::Kept) => image.write(*offset, data),
        (Entry::Write(offset, data), Fate::Torn { piece, seed }) => {
            let mut chance = Chance::new(seed, 0);
            let mut from = 0;
            while from < data.len() {
                // Align the pieces with those of the disk.
                let to = data.len().min((offset + from) / piece * piece + piece - offset);
                if chance.one_in(2) {
                    image.write(offset + from, &data[from..to]);
                }
                from = to;
            }
        }
    }
}

/// Nothing survives; everything; every other subset if there are few; then random subsets of several shapes, and torn
/// entries.
fn fates(count: usize, way: usize, chance: &mut Chance) -> Vec<Fate> {
    let keep = |yes: bool| if yes { Fate::Kept } else { Fate::Dropped };
    let subsets = 1_usize << count.min(EVERY_SUBSET_MAX);
    if way == 0 {
        return vec![Fate::Dropped; count];
    }
    if way == 1 {
        return vec![Fate::Kept; count];
    }
    if count <= EVERY_SUBSET_MAX && way < subsets {
        return (0..count).map(|n| keep((way - 1) >> n & 1 == 1)).collect();
    }
    let at = chance.below(count.max(1));
    let (shape, piece) = (chance.below(10), [512, 4096][chance.below(2)]);
    let fate = |n: usize, chance: &mut Chance| match shape {
        // All before a point; all after it; all but one; only one.
        0 => keep(n < at),
        1 => keep(n > at),
        2 => keep(n != at),
        3 => keep(n == at),
        4 => keep(chance.one_in(2)),
        5 => keep(chance.one_in(8)),
        6 => keep(!chance.one_in(8)),
        // One torn, the others kept.
        7 if n != at => Fate::Kept,
        7 | 8 => Fate::Torn { piece, seed: chance.number() },
        _ => match chance.below(3) {
            0 => Fate::Dropped,
            1 => Fate::Kept,
            _ => Fate::Torn { piece: [512, 4096][chance.below(2)], seed: chance.number() },
        },
    };
    (0..count).map(|n| fate(n, chance)).collect()
}
