//! Listings of several pages, and batches of several pieces.

use std::{
    ops::{ControlFlow, Range},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Cause, ErrorKind, Outcome, RAW, StoreError,
    conformance::{
        Failure, Profile,
        case::Case,
        data::{Block, block, blocks, cid_v1, identity_cid, sized, unknown_hash_cid},
        expect::{ensure, heads_are, listing, lists, put_many, same, saw},
        failure::LawResult,
        show::Show,
        ways::{Write, writes_of},
    },
};

/// Five pages of 500, or ten of 256.
const LISTED: usize = 2600;
const LARGE: [usize; 2] = [300, 3000];
/// More than any of the pieces in which a store may take a batch.
const MANY: usize = 20_000;
const KIB: usize = 1024;

/// Whether this item ends a page of some common size.
fn may_end_a_page(i: usize) -> bool {
    [64, 100, 250].iter().any(|size| (i + 1).is_multiple_of(*size))
}

/// Checks that everything that stayed was listed exactly once; `all` does not contain items deleted in the meantime.
fn is_complete<T: Ord + Clone + Show>(did: &str, mut listed: Vec<T>, mut all: Vec<T>) -> Result<(), Failure> {
    listed.sort();
    all.sort();
    let missing: Vec<T> = all.iter().filter(|item| listed.binary_search(item).is_err()).cloned().collect();
    ensure(missing.is_empty(), did, "every item", format_args!("{} missing: {}", missing.len(), missing.show()))?;
    same(format_args!("{did}: how many items"), listed.len(), all.len())
}

pub(crate) fn cids_goes_on_when_its_cursor_is_deleted(case: &mut Case) -> LawResult {
    let (store, all) = (case.blocks()?, blocks("listed", case.in_time(LISTED)));
    put_many(&*store, &all)?;
    let did = "cids() whose consumer deletes the block at the end of a page";
    let mut listed = Vec::new();
    for (i, item) in saw("cids()", store.cids()).ok()?.enumerate().take(2 * LISTED) {
        let cid: Cid = saw(did, item).ok()?;
        listed.push(cid);
        if may_end_a_page(i) {
            saw("delete of the block that was listed last", store.delete(&cid)).ok()?;
        }
    }
    is_complete(did, listed, all.iter().map(|block| block.cid).collect())?;
    Ok(())
}

pub(crate) fn keys_goes_on_when_its_cursor_is_deleted(case: &mut Case) -> LawResult {
    let table = saw("side_table", case.store()?.side_table("table")).ok()?;
    let other = saw("side_table", case.store()?.side_table("another")).ok()?;
    let keys: Vec<Bytes> = (0..case.in_time(LISTED)).map(|i| Bytes::from(format!("key {i:05}"))).collect();
    for part in keys.chunks(500) {
        let rows: Vec<_> = part.iter().map(|key| (key.clone(), Bytes::from_static(b"value"))).collect();
        saw("write of 500 rows", table.write(&rows, &[])).ok()?;
    }
    let did = "keys() whose consumer deletes the row at the end of a page";
    let mut listed = Vec::new();
    for (i, item) in saw("keys()", table.keys(b"key")).ok()?.enumerate().take(2 * LISTED) {
        let key = saw(did, item).ok()?;
        // Another table comes and goes meanwhile, before this one in the order of names.
        if [10, 1000].contains(&i) {
            let row = (Bytes::from_static(b"key"), Bytes::new());
            let wrote = if i == 10 { other.write(&[row], &[]) } else { other.write(&[], &[row.0]) };
            saw("write to another table", wrote).ok()?;
        }
        if may_end_a_page(i) {
            saw("delete of the row that was listed last", table.write(&[], std::slice::from_ref(&key))).ok()?;
        }
        listed.push(key);
    }
    same(format_args!("{did}: ascending"), listed.is_sorted(), true)?;
    is_complete(did, listed, keys)?;
    Ok(())
}

