//! Serializing reports as JSON: CIDs and paths as text.

use mnem_car::CarWarning;
use mnem_store_traits::{Cid, driver::Stray};
use serde::{Serialize, Serializer};

pub(crate) fn cids<S: Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(cids.iter().map(Cid::to_string))
}

pub(crate) fn cid<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cid)
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn maybe_cid<S: Serializer>(cid: &Option<Cid>, serializer: S) -> Result<S::Ok, S::Error> {
    cid.as_ref().map(Cid::to_string).serialize(serializer)
}

/// Writes all paths, even those that are not UTF-8, with replacement characters: a report must be complete.
pub(crate) fn strays<S: Serializer>(strays: &[Stray], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(strays.iter().map(|stray| stray.path.to_string_lossy()))
}

/// Writes the name, the place and a sentence for each warning.
pub(crate) fn warnings<S: Serializer>(warnings: &[CarWarning], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Warning {
        kind: &'static str,
        offset: u64,
        message: String,
    }
    serializer.collect_seq(warnings.iter().map(|warning| Warning {
        kind: warning.kind.name(),
        offset: warning.offset,
        message: warning.to_string(),
    }))
}
