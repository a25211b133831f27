//! The published API of `mnem-backend-redb` 0.1, so that `[patch.crates-io]` puts the redb backend of `mnem-storage`
//! under programs that use it, unmodified.
//!
//! [`open_or_init`] opens or makes a file in the published layout and returns the two halves of a
//! [`Bridge`](mnem_core_bridge::Bridge): one durable transaction for each commit. The constructors that take a database,
//! and the functions of the k-NN table, do what the published ones do, on that database.
//!
//! Environment variables, for programs that cannot be changed:
//!
//! | variable | value |
//! |---|---|
//! | `MNEM_REDB_SHARING` | `exclusive` (default): one process at a time; `multi-writer`: any number, which take turns at each write |
//! | `MNEM_REDB_LOCK_WAIT_MS` | how long to wait for other processes, in milliseconds; 5000 unless set |

mod advice;
pub mod blockstore;
mod database;
pub mod knn_edges_store;
pub mod op_heads;
mod open;

pub use blockstore::RedbBlockstore;
pub use knn_edges_store::{KNN_EDGES_TABLE, load_knn_edges, store_knn_edges};
pub use op_heads::RedbOpHeadsStore;
pub use open::{LOCK_WAIT, open_or_init, open_shared};

/// The code in the README is compiled by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
