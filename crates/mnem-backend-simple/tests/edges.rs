//! The edge table's laws.

use std::sync::Arc;

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::Store;

fn new_store() -> (tempfile::TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = OpenOptions::new().create(true).open(folder.path().join("store")).unwrap();
    (folder, Arc::new(store))
}

mnem_ann_persist::edge_table_tests!(simple, new_store);
