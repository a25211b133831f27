//! The edge table's laws, for the tests of any store with side tables (feature `conformance`).
//!
//! ```
//! # use std::sync::Arc;
//! # use mnem_store_traits::{MemoryStore, Store};
//! // One ordinary #[test] per law. The closure returns an empty store, and a guard that keeps it alive.
//! mnem_ann_persist::edge_table_tests!(edges_in_memory, || ((), Arc::new(MemoryStore::new()) as Arc<dyn Store>));
//! ```

mod cut;
mod data;
pub mod laws;

/// The result of a law.
pub type LawResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Generates one test per law, in a module of this name. `$make` is a closure that returns `(guard, Arc<dyn Store>)`:
/// an empty store, and a value that is dropped after it, such as a temporary folder.
#[macro_export]
macro_rules! edge_table_tests {
    ($module:ident, $make:expr) => {
        mod $module {
            #[allow(unused_imports, reason = "the closure may need nothing of its surroundings")]
            use super::*;
            $crate::edge_table_tests!(@laws $make,
                what_is_stored_is_loaded,
                storing_again_changes_nothing,
                both_formats_hold_the_same,
                a_reader_agrees_with_the_index,
                a_listing_names_each_index_once,
                deleting_leaves_no_key,
                a_stop_at_any_key_leaves_no_half_index,
                damage_is_never_a_wrong_edge,
                a_missing_part_is_damage,
            );
        }
    };
    (@laws $make:expr, $($law:ident),* $(,)?) => {
        $(
            #[test]
            fn $law() {
                let (guard, store) = ($make)();
                if let Err(error) = $crate::conformance::laws::$law(&*store) {
                    panic!("{}: {error}", stringify!($law));
                }
                drop(store);
                drop(guard);
            }
        )*
    };
}
