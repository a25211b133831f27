//! Objects, the log, and the state that it leads to.

#[cfg(all(test, feature = "services"))]
mod answered;
pub(crate) mod blocks;
pub(crate) mod cache;
pub(crate) mod checkpoint;
pub(crate) mod checkpoints;
pub(crate) mod compaction;
pub(crate) mod draft;
pub(crate) mod entry;
#[cfg(test)]
mod examples;
pub(crate) mod format;
pub(crate) mod history;
mod keys;
pub(crate) mod landing;
pub(crate) mod look;
pub(crate) mod objects;
pub(crate) mod pack;
pub(crate) mod queue;
pub(crate) mod reading;
pub(crate) mod record;
pub(crate) mod runtime;
pub(crate) mod state;
pub(crate) mod sweep;
pub(crate) mod tombstone;
