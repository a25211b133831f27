//! Errors of the edge table.

use mnem_store_traits::{Cause, Cid, Component, StoreError};

use crate::{DecodeError, IndexError, TABLE, keys::Part, packed::ManifestError};

/// The name of this table in errors.
pub(crate) const EDGES: Component = Component::SideTable(TABLE);

/// The argument is not an index, or cannot become one.
pub(crate) fn invalid(reason: String) -> StoreError {
    StoreError::InvalidArgument { operation: "store k-NN edges", reason }
}

/// The row of an index is damaged.
pub(crate) fn damaged_row(cid: &Cid, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Damaged { component: EDGES, what: format!("row {cid}"), source: Cause::new(cause) }
}

/// A part of an index is damaged.
pub(crate) fn damaged(cid: &Cid, part: Part, number: usize, why: &str) -> StoreError {
    let name = match part {
        Part::Ids => "page of ids",
        Part::Edges => "chunk of edges",
    };
    let what = format!("{name} {number} of row {cid}");
    StoreError::Damaged { component: EDGES, what, source: Cause::new(why.to_owned()) }
}

/// The index was deleted while it was read.
pub(crate) fn gone(cid: &Cid) -> StoreError {
    let reason = format!("index {cid} was deleted while it was read");
    StoreError::InvalidArgument { operation: "read k-NN edges", reason }
}

pub(crate) fn no_manifest(cid: &Cid, error: ManifestError) -> StoreError {
    match error {
        ManifestError::Format(format) => StoreError::UnsupportedFormat {
            found: format!("k-NN edge rows {format}"),
            supported: "k-NN edge rows 1 and 2".into(),
        },
        error => damaged_row(cid, error),
    }
}

pub(crate) fn no_row(cid: &Cid, error: DecodeError) -> StoreError {
    damaged_row(cid, error)
}

/// The row matches its CID, but its edges do not form an index. A program stored it with the published crate; no
/// version can open it as an index.
pub(crate) fn as_written_only(cid: &Cid, error: IndexError) -> StoreError {
    let what = format!("row {cid}: its edges, written by another program, are not a valid index");
    StoreError::Damaged { component: EDGES, what, source: Cause::new(error) }
}
