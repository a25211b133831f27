//! Lists every block, in the order of the log.

use std::sync::Arc;

use mnem_store_traits::{Cid, StoreError};

use crate::{engine::sections::Sections, handle::Handle, view::Epoch};

/// Iterates over the segments as they were when the iteration began. A section is listed if the index says that its
/// block is at this place.
///
/// No lock is held between two pages. A block that stays in the store has one place, so it is listed once. If a
/// compaction replaces the log meanwhile, the listing continues on the old files, which it holds open, and uses their
/// last index.
pub(crate) struct Listing<'a> {
    handle: &'a Handle,
    epoch: Arc<Epoch>,
    /// `None` after a failure.
    sections: Option<Sections>,
    page: std::vec::IntoIter<Cid>,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(handle: &'a Handle) -> Self {
        let (segments, epoch) = {
            let view = handle.view();
            (view.segments_to_end(), view.epoch.clone())
        };
        Self { handle, epoch, sections: Some(Sections::new(&handle.keys, segments)), page: Vec::new().into_iter() }
    }

    /// The blocks of the next part of the log, or `None` at the end. A part may have no blocks.
    fn next_page(&mut self) -> Result<Option<Vec<Cid>>, StoreError> {
        let Self { handle, epoch, sections: Some(sections), .. } = self else { return Ok(None) };
        let Some((segment, sections)) = sections.next_page(&handle.keys, &handle.layout)? else { return Ok(None) };
        let are_blocks = handle.are_blocks(epoch, segment, &sections)?;
        let blocks = sections.iter().zip(are_blocks).filter(|(_, is_block)| *is_block);
        Ok(Some(blocks.map(|(section, _)| section.cid).collect()))
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
                    self.sections = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
