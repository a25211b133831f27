//! Pages that redb has not written.

use std::{path::PathBuf, sync::Arc};

use mnem_store_traits::{
    Bytes, Cid, RAW, cid_of,
    driver::{RawFind, RawScan as _},
};
use redb::{StorageBackend as _, backends::InMemoryBackend};

use super::{
    leaf::{Leaf, parse},
    scan::Scan,
};
use crate::limits::{BLOCK_BYTES_MAX, RAW_FAILED_FACTOR};

const PAGE: usize = 4096;

/// A leaf whose keys and values have these ends, of a table with or without values.
fn leaf(keys: &[&[u8]], value_ends: Option<&[u32]>, values: &[u8]) -> Vec<u8> {
    let rows = u16::try_from(keys.len()).expect("few rows");
    let mut page = vec![1, 0];
    page.extend(rows.to_le_bytes());
    let mut end = 4 + 4 * keys.len() * if value_ends.is_some() { 2 } else { 1 };
    for key in keys {
        end += key.len();
        page.extend(u32::try_from(end).expect("a page").to_le_bytes());
    }
    value_ends.into_iter().flatten().for_each(|end| page.extend(end.to_le_bytes()));
    page.extend(keys.concat());
    page.extend(values);
    page
}

fn scan(bytes: &[u8]) -> Scan {
    let medium = InMemoryBackend::new();
    medium.set_len(bytes.len() as u64).expect("memory");
    medium.write(0, bytes).expect("memory");
    Scan::new(PathBuf::from("a file"), Arc::new(medium), bytes.len() as u64)
}

/// All blocks that a scan reads, and the number of blocks that it names.
fn blocks(scan: &mut Scan) -> (Vec<(Cid, Bytes)>, usize) {
    let (mut read, mut named) = (Vec::new(), 0);
    while let Some(found) = scan.next() {
        if let RawFind::Block(cid) = found.expect("memory") {
            named += 1;
            read.extend(scan.read().expect("memory").map(|data| (cid, data)));
        }
    }
    (read, named)
}

#[test]
fn a_wrong_end_costs_the_rows_beside_it() {
    let values = [&b"one"[..], b"two", b"three", b"four"];
    let cids = values.map(|value| cid_of(RAW, value));
    let keys = cids.map(|cid| cid.to_bytes());
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let first = 4 + 8 * 4 + 4 * 36;
    let ends = [first + 3, first + 6, first + 11, first + 15];
    let page = leaf(&keys, Some(&ends), &values.concat());
    let named = |page: &[u8]| match parse(page) {
        Some(Leaf::Blocks(rows)) => rows.iter().map(|row| row.cid).collect(),
        _ => Vec::new(),
    };
    assert_eq!(named(&page), cids);
    assert_eq!(blocks(&mut scan(&page)).0.len(), 4);
    // Break the end of the second key, then of the second value.
    for (end, left) in [(1, vec![cids[0], cids[3]]), (5, vec![cids[0], cids[3]])] {
        for wrong in [0, 1, 0xffff_ffff_u32] {
            let mut page = page.clone();
            page[4 + 4 * end..8 + 4 * end].copy_from_slice(&wrong.to_le_bytes());
            let read = blocks(&mut scan(&page)).0;
            assert_eq!(read.iter().map(|(cid, _)| *cid).collect::<Vec<_>>(), left, "end {end} is {wrong}");
        }
    }
    // Every number of rows except the one that the page has.
    for rows in [0_u16, 3, 5, 511, 512, u16::MAX] {
        let mut page = page.clone();
        page[2..4].copy_from_slice(&rows.to_le_bytes());
        assert!(blocks(&mut scan(&page)).0.is_empty(), "{rows} rows");
    }
    assert!((0..page.len()).all(|len| blocks(&mut scan(&page[..len])).0.iter().all(|(cid, _)| cids.contains(cid))));
}

#[test]
fn heads_are_a_page_of_cids_in_order() {
    let mut keys = [b"a", b"b", b"c"].map(|data| cid_of(RAW, data).to_bytes());
    keys.sort();
    let [a, b, c] = [&keys[0][..], &keys[1][..], &keys[2][..]];
    let heads = |keys: &[&[u8]]| match parse(&leaf(keys, None, &[])) {
        Some(Leaf::Heads(heads)) => heads.len(),
        _ => 0,
    };
    assert_eq!((heads(&[a, b, c]), heads(&[b]), heads(&[])), (3, 1, 0));
    assert_eq!((heads(&[b, a]), heads(&[a, a]), heads(&[a, b"no CID"])), (0, 0, 0));
}

