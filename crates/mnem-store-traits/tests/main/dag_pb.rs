//! `links` of DAG-PB: accepts every node of the specification, and nothing else.

use mnem_store_traits::{Cid, DAG_PB, ErrorKind, RAW, StoreError, cid_of, links};

fn read(data: &[u8]) -> Result<Vec<Cid>, StoreError> {
    links(&cid_of(DAG_PB, data), data)
}

#[track_caller]
fn accepts(what: &str, data: &[u8], expected: &[Cid]) {
    match read(data) {
        Ok(found) => assert_eq!(found, expected, "{what}"),
        Err(error) => panic!("{what}: {data:02x?} is refused: {}", error.in_full()),
    }
}

#[track_caller]
fn refuses(what: &str, data: &[u8], why: &str) {
    match read(data) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed, "{what}: {error:?}");
            let told = error.in_full().to_string();
            assert!(told.contains("is not valid DAG-PB: ") && told.contains(why), "{what}: {told}");
        }
        Ok(found) => panic!("{what}: {data:02x?} is accepted, with links {found:?}"),
    }
}

fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

fn hash(cid: &Cid) -> Vec<u8> {
    field(0x0a, &cid.to_bytes())
}

/// A link with these encoded fields.
fn link(fields: &[&[u8]]) -> Vec<u8> {
    field(0x12, &fields.concat())
}

fn leaf() -> Cid {
    cid_of(RAW, b"leaf")
}

#[test]
fn every_form_of_a_node_is_accepted() {
    let (leaf, data) = (leaf(), field(0x0a, b"data"));
    let hash = hash(&leaf);
    let plain = link(&[&hash]);
    accepts("nothing", &[], &[]);
    accepts("no data", &field(0x0a, &[]), &[]);
    accepts("data", &data, &[]);
    accepts("a link", &plain, &[leaf]);
    accepts("links, then data", &[&plain[..], &plain, &data].concat(), &[leaf, leaf]);
    accepts("data, then links", &[&data[..], &plain, &plain].concat(), &[leaf, leaf]);
    accepts("a name", &link(&[&hash, &field(0x12, b"name")]), &[leaf]);
    accepts("an empty name", &link(&[&hash, &[0x12, 0]]), &[leaf]);
    accepts("a name of any bytes", &link(&[&hash, &field(0x12, b"caf\xe9")]), &[leaf]);
    accepts("a size", &link(&[&hash, &[0x18, 0]]), &[leaf]);
    accepts("all fields", &link(&[&hash, &[0x12, 0], &[0x18, 0xf2, 0x07]]), &[leaf]);
    let largest = [&[0x18][..], &[0xff; 9], &[1]].concat();
    accepts("the largest size", &link(&[&hash, &largest]), &[leaf]);
    accepts(
        "names that are not in order",
        &[link(&[&hash, b"\x12\x01b"]), link(&[&hash, b"\x12\x01a"])].concat(),
        &[leaf, leaf],
    );
}

#[test]
fn links_may_be_any_cid_and_stay_in_order() {
    let identity: Cid = "bafkqaaa".parse().expect("the identity CID of nothing");
    let v0 = Cid::new_v0(*leaf().hash()).expect("a CIDv0");
    let all = [v0, leaf(), identity, v0];
    let data: Vec<u8> = all.iter().flat_map(|cid| link(&[&hash(cid)])).collect();
    accepts("four links", &data, &all);
    // A CIDv0 implies that its block is DAG-PB.
    let of_v0 = Cid::new_v0(*cid_of(RAW, &data).hash()).expect("a CIDv0");
    assert_eq!(links(&of_v0, &data).expect("valid"), all);
}

