//! Removing the dead blocks of one part of a store.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    sync::mpsc,
    thread,
};

use cid::Cid;

use crate::{
    Blockstore, DAG_CBOR, IsDead, RAW, Swept, cid_of,
    conformance::{
        Failure,
        case::Case,
        data::{Block, blake3_cid, blocks, identity_cid, v0_cid},
        expect::{delete_many, ensure, holds, lacks, listing, lists, put_many, same, saw},
        failure::LawResult,
    },
};

/// Blocks in the store: several pages of a listing.
const BLOCKS: usize = 1500;

fn cids<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Vec<Cid> {
    blocks.into_iter().map(|block| block.cid).collect()
}

/// Blocks whose CIDs have another order as values than as bytes: they differ in version, codec and hash function.
fn mixed(n: usize) -> Vec<Block> {
    const JSON: u64 = 0x0200;
    const DAG_JSON: u64 = 0x0129;
    let kind = |(n, block): (usize, Block)| {
        let data = block.data;
        let cid = match n % 7 {
            0 => v0_cid(&data),
            1 => cid_of(DAG_CBOR, &data),
            2 => cid_of(DAG_JSON, &data),
            3 => cid_of(JSON, &data),
            4 => blake3_cid(RAW, &data),
            5 => identity_cid(RAW, &data),
            _ => block.cid,
        };
        Block { cid, data }
    };
    blocks("swept", n).into_iter().enumerate().map(kind).collect()
}

/// Where the kind of CID changes in a listing, at most eight places.
fn borders(listed: &[Cid]) -> Vec<usize> {
    let kind = |cid: &Cid| (cid.version(), cid.codec(), cid.hash().code());
    let changes = listed.windows(2).enumerate().filter(|(_, pair)| pair.first().map(kind) != pair.last().map(kind));
    changes.map(|(n, _)| n + 1).take(8).collect()
}

/// Every third block is dead.
fn dead_and_kept(all: &[Block]) -> (Vec<Cid>, Vec<Cid>) {
    let of = |dead: bool| cids(all.iter().enumerate().filter(|(n, _)| (n % 3 == 0) == dead).map(|(_, block)| block));
    (of(true), of(false))
}

/// Sweeps a part to its end, in as many calls as the store needs for up to `most` blocks. Returns the sum of the counts,
/// or `None` if the store has no such pass.
pub(super) fn sweep_to_the_end(
    store: &dyn Blockstore,
    [after, up_to]: [Option<&Cid>; 2],
    most: usize,
    is_dead: &mut IsDead<'_>,
) -> Result<Option<Swept>, Failure> {
    let (mut sum, mut after, mut last) = (Swept::default(), after.copied(), None);
    loop {
        let mut shown = 0_usize;
        let swept = store.sweep(after.as_ref(), up_to, &mut |cid| {
            shown += 1;
            last = Some(*cid);
            is_dead(cid)
        });
        let Some(swept) = saw("sweep", swept).ok()? else { return Ok(None) };
        sum.blocks += swept.blocks;
        sum.removed += swept.removed;
        sum.removed_bytes += swept.removed_bytes;
        // A store that shows too many may never end.
        if swept.ended_at.is_none() || sum.blocks > most as u64 {
            return Ok(Some(sum));
        }
        ensure(shown > 0, "a sweep that ended early", "at least one block to be shown", "none")?;
        let what = "the block at which a sweep ended early";
        ensure(swept.ended_at == last, what, "the last one that was shown", "another")?;
        after = last;
    }
}

/// Sweeps a part, and checks that it consists of these blocks. Returns `false` if the store has no such pass.
fn sweep_part(
    store: &dyn Blockstore,
    range: [Option<&Cid>; 2],
    part: &[Cid],
    dead: &BTreeSet<Cid>,
) -> Result<bool, Failure> {
    let mut shown = Vec::new();
    let swept = sweep_to_the_end(store, range, part.len(), &mut |cid| {
        shown.push(*cid);
        dead.contains(cid)
    });
    let did = format!("sweep of a part of {} blocks", part.len());
    let Some(Swept { blocks, removed, removed_bytes, .. }) = swept? else {
        return same("blocks shown by a sweep that is not supported", shown.len(), 0).map(|()| false);
    };
    let (mut expected, dead) = (part.to_vec(), part.iter().filter(|cid| dead.contains(cid)).count() as u64);
    expected.sort_unstable();
    shown.sort_unstable();
    ensure(shown == expected, &did, "each block of the part, once", format_args!("{} blocks", shown.len()))?;
    same(format_args!("blocks counted by the {did}"), blocks, part.len() as u64)?;
    same(format_args!("blocks removed by the {did}"), removed, dead)?;
    same(format_args!("bytes removed by the {did}"), removed_bytes > 0, dead > 0)?;
    Ok(true)
}

