//! Valid archives, however unusual, and archives that the writer wrote.

use std::io::{self, Read};

use mnem_car::{BLOCK_BYTES_MAX, CarError, CarFault, Cid, ROOTS_MAX, Reader, SectionOffsets, Writer, can_hold};

use crate::fixtures::{animals, car, car_v2, cid_with_hash, family, header, index, index_of, raw, read};

/// Returns one byte at a time, and is interrupted before each.
struct Slow<'a> {
    bytes: &'a [u8],
    interrupted: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Some(slot) = buffer.get_mut(..1) else { return Ok(0) };
        self.bytes.read(slot)
    }
}

#[test]
fn animals_are_read() {
    let archive = animals();
    let found = read(&archive);
    assert_eq!((found.version, found.blocks.len(), found.fault), (1, 4077, None));
    assert_eq!((found.roots.len(), found.end), (1, archive.len() as u64));
    // Writing the content again gives the same bytes.
    let mut writer = Writer::new(Vec::new(), &found.roots).expect("a header");
    for (cid, data) in &found.blocks {
        writer.write(cid, data).expect("a section");
    }
    assert!(writer.finish().expect("an archive") == archive);
}

#[test]
fn a_slow_reader_gives_the_same_blocks() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    let slow = || Reader::new(Slow { bytes: &archive, interrupted: false }, BLOCK_BYTES_MAX).expect("a header");
    let (mut reader, mut places, mut found) = (slow(), slow(), Vec::new());
    while let Some(section) = reader.next_section().expect("a section") {
        assert_eq!(places.next_offsets().expect("a section"), Some(section.offsets()));
        found.push((section.cid, section.data));
    }
    assert_eq!(found, blocks);
    assert_eq!(places.next_offsets().expect("the end"), None);
    assert_eq!((reader.offset(), places.offset()), (archive.len() as u64, archive.len() as u64));
}

#[test]
fn blocks_and_offsets_may_be_asked_for_in_turn() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    let mut reader = Reader::new(&archive[..], BLOCK_BYTES_MAX).expect("a header");
    assert_eq!(reader.next_offsets().expect("a section").map(|at| at.cid), Some(blocks[0].0));
    assert_eq!(reader.next_section().expect("a section").map(|section| section.data), Some(blocks[1].1.clone()));
    let last = reader.next_offsets().expect("a section").expect("the last one");
    assert_eq!((last.cid, last.end()), (blocks[2].0, archive.len() as u64));
    assert_eq!(reader.next_section().expect("the end"), None);
}

#[test]
fn what_is_written_is_what_is_expected_and_where_it_was_said_to_be() {
    let (root, blocks) = family();
    let mut writer = Writer::new(Vec::new(), &[root]).expect("a header");
    let places: Vec<_> = blocks.iter().map(|(cid, data)| writer.write(cid, data).expect("a section")).collect();
    let end = writer.offset();
    let archive = writer.finish().expect("an archive");
    assert_eq!(archive, car(&[root], &blocks));
    assert_eq!((end, places[2].end()), (archive.len() as u64, archive.len() as u64));
    let mut reader = Reader::new(&archive[..], BLOCK_BYTES_MAX).expect("a header");
    for place in places {
        assert_eq!(reader.next_offsets().expect("a section"), Some(place));
    }
}

#[test]
fn a_header_that_no_reader_takes_is_not_written() {
    let root = raw("x").0;
    let written = |count| {
        let mut output = Vec::new();
        let result = Writer::new(&mut output, &vec![root; count]).map(drop).map_err(|error| error.kind());
        (result, output)
    };
    assert_eq!(written(ROOTS_MAX + 1), (Err(io::ErrorKind::InvalidInput), vec![]));
    let (result, archive) = written(ROOTS_MAX);
    assert_eq!((result, read(&archive).roots.len()), (Ok(()), ROOTS_MAX));
}

#[test]
fn archives_without_roots_or_blocks_are_fine() {
    let leaf = raw("leaf");
    let found = read(&car(&[], std::slice::from_ref(&leaf)));
    assert_eq!((found.roots, found.blocks, found.fault), (vec![], vec![leaf], None));
    let found = read(&header(&[]));
    assert_eq!((found.version, found.roots, found.blocks, found.fault), (1, vec![], vec![], None));
}

#[test]
fn cid_v0_and_identity_are_kept() {
    let data = b"\x0a\x00".as_slice();
    let v0 = Cid::new_v0(*raw(data).0.hash()).expect("a CIDv0");
    let identity = cid_with_hash(0x55, 0x00, b"in the CID");
    let empty = cid_with_hash(0x55, 0x00, b"");
    let blocks = [(v0, data.into()), (identity, b"in the CID".as_slice().into()), (empty, b"".as_slice().into())];
    let found = read(&car(&[v0, identity, empty], &blocks));
    assert_eq!((found.roots, found.fault), (vec![v0, identity, empty], None));
    assert_eq!(found.blocks, blocks);
}

