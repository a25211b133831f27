//! `links` is strict: it accepts only canonical DAG-CBOR.

use mnem_store_traits::{Cid, DAG_CBOR, ErrorKind, RAW, StoreError, cid_of, links};

fn read(data: &[u8]) -> Result<Vec<Cid>, StoreError> {
    links(&cid_of(DAG_CBOR, data), data)
}

fn accepts(what: &str, data: &[u8]) {
    if let Err(error) = read(data) {
        panic!("{what}: {data:02x?} is refused: {error:?}");
    }
}

fn refuses(what: &str, data: &[u8]) {
    match read(data) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Malformed, "{what}: {error:?}"),
        Ok(found) => panic!("{what}: {data:02x?} is accepted, with links {found:?}"),
    }
}

fn leaf() -> Cid {
    cid_of(RAW, b"leaf")
}

/// A link, with `before` and `after` around the CID inside the tag.
fn link(before: &[u8], cid: &[u8], after: &[u8]) -> Vec<u8> {
    let content = [before, cid, after].concat();
    let mut bytes = vec![0xd8, 42, 0x58, content.len() as u8];
    bytes.extend(content);
    bytes
}

#[test]
fn every_kind_of_item_is_accepted() {
    let items: [(&str, &[u8]); 17] = [
        ("0", &[0x00]),
        ("23", &[0x17]),
        ("24", &[0x18, 24]),
        ("256", &[0x19, 1, 0]),
        ("65536", &[0x1a, 0, 1, 0, 0]),
        ("2^32", &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("2^64 - 1", &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("-1", &[0x20]),
        ("-2^64", &[0x3b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("no bytes", &[0x40]),
        ("bytes", &[0x42, 1, 2]),
        ("text", &[0x63, 0xe2, 0x82, 0xac]),
        ("an empty list", &[0x80]),
        ("an empty map", &[0xa0]),
        ("keys by length, then bytes", &[0xa3, 0x61, b'b', 1, 0x61, b'c', 2, 0x62, b'a', b'a', 3]),
        ("false, true and null", &[0x83, 0xf4, 0xf5, 0xf6]),
        ("1.5", &[0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
    ];
    for (what, data) in items {
        accepts(what, data);
    }
}

#[test]
fn integers_and_lengths_are_as_short_as_can_be() {
    let items: [(&str, &[u8]); 9] = [
        ("23 in two bytes", &[0x18, 23]),
        ("255 in three", &[0x19, 0, 255]),
        ("65535 in five", &[0x1a, 0, 0, 255, 255]),
        ("2^32 - 1 in nine", &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255]),
        ("-1 in two", &[0x38, 0]),
        ("a long length of bytes", &[0x58, 1, 0]),
        ("a long length of a text", &[0x78, 1, b'a']),
        ("a long length of a list", &[0x98, 1, 0]),
        ("a long length of a map", &[0xb8, 1, 0x61, b'a', 0]),
    ];
    for (what, data) in items {
        refuses(what, data);
    }
}

#[test]
fn maps_have_sorted_distinct_texts_as_keys() {
    refuses("keys out of order", &[0xa2, 0x61, b'b', 1, 0x61, b'a', 2]);
    refuses("a longer key first", &[0xa2, 0x62, b'a', b'a', 1, 0x61, b'b', 2]);
    refuses("a key twice", &[0xa2, 0x61, b'a', 1, 0x61, b'a', 2]);
    refuses("an integer as key", &[0xa1, 0x01, 0x02]);
    refuses("bytes as key", &[0xa1, 0x41, b'a', 0x02]);
    refuses("keys out of order, deep inside", &[0x81, 0xa2, 0x61, b'b', 1, 0x61, b'a', 2]);
}

#[test]
fn floats_have_64_bits_and_a_value() {
    refuses("a float of 16 bits", &[0xf9, 0x3e, 0x00]);
    refuses("a float of 32 bits", &[0xfa, 0x3f, 0xc0, 0, 0]);
    refuses("not a number", &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]);
    refuses("-0.0", &[0xfb, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    refuses("infinity", &[0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]);
    refuses("minus infinity", &[0xfb, 0xff, 0xf0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn simple_values_are_false_true_and_null() {
    refuses("undefined", &[0xf7]);
    refuses("simple value 0", &[0xe0]);
    refuses("simple value 255", &[0xf8, 255]);
    refuses("true in two bytes", &[0xf8, 21]);
}

#[test]
fn indefinite_lengths_are_refused() {
    refuses("bytes", &[0x5f, 0x41, 1, 0xff]);
    refuses("a text", &[0x7f, 0x61, b'a', 0xff]);
    refuses("a list", &[0x9f, 1, 0xff]);
    refuses("a map", &[0xbf, 0x61, b'a', 1, 0xff]);
    refuses("a break alone", &[0xff]);
    refuses("a key", &[0xa1, 0x7f, 0x61, b'a', 0xff, 1]);
    refuses("an empty key", &[0xa1, 0x7f, 0xff, 1]);
    let cid = leaf().to_bytes();
    let whole = link(&[0], &cid, &[]);
    let in_pieces = [&whole[..2], &[0x5f], &whole[2..], &[0xff]].concat();
    refuses("a link", &in_pieces);
}

#[test]
fn a_block_is_exactly_one_item() {
    refuses("nothing", &[]);
    refuses("two items", &[0x01, 0x02]);
    refuses("an item and a zero", &[0x80, 0x00]);
    refuses("a list without its items", &[0x82, 1]);
    refuses("bytes cut short", &[0x43, 1, 2]);
    refuses("a length of 2^62", &[0x5b, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    refuses("a list of 2^62 items", &[0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    refuses("text that is not UTF-8", &[0x61, 0xff]);
    refuses("key that is not UTF-8", &[0xa1, 0x61, 0xff, 0]);
}

#[test]
fn the_only_tag_is_the_link() {
    refuses("a date", &[0xc1, 0x00]);
    refuses("a big integer", &[0xc2, 0x41, 1]);
    refuses("tag 41", &[&[0xd8, 41][..], &link(&[0], &leaf().to_bytes(), &[])[2..]].concat());
    refuses("tag 42 in three bytes", &[&[0xd9, 0, 42][..], &link(&[0], &leaf().to_bytes(), &[])[2..]].concat());
    refuses("a link in a text", &[0xd8, 42, 0x61, b'a']);
    refuses("a link in an integer", &[0xd8, 42, 0x01]);
}

#[test]
fn a_link_holds_exactly_one_cid_behind_a_zero() {
    let cid = leaf().to_bytes();
    accepts("a link", &link(&[0], &cid, &[]));
    refuses("a byte after the CID", &link(&[0], &cid, &[0]));
    refuses("another CID after the CID", &link(&[0], &cid, &cid));
    refuses("no zero in front", &link(&[], &cid, &[]));
    refuses("a one in front", &link(&[1], &cid, &[]));
    refuses("a CID cut short", &link(&[0], &cid[..35], &[]));
    refuses("nothing behind the zero", &[0xd8, 42, 0x41, 0]);
    refuses("a CID of version 2", &link(&[0], &[&[2], &cid[1..]].concat(), &[]));
    refuses("an overlong codec", &link(&[0], &[&[0x01, 0xd5, 0x00], &cid[2..]].concat(), &[]));
}

#[test]
fn links_are_found_in_encoded_order_with_repetitions() {
    let [a, b] = [b"a", b"b"].map(|data| cid_of(RAW, data));
    let identity: Cid = "bafkqaaa".parse().expect("the identity CID of nothing");
    let v0: Cid = Cid::new_v0(*a.hash()).expect("a CIDv0");
    // {"x": [a, b, a], "y": {"k": v0}, "z": identity}
    let mut data = vec![0xa3, 0x61, b'x', 0x83];
    [a, b, a].iter().for_each(|cid| data.extend(link(&[0], &cid.to_bytes(), &[])));
    data.extend([0x61, b'y', 0xa1, 0x61, b'k']);
    data.extend(link(&[0], &v0.to_bytes(), &[]));
    data.extend([0x61, b'z', 0xd8, 42, 0x45, 0]);
    data.extend(identity.to_bytes());
    assert_eq!(read(&data).expect("valid DAG-CBOR"), [a, b, a, v0, identity]);
}

#[test]
fn other_codecs_have_no_links_and_no_errors() {
    let data = [&[0x81][..], &link(&[0], &leaf().to_bytes(), &[])].concat();
    assert_eq!(read(&data).expect("valid DAG-CBOR"), [leaf()]);
    for codec in [RAW, 0x00, 0x51, 0x72, 0x78, 0x85, 0x0200, 0x0202, 0x3f_ffff] {
        assert_eq!(links(&cid_of(codec, &data), &data).expect("a leaf"), []);
        assert_eq!(links(&cid_of(codec, b"\xff"), b"\xff").expect("a leaf"), []);
    }
}

#[test]
fn nesting_has_a_limit_and_needs_no_stack() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0x00]].concat();
    accepts("127 lists in each other", &nested(127));
    refuses("129 lists in each other", &nested(129));
    refuses("a million lists in each other", &nested(1_000_000));
    let maps = |depth: usize| [[0xa1, 0x61, b'a'].repeat(depth), vec![0x00]].concat();
    accepts("127 maps in each other", &maps(127));
    refuses("129 maps in each other", &maps(129));
}

#[test]
fn the_error_names_the_block_and_keeps_the_reason() {
    let data = [0x82, 0x01];
    let error = read(&data).expect_err("a cut-off list");
    assert!(error.to_string().contains(&cid_of(DAG_CBOR, &data).to_string()), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}
