//! The real program, run as a user runs it.

mod archives;
mod bad_paths;
mod blocks;
mod cids;
mod completions;
mod conformance;
#[cfg(unix)]
mod documents;
mod exits;
mod export_file;
mod heads;
mod json;
mod knn;
mod main_job;
mod many;
mod pipes;
mod snapshots;
mod support;
mod verify;
