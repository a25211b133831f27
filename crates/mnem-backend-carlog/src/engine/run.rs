//! An index run: fingerprints and places for a part of the log, in ascending order, in an immutable file.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use super::{
    fields::Fields,
    files::File,
    filter,
    keys::Keys,
    page::{Budget, NoAnswer, PAGE_BYTES, PAYLOAD_BYTES, Pages, Resident},
    place::Place,
};

/// How a run begins.
const MAGIC: [u8; 8] = *b"mnemR\0\0\x01";

/// The size of an entry in bytes: fingerprint and place.
pub(crate) const ENTRY_BYTES: usize = 16;

/// The number of entries in one page.
pub(crate) const ENTRIES_A_PAGE: usize = PAYLOAD_BYTES / ENTRY_BYTES;

/// The number of fences in one page. A fence is the first fingerprint of a page of entries.
pub(crate) const FENCES_A_PAGE: usize = PAYLOAD_BYTES / size_of::<u64>();

/// A fingerprint and a place.
pub(crate) type Entry = (u64, Place);

/// The header of a run, on its first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    /// The run holds the effects of the commits after this one, up to and including the commit `to`.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) entries: u64,
    pub(crate) filter_blocks: u64,
}

impl Header {
    pub(crate) fn encode(&self, keys: &Keys) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(keys.store);
        for number in [self.number, self.from, self.to, self.entries, self.filter_blocks] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// Returns `None` if this is not a header.
    fn decode(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(payload);
        // The MAC of the page has already ruled out a run of another store.
        let (magic, _store) = (fields.array()?, fields.array::<16>()?);
        if magic != MAGIC {
            return None;
        }
        let mut number = || fields.u64();
        let (number, from, to, entries, filter_blocks) = (number()?, number()?, number()?, number()?, number()?);
        Some(Self { number, from, to, entries, filter_blocks })
    }

    fn entry_pages(&self) -> u64 {
        self.entries.div_ceil(ENTRIES_A_PAGE as u64)
    }

    fn fence_pages(&self) -> u64 {
        self.entry_pages().div_ceil(FENCES_A_PAGE as u64)
    }

    fn filter_pages(&self) -> u64 {
        self.filter_blocks.div_ceil(filter::BLOCKS_A_PAGE as u64)
    }

    /// The length of the file, or `None` if no file can be that long.
    fn file_bytes(&self) -> Option<u64> {
        let pages = [self.fence_pages(), self.filter_pages(), 1];
        pages.into_iter().try_fold(self.entry_pages(), u64::checked_add)?.checked_mul(PAGE_BYTES as u64)
    }
}

/// An open run. It reads its pages on first use.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) header: Header,
    pages: Pages,
    budget: Arc<Budget>,
    parts: OnceLock<Parts>,
}

/// The parts of a run that are held in memory.
#[derive(Debug)]
struct Parts {
    fences: Vec<u64>,
    filter: Resident,
    entries: Resident,
}

impl Run {
    /// Reads the header of a run, and checks the length of the file.
    pub(crate) fn open(
        keys: &Keys,
        number: u64,
        path: &Path,
        file: Arc<dyn File>,
        budget: Arc<Budget>,
    ) -> Result<Self, NoAnswer> {
        let pages = Pages { run: number, path: path.to_owned(), file, keys: keys.clone() };
        let first = pages.read(0)?;
        let header = Header::decode(&first).filter(|header| header.number == number);
        let header = header.ok_or_else(|| pages.damaged("its first page belongs to another run"))?;
        let bytes = pages.file.file_bytes().map_err(|error| NoAnswer::Io { path: path.to_owned(), error })?;
        if header.file_bytes() != Some(bytes) {
            return Err(pages.damaged("its length does not match its header"));
        }
        Ok(Self { header, pages, budget, parts: OnceLock::new() })
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.header.file_bytes().unwrap_or(0)
    }

