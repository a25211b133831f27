//! Many rows in one commit.

use mnem_store_traits::{Bytes, Store};

use crate::support::Place;

/// Takes minutes if each row searches the values of all others.
#[test]
fn a_commit_of_200_000_rows_is_written_and_read() {
    let place = Place::new();
    let store = place.open();
    let row = |n: u32| (Bytes::copy_from_slice(&n.to_be_bytes()), Bytes::from_static(b"v"));
    let rows: Vec<_> = (0..200_000).map(row).collect();
    store.side_table("t").unwrap().write(&rows, &[]).unwrap();
    // A reader reads the commit from the log.
    let table = place.read_only().side_table("t").unwrap();
    assert_eq!(table.keys(b"").unwrap().count(), rows.len());
    assert_eq!(table.get(&rows[199_999].0).unwrap().unwrap(), "v");
}
