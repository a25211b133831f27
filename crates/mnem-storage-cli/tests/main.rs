//! The real program, run as a user runs it.

mod archives;
mod arguments;
mod bad_paths;
mod blocks;
mod cids;
mod compact;
mod completions;
mod conformance;
mod disk_full;
#[cfg(unix)]
mod documents;
mod exits;
mod export_file;
mod heads;
mod json;
mod json_document;
mod knn;
mod main_job;
mod man;
mod many;
mod partial;
mod permissions;
mod pipes;
mod salvage;
#[cfg(unix)]
mod signals;
mod snapshots;
mod standard_input;
mod support;
mod verify;
mod version;
