//! Large commits, whose blocks stand in packs: what is uploaded, what is fetched, and what happens if a pack is lost.

use std::ops::ControlFlow;

use mnem_backend_bucket::{BucketStore, Freshness};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, RAW, Store, WriteBatch, cid_of};

use crate::{
    medium::{Medium, quick},
    protocol::open,
};

/// Blocks that differ in their first bytes.
pub(crate) fn blocks(count: u32, bytes: usize) -> Vec<(Cid, Bytes)> {
    let block = |n: u32| {
        let mut data = vec![7; bytes];
        data[..4].copy_from_slice(&n.to_be_bytes());
        (cid_of(RAW, &data), Bytes::from(data))
    };
    (0..count).map(block).collect()
}

pub(crate) fn batch(blocks: &[(Cid, Bytes)]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (cid, data) in blocks {
        batch.put_trusted(*cid, data.clone());
    }
    batch.update(blocks[0].0, []);
    batch
}

pub(crate) fn packs(medium: &Medium) -> Vec<String> {
    medium.names().into_iter().filter(|name| name.starts_with("pack/")).collect()
}

/// A store with 40 blocks of 64 KiB in one pack, and its blocks.
fn packed() -> (Medium, Vec<(Cid, Bytes)>) {
    let (medium, blocks) = (Medium::default(), blocks(40, 64 * 1024));
    open(&medium).commit(&batch(&blocks)).unwrap();
    (medium, blocks)
}

fn with_long_lease(medium: &Medium) -> BucketStore {
    quick().lease(std::time::Duration::from_secs(3600)).open_in(medium.connect(), "").unwrap()
}

#[test]
fn a_large_commit_is_packs_and_a_small_entry() {
    let medium = Medium::default();
    let store = open(&medium);
    let puts = medium.requests().1;
    store.commit(&batch(&blocks(850, 300))).unwrap();
    assert!(packs(&medium).len() == 1 && medium.requests().1 == puts + 2);
    store.commit(&batch(&blocks(35, 1 << 20))).unwrap();
    assert_eq!(medium.requests().1, puts + 6, "three packs of up to 16 MiB");
    assert!(medium.read("log/00000000000000000001.car").unwrap().len() < 5000);
    store.commit(&batch(&blocks(800, 200))).unwrap();
    assert_eq!(medium.requests().1, puts + 7, "a small commit is one request");
    let store = open(&medium);
    for (cid, data) in blocks(850, 300).into_iter().chain(blocks(35, 1 << 20)).chain(blocks(800, 200)) {
        assert_eq!(store.get(&cid).unwrap(), Some(data));
    }
    let lengths = medium.names().iter().map(|name| medium.read(name).unwrap().len() as u64).sum::<u64>();
    let probe = medium.read("probe").unwrap().len() as u64;
    assert_eq!(store.info().unwrap().file_bytes, lengths - probe);
}

#[test]
fn a_pack_has_the_name_of_its_content_and_any_reader_reads_it() {
    let (medium, blocks) = packed();
    let names = packs(&medium);
    assert_eq!(names.len(), 1);
    let pack = medium.read(&names[0]).unwrap();
    let digest: String = cid_of(RAW, &pack).hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(names[0], format!("pack/{digest}.car"));
    let mut archive = mnem_car::Reader::new(&pack[..], 1 << 20).unwrap();
    assert_eq!(archive.roots(), []);
    for (cid, data) in &blocks {
        let section = archive.next_offsets().unwrap().unwrap();
        assert_eq!((section.cid, section.data_bytes), (*cid, data.len() as u64));
    }
    assert_eq!(archive.next_offsets().unwrap(), None);
}

/// The slot is lost, not the packs.
#[test]
fn a_lost_slot_sends_the_entry_again_and_not_the_packs() {
    let medium = Medium::default();
    let (loser, winner) = (open(&medium), open(&medium));
    winner.update(&blocks(1, 5)[0].0, &[]).unwrap();
    let puts = medium.requests().1;
    loser.commit(&batch(&blocks(40, 1 << 20))).unwrap();
    assert_eq!(medium.requests().1, puts + 3 + 2, "three packs, and the entry twice");
    assert_eq!(loser.heads().unwrap().len(), 2);
}

