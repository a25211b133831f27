//! Every block, in the order of the log.

use mnem_store_traits::{Cid, StoreError};

use crate::{
    engine::{place::Place, walk::Window},
    error::{at, damaged},
    handle::{Handle, Segment},
    limits::WINDOW_BYTES,
};

/// A walk over the segments as they were when it began: a section is listed if the index says of its block that it stands there.
///
/// No lock is held between two pages. A block that is there all the while has one place, and is listed once.
pub(crate) struct Listing<'a> {
    handle: &'a Handle,
    segments: std::vec::IntoIter<Segment>,
    current: Option<Segment>,
    offset: u64,
    page: std::vec::IntoIter<Cid>,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(handle: &'a Handle) -> Self {
        let mut segments = handle.view().segments.clone().into_iter();
        let current = segments.next();
        Self { handle, segments, current, offset: 0, page: Vec::new().into_iter() }
    }

    /// The blocks of the next part of the log, which may be none; `None` at its end.
    fn next_page(&mut self) -> Result<Option<Vec<Cid>>, StoreError> {
        let Some(Segment { number, file, end }) = self.current.clone() else { return Ok(None) };
        let path = self.handle.layout.segment(number);
        let mut window = Window::new(&*file, end);
        if self.offset == 0 && end > 0 {
            // The header of the CAR: one byte has its length.
            let first = window.read(0, 1).map_err(at("read", &path))?;
            self.offset = first.first().map_or(0, |bytes| u64::from(*bytes) + 1);
        }
        let page_end = self.offset + WINDOW_BYTES as u64;
        let mut sections = Vec::new();
        while self.offset < end.min(page_end) {
            let section = window.section(self.offset).map_err(at("read", &path))?;
            let Some(section) = section else {
                return Err(damaged(&path, format!("no block begins at byte {}", self.offset)));
            };
            self.offset = section.end();
            sections.push(section);
        }
        if self.offset >= end {
            (self.current, self.offset) = (self.segments.next(), 0);
        }
        let view = self.handle.view();
        let is_listed = |cid: &Cid, place| view.index.contains(self.handle.keys.fingerprint(cid), place);
        let listed = sections.iter().filter(|section| is_listed(&section.cid, Place::new(number, section)));
        Ok(Some(listed.map(|section| section.cid).collect()))
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<Cid, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(cid) = self.page.next() {
                return Some(Ok(cid));
            }
            match self.next_page() {
                Ok(page) => self.page = page?.into_iter(),
                Err(error) => {
                    self.current = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
