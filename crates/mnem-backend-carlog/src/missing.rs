//! Notices a segment that is missing between others.

use mnem_store_traits::StoreError;

use crate::{
    engine::{descriptor::begin_bytes, replay::beginning, walk::Window},
    error::{at, damaged},
    source::{Source, unread},
    tables::segment_number,
    view::View,
};

impl Source<'_> {
    /// Why the log cannot end where the view ends: a later segment exists that is begun only after more commits. `None`
    /// if nothing is missing.
    ///
    /// A copy of the folder made beside a compaction may lack any segment.
    pub(crate) fn gap(&self, view: &View) -> Result<Option<StoreError>, StoreError> {
        let root = self.layout.root();
        let (last, seq) = (view.position.segment, view.position.seq);
        let found = self.files.list(root).map_err(at("list", root))?.into_iter();
        let number = |path: &std::path::PathBuf| segment_number(path.file_name()?.to_str()?);
        let mut later: Vec<u32> = found.filter_map(|path| number(&path)).filter(|number| *number > last).collect();
        later.sort_unstable();
        for number in later {
            let path = self.layout.segment(number);
            let Some(file) = self.files.open(&path, false).map_err(at("open", &path))? else { continue };
            let bytes = begin_bytes(self.keys).min(file.file_bytes().map_err(at("look at", &path))?);
            let begin = beginning(self.keys, &mut Window::new(&*file, bytes));
            let begin = begin.map_err(|error| unread(self.layout, number, error))?;
            let Some(begin) = begin.filter(|begin| begin.segment == number) else { continue };
            // The remains of a compaction: they follow the last commit of the log that they were to replace.
            let is_of_another_log = begin.compacted && number > view.named_to;
            let is_gap = if is_of_another_log { begin.replaces > seq } else { number > last + 1 };
            if is_gap {
                let why = format!("it is missing or cut off, because {} follows it", path.display());
                return Ok(Some(damaged(&self.layout.segment(last + 1), why)));
            }
        }
        Ok(None)
    }

    /// Checks that no segment is missing at the end of the view. A writer may have gone on meanwhile, so the log is read
    /// again before one counts as missing.
    pub(crate) fn check_no_gap(
        &self,
        view: &mut View,
        mut read_on: impl FnMut(&mut View) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        while let Some(error) = self.gap(view)? {
            let before = view.position;
            read_on(view)?;
            if view.position == before {
                return Err(error);
            }
        }
        Ok(())
    }
}
