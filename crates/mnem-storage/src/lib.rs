//! An embedded storage engine for versioned knowledge graphs: immutable blocks named by CIDs, and a set of heads that
//! names the current versions.
//!
//! ```
//! # fn main() -> Result<(), mnem_storage::StoreError> {
//! # if mnem_storage::DRIVERS.is_empty() { return Ok(()) }
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("memory");
//! use mnem_storage::{Bytes, OpHeadsStore, RAW, WriteBatch, cid_of};
//!
//! let store = mnem_storage::open_or_init(&path)?;
//! let data = Bytes::from_static(b"the first operation");
//! let op = cid_of(RAW, &data);
//! store.commit(WriteBatch::new().put(op, data).update(op, []))?;
//! assert_eq!(store.heads()?, [op]);
//! # Ok(())
//! # }
//! ```
//!
//! The same code runs over every backend. The Cargo features of this crate select the backends ([`BACKENDS`],
//! [`DRIVERS`]). An existing store is opened by the backend that wrote it ([`detect()`]). [`OpenOptions`]
//! says which backend a new store gets. If a backend is not compiled in, the error names its feature.
//!
//! | to | see |
//! |---|---|
//! | open or create a store | [`open_or_init`], [`OpenOptions`] |
//! | read and write it | [`Store`], [`WriteBatch`], [`BlockstoreExt`], [`Walk`] |
//! | import or export an archive | [`car::import`], [`car::export`] |
//! | copy it to another backend, back it up | [`copy`](fn@copy), [`copy_with`] |
//! | remove unreachable blocks | [`collect`](fn@collect) |
//! | copy only the reachable blocks | [`copy_reachable`] |
//! | find damage | [`verify`](fn@verify), [`verify_at`] |
//! | rescue the content of a damaged store | [`salvage_at`], [`OpenOptions::lenient`] |
//! | count and measure it | [`info_at`] |
//! | free unused space of its files | [`compact_at`] |
//! | keep nearest neighbours beside the blocks | [`knn`], in the [side table](Store::side_table) [`knn::TABLE`] |

pub mod car;
mod collect;
mod compact;
mod copy;
mod denied;
mod detect;
mod drivers;
mod grouped;
mod info;
mod limits;
mod listed;
mod options;
mod pace;
mod place;
mod progress;
mod reach;
mod report;
mod salvage;
mod same;
mod scan;
mod store_cause;
mod verify;

/// The tests compile the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use mnem_ann_persist as knn;
pub use mnem_store_traits::{
    BatchPut, Blocks, Blockstore, BlockstoreExt, Buffered, Bytes, Capabilities, Cause, Cid, CidIter, Cids, Component,
    DAG_CBOR, DAG_JSON, DAG_PB, DagCborError, Durability, ErrorKind, FetchAhead, HashFunction, HeadChange,
    HeadsCapabilities, IsDead, KeyIter, LinkSupport, MemoryStore, MissingLink, OnBlock, OpHeadsStore, Outcome, RAW,
    Retry, SideTable, Store, StoreError, Swept, Walk, WriteBatch, cid, cid_from_bytes, cid_of, codec_name, driver,
    from_dag_cbor, is_checkable, is_opaque, link_support, links, supported_hashes,
};

pub use collect::{CollectError, CollectOptions, CollectReport, DeadIndex, collect};
pub use compact::{CompactReport, compact_at};
pub use copy::{
    CopyError, CopyOptions, CopyReport, Promise, ReachableOptions, ReachableReport, TableCopied, copy, copy_reachable,
    copy_with,
};
pub use detect::{detect, enclosing_store};
pub use drivers::{BACKENDS, Backend, DRIVERS};
pub use info::{Info, info_at};
pub use options::{OpenOptions, open_or_init};
pub use place::{Elsewhere, Place};
pub use progress::{OnProgress, Progress, Stage, unwatched};
pub use reach::Absent;
pub use salvage::{SalvageOptions, SalvageReport, is_salvageable, salvage, salvage_at};
pub use same::is_same_place;
pub use store_cause::StoreCause;
pub use verify::{Fault, FaultKind, VerifyError, VerifyOptions, VerifyReport, verify, verify_at};
