//! Checks that the store contains everything that the roots of an archive reach.

use mnem_store_traits::{Store, StoreError};

use super::{
    error::{ImportError, Kept},
    import::ImportReport,
};
use crate::{
    Progress, Stage,
    progress::OnProgress,
    reach::{Allowed, Barrier, Reach},
};

/// Follows the links from the roots. Returns how many blocks they reach, and how many of those were not searched for
/// links.
///
/// Skips roots without a block; the import refuses them when it makes the roots heads.
pub(super) fn check(
    store: &dyn Store,
    report: &ImportReport,
    kept: Kept,
    progress: OnProgress<'_>,
) -> Result<(Option<u64>, Option<u64>), ImportError> {
    let mut done = Progress::of(Stage::Links);
    let mut reach = Reach::new(store, &report.roots, Allowed { opaque: true, missing: true });
    for block in reach.by_ref() {
        match block {
            Ok((_, data)) => done.add(data.len() as u64),
            Err(Barrier::Store(StoreError::MissingBlock { .. }) | Barrier::Opaque(_)) => {}
            Err(Barrier::Store(source)) => return Err(ImportError::Unfollowed { kept, source: source.into() }),
        }
        if progress(done).is_break() {
            return Err(ImportError::Stopped { offset: report.archive_bytes, kept });
        }
    }
    if reach.missing.count > 0 {
        let (missing, missing_count) = (reach.missing.listed, reach.missing.count);
        return Err(ImportError::Incomplete { missing, missing_count, kept });
    }
    Ok((Some(done.blocks), Some(reach.opaque())))
}
