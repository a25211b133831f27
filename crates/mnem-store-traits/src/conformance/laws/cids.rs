//! Listing blocks.

use std::collections::BTreeSet;

use cid::Cid;

use crate::{
    DAG_CBOR, RAW,
    conformance::{
        Failure,
        case::Case,
        data::{Block, blake3_cid, block, blocks, identity_cid, v0_cid},
        expect::{ensure, listing, lists, put, put_many, saw},
        failure::LawResult,
        show::examples,
        threads::watched,
        ways::Write,
    },
};

/// More blocks than a backend is likely to hold in one page or shard.
const MANY: usize = 1100;

fn cids_of(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid).collect()
}

pub(crate) fn cids_of_an_empty_store_is_empty(case: &mut Case) -> LawResult {
    lists(&*case.blocks()?, &[], "in an empty store")?;
    Ok(())
}

pub(crate) fn cids_lists_every_block_once(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", case.in_time(MANY));
    put_many(&*store, &all)?;
    lists(&*store, &cids_of(&all), &format!("with {} blocks", all.len()))?;
    lists(&*store, &cids_of(&all), "a second time")?;
    Ok(())
}

pub(crate) fn cids_lists_whole_cids(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let data = bytes::Bytes::from_static(b"one text");
    let cids = [
        v0_cid(&data),
        crate::cid_of(RAW, &data),
        crate::cid_of(DAG_CBOR, &data),
        blake3_cid(RAW, &data),
        identity_cid(RAW, &data),
    ];
    for cid in cids {
        put(&*store, &Block { cid, data: data.clone() })?;
    }
    lists(&*store, &cids, "with one text under five CIDs")?;
    Ok(())
}

pub(crate) fn cids_may_be_left_half_way(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", 20);
    put_many(&*store, &all)?;
    let mut first = saw("cids()", store.cids()).ok()?;
    for _ in 0..5 {
        saw("an item of cids()", first.next().transpose()).ok()?;
    }
    lists(&*store, &cids_of(&all), "while another listing is half way")?;
    drop(first);
    put(&*store, &block("after"))?;
    let mut expected = cids_of(&all);
    expected.push(block("after").cid);
    lists(&*store, &expected, "after another listing was left half way")?;
    Ok(())
}

pub(crate) fn cids_does_not_block_writers(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let steady = blocks("steady", 30);
    put_many(&*store, &steady)?;
    let ways: Vec<Write> = Write::ALL.into_iter().filter(|way| way.adds_blocks() && way.is_offered(case)).collect();
    let mut listed = Vec::new();
    for (i, item) in saw("cids()", store.cids()).ok()?.enumerate().take(1000) {
        listed.push(saw(format_args!("item {i} of cids() while its consumer writes"), item).ok()?);
        if i < 40 {
            put(&*store, &block(&format!("written between two items {i}")))?;
            saw("delete between two items", store.delete(&block(&format!("written between two items {i}")).cid))
                .ok()?;
        }
        // Putting a block again, listed or not yet listed, must not list it twice.
        if i < 2 * ways.len() {
            let (way, present) = (ways[i % ways.len()], [steady[i].clone()]);
            saw(format_args!("{way} of a present block between two items"), way.put(case.handles(), &present)?).ok()?;
        }
    }
    each_once(&steady, &listed, "while its consumer writes to the store")?;
    Ok(())
}

pub(crate) fn cids_keeps_steady_blocks_under_writes(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let steady = blocks("steady", 300);
    put_many(&*store, &steady)?;
    let when = "while another thread writes and deletes";
    let churn = || {
        for round in 0..8 {
            let passing = blocks(&format!("passing {round}"), 20);
            put_many(&*store, &passing)?;
            for block in &passing {
                saw("delete", store.delete(&block.cid)).ok()?;
            }
        }
        Ok(())
    };
    watched(churn, || each_once(&steady, &listing(&*store, when, 10_000)?, when))?;
    lists(&*store, &cids_of(&steady), "after the other thread ended")?;
    Ok(())
}

pub(crate) fn cids_keeps_steady_blocks_while_listed_ones_are_deleted(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", case.in_time(MANY));
    put_many(&*store, &all)?;
    let (mut listed, mut gone) = (Vec::new(), BTreeSet::new());
    for (i, item) in saw("cids()", store.cids()).ok()?.enumerate().take(2 * MANY) {
        let cid = saw(format_args!("item {i} of cids() while its consumer deletes"), item).ok()?;
        listed.push(cid);
        // Only some, because each may cost a sync; spread over all pages.
        if i % 10 == 0 {
            saw("delete of a listed block", store.delete(&cid)).ok()?;
            gone.insert(cid);
        }
    }
    let steady: Vec<Block> = all.into_iter().filter(|block| !gone.contains(&block.cid)).collect();
    each_once(&steady, &listed, "while its consumer deletes what it was handed")?;
    Ok(())
}

/// Checks that the listing has each of these blocks, and nothing twice.
fn each_once(steady: &[Block], listed: &[Cid], when: &str) -> Result<(), Failure> {
    let distinct: BTreeSet<Cid> = listed.iter().copied().collect();
    let missing: Vec<Cid> = cids_of(steady).into_iter().filter(|cid| !distinct.contains(cid)).collect();
    let did = format_args!("cids() {when}");
    let expected = format_args!("all {} blocks that are there throughout", steady.len());
    ensure(missing.is_empty(), did, expected, format_args!("{} missing: {}", missing.len(), examples(&missing)))?;
    let repeated = listed.len() - distinct.len();
    ensure(repeated == 0, did, "each block once", format_args!("{repeated} repetitions"))
}
