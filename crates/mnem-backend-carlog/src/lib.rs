//! A block store with op heads and side tables, as a log of CAR files: one sync per commit, and any CAR tool can read
//! every file.
//!
//! A store is a folder. Blocks are appended to *segments*, which are CARv1 files. A commit ends with a record, which is
//! a raw block too, and one `fdatasync` makes it durable. One process writes; any number of others read at the same
//! time, and write nothing. `FORMAT.md` describes every byte, and what a crash leaves.
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("notes.carlog");
//! use mnem_backend_carlog::OpenOptions;
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

mod create;
mod driver;
mod engine;
mod error;
mod handle;
mod info;
mod limits;
mod listing;
mod missing;
mod open;
mod options;
mod raw;
mod side_table;
mod source;
mod state_file;
mod store;
mod tables;
mod view;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use driver::{CarlogDriver, DRIVER};
#[doc(hidden)]
pub use engine::files;
pub use options::OpenOptions;
pub use store::CarlogStore;
pub use tables::FORMATS;
