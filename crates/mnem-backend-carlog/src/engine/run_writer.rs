//! Writes an index run, entry by entry.

use std::io;

use super::{
    files::File,
    filter::{self, Filter},
    keys::Keys,
    page::PAGE_BYTES,
    page::PAYLOAD_BYTES,
    run::{ENTRIES_A_PAGE, Entry, FENCES_A_PAGE, Header},
};
use crate::limits::{UNSYNCED_BYTES, WRITE_BYTES};

/// A run that is being written. Its first page is written last.
#[derive(Debug)]
pub(crate) struct RunWriter<'a> {
    keys: &'a Keys,
    file: &'a dyn File,
    number: u64,
    entries: u64,
    fences: Vec<u64>,
    filter: Filter,
    filter_blocks: u64,
    /// The page of entries that is being filled.
    payload: Vec<u8>,
    /// Complete pages that are not written yet, and the number of the first of them.
    pages: Vec<u8>,
    first: u64,
    unsynced_bytes: u64,
}

impl<'a> RunWriter<'a> {
    /// Begins a run of at most `entries_max` entries in an empty file.
    pub(crate) fn new(keys: &'a Keys, file: &'a dyn File, number: u64, entries_max: u64) -> Self {
        let filter_blocks = filter::blocks_for(entries_max);
        Self {
            keys,
            file,
            number,
            entries: 0,
            fences: Vec::new(),
            filter: Filter::new(filter_blocks),
            filter_blocks,
            payload: Vec::with_capacity(PAYLOAD_BYTES),
            pages: Vec::with_capacity(WRITE_BYTES + PAGE_BYTES),
            first: 1,
            unsynced_bytes: 0,
        }
    }

    /// Adds an entry. Entries must come in ascending order.
    pub(crate) fn push(&mut self, (fingerprint, place): Entry) -> io::Result<()> {
        if self.payload.is_empty() {
            self.fences.push(fingerprint);
        }
        self.filter.insert(fingerprint);
        self.payload.extend(fingerprint.to_le_bytes());
        self.payload.extend(place.bits().to_le_bytes());
        self.entries += 1;
        if self.entries.is_multiple_of(ENTRIES_A_PAGE as u64) { self.end_page() } else { Ok(()) }
    }

    /// Completes the file and syncs it. The run covers the commits after `from`, up to and including `to`.
    pub(crate) fn finish(mut self, from: u64, to: u64) -> io::Result<()> {
        if !self.payload.is_empty() {
            self.end_page()?;
        }
        for fences in std::mem::take(&mut self.fences).chunks(FENCES_A_PAGE) {
            self.payload.extend(fences.iter().flat_map(|fence| fence.to_le_bytes()));
            self.end_page()?;
        }
        for page in std::mem::replace(&mut self.filter, Filter::new(0)).pages() {
            self.payload = page;
            self.end_page()?;
        }
        self.flush()?;
        let Self { number, entries, filter_blocks, .. } = self;
        self.payload = Header { number, from, to, entries, filter_blocks }.encode(self.keys);
        self.first = 0;
        self.end_page()?;
        self.flush()?;
        self.file.sync_data()
    }

    fn end_page(&mut self) -> io::Result<()> {
        self.payload.resize(PAYLOAD_BYTES, 0);
        let page = self.first + (self.pages.len() / PAGE_BYTES) as u64;
        self.pages.extend_from_slice(&self.payload);
        self.pages.extend(self.keys.page_mac(self.number, page, &self.payload));
        self.payload.clear();
        if self.pages.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pages, self.first * PAGE_BYTES as u64)?;
        self.first += (self.pages.len() / PAGE_BYTES) as u64;
        self.unsynced_bytes += self.pages.len() as u64;
        self.pages.clear();
        if self.unsynced_bytes >= UNSYNCED_BYTES {
            self.unsynced_bytes = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }
}