#[test]
fn car_v2_is_read_with_and_without_index_and_padding() {
    let (root, blocks) = family();
    let payload = car(&[root], &blocks);
    let indexes =
        [vec![], index_of(0, &[root], &blocks), index_of(0x0400, &[root], &blocks), index_of(0x0401, &[root], &blocks)];
    for (data_offset, index) in [51, 1000].into_iter().flat_map(|at| indexes.iter().map(move |index| (at, index))) {
        let found = read(&car_v2(&payload, data_offset, index));
        assert_eq!((found.version, found.warnings, found.fault), (2, vec![], None));
        assert_eq!((found.roots, found.end), (vec![root], data_offset + payload.len() as u64));
        assert_eq!(found.blocks, blocks);
    }
}

#[test]
fn the_index_is_read_to_its_end_for_the_sake_of_the_pipe() {
    let index = index(0x0400, &vec![(vec![7; 32], 0); 10_000]);
    let archive = car_v2(&car(&[], &[raw(vec![1; 20_000])]), 51, &index);
    let mut input = &archive[..];
    let mut reader = Reader::new(&mut input, BLOCK_BYTES_MAX).expect("a header");
    while reader.next_offsets().expect("a section").is_some() {}
    drop(reader);
    assert!(input.is_empty(), "{} bytes were left", input.len());
}

#[test]
fn a_block_of_the_largest_size_is_read() {
    let block = raw(vec![1; BLOCK_BYTES_MAX as usize]);
    let found = read(&car(&[block.0], std::slice::from_ref(&block)));
    assert_eq!((found.blocks.len(), found.fault), (1, None));
    assert!(found.blocks[0] == block);
}

#[test]
fn an_input_that_fails_is_an_error_with_its_place() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable was pulled"))
        }
    }
    let start = car(&[], &[raw("good")]);
    for cut in [start.len(), start.len() - 2] {
        let open = || Reader::new(start[..cut].chain(Fails), BLOCK_BYTES_MAX).expect("a header");
        let (mut whole, mut places) = (open(), open());
        if cut == start.len() {
            assert_eq!(whole.next_section().expect("good").map(|s| s.offsets()), places.next_offsets().expect("good"));
        }
        for error in [whole.next_section().expect_err("it fails"), places.next_offsets().expect_err("it fails")] {
            assert!(matches!(&error, CarError::Io { source, .. } if source.to_string() == "the cable was pulled"));
            assert_eq!((error.offset(), error.fault()), (cut as u64, None));
        }
    }
}

#[test]
fn the_start_of_a_section_is_read_where_it_stands() {
    let blocks = [0, 1, 127, 128, 20_000].map(|len| raw(vec![7; len]));
    let mut writer = Writer::new(Vec::new(), &[]).unwrap();
    let written: Vec<SectionOffsets> = blocks.iter().map(|(cid, data)| writer.write(cid, data).unwrap()).collect();
    let archive = writer.finish().unwrap();
    for offsets in &written {
        let bytes = &archive[offsets.offset as usize..];
        assert_eq!(SectionOffsets::parse(bytes, offsets.offset).unwrap(), *offsets);
        // The data may be missing. If the start is incomplete, the error says that bytes are missing.
        let start = (offsets.data_offset - offsets.offset) as usize;
        assert_eq!(SectionOffsets::parse(&bytes[..start], offsets.offset).unwrap(), *offsets);
        for len in 0..start {
            let error = SectionOffsets::parse(&bytes[..len], offsets.offset).unwrap_err();
            assert!(matches!(error.fault(), Some(CarFault::CutOff { .. })), "{len}: {error}");
        }
    }
    for (bytes, expected) in [
        (&[0_u8][..], "a section has length zero"),
        (&[1, 1], "ends inside its CID"),
        (&[0x80, 0], "not a valid varint"),
        (&[4, 9, 9, 9, 9], "its version is 9"),
    ] {
        let error = SectionOffsets::parse(bytes, 100).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Codecs and hash functions at the limit of what archives can hold, and past it.
#[test]
fn a_writer_refuses_what_no_reader_accepts_and_writes_nothing_of_it() {
    const MAX: u64 = (1 << 63) - 1;
    for (codec, code, fits) in [
        (0x55, 0x12, true),
        (MAX, 0x12, true),
        (0x55, MAX, true),
        (MAX, MAX, true),
        (MAX + 1, 0x12, false),
        (0x55, MAX + 1, false),
        (u64::MAX, u64::MAX, false),
    ] {
        let cid = cid_with_hash(codec, code, &[7; 32]);
        assert_eq!(can_hold(&cid), fits, "{cid}");
        let header = Writer::new(Vec::new(), &[cid]).and_then(Writer::finish);
        let mut writer = Writer::new(Vec::new(), &[]).unwrap();
        let start = writer.offset();
        let section = writer.write(&cid, b"data");
        if fits {
            let header = header.unwrap();
            let mut reader = Reader::new(&header[..], BLOCK_BYTES_MAX).unwrap();
            assert_eq!(reader.roots(), [cid]);
            assert!(reader.next_section().unwrap().is_none());
            section.unwrap();
            let archive = writer.finish().unwrap();
            let read = Reader::new(&archive[..], BLOCK_BYTES_MAX).unwrap().next_section().unwrap().unwrap();
            assert_eq!(read.cid, cid);
        } else {
            for error in [header.unwrap_err(), section.unwrap_err()] {
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                assert!(error.to_string().contains(&cid.to_string()), "{error}");
            }
            assert_eq!(writer.offset(), start);
            assert_eq!(writer.finish().unwrap().len() as u64, start, "not even its length was written");
        }
    }
}
