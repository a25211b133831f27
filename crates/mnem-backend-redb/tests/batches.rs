//! Batches of every shape into tables of every shape.

use std::collections::{BTreeMap, BTreeSet};

use mnem_backend_redb::{Check, OpenOptions};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, RAW, Store, WriteBatch, cid_of};
use redb::StorageBackend as _;

use crate::support::{Call, FakeMedium, large_block, next};

const BLOCKS: u64 = 3_000;
const BATCHES: usize = 60;

#[test]
fn batches_store_what_is_absent_and_leave_what_is_there() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let mut state = 7;
    let mut there: BTreeMap<Cid, u64> = BTreeMap::new();
    for batch in 0..BATCHES {
        // Sizes from one to a thousand. Some batches name blocks twice, and most name some that are present.
        let size = 1 + next(&mut state) % [1, 10, 100, 1_000][batch % 4];
        let chosen: Vec<u64> = (0..size).map(|_| next(&mut state) % BLOCKS).collect();
        let blocks: Vec<_> = chosen.iter().map(|&n| (n, large_block(n, 20 + n as usize % 700))).collect();
        if batch % 3 == 0 {
            let mut writes = WriteBatch::new();
            writes.extend(blocks.iter().map(|(_, block)| block.clone()));
            store.commit(&writes).expect("commit");
        } else {
            store.put_many(&mut blocks.iter().map(|(_, block)| Ok(block.clone()))).expect("put_many");
        }
        there.extend(blocks.iter().map(|(n, (cid, _))| (*cid, *n)));
        if batch % 5 == 4 {
            // Delete some blocks, to leave gaps for later batches.
            for _ in 0..there.len() / 3 {
                let Some(cid) = there.keys().nth(next(&mut state) as usize % there.len()).copied() else { break };
                store.delete(&cid).expect("delete");
                there.remove(&cid);
            }
        }
        let listed: BTreeSet<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
        assert_eq!(listed, there.keys().copied().collect(), "after batch {batch}");
    }
    for (cid, n) in there {
        assert_eq!(store.get(&cid).expect("get"), Some(large_block(n, 20 + n as usize % 700).1));
    }
}

#[test]
fn a_removal_of_many_removes_exactly_these_wherever_they_lie() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let block = |n: u64| large_block(n, 20 + n as usize % 700);
    store.put_many(&mut (0..BLOCKS).map(|n| Ok(block(n)))).expect("put_many");
    let listed: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    let gone: Vec<Cid> = (0..listed.len()).filter(|row| goes(*row)).map(|row| listed[row]).collect();
    let absent = (BLOCKS..BLOCKS + 500).map(|n| block(n).0);
    let named: Vec<Cid> = gone.iter().rev().copied().chain(absent).chain(gone[..40].iter().copied()).collect();
    store.delete_many(&mut named.iter().copied().map(Ok)).expect("delete_many");
    let left: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    let expected: Vec<Cid> = (0..listed.len()).filter(|row| !goes(*row)).map(|row| listed[row]).collect();
    assert!(left == expected, "{} are left, and {} should be", left.len(), expected.len());
    for (cid, data) in (0..BLOCKS).map(block) {
        let expected = (!gone.contains(&cid)).then_some(data);
        assert_eq!(store.get(&cid).expect("get"), expected);
    }
    // None of them is left to remove.
    store.delete_many(&mut named.into_iter().map(Ok)).expect("delete_many");
    assert_eq!(store.cids().expect("cids").count(), left.len());
}

/// The rows that a test removes: neighbours, then rows with ever larger gaps between them, then none.
fn goes(row: usize) -> bool {
    match row {
        0..500 => row != 250,
        500..900 => row.is_multiple_of(2),
        900..1500 => row % 20 == 7,
        1500..2500 => row.is_multiple_of(90),
        2500..2700 => row >= 2600,
        _ => false,
    }
}

/// Sweeps in parts of very different sizes, while another thread reads.
#[test]
fn sweeps_remove_exactly_the_dead_rows_of_their_parts() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let block = |n: u64| large_block(n, 20 + n as usize % 700);
    store.put_many(&mut (0..BLOCKS).map(|n| Ok(block(n)))).expect("put_many");
    let listed: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    let place: BTreeMap<Cid, usize> = listed.iter().copied().zip(0..).collect();
    let (mut expected, mut begin, mut reads) = (listed.clone(), 0_usize, 0);
    for end in [1, 40, 700, 701, 1600, 2999, 3000] {
        let (after, up_to) = (begin.checked_sub(1).map(|n| &listed[n]), listed.get(end - 1));
        let up_to = up_to.filter(|_| end < listed.len());
        let mut shown = Vec::new();
        let swept = store.sweep(after, up_to, &mut |cid| {
            shown.push(place[cid]);
            if shown.len() % 300 == 1 {
                // No reader waits for the sweep, and none sees half of it.
                let there = std::thread::scope(|scope| {
                    let list = || store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect::<Vec<Cid>>();
                    let reader = scope.spawn(list);
                    reader.join().expect("the reader")
                });
                assert_eq!(expected, there);
                reads += 1;
            }
            goes(place[cid])
        });
        let swept = swept.expect("sweep").expect("redb sweeps");
        assert_eq!(shown, Vec::from_iter(begin..end));
        let dead: Vec<usize> = (begin..end).filter(|row| goes(*row)).collect();
        assert_eq!((swept.blocks, swept.removed), ((end - begin) as u64, dead.len() as u64));
        expected.retain(|cid| !dead.contains(&place[cid]));
        let left: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
        assert!(left == expected, "{} are left, and {} should be", left.len(), expected.len());
        begin = end;
    }
    assert!(reads > 5);
    for (cid, data) in (0..BLOCKS).map(block) {
        let expected = (!goes(place[&cid])).then_some(data);
        assert_eq!(store.get(&cid).expect("get"), expected);
    }
}

