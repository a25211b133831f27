//! What only this backend has: the log, its records, and its index.

pub(crate) mod descriptor;
pub(crate) mod fields;
pub mod files;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod later;
pub(crate) mod manifest;
pub(crate) mod place;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod sealed;
pub(crate) mod state;
pub(crate) mod walk;
pub(crate) mod writer;
