//! Writes sections into a segment.

use std::{path::PathBuf, sync::Arc};

use mnem_car::SectionOffsets;
use mnem_store_traits::{Cid, StoreError};

use super::{
    files::File,
    keys::{Keys, Mac},
    record::{CommitMacs, Record},
    replay::Stored,
};
use crate::{error::at, limits::WRITE_BYTES};

/// Bytes to be written to a segment, and the MACs over them.
pub(crate) struct Output<'a> {
    keys: &'a Keys,
    segment: u32,
    file: Arc<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// The offset of the buffer in the file.
    offset: u64,
    macs: CommitMacs,
    /// Where in the buffer the bytes begin that are not in `macs` yet. Hashing many bytes at once is much faster.
    unhashed: usize,
}

impl<'a> Output<'a> {
    /// Begins a commit after the one with the MAC `previous`. The file ends at `offset`; `begin` is written before the
    /// commit.
    pub(crate) fn new(
        keys: &'a Keys,
        segment: u32,
        (path, file): (PathBuf, Arc<dyn File>),
        (offset, begin): (u64, Vec<u8>),
        previous: &Mac,
    ) -> Self {
        let macs = CommitMacs::new(keys, previous, segment);
        let unhashed = begin.len();
        Self { keys, segment, file, path, buffer: begin, offset, macs, unhashed }
    }

    /// The offset of the next section.
    pub(crate) fn at(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    pub(crate) fn section(&mut self, cid: &Cid, data: &[u8]) -> Result<Stored, StoreError> {
        let start = self.buffer.len();
        let section = SectionOffsets::write_start(cid, data.len() as u64, self.at(), &mut self.buffer);
        self.macs.name(self.buffer.get(start..).unwrap_or_default());
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(Stored::new(self.keys, self.segment, &section))
    }

    /// Appends the record that ends the commit. Returns its MAC. Another commit may follow.
    pub(crate) fn record(&mut self, record: &Record) -> Mac {
        self.hash();
        let mac = record.write(self.keys, self.segment, self.macs.clone(), &mut self.buffer);
        self.macs = CommitMacs::new(self.keys, &mac, self.segment);
        self.unhashed = self.buffer.len();
        mac
    }

    /// Adds the buffered sections to the MAC of the commit.
    fn hash(&mut self) {
        self.macs.bytes.update(self.buffer.get(self.unhashed..).unwrap_or_default());
        self.unhashed = self.buffer.len();
    }

    /// Writes the buffered bytes.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.hash();
        self.file.write_all_at(&self.buffer, self.offset).map_err(at("write", &self.path))?;
        self.offset = self.at();
        self.buffer.clear();
        self.unhashed = 0;
        Ok(())
    }
}
