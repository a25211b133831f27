//! Blocks, op heads and side tables as plain files: one per block, readable with `ls` and `sha256sum`.
//!
//! The store is a folder. Every file is written under a temporary name, synced and renamed, and then its folder is
//! synced. So everything acknowledged survives a power cut, and no incomplete file ever has a final name. The heads are
//! one small file that is replaced as a whole. Many processes may read and write at once. `FORMAT.md` documents the
//! files, and the state after a crash at each step.
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("store");
//! use mnem_backend_simple::OpenOptions;
//! use mnem_store_traits::{Blockstore, Bytes, OpHeadsStore, RAW, Store, WriteBatch, cid_of};
//!
//! let store = OpenOptions::new().create(true).open(&path)?;
//! let data = Bytes::from_static(b"an operation");
//! let op = cid_of(RAW, &data);
//! store.commit(WriteBatch::new().put(op, data.clone()).update(op, []))?;
//! assert_eq!(store.heads()?, [op]);
//! assert_eq!(store.get(&op)?, Some(data));
//! # Ok::<(), mnem_store_traits::StoreError>(())
//! ```

mod blockstore;
mod create;
mod driver;
mod engine;
mod error;
mod handle;
mod info;
mod lacks;
mod limits;
mod op_heads;
mod open;
mod options;
mod side_table;
mod store;
mod tables;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use driver::{DRIVER, SimpleDriver};
#[doc(hidden)]
pub use engine::medium;
pub use options::OpenOptions;
pub use store::SimpleStore;
pub use tables::FORMATS;
