//! Invalid archives: each is reported as a named fault at the right byte.

use mnem_car::{BLOCK_BYTES_MAX, CarFault, CarWarningKind, HEADER_BYTES_MAX, ROOTS_MAX};

use crate::fixtures::{
    car, car_v2, car_v2_start, family, framed, header, index_of, link, raw, read, read_with, section, varint,
};

/// The fault, the start of its section, its offset, and the number of blocks before it.
fn fault(archive: &[u8]) -> (CarFault, u64, u64, usize) {
    let found = read(archive);
    let (fault, section_offset, offset) = found.fault.expect("an illegal archive");
    (fault, section_offset, offset, found.blocks.len())
}

/// Reads an archive of one good block followed by `rest`. Returns the fault, and its offset in `rest`.
fn fault_after_a_block(rest: &[u8]) -> (CarFault, u64) {
    let start = car(&[], &[raw("good")]);
    let (fault, section_offset, offset, blocks) = fault(&[&start[..], rest].concat());
    assert_eq!((section_offset, blocks), (start.len() as u64, 1), "{fault:?}");
    (fault, offset - section_offset)
}

fn not_car(archive: &[u8]) -> (String, u64) {
    match fault(archive) {
        (CarFault::NotCar { what }, 0, offset, _) => (what, offset),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_archive_is_named_so() {
    assert_eq!(fault(b"").0, CarFault::Empty);
    // Bytes of no known format, some of which cannot be a length.
    for (bytes, at) in [(&b"\0"[..], 1), (b"\x05\x01\x02", 1), (b"\x80\0", 1), (&[0xff; 20], 9)] {
        assert_eq!(not_car(bytes), ("the input does not start with a CAR header".into(), at), "{bytes:x?}");
    }
}

#[test]
fn an_archive_behind_another_is_named_so() {
    for second in [car(&[], &[raw("more")]), b"\x0a\xa1gversion\x02".to_vec()] {
        let (fault, offset) = fault_after_a_block(&second);
        assert_eq!((fault, offset), (CarFault::SecondArchive, 0));
    }
}

#[test]
fn headers_that_are_none_are_refused() {
    let cid = raw("x").0.to_bytes();
    let with = |after: &[u8]| [&[0xd8, 0x2a, 0x58, 0x25 + after.len() as u8, 0][..], &cid, after].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"\xa1\x67version\x01".to_vec(), "no field `roots`"),
        (b"\xa2\x65roots\x80\x67version\x01\x00".to_vec(), "its header is malformed"),
        (b"\xa2\x67version\x01\x65roots\x80".to_vec(), "its header is malformed"),
        (b"\xa2\x65roots\x9f\xff\x67version\x01".to_vec(), "its header is malformed"),
        (b"\xa1\x65roots\x80".to_vec(), "its header is malformed"),
        (b"\xa2\x65roots\x81\x01\x67version\x01".to_vec(), "its header is malformed"),
        (b"\xa2\x65roots\x01\x67version\x01".to_vec(), "its header is malformed"),
        (b"\xa2\x65roots\x80\x67version\x61a".to_vec(), "its header is malformed"),
        (b"\xa2\x65roots\x80\x67version\x20".to_vec(), "its header is malformed"),
        ([&b"\xa2\x65roots\x81"[..], &with(b"\0"), b"\x67version\x01"].concat(), "its header is malformed"),
        (b"\xa2\x65roots\x80\x67version\x02".to_vec(), "pragma"),
        (b"\xa3\x64more\x82\x01\x02\x65roots\x80\x67version\x01".to_vec(), "unknown field `more`"),
        (b"\xa0".to_vec(), "its header is malformed"),
    ];
    for (content, expected) in cases {
        let (what, offset) = not_car(&framed(&content));
        assert!(what.contains(expected), "{content:x?}: {what}");
        assert_eq!(offset, 1);
    }
    // The same header is valid if the link holds the CID and nothing else.
    let good = framed(&[&b"\xa2\x65roots\x81"[..], &link(&raw("x").0), b"\x67version\x01"].concat());
    assert_eq!(read(&good).fault, None);
}

