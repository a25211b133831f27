//! Segments that no store wrote, or that were damaged.

use std::{
    fs, io,
    sync::{Arc, Mutex},
};

use mnem_store_traits::{Bytes, Cid, RAW, cid, cid_of, driver::RawFind};

use super::frames::{Frame, Frames, Step};
use crate::{
    engine::{
        descriptor::{Descriptor, HEADER_BYTES, begin_bytes},
        files::{File, StdFiles},
        keys::Keys,
        record::{CommitMacs, Record, Row},
    },
    limits::{BLOCK_BYTES_MAX, RAW_FAILED_FACTOR},
};

/// A file in memory, of which some bytes may be unreadable. It counts the bytes that were read.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    bad: Option<std::ops::Range<u64>>,
    read: Mutex<u64>,
}

impl File for Memory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + buffer.len() as u64;
        if self.bad.as_ref().is_some_and(|bad| bad.start < end && offset < bad.end) {
            return Err(io::Error::other("a bad sector"));
        }
        let mut rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let read = io::Read::read(&mut rest, buffer)?;
        *self.read.lock().unwrap() += read as u64;
        Ok(read)
    }

    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The beginning of a segment.
fn begin() -> Vec<u8> {
    Descriptor { segment: 1, ..Descriptor::default() }.begin_segment(&Keys::new().unwrap())
}

fn section(data: &[u8], to: &mut Vec<u8>) -> Cid {
    let cid = cid_of(RAW, data);
    mnem_car::SectionOffsets::write_start(&cid, data.len() as u64, to.len() as u64, to);
    to.extend(data);
    cid
}

/// A segment of these blocks, and where each section begins.
fn segment(blocks: &[Bytes]) -> (Vec<u8>, Vec<(Cid, usize)>) {
    let mut bytes = begin();
    let mut places = Vec::with_capacity(blocks.len());
    for data in blocks {
        let at = bytes.len();
        places.push((section(data, &mut bytes), at));
    }
    (bytes, places)
}

fn blocks(count: usize) -> Vec<Bytes> {
    (0..count).map(|n| Bytes::from(format!("block {n}, {}", "y".repeat(n * 7 % 300)))).collect()
}

/// All sections after the descriptor: those that are whole, and the number of others.
fn scanned(file: Memory) -> (Vec<Cid>, usize, Frames) {
    let len = file.bytes.len() as u64;
    let mut frames = Frames::new(Arc::new(file), len);
    let (mut whole, mut wrong) = (Vec::new(), 0);
    loop {
        match frames.step() {
            Step::Frame(Frame { section, .. }) if section.offset == HEADER_BYTES => {}
            Step::Frame(Frame { section, is_whole: true }) => whole.push(section.cid),
            Step::Frame(_) => wrong += 1,
            Step::Searched => {}
            Step::End => return (whole, wrong, frames),
        }
    }
}

fn of(bytes: Vec<u8>) -> Memory {
    Memory { bytes, ..Memory::default() }
}

#[test]
fn the_header_is_as_long_as_it_says() {
    let keys = Keys::new().unwrap();
    let begin = begin();
    assert_eq!(u64::from(begin[0]) + 1, HEADER_BYTES);
    assert_eq!(begin_bytes(&keys), begin.len() as u64);
}

/// Every byte of a small segment is changed in turn: all other blocks are found, and nothing else.
#[test]
fn a_changed_byte_costs_one_block_at_most() {
    let (bytes, places) = segment(&blocks(12));
    for at in 0..bytes.len() {
        for change in [1_u8, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            let (whole, wrong, _) = scanned(of(changed));
            let hit = places.iter().rposition(|(_, begin)| *begin <= at);
            let left: Vec<Cid> =
                places.iter().enumerate().filter(|(n, _)| hit != Some(*n)).map(|(_, (cid, _))| *cid).collect();
            // The hash does not cover the codec of a CID, so such a block comes over under another codec.
            let (known, renamed): (Vec<Cid>, Vec<Cid>) =
                whole.into_iter().partition(|cid| places.iter().any(|(known, _)| known == cid));
            let is_hit = |cid: &Cid| hit.is_some_and(|hit| places[hit].0.hash() == cid.hash());
            assert!(renamed.len() <= 1 && renamed.iter().all(is_hit), "byte {at} ^ {change:#x}: {renamed:?}");
            assert!(known == left && wrong <= 1, "byte {at} ^ {change:#x}: {} of {}", known.len(), left.len());
        }
    }
}