#[test]
fn a_listing_follows_the_log_and_reading_it_takes_few_requests() {
    let medium = Medium::default();
    let store = with_long_lease(&medium);
    let all = blocks(220, 64 * 1024);
    for part in all.chunks(200) {
        store.commit(&batch(part)).unwrap();
    }
    let store = with_long_lease(&medium);
    let cids: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
    assert_eq!(cids, all.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
    let requests = medium.requests().0;
    for (cid, data) in &all {
        assert_eq!(store.get(cid).unwrap().as_ref(), Some(data));
    }
    let one_by_one = medium.requests().0 - requests;
    // The packs have 13 and 2 MiB: 51 and 6 windows.
    assert!(one_by_one <= 12, "{one_by_one}");
    let store = with_long_lease(&medium);
    let requests = medium.requests().0;
    let mut found = 0;
    store
        .get_many(&cids, &mut |at, data| {
            assert_eq!(data.as_ref(), Some(&all[at].1));
            found += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((found, medium.requests().0 - requests), (220, 5), "4 MiB a request");
}

#[test]
fn the_absent_blocks_of_a_call_share_a_look() {
    let (medium, held) = packed();
    let store = with_long_lease(&medium);
    let absent = blocks(300, 11).into_iter().map(|(cid, _)| cid);
    let cids: Vec<Cid> = absent.chain([held[3].0]).collect();
    let (requests, mut found) = (medium.requests().0, Vec::new());
    store
        .get_many(&cids, &mut |at, data| {
            found.extend(data.map(|data| (at, data)));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(found == [(300, held[3].1.clone())]);
    // One more asks for the lease of the last block, and two fetch it.
    assert!(medium.requests().0 - requests <= 4, "{}", medium.requests().0 - requests);
}

#[test]
fn looking_for_many_blocks_takes_one_request_or_none() {
    let (medium, held) = (Medium::default(), blocks(40, 100));
    let store = with_long_lease(&medium);
    store.commit(&batch(&held)).unwrap();
    let always = quick().freshness(Freshness::Always).open_in(medium.connect(), "").unwrap();
    let present: Vec<Cid> = held.iter().map(|(cid, _)| *cid).collect();
    let absent: Vec<Cid> = blocks(300, 11).into_iter().map(|(cid, _)| cid).collect();
    let mixed = [&absent[..], &present[..2], &absent[..1]].concat();
    let found = [vec![false; 300], vec![true; 2], vec![false]].concat();
    let asked = |store: &BucketStore, cids: &[Cid], expected: &[bool]| {
        let requests = medium.requests().0;
        assert_eq!(store.has_many(cids).unwrap(), expected);
        medium.requests().0 - requests
    };
    assert_eq!(asked(&store, &present, &vec![true; present.len()]), 0, "the lease answers");
    assert_eq!(asked(&store, &mixed, &found), 1, "one look for all that are absent");
    assert_eq!(asked(&always, &present, &vec![true; present.len()]), 1);
    let one_by_one = medium.requests().0;
    assert!(absent.iter().all(|cid| !store.has(cid).unwrap()));
    assert_eq!(medium.requests().0 - one_by_one, 300);
}

/// Neither deletes nor new blocks change what a listing has begun with, but for what is deleted.
#[test]
fn a_caller_that_replaces_each_listed_block_comes_to_an_end() {
    let store = open(&Medium::default());
    let all = blocks(10, 5);
    for (cid, data) in &all {
        store.put(cid, data.clone()).unwrap();
    }
    let mut listed = Vec::new();
    for cid in store.cids().unwrap() {
        let cid = cid.unwrap();
        let data = store.get(&cid).unwrap().unwrap();
        store.delete(&cid).unwrap();
        store.put(&cid, data).unwrap();
        listed.push(cid);
    }
    assert_eq!(listed, all.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
}

#[test]
fn a_pack_that_is_lost_is_damage_and_hides_nothing_else() {
    let (medium, blocks) = packed();
    let name = packs(&medium).remove(0);
    let sound = medium.read(&name).unwrap();
    let small = Bytes::from_static(b"small");
    open(&medium).put(&cid_of(RAW, &small), small.clone()).unwrap();
    let lost: [Option<Bytes>; 4] =
        [None, Some(sound.slice(..sound.len() - 1)), Some(Bytes::new()), Some([&sound[..], b"x"].concat().into())];
    for (number, lost) in lost.into_iter().enumerate() {
        match lost {
            None => medium.remove(&name),
            Some(bytes) => medium.write(&name, bytes),
        }
        let store = open(&medium);
        for (cid, _) in [&blocks[0], &blocks[39]] {
            let requests = medium.requests().0;
            let error = store.get(cid).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{number}");
            assert!(error.to_string().contains(&name), "{error}");
            assert!(store.has(cid).unwrap(), "it is not absent");
            assert!(medium.requests().0 - requests <= 8, "{number}: no long series of attempts");
        }
        let error = store.get_many(&[blocks[0].0], &mut |_, _| ControlFlow::Continue(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{number}");
        assert_eq!(store.get(&cid_of(RAW, &small)).unwrap().as_ref(), Some(&small));
    }
}

#[test]
fn a_changed_byte_of_a_pack_is_named_where_it_is_and_nowhere_else() {
    let (medium, blocks) = packed();
    let name = packs(&medium).remove(0);
    let mut changed = medium.read(&name).unwrap().to_vec();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    medium.write(&name, changed);
    let store = open(&medium);
    let corrupt = |store: &BucketStore| {
        let errors =
            blocks.iter().map(|(cid, data)| store.get(cid).map(|found| assert_eq!(found.as_ref(), Some(data))));
        errors.filter_map(Result::err).map(|error| error.kind()).collect::<Vec<_>>()
    };
    assert_eq!(corrupt(&store), [ErrorKind::Corrupt]);
    // Damage that was only on the way, or that was mended, is not kept in memory.
    changed = medium.read(&name).unwrap().to_vec();
    changed[at] ^= 1;
    medium.write(&name, changed);
    assert_eq!(corrupt(&store), []);
}

/// A block of the largest size has a pack of its own.
#[test]
fn blocks_above_the_size_of_a_pack_are_kept() {
    let medium = Medium::default();
    let store = open(&medium);
    let large = blocks(2, 17 << 20);
    store.commit(&batch(&large)).unwrap();
    assert_eq!(packs(&medium).len(), 2);
    for (cid, data) in large {
        assert!(open(&medium).get(&cid).unwrap() == Some(data));
    }
}

/// A pack that cannot be uploaded leaves nothing behind that anybody sees, and the handle goes on.
#[test]
fn a_pack_that_is_not_uploaded_is_no_commit() {
    use mnem_store_traits::{Outcome, conformance::Fault};
    let medium = Medium::default();
    let store = open(&medium);
    let all = blocks(20, 64 * 1024);
    medium.set_fault(Some(Fault::WritesAfter(0)));
    let error = store.commit(&batch(&all)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied));
    assert!(error.to_string().contains("pack/"), "{error}");
    medium.set_fault(None);
    assert!(!store.has(&all[0].0).unwrap());
    store.commit(&batch(&all)).unwrap();
    assert!(store.has(&all[0].0).unwrap());
}