#[test]
fn other_versions_are_refused() {
    for version in [0, 3, 23] {
        let content = [&b"\xa2\x65roots\x80\x67version"[..], &[version]].concat();
        let expected = CarFault::UnsupportedVersion { version: version.into(), inside: false };
        assert_eq!(fault(&framed(&content)).0, expected);
    }
    // Whatever else such a header contains.
    let later = b"\xa3\x64list\x82\xa1\x61a\xf6\xfb\0\0\0\0\0\0\0\0\x67version\x18\x2a\x68checksum\x41\x07";
    assert_eq!(fault(&framed(later)).0, CarFault::UnsupportedVersion { version: 42, inside: false });
}

#[test]
fn a_header_above_the_limit_is_not_read() {
    let max = HEADER_BYTES_MAX;
    for header_bytes in [max + 1, 1 << 60, (1 << 63) - 1] {
        let expected = CarFault::HeaderTooLarge { header_bytes, header_bytes_max: max };
        assert_eq!(fault(&varint(header_bytes)), (expected, 0, 0, 0));
    }
    // At the limit, the header is read as far as it goes.
    let (cut, _, offset, _) = fault(&[varint(max), b"\xa2\x65roots".to_vec()].concat());
    assert_eq!((cut, offset), (CarFault::CutOff { missing_bytes: max - 7 }, 4 + 7));
}

#[test]
fn a_header_made_to_take_memory_or_stack_is_refused() {
    let mut nested = b"\xa2\x65roots".to_vec();
    nested.resize(4 << 20, 0x81);
    assert!(not_car(&framed(&nested)).0.contains("its header is malformed"));
    // Links of 8 bytes each, to the empty identity CID.
    let count = ROOTS_MAX + 1;
    let mut many = [&b"\xa2\x65roots\x9a"[..], &u32::try_from(count).unwrap().to_be_bytes()].concat();
    (0..count).for_each(|_| many.extend(b"\xd8\x2a\x45\0\x01\x55\0\0"));
    many.extend(b"\x67version\x01");
    assert_eq!(fault(&framed(&many)).0, CarFault::TooManyRoots { roots_max: ROOTS_MAX });
}

#[test]
fn an_archive_cut_off_at_any_byte_says_so() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    let boundaries: Vec<usize> = (0..=blocks.len()).map(|n| car(&[root], &blocks[..n]).len()).collect();
    for end in 1..archive.len() {
        let whole = boundaries.iter().filter(|boundary| **boundary <= end).count().saturating_sub(1);
        if boundaries.contains(&end) {
            // Between two sections nothing shows that data is missing.
            let found = read(&archive[..end]);
            assert_eq!((found.fault, found.blocks.len()), (None, whole));
            continue;
        }
        let (fault, section_offset, offset, before) = fault(&archive[..end]);
        assert!(matches!(fault, CarFault::CutOff { .. }), "at {end}: {fault:?}");
        assert_eq!(offset, end as u64);
        let expected = boundaries.iter().rfind(|boundary| **boundary < end).copied().unwrap_or(0);
        assert_eq!(section_offset, expected as u64);
        assert_eq!(before, whole, "at {end}");
    }
}

#[test]
fn a_cut_off_archive_says_how_much_is_missing() {
    let (_, blocks) = family();
    let archive = car(&[], &blocks);
    let cut = archive.len() - 3;
    assert_eq!(fault(&archive[..cut]).0, CarFault::CutOff { missing_bytes: 3 });
}

#[test]
fn a_car_v2_cut_off_at_any_byte_says_so() {
    let (root, blocks) = family();
    let payload = car(&[root], &blocks);
    let archive = car_v2(&payload, 60, &index_of(0x0401, &[root], &blocks));
    let payload_end = 60 + payload.len();
    for end in 1..archive.len() {
        if end >= payload_end {
            let found = read(&archive[..end]);
            let kind = if end == payload_end { CarWarningKind::IndexMissing } else { CarWarningKind::IndexCutOff };
            assert_eq!(found.warnings.iter().map(|warning| warning.kind).collect::<Vec<_>>(), [kind], "at {end}");
            continue;
        }
        let (fault, _, offset, _) = fault(&archive[..end]);
        assert!(matches!(fault, CarFault::CutOff { .. }), "at {end}: {fault:?}");
        assert_eq!(offset, end as u64);
    }
}

