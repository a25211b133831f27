//! Runs the published engine [`mnem_core`] 0.1.7, unmodified, over any store of this family.
//!
//! A [`Bridge`] implements both of the engine's storage traits ([`Blockstore`](mnem_core::store::Blockstore),
//! [`OpHeadsStore`](mnem_core::store::OpHeadsStore)) over one [`Store`](mnem_store_traits::Store). The engine puts
//! block by block and then moves the head; through [`Buffered`](mnem_store_traits::Buffered) that becomes one durable
//! transaction.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("memory.redb");
//! use mnem_core::{Node, ReadonlyRepo, id::NodeId};
//! use mnem_core_bridge::Bridge;
//!
//! let store = mnem_storage::open_or_init(&path)?; // also a file that the published backend wrote
//! let bridge = Bridge::new(store);
//! let (blocks, heads) = bridge.stores();
//!
//! let repo = ReadonlyRepo::init(blocks, heads)?;
//! let mut transaction = repo.start_transaction();
//! let node = Node::new(NodeId::new_v7(), "Person").with_prop("name", "Ada");
//! transaction.add_node(&node)?;
//! let repo = transaction.commit("ada@example.org", "add Ada")?;
//! assert_eq!(repo.lookup_node(&node.id)?, Some(node));
//! bridge.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # When a put is on disk
//!
//! A put is *staged*: in memory, visible through this bridge and its clones, and not yet on disk. All staged blocks
//! *land* together, durably,
//!
//! - with the next head change, which is why a commit is one transaction;
//! - with a `batch_put`, which is durable when it returns, as in the published backend;
//! - with the last new block of an archive: see below;
//! - with a `put` (not `put_trusted`) outside an archive, unless the block is a view or an operation;
//! - after [`Options::PAUSE`] (10 ms) without a put, or ten times as long if a commit may be under way, by a thread of
//!   the bridge; and at the latest [`Options::STAGED_TIME_MAX`] (1 s) after the first of them was put;
//! - when they would exceed [`Options::staged_bytes_max`] (default: 64 MiB);
//! - in [`Bridge::flush`] and [`Bridge::close`];
//! - when the last clone of the bridge is dropped. An error can then only be logged, as a warning through `tracing`,
//!   and the staged blocks are lost: call [`Bridge::close`] to get the error. Neither `std::process::exit` nor a crash
//!   drops anything.
//!
//! If landing fails, even by a panic of the store, the blocks stay staged, and the next of these events tries again.
//!
//! ## Imports
//!
//! The engine's traits do not mark the end of an import, and a server answers as soon as it has put the last block. The
//! bridge finds the end by the links. The engine's commits put children before parents; archives have parents before
//! children. So a block with a link to an absent block begins an archive, and the put after which none of its links is
//! absent is the last one. That put returns when everything is durable. Each thread has an archive of its own.
//!
//! So an answer to `push-blocks`, `/v1/import` or `import` means durable blocks, in one transaction, where the
//! published backend makes one per block. Three kinds of bursts have no recognisable end:
//!
//! - An archive that lacks blocks to which it links lands 10 ms after its last put, and so does every put of the same
//!   thread within the next second.
//! - Trusted puts of blocks whose links are all present, such as an archive with a single new block, look like a commit
//!   under way, and land after 100 ms.
//! - So do views and operations that come last.
//!
//! A process that is killed before then loses them, although the puts returned `Ok`. You can close that window in two
//! ways: call [`Bridge::flush`] before you answer, or set [`Options::staged_bytes_max`] to 0, which makes every put
//! durable when it returns, in a transaction of its own, as in the published backend.
//!
//! # Other differences from the published backend
//!
//! - `update` keeps `new` even if `supersedes` names it too, and refuses a `new` whose block is neither staged nor
//!   stored. The published backend accepts such a head, and the repository never opens again.
//! - `put` refuses a block whose hash function is not supported here; the published backend stores it unchecked.
//!   `put_trusted` accepts it. A CIDv0 can be put.
//! - After a failed write the store refuses further ones until it is reopened, because it is unknown what reached the
//!   disk.
//! - Errors are mapped by [`core_error`]; those of opening and closing are not mapped.

//! # Feature `ann`
//!
//! `store_knn_edges` and `load_knn_edges` store the published crate's `KnnEdgeIndex` in the side table of any store.

#[cfg(feature = "ann")]
mod ann;
mod bridge;
mod convert;
mod options;
mod timer;
mod walks;

/// The code in the README is compiled by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "ann")]
pub use ann::{load_knn_edges, store_knn_edges};
pub use bridge::Bridge;
pub use convert::{core_cid, core_error, store_cid};
pub use options::Options;
