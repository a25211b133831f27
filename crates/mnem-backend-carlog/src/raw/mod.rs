//! Finds blocks and heads in the segments of a store, without its manifest, its index and its chain of commits.
//!
//! A segment is a sequence of sections, and a section names its block by its CID, so each block can be verified by
//! itself. Deleted blocks are found too. Descriptors, commit records and values of side tables are sections as well;
//! they are left out.

mod frames;
mod scan;
mod search;
#[cfg(test)]
mod tests;
mod window;

use std::{path::Path, sync::Arc};

use mnem_store_traits::{
    StoreError,
    driver::{Entry, RawScan},
};

use self::scan::Scan;
use crate::{
    engine::files::Files,
    error::{BACKEND, at},
    open::read_keys,
    tables::{Layout, segment_number},
};

/// Begins a scan of the segments in the folder at `path`. Returns `None` if it has none.
///
/// It takes no lock, as no reader of this backend does: a writer only adds to segments, and a compaction removes them.
pub(crate) fn scan(files: Arc<dyn Files>, path: &Path) -> Result<Option<Box<dyn RawScan>>, StoreError> {
    if !matches!(Entry::at(path, BACKEND)?, Entry::Folder) {
        return Ok(None);
    }
    let number = |path: &Path| segment_number(path.file_name()?.to_str()?);
    let found = files.list(path).map_err(at("list", path))?.into_iter();
    let mut segments: Vec<_> = found.filter_map(|path| Some((number(&path)?, path))).collect();
    if segments.is_empty() {
        return Ok(None);
    }
    segments.sort();
    // Without the keys, nothing tells records from blocks that look like them.
    let keys = read_keys(&*files, &Layout::new(path.to_owned())).ok().flatten();
    Ok(Some(Box::new(Scan::new(files, keys, segments))))
}
