//! The files are CARs. Unit tests check the examples of `FORMAT.md`, byte for byte.

use std::fs;

use mnem_car::Reader;
use mnem_store_traits::{Cid, RAW, Store, cid_of};

use crate::support::{Place, SEGMENT, commits};

/// They are CARs while the store is open, after it was closed, and after it was reopened.
#[test]
fn a_segment_is_a_car_whose_blocks_match_their_cids() {
    let place = Place::new();
    let store = place.open();
    let expected = commits(&store, 10);
    let check = || {
        let log = fs::read(place.file(SEGMENT)).unwrap();
        let mut reader = Reader::new(&log[..], 1 << 20).unwrap();
        let roots = reader.roots().to_vec();
        let mut found: Vec<Cid> = Vec::new();
        while let Some(section) = reader.next_section().unwrap() {
            assert_eq!(cid_of(RAW, &section.data), section.cid);
            found.push(section.cid);
        }
        assert_eq!(roots, found[..1], "the root is the first block");
        assert!(expected.blocks.iter().all(|cid| found.contains(cid)));
    };
    check();
    store.close().unwrap();
    check();
    place.open();
    check();
}