/// The last block of the batch is bad. By then a store may have begun to write the others.
pub(crate) fn late_bad_block_keeps_nothing_of_a_large_batch(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    for way in writes_of("late_bad_block_keeps_nothing_of_a_large_batch") {
        if !way.is_offered(case) {
            continue;
        }
        for n in LARGE {
            let mut batch = kib_blocks(&format!("{way} of {n}"), n);
            for (what, bad, kind) in bad_blocks(&batch[0].cid) {
                batch.push(bad);
                let did = format!("{way} of {n} blocks of 1 KiB and {what} at the end");
                saw(&did, way.put(case.handles(), &batch)?).refused(kind)?;
                batch.pop();
                lists(&*store, &[], &format!("after a refused {did}"))?;
                if case.has(Profile::Heads) {
                    heads_are(&*case.heads()?, &[], format_args!("after a refused {did}"))?;
                }
            }
        }
        late_bad_block_of_many_bytes(case, way)?;
        late_bad_block_of_many(case, way)?;
        bad_block_at_any_place(case, way)?;
    }
    Ok(())
}

/// A store that checks a batch in pieces, or on several cores, must check each block of it.
fn bad_block_at_any_place(case: &Case, way: Write) -> Result<(), Failure> {
    let mut batch = blocks("at any place", LARGE[1]);
    let last = batch.len() - 1;
    for place in [0, 1, 255, 256, 511, 512, 999, 1000, 1023, 1024, 1500, 2047, 2048, last - 1] {
        let good = std::mem::replace(&mut batch[place].data, Bytes::from_static(b"other bytes"));
        let did = format!("{way} of {} blocks and wrong bytes at place {place}", batch.len());
        saw(&did, way.put(case.handles(), &batch)?).refused(ErrorKind::CidMismatch)?;
        batch[place].data = good;
    }
    lists(&*case.blocks()?, &[], &format!("after refused {way}s of wrong bytes at any place"))
}

/// A batch of more bytes than a store is likely to hold back before it begins to write.
fn late_bad_block_of_many_bytes(case: &Case, way: Write) -> Result<(), Failure> {
    const MIB: usize = 1 << 20;
    let most = if case.affords(64 * MIB) { 64 } else { 8 };
    let mut batch: Vec<Block> = (0..most).map(|i| sized(MIB - i)).collect();
    batch.push(Block { cid: block("good").cid, data: Bytes::from_static(b"other bytes") });
    let did = format!("{way} of {most} MiB and wrong bytes at the end");
    saw(&did, way.put(case.handles(), &batch)?).refused(ErrorKind::CidMismatch)?;
    lists(&*case.blocks()?, &[], &format!("after a refused {did}"))
}

/// A batch of more blocks than a store is likely to hold back.
fn late_bad_block_of_many(case: &Case, way: Write) -> Result<(), Failure> {
    let mut batch = blocks("of very many", MANY);
    batch.push(Block { cid: block("good").cid, data: Bytes::from_static(b"other bytes") });
    let did = format!("{way} of {MANY} blocks and wrong bytes at the end");
    saw(&did, way.put(case.handles(), &batch)?).refused(ErrorKind::CidMismatch)?;
    lists(&*case.blocks()?, &[], &format!("after a refused {did}"))
}