/// A sweep that finds nothing dead writes and syncs nothing.
#[test]
fn a_sweep_without_dead_blocks_writes_nothing() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (0..500).map(|n| Ok(large_block(n, 300)))).expect("put_many");
    let calls = || [Call::Write, Call::Sync].map(|call| medium.count(call));
    let before = calls();
    let swept = store.sweep(None, None, &mut |_| false).expect("sweep").expect("redb sweeps");
    assert_eq!((swept.blocks, swept.removed, swept.removed_bytes), (500, 0, 0));
    assert_eq!(calls(), before);
}

/// A call reads 32 MiB and a little more, however many blocks its part has, and the next one goes on from there.
#[test]
fn a_sweep_ends_once_it_has_read_enough() {
    const BYTES: usize = 1 << 20;
    const ENOUGH: usize = 32;
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let block = |n: u8| Bytes::from(vec![n; BYTES]);
    let blocks = (0..40).map(block).map(|data| (cid_of(RAW, &data), data));
    store.put_many(&mut blocks.map(Ok)).expect("put_many");
    let listed: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    let dead: BTreeSet<Cid> = listed.iter().step_by(3).copied().collect();
    let (mut shown, mut after, mut calls) = (Vec::new(), None, Vec::new());
    loop {
        let swept = store.sweep(after.as_ref(), None, &mut |cid| {
            shown.push(*cid);
            dead.contains(cid)
        });
        let swept = swept.expect("sweep").expect("redb sweeps");
        calls.push(swept.blocks);
        let removed = dead.iter().filter(|cid| shown.contains(cid)).count();
        assert_eq!(store.cids().expect("cids").count(), listed.len() - removed, "after {calls:?}");
        let Some(end) = swept.ended_at else { break };
        assert_eq!(shown.last(), Some(&end));
        after = Some(end);
    }
    assert_eq!(shown, listed);
    assert_eq!(calls, [ENOUGH as u64, (listed.len() - ENOUGH) as u64]);
}

/// The places of the page numbers in each branch page of a file. A branch begins with a 2 and the number of its keys,
/// and holds 16 bytes of a checksum for each child before the page numbers.
fn children(file: &[u8]) -> Vec<Vec<usize>> {
    const PAGE: usize = 4096;
    let is_branch = |at: &usize| file[*at] == 2 && (1..=200).contains(&file[at + 2]) && file[at + 3] == 0;
    let branches = (0..file.len() / PAGE).map(|page| page * PAGE).filter(is_branch);
    let of = |at: usize| {
        let count = usize::from(u16::from_le_bytes([file[at + 2], file[at + 3]])) + 1;
        (0..count).map(|n| at + 8 + 16 * count + 8 * n).collect()
    };
    branches.map(of).collect()
}

/// Another program may alter a branch so that it leads to a page that its tree has passed already. Only the order of the
/// keys shows that. One block in each page lets the parts of a sweep end at any page.
#[test]
fn a_tree_that_leads_back_is_damaged_and_shows_no_block_twice() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (0..250).map(|n| Ok(large_block(n, 3_000)))).expect("put_many");
    store.close().expect("close");
    let file = medium.bytes();
    let mut damaged = 0;
    for branch in children(&file).iter().filter(|branch| branch.len() > 2) {
        for to in &branch[1..] {
            let medium = FakeMedium::of(file.clone());
            let options = OpenOptions::new().check(Check::Never).cache_bytes(0);
            let store = options.open_medium(medium.clone(), "medium").expect("open");
            medium.write(*to as u64, &file[branch[0]..branch[0] + 8]).expect("write");
            let mut shown = Vec::new();
            let swept = mnem_crash_tests::quietly(|| {
                store.sweep(None, None, &mut |cid| {
                    shown.push(*cid);
                    false
                })
            });
            let distinct: BTreeSet<&Cid> = shown.iter().collect();
            assert_eq!(distinct.len(), shown.len(), "shown twice: the child at {to} is the one at {}", branch[0]);
            match swept.expect("no panic gets out") {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
                    damaged += 1;
                }
            }
        }
    }
    assert!(damaged > 200, "{damaged}");
}

/// A removal reads ahead to find out whether neighbours go too, but not over hundreds of large blocks that stay.
#[test]
fn a_removal_of_few_large_blocks_reads_few_that_stay() {
    const LARGE: u64 = 400;
    const BYTES: usize = 96 * 1024;
    let medium = FakeMedium::default();
    let options = FakeMedium::options().cache_bytes(1 << 20);
    let store = options.open_medium(medium.clone(), "medium").expect("create");
    let mut blocks: Vec<_> = (0..LARGE).map(|n| large_block(n, BYTES)).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("put_many");
    blocks.sort_unstable_by_key(|(cid, _)| cid.to_bytes());
    let dead: Vec<Cid> = blocks.iter().step_by(12).map(|(cid, _)| *cid).collect();
    let before = medium.count(Call::Read);
    store.delete_many(&mut dead.iter().map(|cid| Ok(*cid))).expect("delete_many");
    let reads = medium.count(Call::Read) - before;
    assert!(reads < LARGE, "{reads} reads for {} of {LARGE} blocks", dead.len());
    assert_eq!(store.cids().expect("cids").count(), blocks.len() - dead.len());
}
