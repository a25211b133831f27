//! k-nearest-neighbour edges of a knowledge graph: the index, its canonical bytes, its CID, its rows in a side table,
//! and its derivation from vectors.
//!
//! An index belongs to a root (the graph, or the commit, whose vectors it was derived from) and can be derived from it
//! again. So it is stored in a side table beside the blocks, under a CID that covers root, `k`, metric and edges, and
//! is identical wherever it is derived.
//!
//! ```
//! use mnem_ann_persist::{DistanceMetric, KnnEdgeIndex, NodeId, TABLE, derive, load, open, store};
//! use mnem_store_traits::{MemoryStore, RAW, Store, cid_of};
//!
//! let (a, b) = (NodeId([0xaa; 16]), NodeId([0xbb; 16]));
//! let edges = derive(&[a, b], &[[0.6, 0.8], [0.8, 0.6]], 1, DistanceMetric::Cosine)?;
//! let index = KnnEdgeIndex::new(cid_of(RAW, b"the root"), 1, DistanceMetric::Cosine, edges)?;
//!
//! let table = MemoryStore::new().side_table(TABLE)?;
//! let cid = store(&*table, &index)?;
//! assert_eq!(load(&*table, &cid)?, Some(index));
//! // One node's neighbours, without reading the rest.
//! let reader = open(table, &cid)?.ok_or("it is there")?;
//! assert_eq!(reader.neighbors(&a)?[0].dst, b);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod as_written;
#[cfg(feature = "conformance")]
pub mod conformance;
mod decode;
mod derive;
mod encode;
mod error;
mod index;
mod keys;
mod limits;
mod loading;
mod node_id;
mod packed;
mod reader;
mod source;
mod table;

pub use as_written::{AsWritten, load_as_written};
pub use decode::DecodeError;
pub use derive::{Derive, DeriveError, Order, derive, normalized};
pub use index::{DistanceMetric, IndexError, KnnEdge, KnnEdgeIndex};
pub use node_id::{NodeId, ParseNodeIdError};
pub use reader::{EdgeReader, open};
pub use source::{EdgeSource, IndexHeader};
pub use table::{
    Format, TABLE, delete, format_of, index_of_key, is_key, list, load, store, store_all_as_rows, store_row,
    store_streamed, unfinished,
};
