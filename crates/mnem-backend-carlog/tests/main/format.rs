//! The files are CARs, and what `FORMAT.md` says of them is so.

use std::fs;

use mnem_car::Reader;
use mnem_store_traits::{Bytes, Cid, RAW, Store, WriteBatch, cid_of};

use crate::support::{Place, SEGMENT, commits};

/// While the store is open, after it was closed, and after it was opened again.
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

/// The figures of `FORMAT.md`: header, descriptor, the block `hello` and the commit that makes it the head.
#[test]
fn the_worked_example_has_the_lengths_it_is_said_to_have() {
    let place = Place::new();
    let store = place.open();
    let data = Bytes::from_static(b"hello");
    let cid = cid_of(RAW, &data);
    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    let log = fs::read(place.file(SEGMENT)).unwrap();
    assert_eq!(log.len(), 0x19d);
    assert_eq!((log[0], log[0x3b], log[0xb8]), (0x3a, 0x7c, 0x29));
    assert_eq!(&log[0x60..0x68], b"mnemL\0\0\x01");
    assert_eq!(&log[0xdd..0xe2], b"hello");
    assert_eq!(&log[0x108..0x110], b"mnemC\0\0\x01");
}
