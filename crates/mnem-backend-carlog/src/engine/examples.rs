//! Tests of the examples in `FORMAT.md`: this build writes exactly these bytes, and reads them.

use mnem_store_traits::{Bytes, Cid, RAW, cid_of};

use super::{
    descriptor::{self, Descriptor},
    keys::{Keys, tests::example},
    manifest::{Covered, Extent, Manifest},
    memory::MemoryFile,
    place::Place,
    record::{CommitMacs, Record},
    replay::{Position, Tail, replay},
    rows::{self, Tables, Value},
    run_writer::RunWriter,
    state::State,
};

const FORMAT: &str = include_str!("../../FORMAT.md");

/// The code block of `FORMAT.md` that begins with `start`.
fn block(start: &str) -> &'static str {
    let blocks = FORMAT.split("```text\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.starts_with(start)).unwrap_or_else(|| panic!("no example begins with {start}"))
}

/// The bytes that a code block shows. Each line has an offset, hexadecimal digits, and a comment after two spaces.
/// Bytes that no line shows are zeros.
fn bytes_of(block: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for line in block.lines() {
        let (offset, rest) = line.split_once(' ').unwrap();
        let digits: String = rest.split("  ").next().unwrap().split(' ').collect();
        let offset = usize::from_str_radix(offset, 16).unwrap();
        let digits = super::sealed::unhex_vec(&digits).unwrap_or_else(|| panic!("{line}"));
        bytes[offset..offset + digits.len()].copy_from_slice(&digits);
    }
    bytes
}

fn hello() -> (Cid, &'static [u8]) {
    (cid_of(RAW, b"hello"), b"hello")
}

/// The segment of the example and the MAC of its commit.
fn segment(keys: &Keys) -> (Vec<u8>, [u8; 32]) {
    let (cid, data) = hello();
    let mut bytes = Descriptor { segment: 1, ..Descriptor::default() }.begin_segment(keys);
    let from = bytes.len();
    let mut macs = CommitMacs::new(keys, &[0; 32], 1);
    mnem_car::SectionOffsets::write_start(&cid, data.len() as u64, from as u64, &mut bytes);
    macs.name(&bytes[from..]);
    bytes.extend(data);
    macs.bytes.update(&bytes[from..]);
    let (at, from) = (bytes.len() as u32, from as u32);
    let record = Record { seq: 1, at, from, puts: 1, heads: Some(vec![cid]), ..Record::default() };
    let mac = record.write(keys, 1, macs, &mut bytes);
    (bytes, mac)
}

/// The place of the block `hello`.
fn place() -> Place {
    Place::new(1, &mnem_car::SectionOffsets::write_start(&hello().0, 5, 0xb8, &mut Vec::new()))
}

#[test]
fn the_segment_is_what_is_written_and_read() {
    let keys = example();
    let (written, mac) = segment(&keys);
    assert_eq!(bytes_of(block("000 3a"), written.len()), written);
    let mut position = Position { segment: 1, ..Position::default() };
    let mut commits = Vec::new();
    let tail = replay(&keys, &MemoryFile::of(written), &mut position, 0, &mut |commit| commits.push(commit)).unwrap();
    assert_eq!((tail, position.end, position.mac), (Tail::Nothing, 0x19d, mac));
    assert_eq!(commits[0].record.heads, Some(vec![hello().0]));
    assert_eq!(descriptor::begin_bytes(&keys), 0xb8);
}

#[test]
fn the_run_is_what_is_written() {
    let keys = example();
    let file = MemoryFile::default();
    let mut writer = RunWriter::new(&keys, &file, 2, 1);
    writer.push((keys.fingerprint(&hello().0), place())).unwrap();
    writer.finish(0, 1).unwrap();
    let written = file.bytes().clone();
    assert_eq!(written.len(), 4 * super::page::PAGE_BYTES);
    assert_eq!(bytes_of(block("0000 6d6e656d52"), written.len()), written);
}

#[test]
fn the_rows_are_what_is_written_and_read() {
    let keys = example();
    let value = Value { place: place(), bytes: 5 };
    let tables: Tables = [("greetings".to_owned(), [(Bytes::from_static(b"en"), value)].into())].into();
    let written = rows::encode(&keys, 2, 1, &tables);
    assert_eq!(bytes_of(block("00 6d6e656d54"), written.len()), written);
    assert_eq!(rows::decode(&keys, 2, 1, &written), Some(tables));
}

#[test]
fn the_state_is_what_is_written_and_read() {
    let keys = example();
    let state = State { generation: 2, seq: 1, segment: 1, end: 0x19d };
    let written = state.encode(&keys);
    assert_eq!(bytes_of(block("00 6d6e656d53"), written.len()), written);
    assert_eq!(State::decode(&written, &keys), Some(state));
}

#[test]
fn the_text_files_are_what_is_written_and_read() {
    let keys = example();
    assert_eq!(block("mnem-backend-carlog 1\n").as_bytes(), keys.encode());
    let position = Position { segment: 1, end: 0x19d, mac: segment(&keys).1, seq: 1, last_from: 0x19d, closed: false };
    let covered = Covered {
        position,
        segments: vec![Extent { end: 0x19d, others: 0 }],
        heads: [hello().0].into(),
        runs: vec![2],
        rows: None,
    };
    let manifest = Manifest { store: keys.store, generation: 2, segments: vec![1], covered: Some(covered) };
    assert_eq!(String::from_utf8(manifest.encode()).unwrap(), block("mnem-backend-carlog manifest 1\n"));
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

#[test]
fn the_descriptor_of_a_compacted_log_is_what_is_written_and_read() {
    let keys = example();
    let descriptor = Descriptor { segment: 2, compacted: true, replaces: 1, ..Descriptor::default() };
    let written = descriptor.begin_segment(&keys);
    let data = &written[0x60..];
    assert_eq!(bytes_of(block("060 6d6e656d4c"), written.len())[0x60..], *data);
    assert_eq!(Descriptor::decode(data, &keys), Ok(descriptor));
}