#[test]
fn order_and_number_of_fields_are_strict() {
    let (hash, data) = (hash(&leaf()), field(0x0a, b"data"));
    let plain = link(&[&hash]);
    refuses("data between links", &[&plain[..], &data, &plain].concat(), "both before and after the data at byte");
    refuses("data twice", &[&data[..], &data].concat(), "second data field");
    refuses("data around links", &[&data[..], &plain, &data].concat(), "second data field");
    refuses("empty data twice", &[0x0a, 0, 0x0a, 0], "second data field at byte 2");
    let at_this_place = "unexpected field in a link";
    refuses("two hashes", &link(&[&hash, &hash]), at_this_place);
    refuses("two names", &link(&[&hash, &[0x12, 0], &[0x12, 0]]), at_this_place);
    refuses("two sizes", &link(&[&hash, &[0x18, 1], &[0x18, 1]]), at_this_place);
    refuses("a name after the size", &link(&[&hash, &[0x18, 1], &[0x12, 0]]), at_this_place);
    for fields in [&[][..], &[0x12, 0], &[0x18, 0], &[0x12, 1, b'a']] {
        refuses("a link without a hash", &link(&[fields]), "does not begin with its CID");
    }
    refuses("a hash after the name", &link(&[&[0x12, 0], &hash]), "does not begin with its CID");
}

#[test]
fn other_fields_and_wire_types_are_refused() {
    let hash = hash(&leaf());
    // The fields of a node and of a link with every wrong wire type, and fields that neither of them has.
    for tag in (0..=0xff).filter(|tag| ![0x0a, 0x12].contains(tag)) {
        refuses("a field of a node", &[tag, 0], "neither a link nor the data at byte 0");
    }
    for tag in (0..=0xff).filter(|tag| ![0x12, 0x18].contains(tag)) {
        refuses("a field of a link", &link(&[&hash, &[tag, 0]]), "unexpected field in a link");
    }
    refuses("a tag in two bytes", &[0x8a, 0x00, 0x00], "neither a link nor the data");
}

#[test]
fn numbers_are_short_and_bounded() {
    let hash = hash(&leaf());
    refuses("a length in two bytes", &[0x0a, 0x80, 0x00], "more bytes than it needs");
    refuses("a length of 1 in two bytes", &[0x0a, 0x81, 0x00, 0], "more bytes than it needs");
    refuses("a size in two bytes", &link(&[&hash, &[0x18, 0x85, 0x00]]), "more bytes than it needs");
    refuses("a size above 64 bits", &link(&[&hash, &[0x18], &[0xff; 9], &[2]]), "more than 64 bits");
    refuses("a size of eleven bytes", &link(&[&hash, &[0x18], &[0x80; 10], &[0]]), "more than 64 bits");
    refuses("a size without its end", &link(&[&hash, &[0x18, 0x80]]), "truncated");
    refuses("no length", &[0x0a], "truncated");
    refuses("a length that ends too early", &[0x12, 0x80], "truncated");
    for length in [&[1][..], &[0x7f], &[0xff; 9], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
        let data = [&[0x0a], length].concat();
        let read = read(&data);
        assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::Malformed), "{data:02x?}");
    }
    // A field inside a link must end within the link.
    let too_long = [field(0x12, &[0x0a, 36]), hash[2..].to_vec()].concat();
    refuses("a CID beyond its link", &too_long, "length beyond the end");
}

#[test]
fn a_hash_is_exactly_one_cid() {
    let cid = leaf().to_bytes();
    let one = "exactly one CID at byte 4";
    refuses("no bytes", &link(&[&field(0x0a, &[])]), one);
    refuses("a CID cut short", &link(&[&field(0x0a, &cid[..35])]), one);
    refuses("a byte after it", &link(&[&field(0x0a, &[&cid[..], &[0]].concat())]), one);
    refuses("the zero of DAG-CBOR before it", &link(&[&field(0x0a, &[&[0], &cid[..]].concat())]), one);
    refuses("a CID of version 2", &link(&[&field(0x0a, &[&[2], &cid[1..]].concat())]), one);
    refuses("a long codec", &link(&[&field(0x0a, &[&[1, 0xd5, 0], &cid[2..]].concat())]), one);
    refuses("its text", &link(&[&field(0x0a, leaf().to_string().as_bytes())]), one);
}

#[test]
fn a_node_cut_anywhere_is_refused_or_ends_between_two_fields() {
    let hash = hash(&leaf());
    let whole_link = link(&[&hash, &field(0x12, b"name"), &[0x18, 7]]);
    let data = [&whole_link[..], &whole_link, &field(0x0a, b"data")].concat();
    let ends = [0, whole_link.len(), 2 * whole_link.len(), data.len()];
    for end in 0..=data.len() {
        assert_eq!(read(&data[..end]).is_ok(), ends.contains(&end), "cut at {end}");
    }
}
