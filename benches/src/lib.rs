//! Workloads over any store. Each is a function of a `&dyn Store` that times what a caller waits for and then, off the clock, checks its
//! answer: a wrong backend cannot look fast.
//!
//! - A backend author calls them from a program of their own: [`single_puts`], [`commit`], [`get_all`] and the rest take the store as it is.
//! - `cargo bench --package mnem-benches` runs a few of them under criterion on the in-tree backends.
//! - `cargo run --release --package mnem-benches --features peers --bin compare` runs all of them on our backends, on others' and on a plain
//!   log, interleaved in one run, and writes `docs/BENCHMARKS.md`.
//!
//! The trace of a real client is in `benches/traces`; [`Trace`] reads and replays it.

mod blocks;
mod commits;
mod counting;
mod error;
mod imports;
mod listing;
mod puts;
mod reads;
mod reopening;
mod times;
mod trace;
pub mod usage;

pub use blocks::{Block, Blocks};
pub use commits::{commit, commit_as};
pub use counting::Counting;
pub use error::WorkloadError;
pub use imports::{bulk_import, import_archive, put_many};
pub use listing::enumerate;
pub use puts::{Concurrent, concurrent_puts, put_present, single_puts};
pub use reads::{get_all, get_all_threads, has_all, has_all_threads};
pub use reopening::{UNTIL_KILLED_BLOCKS, commit_until_killed, reopen, reopen_after_kill};
pub use times::Times;
pub use trace::{RECORDED, Replayed, Trace, TraceError};

/// The code in the workspace's documents is compiled by the tests; here, because this package is never published without the workspace.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/CHOOSING-A-BACKEND.md")]
struct ChoosingABackend;
