//! A block store, op heads and side tables in a bucket of an object store: a numbered log whose entries are CAR objects.
//!
//! A commit is one `PUT` of the next object of the log, on the condition that it does not exist yet. Its blocks, its
//! heads, its deletions and its rows of side tables land together, and any number of machines may write: the number
//! decides who came first. `FORMAT.md` describes the objects and the protocol.
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("notes");
//! use mnem_backend_bucket::OpenOptions;
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
//!
//! The store runs its requests on threads of its own, so it can be used from inside and outside of tokio.

mod address;
#[cfg(feature = "services")]
mod answers;
mod blockstore;
#[cfg(feature = "services")]
mod connection;
mod counted;
mod create;
mod driver;
mod engine;
mod error;
mod handle;
mod info;
mod limits;
mod op_heads;
mod open;
mod options;
mod probe;
#[cfg(all(test, feature = "services"))]
mod scripted;
#[cfg(feature = "services")]
mod services;
mod side_table;
mod store;
mod tables;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use driver::{BucketDriver, DRIVER};
pub use options::{Freshness, OpenOptions};
pub use store::BucketStore;
pub use tables::FORMATS;