    fn parts(&self) -> Result<&Parts, NoAnswer> {
        if let Some(parts) = self.parts.get() {
            return Ok(parts);
        }
        let (entry_pages, fence_pages) = (self.header.entry_pages(), self.header.fence_pages());
        let mut fences = Vec::new();
        for page in 0..fence_pages {
            let payload = self.pages.read(1 + entry_pages + page)?;
            let (numbers, _) = payload.as_chunks::<8>();
            fences.extend(numbers.iter().map(|number| u64::from_le_bytes(*number)));
        }
        fences.truncate(usize::try_from(entry_pages).unwrap_or(usize::MAX));
        let filter = Resident::new(1 + entry_pages + fence_pages, self.header.filter_pages(), None);
        let entries = Resident::new(1, entry_pages, Some(self.budget.clone()));
        Ok(self.parts.get_or_init(|| Parts { fences, filter, entries }))
    }

    /// Appends the places of a fingerprint, in ascending order.
    pub(crate) fn places(&self, fingerprint: u64, to: &mut Vec<Place>) -> Result<(), NoAnswer> {
        let parts = self.parts()?;
        if !self.may_have(parts, fingerprint)? {
            return Ok(());
        }
        // The page before the first one that begins with the fingerprint may end with it.
        let mut page = below(&parts.fences, fingerprint).saturating_sub(1);
        while page < parts.entries.len() {
            let goes_on = parts.entries.with(&self.pages, page, |payload| {
                let entries = self.entries_of(page, payload);
                let first = entries.partition_point(|entry| fingerprint_of(entry) < fingerprint);
                let found = entries.get(first..).unwrap_or_default();
                let found = found.iter().take_while(|entry| fingerprint_of(entry) == fingerprint);
                let before = to.len();
                to.extend(found.map(place_of));
                first + to.len() - before == entries.len()
            })?;
            page += 1;
            if !goes_on || parts.fences.get(page).is_none_or(|fence| *fence > fingerprint) {
                break;
            }
        }
        Ok(())
    }

    fn may_have(&self, parts: &Parts, fingerprint: u64) -> Result<bool, NoAnswer> {
        let block = filter::block_of(fingerprint, self.header.filter_blocks) as usize;
        let (page, at) = (block / filter::BLOCKS_A_PAGE, block % filter::BLOCKS_A_PAGE * filter::BLOCK_BYTES);
        parts.filter.with(&self.pages, page, |payload| {
            payload.get(at..at + filter::BLOCK_BYTES).is_some_and(|block| filter::may_have(block, fingerprint))
        })
    }

    /// The entries in a page, without the zeros after the last one.
    fn entries_of<'a>(&self, page: usize, payload: &'a [u8]) -> &'a [[u8; ENTRY_BYTES]] {
        let (entries, _) = payload.as_chunks::<ENTRY_BYTES>();
        let before = page as u64 * ENTRIES_A_PAGE as u64;
        let left = usize::try_from(self.header.entries.saturating_sub(before)).unwrap_or(usize::MAX);
        entries.get(..left.min(entries.len())).unwrap_or_default()
    }

    /// All entries, in ascending order.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries { run: self, next_page: 0, bytes: Vec::new(), decoded: Vec::new().into_iter() }
    }
}

