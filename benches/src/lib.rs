//! Workloads over any store. Each is a function of a `&dyn Store` that times the calls that a caller waits for and
//! then, untimed, checks the answers: a wrong backend cannot look fast.
//!
//! - As a backend author, call them from your own program: [`single_puts`], [`commit`], [`get_all`] and the rest take
//!   any store.
//! - `cargo bench --package mnem-benches` runs some of them under criterion on the in-tree backends.
//! - `cargo run --release --package mnem-benches --features peers --bin compare` runs all of them on our backends, on
//!   those of others and on a plain log, interleaved in one run, and writes `docs/BENCHMARKS.md`.
//!
//! The traces of a real client are in `benches/traces`; [`Trace`] reads and replays them.

mod blocks;
mod commits;
mod counting;
mod deletes;
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
pub use deletes::delete_every_second;
pub use error::WorkloadError;
pub use imports::{adopt_archive, bulk_import, import_archive, put_many};
pub use listing::enumerate;
pub use puts::{Concurrent, concurrent_puts, put_present, single_puts};
pub use reads::{get_all, get_all_threads, has_all, has_all_threads};
pub use reopening::{UNTIL_KILLED_BLOCKS, commit_until_killed, reopen, reopen_after_kill};
pub use times::Times;
pub use trace::{RECORDED, Replayed, Trace, TraceError};

/// The tests compile the code in the workspace's documents here, because this package is never published without the
/// workspace.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/CHOOSING-A-BACKEND.md")]
struct ChoosingABackend;