#[test]
fn cuts_and_holes_cost_the_blocks_in_them() {
    let (bytes, places) = segment(&blocks(12));
    for at in 0..bytes.len() {
        let (whole, ..) = scanned(of(bytes[..at].to_vec()));
        let begins = places.iter().skip(1).map(|(_, begin)| *begin).chain([bytes.len()]);
        assert_eq!(whole.len(), begins.filter(|end| *end <= at).count(), "cut to {at}");
        let mut hole = bytes.clone();
        let end = bytes.len().min(at + 700);
        hole[at..end].fill(0);
        let is_left = |n: usize| {
            let (begin, after) = (places[n].1, places.get(n + 1).map_or(bytes.len(), |(_, begin)| *begin));
            after <= at || end <= begin
        };
        let left: Vec<Cid> = (0..12).filter(|n| is_left(*n)).map(|n| places[n].0).collect();
        let (whole, wrong, frames) = scanned(of(hole));
        assert_eq!(whole, left, "a hole at {at}");
        assert!(whole.len() == 12 || wrong > 0 || frames.skipped() > 0, "a hole at {at}");
    }
}

/// The bytes of a block may be those of an archive. Its blocks are not those of the store.
#[test]
fn what_lies_inside_a_damaged_block_is_not_a_block() {
    let (inner, _) = segment(&blocks(5));
    let (mut bytes, places) = segment(&["before".into(), inner.into(), "after".into()]);
    assert_eq!(scanned(of(bytes.clone())).0.len(), 3);
    let at = places[1].1 + 60;
    bytes[at] ^= 1;
    let (whole, wrong, _) = scanned(of(bytes));
    assert_eq!((whole, wrong), (vec![places[0].0, places[2].0], 1));
}

/// A CID that contains an empty block is five bytes of which most are zeros, so damage may look like one.
#[test]
fn zeros_are_no_blocks() {
    let (mut bytes, _) = segment(&blocks(2));
    bytes.extend([0xff; 40]);
    for _ in 0..1000 {
        bytes.extend([4, 1, 0, 0, 0, 1, 1, 0x55, 0, 0]);
    }
    assert_eq!(scanned(of(bytes)).0.len(), 2);
}

/// Sections that claim the rest of the file begin every few bytes.
#[test]
fn false_claims_are_hashed_in_proportion() {
    let mut bytes = begin();
    bytes.extend([0xff; 100]);
    while bytes.len() < 2 << 20 {
        let (at, left) = (bytes.len(), (3 << 20) - bytes.len() as u64);
        mnem_car::SectionOffsets::write_start(&cid_of(RAW, b"x"), left - 200, at as u64, &mut bytes);
        bytes.resize(at + 64, 0xff);
    }
    bytes.resize(3 << 20, 0xff);
    let cid = section(b"the last one", &mut bytes);
    let (len, file) = (bytes.len() as u64, of(bytes));
    let (whole, _, frames) = scanned(file);
    assert!(frames.failed() <= BLOCK_BYTES_MAX + len * RAW_FAILED_FACTOR, "{} hashed", frames.failed());
    assert_eq!(whole, [cid]);
}