fn fingerprint_of(entry: &[u8; ENTRY_BYTES]) -> u64 {
    entry.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

fn place_of(entry: &[u8; ENTRY_BYTES]) -> Place {
    Place::from_bits(entry.last_chunk().copied().map_or(0, u64::from_le_bytes))
}

/// How many of the ascending numbers are below `number`. The numbers are uniform, so a guess by size is close.
fn below(numbers: &[u64], number: u64) -> usize {
    let is_below = |at: usize| numbers.get(at).is_some_and(|at| *at < number);
    let guess = ((u128::from(number) * numbers.len() as u128) >> 64) as usize;
    let (mut low, mut high, mut step) = (guess, guess, 2);
    while low > 0 && !is_below(low - 1) {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 2;
    while high < numbers.len() && is_below(high) {
        high = (high + step).min(numbers.len());
        step *= 2;
    }
    low + numbers.get(low..high).unwrap_or_default().partition_point(|at| *at < number)
}

/// Iterates over all entries of a run, some pages at a time, without caching them.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    run: &'a Run,
    next_page: u64,
    bytes: Vec<u8>,
    decoded: std::vec::IntoIter<Entry>,
}

/// The number of pages that this iterator reads at once: 128 KiB.
const PAGES_AT_ONCE: u64 = 32;

impl Entries<'_> {
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, NoAnswer> {
        if self.decoded.len() == 0 {
            self.fill()?;
        }
        Ok(self.decoded.next())
    }

    fn fill(&mut self) -> Result<(), NoAnswer> {
        let Run { header, pages, .. } = self.run;
        let count = PAGES_AT_ONCE.min(header.entry_pages() - self.next_page);
        self.bytes.resize(count as usize * PAGE_BYTES, 0);
        pages.read_into(1 + self.next_page, &mut self.bytes)?;
        let mut decoded = Vec::with_capacity(count as usize * ENTRIES_A_PAGE);
        for bytes in self.bytes.chunks(PAGE_BYTES) {
            let payload = pages.check(1 + self.next_page, bytes)?;
            let entries = self.run.entries_of(self.next_page as usize, payload);
            decoded.extend(entries.iter().map(|entry| (fingerprint_of(entry), place_of(entry))));
            self.next_page += 1;
        }
        self.decoded = decoded.into_iter();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{index::Index, keys::tests::example, memory::MemoryFile, merge::Merge, run_writer::RunWriter};

    fn written(keys: &Keys, number: u64, entries: &[Entry]) -> Vec<u8> {
        let file = MemoryFile::default();
        let mut writer = RunWriter::new(keys, &file, number, entries.len() as u64);
        entries.iter().for_each(|entry| writer.push(*entry).unwrap());
        writer.finish(0, 1).unwrap();
        std::mem::take(&mut *file.bytes())
    }

    fn opened(keys: &Keys, number: u64, bytes: Vec<u8>) -> Result<Run, NoAnswer> {
        let budget = Arc::new(Budget::new(2 * PAGE_BYTES));
        Run::open(keys, number, Path::new("run"), Arc::new(MemoryFile::of(bytes)), budget)
    }

    fn place(n: u64) -> Place {
        Place::from_bits(1 << 44 | n << 12 | 3)
    }

    /// Uniform like real fingerprints, except for some that belong to many blocks each.
    fn entries(count: u64) -> Vec<Entry> {
        let fingerprint = |n: u64| match n % 10 {
            0 => 1 << 60,
            1 => u64::MAX,
            2 => 0,
            _ => n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        let mut entries: Vec<_> = (0..count).map(|n| (fingerprint(n), place(n))).collect();
        entries.sort_unstable();
        entries
    }

    #[test]
    fn every_place_of_every_fingerprint_is_found() {
        let keys = example();
        for count in [0, 1, 254, 255, 256, 510, 5_000, 200_000] {
            let entries = entries(count);
            let run = opened(&keys, 4, written(&keys, 4, &entries)).unwrap();
            let mut walk = run.entries();
            entries.iter().for_each(|entry| assert_eq!(walk.next().unwrap(), Some(*entry)));
            assert_eq!(walk.next().unwrap(), None);
            let of = |fingerprint| {
                let mut found = Vec::new();
                run.places(fingerprint, &mut found).unwrap();
                found
            };
            for same in entries.chunk_by(|a, b| a.0 == b.0).step_by(1 + count as usize / 3_000) {
                assert!(of(same[0].0).into_iter().eq(same.iter().map(|entry| entry.1)), "{count}: {:x}", same[0].0);
            }
            for fingerprint in [1, (1 << 60) - 1, (1 << 60) + 1, u64::MAX - 1] {
                assert!(of(fingerprint).is_empty());
            }
        }
    }

    /// A changed, missing or foreign byte never looks like an absent block: the run reports that it is damaged.
    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let keys = example();
        let entries = entries(300);
        let whole = written(&keys, 4, &entries);
        let read = |bytes: Vec<u8>| -> Result<(), NoAnswer> {
            let run = opened(&keys, 4, bytes)?;
            entries.chunk_by(|a, b| a.0 == b.0).try_for_each(|same| {
                let mut found = Vec::new();
                run.places(same[0].0, &mut found)?;
                assert_eq!(found.len(), same.len());
                Ok(())
            })
        };
        read(whole.clone()).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(matches!(read(changed), Err(NoAnswer::Damaged { .. })), "byte {at}");
        }
        for len in (0..whole.len()).step_by(97).chain([whole.len() - 1, whole.len() - PAGE_BYTES]) {
            assert!(matches!(read(whole[..len].to_vec()), Err(NoAnswer::Damaged { .. })), "cut to {len}");
        }
        let longer = [&whole[..], &[0; PAGE_BYTES]].concat();
        assert!(read(longer).is_err());
        assert!(opened(&keys, 5, whole.clone()).is_err(), "another number");
        assert!(opened(&Keys::new().unwrap(), 4, whole.clone()).is_err(), "another store");
        // A valid page in the place of another one.
        let mut swapped = whole.clone();
        swapped.copy_within(2 * PAGE_BYTES..3 * PAGE_BYTES, PAGE_BYTES);
        assert!(matches!(read(swapped), Err(NoAnswer::Damaged { .. })));
        let mut mixed = whole.clone();
        mixed[PAGE_BYTES..2 * PAGE_BYTES].copy_from_slice(&written(&keys, 5, &entries)[PAGE_BYTES..2 * PAGE_BYTES]);
        assert!(matches!(read(mixed), Err(NoAnswer::Damaged { .. })), "a page of another run");
    }

    /// All blocks share 16 fingerprints, and are put and deleted in several parts of the index.
    #[test]
    fn parts_of_the_index_agree_with_a_model_when_fingerprints_collide() {
        let keys = example();
        let mut model = std::collections::BTreeSet::new();
        let mut index = Index::default();
        let mut chance = mnem_crash_tests::Chance::new(1, 1);
        for step in 0..3_000_u64 {
            let fingerprint = (chance.below(16) as u64) << 59;
            let live: Vec<Entry> = model.iter().copied().filter(|entry: &Entry| entry.0 == fingerprint).collect();
            match chance.pick(&live) {
                Some((_, place)) if chance.one_in(2) => {
                    index.recent.kill(fingerprint, place.segment(), place.offset() as u32);
                    model.remove(&(fingerprint, *place));
                }
                _ => {
                    index.recent.insert(fingerprint, place(step));
                    model.insert((fingerprint, place(step)));
                }
            }
            if chance.one_in(20) {
                match index.frozen.take() {
                    None => index.frozen = Some(Arc::new(std::mem::take(&mut index.recent))),
                    Some(frozen) => {
                        let newer = std::mem::replace(&mut index.recent, Arc::unwrap_or_clone(frozen));
                        index.recent.absorb(newer);
                    }
                }
            }
            if index.frozen.is_none() && chance.one_in(25) {
                let table: Vec<Entry> = std::mem::take(&mut index.recent).iter().collect();
                let flushed = Arc::new(opened(&keys, step, written(&keys, step, &table)).unwrap());
                let mut runs: Vec<Arc<Run>> = [flushed].into_iter().chain(index.runs.iter().cloned()).collect();
                let first = chance.below(runs.len());
                let end = first + chance.below(runs.len() - first + 1);
                let mut merge = Merge::new(runs[first..end].iter().map(|run| &**run)).unwrap();
                let mut entries = Vec::new();
                while let Some(entry) = merge.next().unwrap() {
                    entries.push(entry);
                }
                let marks = entries.iter().filter(|entry| entry.1.is_mark()).count();
                assert!(end < runs.len() || marks == 0, "nothing is left to mark");
                let merged = opened(&keys, step + 3_000, written(&keys, step + 3_000, &entries)).unwrap();
                runs.splice(first..end, [Arc::new(merged)]);
                index.runs = Arc::new(runs);
            }
            let mut search = index.search(fingerprint);
            let mut found = std::collections::BTreeSet::new();
            while let Some(place) = search.next().unwrap() {
                assert!(found.insert((fingerprint, place)), "step {step}: found twice");
            }
            assert!(found.iter().eq(model.iter().filter(|entry| entry.0 == fingerprint)), "step {step}");
            let all: Vec<Entry> = model.iter().copied().chain([(fingerprint, place(step + 1))]).collect();
            let live = index.check(all.iter().copied()).finish().unwrap();
            assert!(live[..model.len()].iter().all(|is_live| *is_live) && !live[model.len()], "step {step}");
        }
        assert!(index.runs.len() > 1 && model.len() > 16);
    }
}