#[test]
fn varints_that_are_not_the_shortest_are_refused() {
    let overlong = CarFault::Varint { what: "its encoding is not minimal" };
    assert_eq!(fault_after_a_block(b"\x80\x00"), (overlong.clone(), 1));
    assert_eq!(fault_after_a_block(b"\xa9\x80\x00 rest"), (overlong.clone(), 2));
    let too_long = CarFault::Varint { what: "it has more than 9 bytes" };
    assert_eq!(fault_after_a_block(&[0xff; 12]), (too_long.clone(), 9));
    assert_eq!(fault_after_a_block(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), (too_long, 9));
    let payload = car_v2(b"\xa0\x00", 60, b"");
    assert_eq!(fault(&payload), (overlong, 60, 61, 0));
}

#[test]
fn an_empty_section_is_refused() {
    let more = raw("more");
    for zeros in [1, 100] {
        let rest = [vec![0; zeros], section(&more.0.to_bytes(), &more.1)].concat();
        assert_eq!(fault_after_a_block(&rest), (CarFault::EmptySection, 0));
    }
}

#[test]
fn a_declared_length_of_two_to_the_sixty_is_refused_at_once() {
    let block_bytes_max = BLOCK_BYTES_MAX;
    for block_bytes in [1 << 60, (1 << 63) - 1, block_bytes_max + 200] {
        let expected = CarFault::BlockTooLarge { block_bytes, block_bytes_max };
        assert_eq!(fault_after_a_block(&varint(block_bytes)), (expected, 0));
    }
}

#[test]
fn a_block_above_the_limit_is_refused() {
    let block = raw(vec![1; 16 * 1024 * 1024 + 1]);
    let cid_bytes = block.0.to_bytes().len() as u64;
    let length_bytes = varint(cid_bytes + block.1.len() as u64).len() as u64;
    let (fault, at) = fault_after_a_block(&section(&block.0.to_bytes(), &block.1));
    let block_bytes_max = BLOCK_BYTES_MAX;
    assert_eq!(fault, CarFault::BlockTooLarge { block_bytes: block_bytes_max + 1, block_bytes_max });
    assert_eq!(at, length_bytes + cid_bytes);
}

#[test]
fn the_callers_limit_counts() {
    let archive = car(&[], &[raw(vec![0; 1000]), raw(vec![0; 1001])]);
    let found = read_with(&archive, 1000, false);
    let (fault, ..) = found.fault.expect("a large block");
    assert_eq!(fault, CarFault::BlockTooLarge { block_bytes: 1001, block_bytes_max: 1000 });
    assert_eq!(found.blocks.len(), 1);
}

/// Even of a block so large that its section is refused by its length.
#[test]
fn the_size_of_a_large_block_is_that_of_its_data() {
    for block_bytes in [1001, 1086, 1087, 5000] {
        let archive = car(&[], &[raw(vec![0; block_bytes])]);
        let (fault, ..) = read_with(&archive, 1000, false).fault.expect("a large block");
        let expected = CarFault::BlockTooLarge { block_bytes: block_bytes as u64, block_bytes_max: 1000 };
        assert_eq!(fault, expected);
    }
}

#[test]
fn what_is_no_cid_is_named_with_its_place() {
    let good = raw("good").0.to_bytes();
    let cases: Vec<(Vec<u8>, &str, u64)> = vec![
        ([&[2], &good[1..]].concat(), "its version is 2", 1),
        ([&[0], &good[1..]].concat(), "its version is 0", 1),
        (b"no CID\0 at all".to_vec(), "its version is 110", 1),
        ([&[0x81, 0x00], &good[1..]].concat(), "its version is not a valid varint", 2),
        ([&[1, 0xd5, 0x00], &good[2..]].concat(), "its codec is not a valid varint", 3),
        ([&[1, 0x55, 0x92, 0x00], &good[3..]].concat(), "its hash function is not a valid varint", 4),
        ([&[1, 0x55, 0x12, 0xa0, 0x00], &good[4..]].concat(), "its digest length is not a valid varint", 5),
        ([&[1, 0x55, 0x12, 65][..], &[7; 80]].concat(), "its digest has 65 bytes, more than 64", 4),
        ([&[1, 0x55, 0x12, 0xc8, 0x01][..], &[7; 200]].concat(), "its digest has 200 bytes", 4),
        ([&[1][..], &[0xff; 12]].concat(), "its codec is not a valid varint: it has more than 9 bytes", 11),
    ];
    for (content, expected, at) in cases {
        let (fault, offset) = fault_after_a_block(&framed(&content));
        let CarFault::BadCid { what } = fault else { panic!("{expected}: {fault:?}") };
        assert!(what.contains(expected), "{what}");
        // A length of more than 127 takes two bytes.
        let length_bytes = varint(content.len() as u64).len() as u64;
        assert_eq!(offset, at + length_bytes - 1, "{expected}");
    }
}

