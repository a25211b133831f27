//! The traits of a content-addressed block store with op heads, the layer below a versioned knowledge graph.
//!
//! A *block* is bytes named by a CID. The *op heads* are a small set of CIDs that names the current operations. This
//! crate has the traits ([`Blockstore`], [`OpHeadsStore`], [`Store`], [`SideTable`]), a reference implementation in
//! memory ([`MemoryStore`]), and, behind the feature `conformance`, the suite that tests any other implementation. It
//! depends on no database.
//!
//! - *Callers* start at [`Store`] and [`WriteBatch`]. [`BlockstoreExt`] and [`Walk`] read graphs; [`Buffered`] turns
//!   many small puts into one durable commit.
//! - *Implementers* write `get`, `put`, `delete` and `cids`; `heads`, `update` and `swap`; and one line of
//!   `conformance_tests!`. The defaults of all other methods are slower or `Unsupported`; a store on disk must override
//!   [`Store::commit`]. `CONTRACT.md` in this crate states the contract; `cargo doc --features conformance` builds the
//!   documentation of the suite.

pub mod backend;
mod batch;
mod blockstore;
mod buffered;
mod capabilities;
mod check;
mod check_many;
#[cfg(feature = "conformance")]
pub mod conformance;
mod dag_cbor_error;
pub mod driver;
mod error;
mod ext;
mod fetch_ahead;
mod forward;
mod hashes;
pub mod limits;
mod links;
mod memory;
mod op_heads;
mod pages;
mod side_table;
mod store;
mod typed;
mod walk;

pub use batch::{BatchPut, HeadChange, WriteBatch};
pub use blockstore::{Blocks, Blockstore, CidIter, Cids, IsDead, OnBlock, Swept};
pub use buffered::Buffered;
pub use bytes::Bytes;
pub use capabilities::{Capabilities, Durability, HeadsCapabilities};
pub use check::{cid_from_bytes, cid_of, is_checkable};
pub use cid::{self, Cid};
pub use dag_cbor_error::DagCborError;
pub use error::{Cause, Component, ErrorKind, Outcome, Retry, StoreError};
pub use ext::{BlockstoreExt, MissingLink};
pub use fetch_ahead::FetchAhead;
pub use hashes::{HashFunction, supported_hashes};
pub use links::{DAG_CBOR, DAG_JSON, DAG_PB, LinkSupport, RAW, codec_name, is_opaque, link_support, links};
pub use memory::MemoryStore;
pub use op_heads::OpHeadsStore;
pub use side_table::{KeyIter, SideTable};
pub use store::Store;
pub use typed::from_dag_cbor;
pub use walk::Walk;
