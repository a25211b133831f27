//! Adoption: blocks lie in the log in the order in which they came, each once.

use std::fs;

use mnem_backend_carlog::OpenOptions;
use mnem_car::{BLOCK_BYTES_MAX, Reader};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, RAW, Store, cid_of};

use crate::support::{Content, Place, SEGMENT, block, commits};

/// The CIDs of a segment, in its order.
fn in_segment(place: &Place, name: &str) -> Vec<Cid> {
    let bytes = fs::read(place.file(name)).unwrap();
    let mut reader = Reader::new(&bytes[..], BLOCK_BYTES_MAX).unwrap();
    std::iter::from_fn(|| reader.next_offsets().unwrap()).map(|section| section.cid).collect()
}

fn blocks(numbers: impl IntoIterator<Item = u32>) -> Vec<(Cid, Bytes)> {
    numbers.into_iter().map(block).collect()
}

fn cids(blocks: &[(Cid, Bytes)]) -> Vec<Cid> {
    blocks.iter().map(|(cid, _)| *cid).collect()
}

/// The number of the last commit.
fn last_commit(place: &Place) -> u64 {
    let state = fs::read(place.file("state")).unwrap();
    u64::from_le_bytes(state[0x10..0x18].try_into().unwrap())
}

#[test]
fn adopted_blocks_lie_in_the_order_of_the_archive_each_once() {
    let place = Place::new();
    let store = place.open();
    let before = commits(&store, 2);
    let had = last_commit(&place);
    // 0 to 3 are there already, 70 and 50 come again.
    let added = store.adopt(&blocks([70, 1, 50, 60, 70, 0, 51, 50, 3, 40])).unwrap();
    let expected = cids(&blocks([70, 50, 60, 51, 40]));
    assert_eq!((added, last_commit(&place)), (5, had + 1));
    let in_log: Vec<Cid> = in_segment(&place, SEGMENT).into_iter().filter(|cid| expected.contains(cid)).collect();
    assert_eq!(in_log, expected);

    // Nothing new is no commit.
    assert_eq!(store.adopt(&blocks([1, 40, 40])).unwrap(), 0);
    assert_eq!(store.adopt(&[]).unwrap(), 0);
    assert_eq!(last_commit(&place), had + 1);

    let mut content = before;
    content.blocks.extend(expected);
    assert_eq!(Content::of(&store), content);
    store.close().unwrap();
    assert_eq!(Content::of(&place.open()), content);
}

#[test]
fn an_adopted_block_can_be_deleted_and_adopted_again() {
    let place = Place::new();
    let store = place.open_with_runs();
    store.adopt(&blocks(0..200)).unwrap();
    (0..200).filter(|n| n % 2 == 0).for_each(|n| store.delete(&block(n).0).unwrap());
    assert_eq!(store.adopt(&blocks((0..200).filter(|n| n % 3 == 0))).unwrap(), 34);
    store.compact().unwrap();
    let left = (0..200).filter(|n| n % 2 == 1 || n % 3 == 0);
    let content = Content { blocks: left.map(|n| block(n).0).collect(), heads: Vec::new() };
    assert_eq!(Content::of(&store), content);
    drop(store);
    assert_eq!(Content::of(&place.open()), content);
}

/// One archive may fill several segments; none of its commits lies in two.
#[test]
fn adoption_begins_a_new_segment_when_one_is_full() {
    let place = Place::new();
    let store = OpenOptions::new().create(true).segment_bytes(4_000).open(place.store()).unwrap();
    let reader = place.read_only();
    for at in 0..10 {
        assert_eq!(store.adopt(&blocks(20 * at..20 * at + 20)).unwrap(), 20);
        // A reader sees each commit at once.
        assert_eq!(reader.cids().unwrap().count(), 20 * at as usize + 20);
    }
    let mut all = Vec::new();
    for number in 1.. {
        let name = format!("seg-{number:06}.car");
        if !place.file(&name).exists() {
            assert!(number > 4, "{number}");
            break;
        }
        all.extend(in_segment(&place, &name));
    }
    let expected = cids(&blocks(0..200));
    all.retain(|cid| expected.contains(cid));
    assert_eq!(all, expected);
}

/// The MAC of a commit is hashed in pieces, as they are written.
#[test]
fn a_commit_of_several_writes_is_proved_after_a_power_cut() {
    let place = Place::new();
    let large = |n: u8| Bytes::from(vec![n; 200_000 + usize::from(n)]);
    let archive: Vec<(Cid, Bytes)> = (0..16).map(large).map(|data| (cid_of(RAW, &data), data)).collect();
    let store = place.open();
    assert_eq!(store.adopt(&archive).unwrap(), 16);
    let content = Content::of(&store);
    drop(store);
    // `state` acknowledges the commit, but is never synced.
    fs::remove_file(place.file("state")).unwrap();
    assert_eq!((content.blocks.len(), Content::of(&place.open())), (16, content));
}

#[test]
fn what_cannot_be_adopted_leaves_the_store_as_it_was() {
    let place = Place::new();
    let store = place.open();
    let before = commits(&store, 1);
    let files = place.files();
    let large = Bytes::from(vec![0; (64 << 20) + 1]);
    let mut with_large = blocks(50..60);
    with_large.push((cid_of(RAW, &large), large));
    assert_eq!(store.adopt(&with_large).unwrap_err().kind(), ErrorKind::BlockTooLarge);
    assert_eq!(place.files(), files);
    let reader = place.read_only();
    assert_eq!(reader.adopt(&[]).unwrap_err().kind(), ErrorKind::ReadOnly);
    store.close().unwrap();
    assert_eq!(store.adopt(&blocks(50..60)).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(Content::of(&place.open()), before);
}
