//! k-nearest-neighbour edges of a knowledge graph: the index, its canonical bytes, its CID, and its row in a side table.
//!
//! An index belongs to a root (the graph, or the commit, whose vectors it was derived from) and can be derived from it again. So it lives
//! in a side table beside the blocks, under a CID that names root, `k`, metric and edges, and is the same wherever it is derived.
//!
//! ```
//! use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId, TABLE, load, store};
//! use mnem_store_traits::{MemoryStore, RAW, Store, cid_of};
//!
//! let (a, b) = (NodeId([0xaa; 16]), NodeId([0xbb; 16]));
//! let edges = vec![KnnEdge { src: a, dst: b, weight: 0.5 }, KnnEdge { src: b, dst: a, weight: 0.5 }];
//! let index = KnnEdgeIndex::new(cid_of(RAW, b"the root"), 1, DistanceMetric::Cosine, edges)?;
//!
//! let table = MemoryStore::new().side_table(TABLE)?;
//! let cid = store(&*table, &index)?;
//! assert_eq!(load(&*table, &cid)?, Some(index));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod index;
mod node_id;
mod table;

pub use decode::DecodeError;
pub use index::{DistanceMetric, IndexError, KnnEdge, KnnEdgeIndex};
pub use node_id::{NodeId, ParseNodeIdError};
pub use table::{TABLE, delete, list, load, store};
