//! Stores edges that are not in memory.

use std::cell::Cell;

use mnem_ann_persist::{
    DistanceMetric, EdgeSource, IndexHeader, KnnEdge, TABLE, list, load, open, store, store_streamed,
};
use mnem_store_traits::{ErrorKind, MemoryStore, Store, StoreError};

use crate::{edge, root, small};

/// Returns these edges, and different ones from some time on.
struct Changing {
    edges: Vec<KnnEdge>,
    later: Vec<KnnEdge>,
    times: Cell<u32>,
    edge_count: u64,
}

impl Changing {
    fn new(edges: &[KnnEdge]) -> Self {
        Self { edges: edges.to_vec(), later: edges.to_vec(), times: Cell::new(0), edge_count: edges.len() as u64 }
    }
}

impl EdgeSource for Changing {
    fn header(&self) -> IndexHeader {
        IndexHeader { root_cid: root(), k: 2, metric: DistanceMetric::Cosine, edge_count: self.edge_count }
    }

    fn stream(&self) -> Result<impl Iterator<Item = Result<KnnEdge, StoreError>> + '_, StoreError> {
        let times = self.times.replace(self.times.get() + 1);
        let edges = if times == 0 { &self.edges } else { &self.later };
        Ok(edges.iter().map(|edge| Ok(*edge)))
    }
}

#[test]
fn streamed_is_as_stored() {
    let (a, b) = (MemoryStore::new(), MemoryStore::new());
    let (a, b) = (a.side_table(TABLE).expect("a table"), b.side_table(TABLE).expect("a table"));
    let cid = store(&*a, &small()).expect("stored");
    assert_eq!(store_streamed(&*b, &Changing::new(small().edges())).expect("streamed"), cid);
    assert_eq!(load(&*b, &cid).expect("loaded"), Some(small()));
    // From one table to another.
    let c = MemoryStore::new().side_table(TABLE).expect("a table");
    let reader = open(a, &cid).expect("opened").expect("there");
    assert_eq!(store_streamed(&*c, &reader).expect("streamed"), cid);
    assert_eq!(load(&*c, &cid).expect("loaded"), Some(small()));
}

#[test]
fn a_stream_that_makes_no_index_is_refused_and_nothing_seen() {
    let table = MemoryStore::new().side_table(TABLE).expect("a table");
    let mut miscounted = Changing::new(small().edges());
    miscounted.edge_count += 1;
    let mut changed = Changing::new(small().edges());
    changed.later = vec![edge(9, 1, 0.5)];
    for (source, expected) in [
        (Changing::new(&[edge(2, 1, 0.5), edge(1, 2, 0.5)]), "out of order"),
        (Changing::new(&[edge(1, 2, f32::NAN)]), "not finite"),
        (Changing::new(&[edge(1, 1, 0.5)]), "to itself"),
        (miscounted, "6 edges, but the header says 7"),
        (changed, "the edges changed between"),
    ] {
        let error = store_streamed(&*table, &source).expect_err(expected);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(list(&*table).expect("a listing").count(), 0, "{expected}");
    }
}
