//! Tests of the real program, run like a user runs it.

mod archives;
mod arguments;
mod bad_paths;
mod blocks;
mod bucket;
mod cids;
mod compact;
mod completions;
mod conformance;
#[cfg(unix)]
mod descriptors;
mod diff;
mod disk_full;
#[cfg(unix)]
mod documents;
#[cfg(target_os = "linux")]
mod elsewhere;
mod exits;
mod export_file;
mod gc;
mod heads;
mod json;
mod json_document;
mod knn;
mod logs;
mod main_job;
mod man;
mod many;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod nonblocking;
mod partial;
mod permissions;
mod pipes;
mod places;
mod removal;
mod salvage;
#[cfg(target_os = "linux")]
mod sandboxes;
mod show;
#[cfg(unix)]
mod signals;
mod snapshots;
mod standard_input;
#[cfg(unix)]
mod stat;
#[cfg(target_os = "linux")]
mod stopped;
#[cfg(target_os = "linux")]
mod stuck;
mod support;
mod typed_paths;
mod verify;
mod version;
