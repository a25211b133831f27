//! Data after the sections of an archive: the archive is complete, odd, or faulty. A part is never taken for the whole.

use std::collections::BTreeSet;

use mnem_car::{BLOCK_BYTES_MAX, CarFault, CarWarningKind, Cid};
use mnem_store_traits::{cid_from_bytes, cid_of};
use proptest::{collection::vec, prelude::*};

use crate::fixtures::{
    Block, car, car_v2, car_v2_start, cid_with_hash, family, framed, index, index_of, raw, read, read_with, section,
};

const DATA_OFFSET: usize = 27;
const DATA_SIZE: usize = 35;
const INDEX_OFFSET: usize = 43;

/// The warnings about an archive that holds the whole family.
fn warnings(archive: &[u8]) -> Vec<(CarWarningKind, u64)> {
    let found = read(archive);
    assert_eq!((found.fault, found.blocks), (None, family().1));
    found.warnings.iter().map(|warning| (warning.kind, warning.offset)).collect()
}

/// The fault of an archive whose first `kept` blocks are good, and its offset.
fn fault(archive: &[u8], kept: usize) -> (CarFault, u64) {
    let found = read(archive);
    let (fault, _, offset) = found.fault.expect("not a whole archive");
    assert_eq!(found.blocks.len(), kept, "{fault}");
    (fault, offset)
}

fn payload() -> Vec<u8> {
    let (root, blocks) = family();
    car(&[root], &blocks)
}

fn family_index(format: u64) -> Vec<u8> {
    let (root, blocks) = family();
    index_of(format, &[root], &blocks)
}