#[test]
fn a_section_shorter_than_its_cid_is_refused() {
    let v1 = raw("good").0.to_bytes();
    let v0 = &v1[2..];
    for cid in [&v1[..], v0] {
        for len in 1..cid.len() {
            let (fault, at) = fault_after_a_block(&[framed(&cid[..len]), section(&v1, b"good")].concat());
            match fault {
                CarFault::ShorterThanCid { section_bytes } => {
                    assert_eq!((section_bytes, at), (len as u64, 1 + len as u64))
                }
                // A single byte of a CIDv0 reads as version 18.
                CarFault::BadCid { .. } => assert_eq!((cid.len(), len), (34, 1)),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn bad_offsets_of_a_car_v2_are_named() {
    let cases = [
        (0, 100, 0, "inside the first 51 bytes", 27),
        (50, 100, 0, "inside the first 51 bytes", 27),
        (51, 0, 0, "size zero", 35),
        (u64::MAX - 5, 100, 0, "overflows", 35),
        (51, u64::MAX, 0, "overflows", 35),
        (51, 100, 60, "the index begins at byte 60", 43),
        (51, 100, 150, "the index begins at byte 150", 43),
    ];
    for (data_offset, data_size, index_offset, expected, at) in cases {
        let archive = [car_v2_start(data_offset, data_size, index_offset), vec![0; 200]].concat();
        let (fault, section_offset, offset, _) = fault(&archive);
        let CarFault::V2Header { what } = fault else { panic!("{fault:?}") };
        assert!(what.contains(expected), "{what}");
        assert_eq!((section_offset, offset), (11, at));
    }
}

#[test]
fn a_car_v2_whose_data_lies_behind_its_end_is_cut_off() {
    for (data_offset, data_size, rest) in [(1 << 40, 100, vec![0; 30]), (51, 1 << 40, header(&[]))] {
        let archive = [car_v2_start(data_offset, data_size, 0), rest].concat();
        let (fault, _, offset, _) = fault(&archive);
        assert!(matches!(fault, CarFault::CutOff { .. }), "{fault:?}");
        assert_eq!(offset, archive.len() as u64);
    }
}

#[test]
fn a_section_that_leaves_the_payload_of_a_car_v2_is_cut_off() {
    let payload = car(&[], &[raw("a block")]);
    let archive = car_v2(&payload, 51, b"");
    let end = archive.len() as u64;
    let (cut, _, offset, _) = fault(&archive[..archive.len() - 1]);
    assert_eq!((cut, offset), (CarFault::CutOff { missing_bytes: 1 }, end - 1));
    // Cut off only by the header: the file is complete.
    let mut archive = archive;
    archive[35] -= 1;
    let (fault, _, offset, _) = fault(&archive);
    let CarFault::V2Header { what } = fault else { panic!("{fault:?}") };
    assert!(what.contains(&format!("the data ends at byte {}, inside a section", end - 1)), "{what}");
    assert_eq!(offset, end - 1);
}

#[test]
fn only_a_car_v1_may_be_inside_of_a_car_v2() {
    let inner = car_v2(&header(&[]), 51, b"");
    let (fault, section_offset, offset, _) = fault(&car_v2(&inner, 51, b""));
    assert_eq!(fault, CarFault::UnsupportedVersion { version: 2, inside: true });
    assert_eq!((section_offset, offset), (51, 52));
}