pub(crate) fn sweep_removes_the_dead_blocks_of_its_part(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = mixed(case.in_time(BLOCKS));
    put_many(&*store, &all)?;
    let (dead, kept) = dead_and_kept(&all);
    let is_dead = dead.iter().copied().collect();
    for block in all.iter().take(20) {
        holds(&*store, block, "before a sweep")?;
    }
    let listed = listing(&*store, "before a sweep", all.len() * 2)?;
    let mut ends: Vec<usize> = [1, 2, listed.len() / 2, listed.len()].into_iter().chain(borders(&listed)).collect();
    ends.sort_unstable();
    ends.dedup();
    let (mut begin, mut left) = (0_usize, listed.clone());
    for end in ends {
        let after = begin.checked_sub(1).and_then(|last| listed.get(last));
        // The last part has no end.
        let up_to = listed.get(end - 1).filter(|_| end < listed.len());
        let part = listed.get(begin..end).unwrap_or_default();
        if !sweep_part(&*store, [after, up_to], part, &is_dead)? {
            return Ok(lists(&*store, &listed, "after a sweep that is not supported")?);
        }
        left.retain(|cid| !(part.contains(cid) && is_dead.contains(cid)));
        lists(&*store, &left, "after a sweep of a part")?;
        begin = end;
    }
    for cid in dead.iter().take(20) {
        lacks(&*store, cid, "after a sweep removed it")?;
    }
    let again: Vec<Block> = all.iter().filter(|block| is_dead.contains(&block.cid)).take(20).cloned().collect();
    put_many(&*store, &again)?;
    for block in &again {
        holds(&*store, block, "put again after a sweep removed it")?;
    }
    delete_many(&*store, &cids(&again))?;
    for block in all.iter().filter(|block| !is_dead.contains(&block.cid)).take(20) {
        holds(&*store, block, "after a sweep kept it")?;
    }
    sweep_part(&*store, [None, None], &kept, &is_dead)?;
    let middle = listed.get(listed.len() / 2);
    sweep_part(&*store, [middle, middle], &[], &is_dead)?;
    lists(&*store, &kept, "after a sweep that removed nothing")?;
    Ok(())
}

pub(crate) fn panicking_sweep_removes_nothing(case: &mut Case) -> LawResult {
    panics_at(&*case.blocks()?, 40, 20)?;
    // Later than a store may show in one piece.
    let many = case.in_time(1100);
    panics_at(&*case.blocks()?, many, many - 10)?;
    Ok(())
}

fn panics_at(store: &dyn Blockstore, n: usize, last: usize) -> Result<(), Failure> {
    let all = blocks("swept", n);
    put_many(store, &all)?;
    let mut shown = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.sweep(None, None, &mut |_| {
            shown += 1;
            if shown == last {
                panic_any("the law's own predicate panics");
            }
            true
        })
    }));
    if let Ok(Ok(Some(Swept { ended_at: Some(_), .. }))) = &panicked {
        // The call ended before that block, and removed what it had shown.
        return delete_many(store, &cids(&all));
    }
    let is_told = shown < last || panicked.is_err();
    ensure(is_told, "sweep with a predicate that panics", "the panic to reach the caller", "no panic")?;
    lists(store, &cids(&all), "after the predicate of a sweep panicked")?;
    let more = blocks("put after a panic", 3);
    put_many(store, &more)?;
    lists(store, &cids(all.iter().chain(&more)), "after a put that followed a sweep whose predicate panicked")?;
    if sweep_to_the_end(store, [None, None], all.len() + more.len(), &mut |_| true)?.is_some() {
        lists(store, &[], "after a sweep that followed one whose predicate panicked")?;
    }
    delete_many(store, &cids(all.iter().chain(&more)))
}

/// A sweep may take long, and others read meanwhile.
pub(crate) fn reader_does_not_wait_for_a_sweep(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("swept", 300);
    put_many(&*store, &all)?;
    let (patience, expected) = (case.patience(), cids(&all));
    let (reader_done, done) = mpsc::channel();
    let mut read = None;
    let swept = store.sweep(None, None, &mut |_| {
        if read.is_none() {
            let (store, first, expected) = (store.clone(), all[0].clone(), expected.clone());
            let reader_done = reader_done.clone();
            // Not a scoped thread: if the reader is stuck it is left behind, like the thread of a law at its deadline.
            thread::spawn(move || {
                let when = "in another thread, while the callback of a sweep runs";
                let result = holds(&*store, &first, when).and_then(|()| lists(&*store, &expected, when));
                let _ = reader_done.send(result);
            });
            read = Some(done.recv_timeout(patience));
        }
        false
    });
    saw("sweep", swept).ok()?;
    match read {
        None => Ok(()),
        Some(Ok(result)) => Ok(result?),
        Some(Err(_)) => {
            let did = "get, has, size and cids in another thread, while the callback of a sweep runs";
            Err(Failure::new(did, "an answer", "none until the sweep went on: readers wait for a sweep").into())
        }
    }
}

pub(crate) fn sweep_survives_reopen(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("swept", 60);
    put_many(&*store, &all)?;
    let (dead, kept) = dead_and_kept(&all);
    let swept = sweep_to_the_end(&*store, [None, None], all.len(), &mut |cid| dead.contains(cid))?;
    drop(store);
    case.reopen()?;
    let store = case.blocks()?;
    let expected = if swept.is_some() { kept } else { cids(&all) };
    lists(&*store, &expected, "after a sweep and reopening")?;
    Ok(())
}
