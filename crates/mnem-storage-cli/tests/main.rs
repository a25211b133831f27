//! The real program, run as a user runs it.

mod archives;
mod bad_paths;
mod blocks;
mod cids;
mod completions;
mod conformance;
mod disk_full;
mod exits;
mod export_file;
mod heads;
mod json;
mod knn;
mod main_job;
mod many;
mod permissions;
mod pipes;
mod snapshots;
mod support;
mod verify;
