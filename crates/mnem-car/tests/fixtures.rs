//! Archives built by hand, without the code under test, and the results of reading them.

use std::path::Path;

use mnem_car::{BLOCK_BYTES_MAX, Bytes, CarError, CarFault, CarWarning, Cid, Reader, cid::multihash::Multihash};
use mnem_store_traits::{DAG_CBOR, RAW, cid_of};

pub(crate) type Block = (Cid, Bytes);

/// Everything that a reader finds in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) version: u64,
    pub(crate) roots: Vec<Cid>,
    pub(crate) blocks: Vec<Block>,
    /// End of the last section.
    pub(crate) end: u64,
    pub(crate) padding_bytes: u64,
    pub(crate) warnings: Vec<CarWarning>,
    /// The fault, the start of its section, and its offset.
    pub(crate) fault: Option<(CarFault, u64, u64)>,
}

/// Reads an archive to its end or to a fault.
pub(crate) fn read(archive: &[u8]) -> Found {
    read_with(archive, BLOCK_BYTES_MAX, false)
}

/// Reads twice, with the blocks and for their offsets only. Both must find the same.
pub(crate) fn read_with(archive: &[u8], block_bytes_max: u64, allow_padding: bool) -> Found {
    let open = || Reader::new(archive, block_bytes_max).map(|reader| reader.allow_padding(allow_padding));
    let (mut whole, mut places) = match (open(), open()) {
        (Ok(whole), Ok(places)) => (whole, places),
        (whole, places) => {
            let fault = parts(whole.expect_err("no archive"));
            assert_eq!(fault, parts(places.expect_err("no archive")));
            let (version, end, padding_bytes) = (0, 0, 0);
            let (roots, blocks, warnings) = (vec![], vec![], vec![]);
            return Found { version, roots, blocks, end, padding_bytes, warnings, fault: Some(fault) };
        }
    };
    let (mut blocks, mut end) = (Vec::new(), whole.offset());
    let fault = loop {
        let (section, place) = (whole.next_section(), places.next_offsets());
        let section = match (section, place) {
            (Ok(None), Ok(None)) => break None,
            (Err(one), Err(other)) => {
                let one = parts(one);
                assert_eq!(one, parts(other), "the same fault");
                break Some(one);
            }
            (Ok(Some(section)), Ok(Some(place))) if section.offsets() == place => section,
            (section, place) => panic!("with bytes: {section:?}, without: {place:?}"),
        };
        assert_at_its_place(archive, &section);
        end = section.offsets().end();
        assert_eq!((whole.offset(), places.offset()), (end, end));
        blocks.push((section.cid, section.data));
    };
    assert_eq!(whole.warnings(), places.warnings());
    assert_eq!(whole.padding_bytes(), places.padding_bytes());
    if fault.is_some() {
        assert!(
            matches!((whole.next_section(), places.next_offsets()), (Ok(None), Ok(None))),
            "nothing after an error"
        );
    }
    let (roots, warnings) = (whole.roots().to_vec(), whole.warnings().to_vec());
    Found { version: whole.version(), roots, blocks, end, padding_bytes: whole.padding_bytes(), warnings, fault }
}

fn assert_at_its_place(archive: &[u8], section: &mnem_car::Section) {
    let from = |offset: u64| &archive[usize::try_from(offset).expect("small")..];
    let at = section.offsets();
    assert!(from(at.cid_offset).starts_with(&section.cid.to_bytes()));
    assert_eq!(&from(at.data_offset)[..usize::try_from(at.data_bytes).expect("small")], &section.data);
    assert!(from(at.offset).starts_with(&self::section(&section.cid.to_bytes(), &section.data)));
}

fn parts(error: CarError) -> (CarFault, u64, u64) {
    match error {
        CarError::Fault { fault, section_offset, offset, .. } => (fault, section_offset, offset),
        other => panic!("not a fault of the archive: {other:?}"),
    }
}

pub(crate) fn animals() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data/wordnet-animals.car");
    std::fs::read(path).expect("the animals archive")
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value % 128).expect("below 128");
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low + 128);
    }
}

/// A length, followed by the bytes of that length.
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    [varint(content.len() as u64), content.to_vec()].concat()
}

pub(crate) fn section(cid: &[u8], data: &[u8]) -> Vec<u8> {
    framed(&[cid, data].concat())
}