/// Nothing in these bytes costs a read or a hash for each of them.
#[test]
fn bytes_that_begin_like_sections_are_read_a_few_times() {
    let patterns: [&[u8]; 5] = [&[1], &[0x12, 0x20], &[0x25, 1, 0x55, 0x12, 0x20], &[0xff, 0x7f, 1, 0x55], &[0]];
    for pattern in patterns {
        let bytes: Vec<u8> = pattern.iter().copied().cycle().take(1 << 20).collect();
        let file = Arc::new(of(bytes));
        let mut frames = Frames::new(file.clone(), 1 << 20);
        while !matches!(frames.step(), Step::End) {}
        let read = *file.read.lock().unwrap();
        assert!(read <= 80 << 20, "{pattern:x?}: {read} bytes read");
    }
}

/// A section under an unknown hash claims to end far ahead, and a small right section follows, again and again.
#[test]
fn claims_far_ahead_cost_no_window_each() {
    let unknown = Cid::new_v1(RAW, cid::multihash::Multihash::wrap(0x3b_0001, &[7; 32]).unwrap());
    let mut bytes = begin();
    let mut right = Vec::new();
    while bytes.len() < 1 << 20 {
        right.push(section(&right.len().to_le_bytes(), &mut bytes));
        let at = bytes.len() as u64;
        mnem_car::SectionOffsets::write_start(&unknown, 2 << 20, at, &mut bytes);
    }
    bytes.resize(4 << 20, 0xff);
    let (len, file) = (bytes.len() as u64, Arc::new(of(bytes)));
    let mut frames = Frames::new(file.clone(), len);
    let mut whole = 0;
    loop {
        match frames.step() {
            Step::Frame(Frame { section, is_whole: true }) if section.offset != HEADER_BYTES => whole += 1,
            Step::End => break,
            _ => {}
        }
    }
    assert_eq!(whole, right.len());
    let read = *file.read.lock().unwrap();
    assert!(read <= 40 * len, "{read} bytes read");
}

/// The block after a large one is looked at, however many bytes the large one has hashed in vain.
#[test]
fn what_lies_inside_a_large_damaged_block_is_not_a_block() {
    let (mut inner, _) = segment(&blocks(5));
    inner.resize(40 << 20, 7);
    let (mut bytes, places) = segment(&[inner.into(), vec![8; 30 << 20].into()]);
    let last = places[1].1 - 1;
    bytes[last] ^= 1;
    let (whole, wrong, _) = scanned(of(bytes));
    assert_eq!((whole, wrong), (vec![places[1].0], 1));
}

/// A block in the form of a record that names another block as the value of a row.
#[test]
fn a_block_that_looks_like_a_record_hides_no_other_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = begin();
    let hidden = bytes.len() as u32;
    let cid = section(b"a block of somebody else", &mut bytes);
    let row = Row { table: "table".into(), key: b"key".to_vec(), value: Some(hidden) };
    let at = bytes.len() as u32;
    let record = Record { seq: 7, at, from: hidden, puts: 1, rows: vec![row], ..Record::default() };
    let keys = Keys::new().unwrap();
    record.write(&keys, 1, CommitMacs::new(&keys, &Default::default(), 1), &mut bytes);
    fs::write(folder.path().join("seg-000001.car"), bytes).unwrap();
    let scan = super::scan(Arc::new(StdFiles), folder.path()).unwrap().unwrap();
    let found: Vec<RawFind> = scan.map(Result::unwrap).collect();
    assert!(found.iter().any(|find| matches!(find, RawFind::Block(found) if *found == cid)), "{found:?}");
}

#[test]
fn an_unreadable_sector_costs_the_blocks_in_it() {
    let (bytes, places) = segment(&blocks(40));
    let bad = 2048..2560_u64;
    let file = Memory { bytes, bad: Some(bad.clone()), ..Memory::default() };
    let (whole, _, frames) = scanned(file);
    assert_eq!(frames.unreadable(), 512);
    let is_hit = |n: &usize| {
        let after = places.get(n + 1).map_or(u64::MAX, |(_, begin)| *begin as u64);
        bad.start < after && (places[*n].1 as u64) < bad.end
    };
    let left: Vec<Cid> = (0..40).filter(|n| !is_hit(n)).map(|n| places[n].0).collect();
    assert!(left.len() >= 30 && whole == left, "{} of {}", whole.len(), left.len());
}
