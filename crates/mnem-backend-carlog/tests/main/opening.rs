//! Options of opening.

use std::time::Duration;

use mnem_backend_carlog::OpenOptions;
use mnem_store_traits::Store;

use crate::support::{Place, commits};

#[test]
fn any_duration_is_a_valid_lock_wait() {
    let place = Place::new();
    for wait in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::ZERO] {
        let store = OpenOptions::new().create(true).lock_wait(wait).open(place.store()).unwrap();
        commits(&store, 1);
        store.close().unwrap();
    }
}
