//! Block store and op heads in one redb file: the production backend.
//!
//! A commit is one write transaction with two syncs. It is durable when the call returns, and after a power cut the
//! store holds all of it or nothing. Blocks are hashed when written and when read. A file that is locked, truncated,
//! damaged, foreign or of a later format fails to open with an error for that case.
//!
//! ```
//! use mnem_backend_redb::OpenOptions;
//! use mnem_store_traits::{Bytes, OpHeadsStore, RAW, Store, WriteBatch, cid_of};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("animals.redb");
//! let store = OpenOptions::new().create(true).open(&path)?;
//! let data = Bytes::from_static(b"an operation");
//! let op = cid_of(RAW, &data);
//! store.commit(WriteBatch::new().put(op, data).update(op, []))?;
//! assert_eq!(store.heads()?, [op]);
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `FORMAT.md` in this crate documents the bytes of the file, and the state after a crash at each step.

pub mod blockstore;
mod create;
mod driver;
mod engine;
mod error;
mod handle;
mod info;
pub mod knn_edges_store;
pub mod limits;
pub mod op_heads;
mod open;
mod options;
mod place;
mod raw;
mod side_table;
mod store;
mod tables;

pub use blockstore::RedbBlockstore;
pub use driver::{DRIVER, RedbDriver};
pub use op_heads::RedbOpHeadsStore;
pub use open::open_or_init;
pub use options::{Check, CommitDurability, Layout, OpenOptions, Verify};
pub use store::RedbStore;
pub use tables::FORMATS;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
