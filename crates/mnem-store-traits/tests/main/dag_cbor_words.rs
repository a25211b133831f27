//! Errors about DAG-CBOR are plain sentences, and never show a decoder's types.

use mnem_store_traits::{Cid, DAG_CBOR, DagCborError, RAW, StoreError, cid_of, from_dag_cbor, links};

fn fault(data: &[u8]) -> Option<DagCborError> {
    match links(&cid_of(DAG_CBOR, data), data) {
        Ok(_) => None,
        Err(StoreError::Malformed { source, .. }) => {
            Some(source.downcast_ref::<DagCborError>().expect("the error of this codec").clone())
        }
        Err(other) => panic!("another error: {other:?}"),
    }
}

fn link(cid: &Cid) -> Vec<u8> {
    let bytes = [&[0][..], &cid.to_bytes()].concat();
    [&[0xd8, 42, 0x58, bytes.len() as u8][..], &bytes].concat()
}

#[test]
fn each_kind_has_its_sentence() {
    let cid = cid_of(RAW, b"leaf");
    let mut twice = link(&cid);
    twice[3] += 1;
    twice.push(0);
    let in_pieces = [&[0xd8, 42, 0x5f, 0x58, 37, 0][..], &cid.to_bytes(), &[0xff]].concat();
    let deep = [vec![0x81; 200], vec![0]].concat();
    let cases: [(&[u8], DagCborError, &str); 26] = [
        (&[], DagCborError::CutOff, "the block ends inside an item"),
        (&[0x82, 0], DagCborError::CutOff, "the block ends inside an item"),
        (&[0x63, b'a'], DagCborError::CutOff, "the block ends inside an item"),
        (&[0xd8], DagCborError::CutOff, "the block ends inside an item"),
        (&[0, 0], DagCborError::TrailingBytes, "bytes follow the item, but a block is a single item"),
        (&deep, DagCborError::TooDeep, "nesting is deeper than 128 levels"),
        (&[0x18, 1], DagCborError::NotShortest, "a number or length is written in more bytes than it needs"),
        (&[0x98, 1, 0], DagCborError::NotShortest, "a number or length is written in more bytes than it needs"),
        (&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255], DagCborError::CutOff, "the block ends inside an item"),
        (&[0x9f, 0xff], DagCborError::IndefiniteLength, "an item has an indefinite length"),
        (&[0xa1, 0x7f, 0x61, b'a', 0xff, 0], DagCborError::IndefiniteLength, "an item has an indefinite length"),
        (&in_pieces, DagCborError::IndefiniteLength, "an item has an indefinite length"),
        (
            &[0xa2, 0x61, b'b', 0, 0x61, b'a', 0],
            DagCborError::KeyOrder,
            "the keys of a map are out of order (shorter keys come first) or repeated",
        ),
        (
            &[0xa2, 0x61, b'a', 0, 0x61, b'a', 0],
            DagCborError::KeyOrder,
            "the keys of a map are out of order (shorter keys come first) or repeated",
        ),
        (&[0xa1, 0, 0], DagCborError::KeyNotText, "the key of a map is not text"),
        (&[0x61, 0xff], DagCborError::NotUtf8, "a text is not UTF-8"),
        (&[0xa1, 0x61, 0xff, 0], DagCborError::NotUtf8, "a text is not UTF-8"),
        (&[0xd8, 42, 0x41, 0], DagCborError::Link, "a link (tag 42) does not hold exactly one CID"),
        (&[0xd8, 42, 0], DagCborError::Link, "a link (tag 42) does not hold exactly one CID"),
        (&twice, DagCborError::Link, "a link (tag 42) does not hold exactly one CID"),
        (&[0xc1, 0], DagCborError::Tag, "a tag is not 42 in its shortest form, the only tag allowed"),
        (&[0xd8, 43, 0], DagCborError::Tag, "a tag is not 42 in its shortest form, the only tag allowed"),
        (&[0xf9, 0x3e, 0], DagCborError::Float, "a float is not finite, is -0, or has fewer than 64 bits"),
        (
            &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
            DagCborError::Float,
            "a float is not finite, is -0, or has fewer than 64 bits",
        ),
        (&[0xf7], DagCborError::Item(0xf7), "byte 0xf7 does not begin an item that is allowed there"),
        (&[0x1c], DagCborError::Item(0x1c), "byte 0x1c does not begin an item that is allowed there"),
    ];
    for (data, expected, sentence) in cases {
        let fault = fault(data).unwrap_or_else(|| panic!("{data:02x?} is taken"));
        assert_eq!((&fault, &*fault.to_string()), (&expected, sentence), "{data:02x?}");
    }
}

