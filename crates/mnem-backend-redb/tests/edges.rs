//! The laws of the edge table in both layouts, and which format a layout gets.

use std::sync::Arc;

use mnem_ann_persist::{Format, TABLE, open as open_edges};
use mnem_backend_redb::{
    Layout, OpenOptions,
    knn_edges_store::{knn_edges_format, load_knn_edges, store_knn_edges},
};
use mnem_store_traits::{RAW, Store, cid_of};

use crate::support::{Place, place};

fn with(layout: Layout) -> (Place, Arc<dyn Store>) {
    let place = place();
    let store = OpenOptions::new().create(true).layout(layout).open(&place.path).expect("a store");
    (place, Arc::new(store))
}

mnem_ann_persist::edge_table_tests!(native, || with(Layout::Native));
mnem_ann_persist::edge_table_tests!(mnem01, || with(Layout::Mnem01));

#[test]
fn a_layout_has_its_format_and_reads_both() {
    let ids = [1, 2, 3].map(|n| mnem_ann_persist::NodeId([n; 16]));
    let metric = mnem_ann_persist::DistanceMetric::L2;
    let edges = mnem_ann_persist::derive(&ids, &[[0.0], [1.0], [3.0]], 2, metric).expect("derived");
    let index = mnem_ann_persist::KnnEdgeIndex::new(cid_of(RAW, b"root"), 2, metric, edges).expect("an index");
    for (layout, format) in [(Layout::Native, Format::Packed), (Layout::Mnem01, Format::Row)] {
        assert_eq!(knn_edges_format(layout), format);
        let place = place();
        let store = OpenOptions::new().create(true).layout(layout).open(&place.path).expect("a store");
        let cid = store_knn_edges(&store, &index).expect("stored");
        let table = store.side_table(TABLE).expect("the table");
        assert_eq!(open_edges(table.clone(), &cid).expect("opened").expect("there").format(), format);
        for _ in 0..2 {
            assert_eq!(load_knn_edges(&store, &cid).expect("loaded").as_ref(), Some(&index));
            // Store in the other format.
            match format {
                Format::Row => mnem_ann_persist::store(&*table, &index),
                _ => mnem_ann_persist::store_row(&*table, &index),
            }
            .expect("stored");
        }
    }
}