/// Blocks that every check must refuse, each with the kind of the error.
fn bad_blocks(named_before: &Cid) -> [(&'static str, Block, ErrorKind); 5] {
    let good = block("good");
    let cut = cid_v1(RAW, good.cid.hash().code(), &good.cid.hash().digest()[..20]);
    let of = |cid, data: &Bytes| Block { cid, data: data.clone() };
    [
        ("wrong bytes of its first block", of(*named_before, &good.data), ErrorKind::CidMismatch),
        ("wrong bytes", of(good.cid, &Bytes::from_static(b"other bytes")), ErrorKind::CidMismatch),
        ("a digest that was cut short", of(cut, &good.data), ErrorKind::UnsupportedHash),
        ("wrong bytes of an identity CID", of(identity_cid(RAW, b"identity"), &good.data), ErrorKind::CidMismatch),
        ("an unknown hash function", of(unknown_hash_cid(1), &good.data), ErrorKind::UnsupportedHash),
    ]
}

/// Different blocks of 1 KiB each.
fn kib_blocks(label: &str, n: usize) -> Vec<Block> {
    let bytes = |i: usize| format!("{label} {i} ").bytes().cycle().take(KIB).collect::<Vec<u8>>();
    (0..n).map(|i| crate::conformance::data::raw(bytes(i))).collect()
}

fn own_failure() -> StoreError {
    let source = Cause::new("the law's own iterator");
    StoreError::Backend { backend: "law", operation: "go on".into(), outcome: Outcome::NotApplied, source }
}

/// When most of a large batch is drained, its iterator reads and writes the store, and then fails.
pub(crate) fn large_batches_are_drained_before_anything_is_done(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let present = blocks("present", LARGE[1]);
    put_many(&*store, &present)?;
    for n in LARGE.into_iter().chain([MANY]) {
        let batch = if n == MANY { blocks("drained", n) } else { kib_blocks("drained", n) };
        let written = block(&format!("written by an iterator of {n}"));
        let mut own = Ok(());
        let uses = std::iter::once_with(|| {
            own = store.put(&written.cid, written.data.clone()).and_then(|()| store.get(&present[0].cid)).map(drop);
            Err(own_failure())
        });
        let mut items = batch.iter().map(|block| Ok((block.cid, block.data.clone()))).chain(uses);
        let failed = store.put_many(&mut items);
        drop(items);
        saw(format_args!("a put and a get in the iterator of a put_many, after {n} blocks"), own).ok()?;
        saw(format_args!("put_many whose iterator fails after {n} blocks"), failed).refused(ErrorKind::Backend)?;
        saw("delete", store.delete(&written.cid)).ok()?;
    }
    let expected: Vec<Cid> = present.iter().map(|block| block.cid).collect();
    lists(&*store, &expected, "after large batches whose iterators failed at the end")?;
    let (written, mut own) = (block("written by the iterator of a delete_many"), Ok(()));
    let fails = std::iter::once_with(|| {
        own = store.put(&written.cid, written.data.clone()).and_then(|()| store.get(&present[0].cid)).map(drop);
        Err(own_failure())
    });
    let absent = blocks("never put", MANY);
    let named = expected.iter().copied().chain(absent.into_iter().map(|block| block.cid));
    let failed = store.delete_many(&mut named.map(Ok).chain(fails));
    saw("delete_many whose iterator fails at the end", failed).refused(ErrorKind::Backend)?;
    saw("a put and a get in the iterator of a delete_many, at its end", own).ok()?;
    saw("delete", store.delete(&written.cid)).ok()?;
    lists(&*store, &expected, "after a delete_many whose iterator failed at the end")?;
    Ok(())
}

pub(crate) fn batches_of_many_bytes_are_taken(case: &mut Case) -> LawResult {
    const MIB: usize = 1 << 20;
    let store = case.blocks()?;
    let most = if case.affords(64 * MIB) { 64 } else { 8 };
    let all: Vec<Block> = (0..most).map(|i| sized(MIB - i)).collect();
    for way in writes_of("batches_of_many_bytes_are_taken").into_iter().filter(|way| way.is_offered(case)) {
        saw(format_args!("{way} of {most} MiB in one batch"), way.put(case.handles(), &all)?).ok()?;
        let first = &all[..1];
        saw("delete_many", Write::DeleteMany.remove(case.handles(), &[first[0].cid])?).ok()?;
    }
    put_many(&*store, &all[..1])?;
    for block in [&all[0], &all[most / 2], &all[most - 1]] {
        saw(format_args!("get({}) after batches of {most} MiB", block.cid), store.get(&block.cid))
            .is(Some(block.data.clone()))?;
    }
    let cids: Vec<Cid> = all.iter().map(|block| block.cid).collect();
    lists(&*store, &cids, &format!("after batches of {most} MiB"))?;
    let did = format!("get_many of {most} MiB");
    let mut whole = vec![false; most];
    let answered = store.get_many(&cids, &mut |i, data| {
        whole[i] = data.as_ref() == Some(&all[i].data);
        ControlFlow::Continue(())
    });
    saw(&did, answered).ok()?;
    same(&did, whole.iter().filter(|whole| **whole).count(), most)?;
    Ok(())
}

/// The number of items that the first listing yields before the second one begins: more than a page.
const AHEAD: usize = 300;

/// The numbers of items after which a listing is dropped: on its first page and on later ones.
const LEFT_AFTER: [usize; 3] = [1, AHEAD, 2 * AHEAD + 1];

/// Takes items from two listings in turns, once the first is past its first page.
fn in_turns<T>(
    did: &str,
    mut first: impl Iterator<Item = Result<T, StoreError>>,
    second: impl Iterator<Item = Result<T, StoreError>>,
) -> Result<[Vec<T>; 2], Failure> {
    let ahead: Vec<T> =
        first.by_ref().take(AHEAD).collect::<Result<_, _>>().map_or_else(|e| saw(did, Err(e)).ok(), Ok)?;
    let (mut by_first, mut by_second, mut second) = (ahead, Vec::new(), second);
    loop {
        let next = [first.next(), second.next()];
        if next.iter().all(Option::is_none) || by_first.len() + by_second.len() > 4 * LISTED {
            return Ok([by_first, by_second]);
        }
        let [one, two] = next;
        by_first.extend(one.map(|item| saw(did, item).ok()).transpose()?);
        by_second.extend(two.map(|item| saw(did, item).ok()).transpose()?);
    }
}

pub(crate) fn listings_at_the_same_time_are_apart(case: &mut Case) -> LawResult {
    let (store, all) = (case.blocks()?, blocks("listed", case.in_time(LISTED)));
    put_many(&*store, &all)?;
    let did = "one of two cids() of a handle that are read in turns";
    let (first, second) = (saw("cids()", store.cids()).ok()?, saw("a second cids()", store.cids()).ok()?);
    let cids: Vec<Cid> = all.iter().map(|block| block.cid).collect();
    for listed in in_turns(did, first, second)? {
        is_complete(did, listed, cids.clone())?;
    }
    for left_after in LEFT_AFTER {
        saw("cids()", store.cids().map(|cids| cids.take(left_after).for_each(drop))).ok()?;
        lists(&*store, &cids, &format!("after another listing was left at item {left_after}"))?;
    }
    if !case.has(Profile::SideTables) {
        return Ok(());
    }
    let table = saw("side_table", case.store()?.side_table("table")).ok()?;
    let keys: Vec<Bytes> = (0..case.in_time(LISTED)).map(|i| Bytes::from(format!("key {i:05}"))).collect();
    let rows: Vec<_> = keys.iter().map(|key| (key.clone(), Bytes::from_static(b"value"))).collect();
    rows.chunks(500).try_for_each(|rows| saw("write of 500 rows", table.write(rows, &[])).ok())?;
    let did = "one of two keys() of a side table that are read in turns";
    let (first, second) = (saw("keys()", table.keys(b"")).ok()?, saw("a second keys()", table.keys(b"key 0")).ok()?);
    for listed in in_turns(did, first, second)? {
        let sorted = listed.is_sorted();
        ensure(sorted, did, "keys in ascending order", "another order")?;
        is_complete(did, listed, keys.clone())?;
    }
    for left_after in LEFT_AFTER {
        saw("keys()", table.keys(b"").map(|keys| keys.take(left_after).for_each(drop))).ok()?;
        let listed = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
        saw(format_args!("keys() after another listing was left at item {left_after}"), listed).is(keys.clone())?;
    }
    Ok(())
}

/// More than 16 bits count.
const LONG: usize = 70_000;
/// Blocks of a batch, and rows of a write, of which a long listing is made.
const PART: usize = 5000;

pub(crate) fn long_listings_are_complete(case: &mut Case) -> LawResult {
    let (store, all) = (case.blocks()?, blocks("listed", LONG));
    let add = |part: Range<usize>| all[part].chunks(PART).try_for_each(|part| put_many(&*store, part));
    let lists = |n: usize| {
        let cids = all[..n].iter().map(|block| block.cid).collect();
        is_complete("a long cids()", listing(&*store, &format!("with {n} blocks"), 2 * n)?, cids)
    };
    grows(case, "cids() of so many blocks", &add, &lists)?;
    if !case.has(Profile::SideTables) {
        return Ok(());
    }
    let table = saw("side_table", case.store()?.side_table("table")).ok()?;
    let keys: Vec<Bytes> = (0..LONG).map(|i| Bytes::from(format!("key {i:05}"))).collect();
    let write = |keys: &[Bytes]| {
        let rows: Vec<_> = keys.iter().map(|key| (key.clone(), Bytes::new())).collect();
        saw(format_args!("write of {} rows", rows.len()), table.write(&rows, &[])).ok()
    };
    let add = |part: Range<usize>| keys[part].chunks(PART).try_for_each(write);
    let lists = |n: usize| {
        let listed = table.keys(b"").and_then(|keys| keys.take(2 * n).collect::<Result<Vec<_>, _>>());
        let did = format!("keys() of {n} rows");
        let listed = saw(&did, listed).ok()?;
        ensure(listed.is_sorted(), &did, "keys in ascending order", "another order")?;
        is_complete(&did, listed, keys[..n].to_vec())
    };
    grows(case, "keys() of so many rows", &add, &lists)?;
    Ok(())
}

/// Lists few items, then twice as many, and so on up to all of them, or to as many as the store has time for. A listing
/// whose time grows much faster than what it lists is reported before the next step, which might never end.
fn grows(
    case: &Case,
    did: &str,
    add: &dyn Fn(Range<usize>) -> Result<(), Failure>,
    lists: &dyn Fn(usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let timed = |work: &dyn Fn() -> Result<(), Failure>| {
        let begin = Instant::now();
        work().map(|()| begin.elapsed())
    };
    let (mut before, mut n, spare) = (0, case.in_time(1100), case.spare() / 6);
    // The last three listings: one that is slow proves nothing.
    let mut took = [Duration::MAX / 8; 3];
    loop {
        let added = timed(&|| add(before..n))?;
        took = [took[1], took[2], timed(&|| lists(n))?];
        if n == LONG {
            return Ok(());
        }
        if took[2] > 3 * took[1] {
            // The machine may have been busy.
            took[2] = took[2].min(timed(&|| lists(n))?);
        }
        let is_ever_slower = took[1] > 3 * took[0] && took[2] > 3 * took[1];
        let next = took[2] * if is_ever_slower { 4 } else { 2 };
        if next + 2 * added > spare {
            let saw = format!("{took:.1?} for {n} items, half and a quarter of them, from the fewest on");
            return ensure(!is_ever_slower, did, "much the same time for each, however many there are", saw);
        }
        (before, n) = (n, (2 * n).min(LONG));
    }
}

pub(crate) fn cids_lists_what_moves_while_its_consumer_puts(case: &mut Case) -> LawResult {
    // What a store with levels is about to move, and more than a page.
    lists_what_moves(case, 130)?;
    lists_what_moves(&case.fresh()?, case.in_time(700))?;
    Ok(())
}

fn lists_what_moves(case: &Case, steady: usize) -> Result<(), Failure> {
    let (store, steady) = (case.blocks()?, blocks("steady", steady));
    // Written in parts, so that a store which reorganizes large amounts of data keeps them in more than one place.
    steady.chunks(7).try_for_each(|part| put_many(&*store, part))?;
    let did = "cids() whose consumer puts hundreds of blocks";
    let mut listed = Vec::new();
    for (i, item) in saw("cids()", store.cids()).ok()?.enumerate().take(20 * LISTED) {
        listed.push(saw(did, item).ok()?);
        if [0, 30, 60, 90].contains(&i) {
            blocks(&format!("put at item {i}:"), 300).chunks(30).try_for_each(|part| put_many(&*store, part))?;
        }
    }
    let steady: Vec<Cid> = steady.iter().map(|block| block.cid).collect();
    listed.retain(|cid| steady.contains(cid));
    is_complete(did, listed, steady)
}