#[test]
fn another_value_than_expected_is_named() {
    for (error, sentence) in [
        (from_dag_cbor::<u8>(&[0x61, b'a']).map(drop).err(), "byte 0x61 does not begin an item that is allowed there"),
        (from_dag_cbor::<[u8; 2]>(&[0x81, 0]).err(), "unexpected value: "),
        (
            from_dag_cbor::<i64>(&[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]).map(drop).err(),
            "a number or length is too large",
        ),
        (from_dag_cbor::<bool>(&[]).err(), "the block ends inside an item"),
        (from_dag_cbor::<u64>(&[0, 0]).err(), "bytes follow the item, but a block is a single item"),
    ] {
        let said = error.expect("refused").to_string();
        assert!(said.starts_with(sentence) && !is_debug(&said), "{said}");
    }
}

/// Whether a text looks like `Debug` output: a capitalized name with a brace, a parenthesis or a field.
fn is_debug(text: &str) -> bool {
    let opens = |at: usize| {
        let name = text[..at].trim_end_matches(' ');
        let word = name.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        word.len() > 1 && word.starts_with(|c: char| c.is_ascii_uppercase())
    };
    text.contains("{ name:")
        || text.match_indices(" {").any(|(at, _)| opens(at))
        || text.match_indices('(').any(|(at, _)| !text[..at].ends_with(' ') && opens(at))
}

#[test]
fn debug_forms_are_recognised() {
    for text in
        ["Eof { name: \"any\", expect: Small(1) }", "Small(1)", "at Len {", "x: DepthOverflow { name: \"any\" }"]
    {
        assert!(is_debug(text), "{text}");
    }
    for text in ["a link (tag 42)", "DAG-CBOR (0x71)", "invalid type: map, expected u8", "UTF-8"] {
        assert!(!is_debug(text), "{text}");
    }
}

/// Takes blocks of every kind, cuts them at every byte, and changes each byte to every other value. Reads the results
/// as links and as values of some types.
#[test]
fn no_change_of_a_byte_brings_out_a_decoder_s_types() {
    type Nested = std::collections::BTreeMap<String, Vec<(u8, f32, Option<char>)>>;
    let cid = cid_of(RAW, b"leaf");
    let blocks = [
        link(&cid),
        [&[0xa2, 0x61, b'a'][..], &link(&cid), &[0x62, b'b', b'c', 0x83, 0x19, 1, 0, 0x38, 24, 0xf6]].concat(),
        vec![0xa1, 0x61, b'x', 0x81, 0x83, 0x18, 200, 0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0x61, b'c'],
        vec![0x84, 0x43, 1, 2, 3, 0x63, 0xe2, 0x82, 0xac, 0x80, 0xf5],
    ];
    let said = |data: &[u8]| {
        let of_links = links(&cid_of(DAG_CBOR, data), data).err().map(|error| {
            let StoreError::Malformed { source, .. } = &error else { panic!("another error: {error:?}") };
            format!("{error}: {source}")
        });
        let values = [from_dag_cbor::<Nested>(data).err(), from_dag_cbor::<Vec<i16>>(data).map(drop).err()];
        of_links.into_iter().chain(values.into_iter().flatten().map(|error| error.to_string())).collect::<Vec<_>>()
    };
    let mut refused = 0;
    for block in blocks {
        for at in 0..block.len() {
            let changed = (0..=255).map(|byte| [&block[..at], &[byte], &block[at + 1..]].concat());
            for data in changed.chain([block[..at].to_vec()]) {
                for text in said(&data) {
                    refused += 1;
                    assert!(!is_debug(&text), "{data:02x?}: {text}");
                }
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}