fn set(archive: &mut [u8], field: usize, value: u64) {
    archive[field..field + 8].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_data_size_that_leaves_sections_out_is_an_error() {
    let (root, blocks) = family();
    for index in [vec![], family_index(0), family_index(0x0400), family_index(0x0401)] {
        for kept in 0..blocks.len() {
            let mut archive = car_v2(&payload(), 51, &index);
            let covered = car(&[root], &blocks[..kept]).len() as u64;
            set(&mut archive, DATA_SIZE, covered);
            let expected = CarFault::Uncovered { data_offset: 51, data_end: 51 + covered };
            assert_eq!(fault(&archive, kept), (expected, 51 + covered));
            // Neither an index offset of zero nor one at the end of the data hides them.
            set(&mut archive, INDEX_OFFSET, 0);
            assert!(matches!(fault(&archive, kept).0, CarFault::Uncovered { .. }));
            set(&mut archive, INDEX_OFFSET, 51 + covered);
            assert!(matches!(fault(&archive, kept).0, CarFault::Uncovered { .. }));
        }
    }
}

#[test]
fn joined_archives_are_an_error_whatever_their_versions() {
    let other = [raw("another archive")];
    let firsts = [
        payload(),
        car_v2(&payload(), 51, b""),
        car_v2(&payload(), 100, &family_index(0x0400)),
        car_v2(&payload(), 70, &family_index(0)),
        car_v2(&payload(), 51, &family_index(0x0401)),
    ];
    let seconds = [car(&[], &other), car_v2(&car(&[], &other), 51, b""), car_v2(&payload(), 64, &family_index(0x0401))];
    for first in &firsts {
        for second in &seconds {
            assert_eq!(fault(&[&first[..], second].concat(), 3), (CarFault::SecondArchive, first.len() as u64));
        }
        if first.starts_with(b"\x0a") {
            let padded = [&first[..], &[0; 13], &seconds[0]].concat();
            assert_eq!(fault(&padded, 3), (CarFault::SecondArchive, first.len() as u64 + 13));
            let section = section(&other[0].0.to_bytes(), &other[0].1);
            let (fault, at) = fault(&[&first[..], &section].concat(), 3);
            assert!(matches!(fault, CarFault::Uncovered { .. }), "{fault:?}");
            assert_eq!(at, first.len() as u64);
        }
    }
}

#[test]
fn an_index_that_is_odd_is_a_warning() {
    let end = 51 + payload().len() as u64;
    let index = family_index(0x0401);
    let whole = car_v2(&payload(), 51, &index);
    // Zeros between the data and the index, and an index that the header does not name.
    let mut gap = car_v2(&payload(), 51, &[vec![0; 33], index.clone()].concat());
    set(&mut gap, INDEX_OFFSET, end + 33);
    assert_eq!(warnings(&gap), []);
    set(&mut gap, INDEX_OFFSET, 0);
    assert_eq!(warnings(&gap), [(CarWarningKind::IndexNotNamed, end + 33)]);
    // An index that the header places past the end of the file, or where there are only zeros.
    let mut lost = car_v2(&payload(), 51, b"");
    set(&mut lost, INDEX_OFFSET, end + 1000);
    assert_eq!(warnings(&lost), [(CarWarningKind::IndexMissing, end + 1000)]);
    lost.extend([0; 10]);
    let zeros = (CarWarningKind::ZerosAtEnd { bytes: 10 }, end);
    assert_eq!(warnings(&lost), [(CarWarningKind::IndexMissing, end + 1000), zeros]);
    set(&mut lost, INDEX_OFFSET, end + 4);
    assert_eq!(warnings(&lost), [(CarWarningKind::IndexMissing, end + 4), zeros]);
    // An index that is cut off, and zeros after a complete one.
    assert_eq!(warnings(&whole[..whole.len() - 1]), [(CarWarningKind::IndexCutOff, end)]);
    let padded = [&whole[..], &[0; 5]].concat();
    assert_eq!(warnings(&padded), [(CarWarningKind::ZerosAtEnd { bytes: 5 }, whole.len() as u64)]);
}

#[test]
fn an_index_that_names_more_than_there_is_is_an_error() {
    let end = 51 + payload().len() as u64;
    let past = index(0x0400, &[(vec![7; 32], 0), (vec![8; 32], end)]);
    let archive = car_v2(&payload(), 51, &past);
    assert_eq!(fault(&archive, 3), (CarFault::IndexPastData { data_end: end }, end));
}

#[test]
fn sections_after_an_index_that_was_cut_off_are_found() {
    let whole = car_v2(&payload(), 51, &family_index(0x0401));
    let end = 51 + payload().len();
    let identity = |text: &[u8]| section(&cid_with_hash(0x55, 0, text).to_bytes(), text);
    let small = raw("");
    let more = [section(&small.0.to_bytes(), &small.1), identity(b""), identity(b"id"), identity(b"more than that")];
    for cut in end..whole.len() {
        for section in &more {
            let archive = [&whole[..cut], section].concat();
            assert!(read(&archive).fault.is_some(), "cut at {cut}, then {section:x?}");
        }
    }
}

#[test]
fn what_is_no_index_is_an_error() {
    let end = 51 + payload().len() as u64;
    let good = family_index(0x0400);
    let unknown_format = [&[0x83, 0x08], &good[2..]].concat();
    let too_many_tables = [&good[..2], &[0xff; 4], &good[6..]].concat();
    let no_width = [&good[..6], &[0; 4], &good[10..]].concat();
    let odd_length = [&good[..10], &[1], &good[11..]].concat();
    let endless = [&good[..10], &[0xff; 8], &good[18..]].concat();
    for junk in [unknown_format, too_many_tables, no_width, odd_length, endless, b"\xfe\x01junk".to_vec()] {
        let mut archive = car_v2(&payload(), 51, &junk);
        for named in [end, 0] {
            set(&mut archive, INDEX_OFFSET, named);
            let (fault, at) = fault(&archive, 3);
            assert!(matches!(fault, CarFault::Trailing { .. }), "{junk:x?}: {fault:?}");
            assert_eq!(at, end);
        }
        // It is not allowed before the index either.
        let archive = [&car_v2(&payload(), 51, b"")[..], &junk, &good].concat();
        let mut archive = archive;
        set(&mut archive, INDEX_OFFSET, end + junk.len() as u64);
        assert_eq!(fault(&archive, 3).1, end);
    }
    // An index that the header does not name must be complete, and belong to this payload.
    let past = index(0x0400, &[(vec![8; 32], end)]);
    for index in [&past[..], &good[..good.len() - 1]] {
        let mut archive = car_v2(&payload(), 51, index);
        set(&mut archive, INDEX_OFFSET, 0);
        assert!(matches!(fault(&archive, 3).0, CarFault::Trailing { .. }));
    }
}

#[test]
fn what_stands_before_the_data_is_an_error() {
    let first = car(&[], &[raw("before")]);
    let mut archive = [car_v2_start(0, payload().len() as u64, 0), first.clone(), payload()].concat();
    set(&mut archive, DATA_OFFSET, 51 + first.len() as u64);
    let (fault, at) = fault(&archive, 0);
    let CarFault::V2Header { what } = fault else { panic!("{fault:?}") };
    assert!(what.contains("not all bytes before it are zero"), "{what}");
    assert_eq!(at, 51);
}

#[test]
fn a_payload_that_is_cut_off_within_zeros_is_cut_off() {
    let zeros = 600;
    let inside = [&payload()[..], &vec![0; zeros]].concat();
    let whole = car_v2(&inside, 51, b"");
    for there in [1, 2, 511, 512, zeros - 1] {
        let missing = zeros - there;
        let archive = &whole[..whole.len() - missing];
        for allow_padding in [false, true] {
            let found = read_with(archive, BLOCK_BYTES_MAX, allow_padding);
            let (fault, _, at) = found.fault.expect("cut off");
            assert_eq!(fault, CarFault::CutOff { missing_bytes: missing as u64 });
            assert_eq!((at, found.blocks.len()), (archive.len() as u64, 3));
        }
    }
}

#[test]
fn zeros_at_the_end_are_taken_when_they_are_allowed() {
    let v1 = payload();
    for zeros in [1, 2, 511, 512, 100_000] {
        let padding = vec![0; zeros];
        // At the end of a CARv1, at the end of the data of a CARv2, and at the end of that before its index.
        let inside = [&v1[..], &padding].concat();
        for (archive, start) in
            [(inside.clone(), 0), (car_v2(&inside, 51, b""), 51), (car_v2(&inside, 60, &family_index(0x0400)), 60)]
        {
            let (fault, at) = fault(&archive, 3);
            assert_eq!(fault, CarFault::Padding { padding_bytes: zeros as u64 });
            assert_eq!(at, start + v1.len() as u64);
            let found = read_with(&archive, BLOCK_BYTES_MAX, true);
            assert_eq!((found.fault, found.blocks.len(), found.warnings.len()), (None, 3, 0), "padding is allowed");
            assert_eq!((found.padding_bytes, found.end), (zeros as u64, start + v1.len() as u64));
        }
        // Zeros alone are padding.
        for rest in [&b"\x01"[..], b"\n", &car(&[], &[raw("more")])] {
            let archive = [&inside[..], rest].concat();
            let fault = read_with(&archive, BLOCK_BYTES_MAX, true).fault.expect("no padding");
            assert_eq!(fault, (CarFault::EmptySection, v1.len() as u64, v1.len() as u64));
        }
    }
}

/// Every section of a file whose bytes hash to its CID, at any offset. Found by trying each byte, without the code
/// under test.
fn sections_anywhere(file: &[u8]) -> BTreeSet<Cid> {
    (0..file.len()).filter_map(|at| section_at(&file[at..])).collect()
}

fn section_at(bytes: &[u8]) -> Option<Cid> {
    let (length, length_bytes) = match *bytes.get(..2)? {
        [low @ 0..=0x7f, _] => (usize::from(low), 1),
        [low, high @ 0..=0x7f] => (usize::from(low & 0x7f) | usize::from(high) << 7, 2),
        _ => return None,
    };
    let section = bytes.get(length_bytes..)?.get(..length)?;
    let (cid, data) = section.split_at_checked(36)?;
    let cid = cid_from_bytes(cid).ok()?;
    (cid_of(cid.codec(), data) == cid).then_some(cid)
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    vec(vec(any::<u8>(), 0..300), 1..6).prop_map(|all| all.into_iter().map(raw).collect())
}

fn archive() -> impl Strategy<Value = Vec<u8>> {
    let indexes = prop_oneof![Just(None), Just(Some(0)), Just(Some(0x0400)), Just(Some(0x0401))];
    (blocks(), 51..90_u64, indexes).prop_map(|(blocks, data_offset, format)| {
        let index = format.map(|format| index_of(format, &[], &blocks)).unwrap_or_default();
        car_v2(&car(&[], &blocks), data_offset, &index)
    })
}

/// A change of a header field: another offset in the file, often one where something begins.
fn moved() -> impl Strategy<Value = (usize, usize, i64)> {
    (prop_oneof![Just(DATA_OFFSET), Just(DATA_SIZE), Just(INDEX_OFFSET)], 0..12_usize, -2..=2_i64)
}

fn appended() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(vec![]),
        1 => (0..20_usize).prop_map(|n| vec![0; n]),
        1 => archive(),
        1 => blocks().prop_map(|blocks| car(&[], &blocks)),
        1 => blocks().prop_map(|blocks| blocks.iter().flat_map(|b| section(&b.0.to_bytes(), &b.1)).collect()),
        1 => vec(any::<u8>(), 1..60),
        1 => vec(any::<u8>(), 1..60).prop_map(|junk| framed(&junk)),
    ]
}