pub(crate) fn link(cid: &Cid) -> Vec<u8> {
    let cid = cid.to_bytes();
    let len = u8::try_from(cid.len() + 1).expect("a short CID");
    let text = if len < 24 { vec![0x40 + len] } else { vec![0x58, len] };
    [&[0xd8, 0x2a][..], &text, &[0], &cid].concat()
}

/// A CBOR array of links.
fn links(cids: &[Cid]) -> Vec<u8> {
    let mut bytes = match u16::try_from(cids.len()).expect("up to 65,535 links") {
        len @ 0..24 => vec![0x80 + len as u8],
        len @ 24..256 => vec![0x98, len as u8],
        len => [&[0x99], &len.to_be_bytes()[..]].concat(),
    };
    cids.iter().for_each(|cid| bytes.extend(link(cid)));
    bytes
}

pub(crate) fn header(roots: &[Cid]) -> Vec<u8> {
    framed(&[b"\xa2\x65roots", &links(roots)[..], b"\x67version\x01"].concat())
}

pub(crate) fn car(roots: &[Cid], blocks: &[Block]) -> Vec<u8> {
    let mut bytes = header(roots);
    blocks.iter().for_each(|(cid, data)| bytes.extend(section(&cid.to_bytes(), data)));
    bytes
}

/// A CARv2 with this payload at `data_offset` and this index.
pub(crate) fn car_v2(payload: &[u8], data_offset: u64, index: &[u8]) -> Vec<u8> {
    let data_size = payload.len() as u64;
    let index_offset = if index.is_empty() { 0 } else { data_offset + data_size };
    let mut bytes = car_v2_start(data_offset, data_size, index_offset);
    bytes.resize(usize::try_from(data_offset).expect("small"), 0);
    bytes.extend(payload);
    bytes.extend(index);
    bytes
}

/// An index as go-car writes it, of the older format or the one with hash functions: these digests at these offsets.
pub(crate) fn index(format: u64, entries: &[(Vec<u8>, u64)]) -> Vec<u8> {
    // The first index had no format number.
    let mut bytes = if format == 0 { vec![] } else { varint(format) };
    if format == 0x0401 {
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(0x12_u64.to_le_bytes());
    }
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(40_u32.to_le_bytes());
    bytes.extend((40 * entries.len() as u64).to_le_bytes());
    for (digest, offset) in entries {
        bytes.extend(digest);
        bytes.extend(offset.to_le_bytes());
    }
    bytes
}

/// The index of an archive of sha2-256 blocks.
pub(crate) fn index_of(format: u64, roots: &[Cid], blocks: &[Block]) -> Vec<u8> {
    let offset = |n: usize| car(roots, &blocks[..n]).len() as u64;
    let entries: Vec<_> = blocks.iter().enumerate().map(|(n, b)| (b.0.hash().digest().to_vec(), offset(n))).collect();
    index(format, &entries)
}

/// The pragma and the fixed header.
pub(crate) fn car_v2_start(data_offset: u64, data_size: u64, index_offset: u64) -> Vec<u8> {
    let mut bytes = b"\x0a\xa1\x67version\x02".to_vec();
    bytes.extend([0; 16]);
    for field in [data_offset, data_size, index_offset] {
        bytes.extend(field.to_le_bytes());
    }
    bytes
}

pub(crate) fn raw(data: impl Into<Bytes>) -> Block {
    let data = data.into();
    (cid_of(RAW, &data), data)
}

/// A DAG-CBOR block that links to these blocks.
pub(crate) fn node(children: &[Cid]) -> Block {
    let data = Bytes::from(links(children));
    (cid_of(DAG_CBOR, &data), data)
}

/// A CID with this multihash, valid or not.
pub(crate) fn cid_with_hash(codec: u64, code: u64, digest: &[u8]) -> Cid {
    Cid::new_v1(codec, Multihash::wrap(code, digest).expect("a short digest"))
}

/// A root that links to a large leaf and a small one, parents first. The length of the large one takes two bytes.
pub(crate) fn family() -> (Cid, Vec<Block>) {
    let (large, small) = (raw(vec![7; 200]), raw("small"));
    let root = node(&[large.0, small.0]);
    (root.0, vec![root, large, small])
}
