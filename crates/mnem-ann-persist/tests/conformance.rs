//! The edge table's laws, in memory.

use std::sync::Arc;

use mnem_store_traits::{MemoryStore, Store};

mnem_ann_persist::edge_table_tests!(memory, || ((), Arc::new(MemoryStore::new()) as Arc<dyn Store>));