/// Offsets where parts of a file begin or end: possible values of a field.
fn places(archive: &[u8]) -> Vec<i64> {
    let mut places = vec![0, 51, archive.len() as i64];
    places.extend((0..archive.len()).filter(|at| section_at(&archive[*at..]).is_some()).map(|at| at as i64));
    places.extend((0..archive.len()).filter(|at| archive[*at..].starts_with(b"\xa2\x65roots")).map(|at| at as i64 - 1));
    places
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_archive_that_is_whole_has_every_section_of_the_file(
        archive in archive(),
        moves in vec(moved(), 0..3),
        cut in prop_oneof![3 => Just(0), 1 => 0..200_usize],
        appended in vec(appended(), 0..3),
        allow_padding: bool,
    ) {
        let mut archive = archive;
        let places = places(&archive);
        for (field, place, off) in moves {
            let start = u64::from_le_bytes(archive[DATA_OFFSET..DATA_OFFSET + 8].try_into().unwrap()) as i64;
            let place = places[place % places.len()];
            // A size is an offset minus the start.
            let value = if field == DATA_SIZE { place - start } else { place };
            set(&mut archive, field, (value + off).max(0) as u64);
        }
        archive.truncate(archive.len() - cut.min(archive.len()));
        archive.extend(appended.concat());
        let found = read_with(&archive, BLOCK_BYTES_MAX, allow_padding);
        match found.fault {
            None => {
                let read: BTreeSet<Cid> = found.blocks.iter().map(|(cid, _)| *cid).collect();
                let there = sections_anywhere(&archive);
                prop_assert!(there.is_subset(&read), "left out: {:?}", there.difference(&read).collect::<Vec<_>>());
            }
            Some((_, section_offset, offset)) => {
                prop_assert!(section_offset <= offset && offset <= archive.len() as u64);
            }
        }
    }
}
