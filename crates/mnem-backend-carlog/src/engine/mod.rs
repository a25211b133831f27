//! The parts that only this backend has: the log, its records and its index.

pub(crate) mod adopt;
pub(crate) mod compaction;
pub(crate) mod descriptor;
#[cfg(test)]
mod examples;
pub(crate) mod fields;
pub mod files;
pub(crate) mod filter;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod latched;
pub(crate) mod later;
pub(crate) mod maintenance;
pub(crate) mod manifest;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod memtable;
pub(crate) mod merge;
pub(crate) mod open_segments;
pub(crate) mod output;
pub(crate) mod page;
pub(crate) mod place;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod room;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod run_writer;
pub(crate) mod sealed;
pub(crate) mod sections;
pub(crate) mod state;
pub(crate) mod switch;
pub(crate) mod tending;
pub(crate) mod walk;
pub(crate) mod writer;