#[test]
fn a_block_beyond_the_page_is_read_where_it_goes_on() {
    let data: Vec<u8> = (0..3 * PAGE).map(|n| (n % 251) as u8).collect();
    let small = b"beside it";
    let mut keys = [(cid_of(RAW, &data), 0), (cid_of(RAW, small), 1)];
    keys.sort_by_key(|(cid, _)| cid.to_bytes());
    let values: Vec<&[u8]> = keys.iter().map(|(_, which)| if *which == 0 { &data[..] } else { small }).collect();
    let bytes = keys.map(|(cid, _)| cid.to_bytes());
    let first = 4 + 8 * 2 + 36 * 2 + u32::try_from(values[0].len()).unwrap();
    let ends = [first, first + u32::try_from(values[1].len()).unwrap()];
    let file = leaf(&[&bytes[0], &bytes[1]], Some(&ends), &values.concat());
    let (read, _) = blocks(&mut scan(&[vec![0; 2 * PAGE], file.clone()].concat()));
    assert_eq!(read.len(), 2);
    // Shift the file by less than a page, and cut off its end.
    assert!(blocks(&mut scan(&[vec![0; 100], file.clone()].concat())).0.is_empty());
    let cut = blocks(&mut scan(&file[..2 * PAGE]));
    assert!(cut.1 == 2 && cut.0.len() < 2 && cut.0.iter().all(|(_, data)| data == &small[..]), "{cut:?}");
}

/// The value of an earlier page overlaps this leaf's own pages; a scan still returns no more bytes than the file has.
#[test]
fn blocks_do_not_overlap() {
    const PAGES: usize = 64;
    const VALUE: usize = 16 * PAGE;
    let mut file = vec![0; (PAGES + 17) * PAGE];
    let header = 4 + 8 + 36;
    // The value that a page names contains the pages after it.
    for page in (0..PAGES).rev() {
        let at = page * PAGE;
        file[at + header] = u8::try_from(page).expect("few pages");
        let cid = cid_of(RAW, &file[at + header..at + header + VALUE]).to_bytes();
        let end = u32::try_from(header + VALUE).expect("a short value");
        file[at..at + header].copy_from_slice(&leaf(&[&cid], Some(&[end]), &[]));
    }
    let (read, _) = blocks(&mut scan(&file));
    let bytes: usize = read.iter().map(|(_, data)| data.len()).sum();
    assert!(read.len() > 2 && bytes <= file.len(), "{} blocks, {bytes} bytes of {}", read.len(), file.len());
}

#[test]
fn what_is_hashed_in_vain_is_bounded_by_what_is_scanned() {
    const PAGES: usize = 600;
    let mut file = vec![0; PAGES * PAGE];
    let cid = cid_of(RAW, b"nothing that is there").to_bytes();
    for page in 0..PAGES {
        let end = u32::try_from((PAGES - page) * PAGE).expect("a short file");
        let header = leaf(&[&cid], Some(&[end]), &[]);
        file[page * PAGE..page * PAGE + header.len()].copy_from_slice(&header);
    }
    let mut scan = scan(&file);
    let (read, named) = blocks(&mut scan);
    assert_eq!((read.len(), named), (0, PAGES));
    let bound = BLOCK_BYTES_MAX + RAW_FAILED_FACTOR * file.len() as u64;
    assert!((1..=bound).contains(&scan.failed()), "{} bytes, not {bound}", scan.failed());
}

#[test]
fn a_length_is_checked_before_anything_is_read() {
    let cid = cid_of(RAW, b"").to_bytes();
    for end in [4096, 1 << 20, u32::MAX] {
        let page = leaf(&[&cid], Some(&[end]), &[]);
        assert_eq!(blocks(&mut scan(&page)), (Vec::new(), 1));
    }
    let end = u32::try_from(4 + 8 + 36).unwrap();
    assert_eq!(blocks(&mut scan(&leaf(&[&cid], Some(&[end]), &[]))).0.len(), 1);
}

#[test]
fn every_byte_of_a_file_is_scanned_once() {
    for len in [0, 1, PAGE, (1 << 20) - 1, (1 << 20) + 1, (3 << 20) + 5 * PAGE] {
        let scan = scan(&vec![0; len]);
        let stretches = scan.map(|found| match found.expect("memory") {
            RawFind::Scanned(bytes) => bytes,
            found => panic!("{found:?}"),
        });
        assert_eq!(stretches.sum::<u64>(), len as u64);
    }
}
