//! Headers, compared with another decoder of DAG-CBOR: both accept the same ones.

use mnem_car::{BLOCK_BYTES_MAX, CarError, CarFault, Cid, Reader, Writer};
use mnem_store_traits::{DAG_CBOR, cid_of, from_dag_cbor, links};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::Deserialize;

use crate::fixtures::{cid_with_hash, framed, raw};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    roots: Vec<Cid>,
    version: u64,
}

/// The roots of a header of version 1, according to the other decoder.
fn judged(header: &[u8]) -> Option<Vec<Cid>> {
    let fields: Header = from_dag_cbor(header).ok()?;
    links(&cid_of(DAG_CBOR, header), header).ok()?;
    (fields.version == 1).then_some(fields.roots)
}

fn read(header: &[u8]) -> Result<Vec<Cid>, CarError> {
    Reader::new(&framed(header)[..], BLOCK_BYTES_MAX).map(|reader| reader.roots().to_vec())
}

/// Without the length before it.
fn written(roots: &[Cid]) -> Vec<u8> {
    let framed = Writer::new(Vec::new(), roots).and_then(Writer::finish).expect("a header");
    let length_bytes = 1 + framed.iter().take_while(|byte| **byte >= 0x80).count();
    framed[length_bytes..].to_vec()
}

fn root() -> impl Strategy<Value = Cid> {
    let data = vec(any::<u8>(), 0..40);
    prop_oneof![
        data.clone().prop_map(|data| raw(data).0),
        data.clone().prop_map(|data| Cid::new_v0(*raw(data).0.hash()).expect("a CIDv0")),
        data.prop_map(|data| cid_with_hash(0x71, 0, &data)),
    ]
}

/// Replaces a range of bytes.
type Edit = (Index, usize, Vec<u8>);

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = prop_oneof![
        3 => vec(any::<u8>(), 0..3),
        1 => Just(b"\x65roots\x80".to_vec()),
        1 => Just(b"\x67version\x01".to_vec()),
        1 => Just(b"\x67version\x03".to_vec()),
        1 => Just(b"\xd8\x2a\x45\0\x01\x55\0\0".to_vec()),
        1 => Just(vec![0xa2]),
        1 => Just(vec![0x98]),
    ];
    (any::<Index>(), 0..3_usize, bytes)
}

#[test]
fn any_number_of_roots_is_written_as_the_other_decoder_reads_it() {
    for count in [0, 1, 2, 22, 23, 24, 255, 256, 1000, 65_535, 65_536] {
        let roots = vec![raw("x").0; count];
        let header = written(&roots);
        assert_eq!(judged(&header), Some(roots.clone()), "{count}");
        assert_eq!(read(&header).expect("a header"), roots, "{count}");
    }
}

/// A field, with values and lengths in forms that may not be canonical.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let fields: [&[u8]; 8] = [
        b"\x65roots\x80",
        b"\x65roots\x98\0",
        b"\x65roots\x81\xd8\x2a\x45\0\x01\x55\0\0",
        b"\x65roots\x81\xd8\x2a\x46\0\x01\x55\0\0\0",
        b"\x78\x05roots\x80",
        b"\x67version\x01",
        b"\x67version\x18\x01",
        b"\x64more\xa0",
    ];
    proptest::sample::select(fields.map(<[u8]>::to_vec).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_other_decoder_takes_is_taken(roots in vec(root(), 0..4), edits in vec(edit(), 0..4)) {
        let mut header = written(&roots);
        for (at, removed, bytes) in edits {
            let at = at.index(header.len() + 1);
            let end = header.len().min(at + removed);
            header.splice(at..end, bytes);
        }
        assert_agreed(&header)?;
    }

    #[test]
    fn fields_in_any_order_and_form_are_taken_alike(fields in vec(field(), 0..4), long: bool) {
        let count = u8::try_from(fields.len()).unwrap();
        let map = if long { vec![0xb8, count] } else { vec![0xa0 + count] };
        assert_agreed(&[map, fields.concat()].concat())?;
    }
}

/// Both decoders accept the same headers, with the same roots.
fn assert_agreed(header: &[u8]) -> Result<(), TestCaseError> {
    match (read(header), judged(header)) {
        (Ok(roots), judged) => prop_assert_eq!(Some(roots), judged, "taken here: {:x?}", header),
        (Err(CarError::Fault { fault: CarFault::OtherFormat { .. } | CarFault::Empty, .. }), _) => {}
        (Err(error), judged) => prop_assert!(judged.is_none(), "{}: {:x?}", error, header),
    }
    Ok(())
}
