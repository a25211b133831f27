//! Stores the published crate's nearest-neighbour indexes in the side table of any store.

#![expect(clippy::result_large_err, reason = "the engine's error, by value as the engine returns it")]

use mnem_ann::{DistanceMetric, KnnEdge, KnnEdgeIndex};
use mnem_ann_persist::{self as persist, Format, IndexError, IndexHeader};
use mnem_core::{
    codec::to_canonical_bytes,
    error::{Error, StoreError as CoreError},
    id::{Cid as CoreCid, NodeId},
};
use mnem_store_traits::{Bytes, Store, StoreError};

use crate::{core_cid, core_error, store_cid};

/// Stores an index of the published crate and returns its CID. Storing it again changes nothing.
///
/// Pass [`Format::of_store`] of the store's format, so that published programs can read the indexes of a file in their
/// layout. [`Format::Row`] accepts every index that the published crate accepts, up to 16 MiB. [`Format::Packed`] has
/// no such limit and is read in parts.
///
/// # Errors
/// - [`Error::Codec`]: the index cannot be encoded.
/// - [`Error::Store`]: the format is packed, and the edges are unsorted, repeated, from a node to itself or more than
///   `k` per source; or the row would be larger than 16 MiB; or the store failed.
pub fn store_knn_edges(store: &dyn Store, format: Format, index: &KnnEdgeIndex) -> Result<CoreCid, Error> {
    let table = store.side_table(persist::TABLE).map_err(core_error)?;
    let cid = match (format, to_ours(index)?) {
        (Format::Row, Ok(index)) => persist::store_row(&*table, &index),
        (Format::Row, Err(_)) => {
            let cid = store_cid(&index.compute_cid()?).map_err(core_error)?;
            let row = (Bytes::from(cid.to_bytes()), to_canonical_bytes(index)?);
            table.write(&[row], &[]).map(|()| cid)
        }
        (_, Ok(index)) => persist::store(&*table, &index),
        (_, Err(error)) => Err(StoreError::InvalidArgument { operation: "store an index", reason: error.to_string() }),
    };
    Ok(core_cid(&cid.map_err(core_error)?))
}

/// Loads the index `cid`, in either format.
///
/// # Errors
/// [`CoreError::NotFound`]: the store does not hold it. Otherwise as [`persist::load`].
pub fn load_knn_edges(store: &dyn Store, cid: &CoreCid) -> Result<KnnEdgeIndex, Error> {
    let table = store.side_table(persist::TABLE).map_err(core_error)?;
    let ours = store_cid(cid).map_err(core_error)?;
    if let Some(row) = persist::load_as_written(&*table, &ours).map_err(core_error)? {
        return Ok(to_published(&row.header, &row.edges));
    }
    let index = persist::load(&*table, &ours).map_err(core_error)?;
    let index = index.ok_or_else(|| CoreError::NotFound { cid: cid.clone() })?;
    let header = IndexHeader {
        root_cid: *index.root_cid(),
        k: index.k(),
        metric: index.metric(),
        edge_count: index.edges().len() as u64,
    };
    Ok(to_published(&header, index.edges()))
}

/// Converts an index. The outer error is the engine's; the inner one says why the edges do not form an index here.
fn to_ours(index: &KnnEdgeIndex) -> Result<Result<persist::KnnEdgeIndex, IndexError>, Error> {
    let root = store_cid(&index.root_cid).map_err(core_error)?;
    let metric = match index.metric {
        DistanceMetric::Cosine => persist::DistanceMetric::Cosine,
        DistanceMetric::L2 => persist::DistanceMetric::L2,
        DistanceMetric::Dot => persist::DistanceMetric::Dot,
    };
    let id = |id: &NodeId| persist::NodeId(*id.as_bytes());
    let edge = |edge: &KnnEdge| persist::KnnEdge { src: id(&edge.src), dst: id(&edge.dst), weight: edge.weight };
    Ok(persist::KnnEdgeIndex::new(root, index.k, metric, index.edges.iter().map(edge).collect()))
}

fn to_published(header: &IndexHeader, edges: &[persist::KnnEdge]) -> KnnEdgeIndex {
    let metric = match header.metric {
        persist::DistanceMetric::Cosine => DistanceMetric::Cosine,
        persist::DistanceMetric::L2 => DistanceMetric::L2,
        persist::DistanceMetric::Dot => DistanceMetric::Dot,
    };
    let id = |id: persist::NodeId| NodeId::from_bytes_raw(id.0);
    let edge = |edge: &persist::KnnEdge| KnnEdge { src: id(edge.src), dst: id(edge.dst), weight: edge.weight };
    KnnEdgeIndex { root_cid: core_cid(&header.root_cid), k: header.k, metric, edges: edges.iter().map(edge).collect() }
}
