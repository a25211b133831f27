//! Sizes of blocks and batches, through every way to write.

use std::time::Instant;

use bytes::Bytes;
use cid::Cid;

use crate::{
    ErrorKind, HeadChange, SideTable, Store, StoreError, WriteBatch,
    conformance::{
        Failure,
        case::{BATCHES, Case, Pace},
        data::{Block, block, blocks, head, heads, near_codecs, one_text, raw, sized},
        expect::{ensure, heads_are, holds, lists, put_many, saw, update},
        failure::LawResult,
        ways::{Write, writes_of},
    },
    limits::TABLE_VALUE_BYTES_MAX,
};

const LARGE_BATCH: usize = 4096;
const LARGEST_BATCH: usize = 20_000;
const REQUIRED: usize = 1500;
const SUPERSEDED: usize = 2000;

pub(crate) fn every_write_keeps_to_the_limit(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let limit = store.capabilities().block_bytes_max;
    let large = sized(limit as usize + 1);
    let largest = raw(large.data.slice(1..));
    let beside = [block("small"), large.clone(), block("small too")];
    for way in writes_of("every_write_keeps_to_the_limit") {
        if !way.is_offered(case) {
            continue;
        }
        let written = way.put(case.handles(), std::slice::from_ref(&largest))?;
        saw(format_args!("{way} of a block of block_bytes_max"), written).ok()?;
        saw(format_args!("size of a block of the limit after {way}"), store.size(&largest.cid)).is(Some(limit))?;
        saw("delete", store.delete(&largest.cid)).ok()?;
        let refused = way.put(case.handles(), if is_single(way) { &beside[1..2] } else { &beside })?;
        let did = format!("{way} of a block above block_bytes_max");
        let error = saw(&did, refused).refused(ErrorKind::BlockTooLarge)?;
        if let StoreError::BlockTooLarge { cid, block_bytes, block_bytes_max } = error {
            let fine = cid == large.cid && block_bytes == limit + 1 && block_bytes_max == limit;
            let expected = format_args!("an error that names {}, its {} bytes and the limit", large.cid, limit + 1);
            ensure(fine, did, expected, format_args!("{cid}, {block_bytes} bytes and a limit of {block_bytes_max}"))?;
        }
        lists(&*store, &[], &format!("after {way} of a block above the limit"))?;
    }
    Ok(())
}

fn is_single(way: Write) -> bool {
    matches!(way, Write::Put | Write::PutTrusted)
}

fn cids(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid).collect()
}

pub(crate) fn every_batch_may_be_large(case: &mut Case) -> LawResult {
    let ways: Vec<Write> =
        writes_of("every_batch_may_be_large").into_iter().filter(|way| way.is_offered(case)).collect();
    let adds = ways.iter().copied().filter(|way| way.adds_blocks());
    let mut pace = Pace::default();
    for way in adds.clone() {
        for n in BATCHES {
            pace = Pace::of(n, || comes_and_goes(case, way, n))?;
        }
        comes_and_goes(case, way, pace.items_within(case.spare() / 10, LARGE_BATCH))?;
    }
    let n = pace.items_within(case.spare() / 3, LARGEST_BATCH);
    let largest = blocks("in a large batch", n);
    for way in adds {
        // After the first way the blocks are already in the store; the batch may be just as large.
        saw(format_args!("{way} of {n} blocks"), way.put(case.handles(), &largest)?).ok()?;
    }
    let store = case.blocks()?;
    lists(&*store, &cids(&largest), &format!("after batches of {n} blocks"))?;
    if ways.contains(&Write::DeleteMany) {
        saw(format_args!("delete_many of {n} blocks"), Write::DeleteMany.remove(case.handles(), &cids(&largest))?)
            .ok()?;
        lists(&*store, &[], &format!("after a delete_many of {n} blocks"))?;
        let again: Vec<Block> = largest.iter().step_by(n.div_ceil(8)).cloned().collect();
        put_many(&*store, &again)?;
        for block in &again {
            holds(&*store, block, &format!("put again after a delete_many of {n} blocks"))?;
        }
    }
    Ok(())
}

fn comes_and_goes(case: &Case, way: Write, n: usize) -> Result<(), Failure> {
    let all = blocks(&format!("{way} of {n}:"), n);
    saw(format_args!("{way} of {n} blocks"), way.put(case.handles(), &all)?).ok()?;
    is_whole(case, &all, &format!("after {way} of {n} blocks"))
}

/// Checks that exactly these blocks are there, with their bytes; then removes them.
fn is_whole(case: &Case, all: &[Block], when: &str) -> Result<(), Failure> {
    let store = case.blocks()?;
    lists(&*store, &cids(all), when)?;
    for block in all.iter().step_by(7).chain(all.last()) {
        saw(format_args!("get({}) {when}", block.cid), store.get(&block.cid)).is(Some(block.data.clone()))?;
    }
    let removed = Write::DeleteMany.remove(case.handles(), &cids(all))?;
    saw(format_args!("delete_many of {} blocks", all.len()), removed).ok()?;
    lists(&*store, &[], "after a delete_many of every block")
}

pub(crate) fn commit_takes_thousands_of_requirements(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let n = case.in_time(REQUIRED);
    let present = blocks("required", n);
    put_many(&*store, &present)?;
    let require_all = |extra: Option<(usize, Cid)>| {
        let mut required = cids(&present);
        extra.into_iter().for_each(|(place, cid)| required.insert(place, cid));
        let mut batch = WriteBatch::new();
        batch.require_all(required).update(head("new"), []);
        batch
    };
    let absent = block("absent");
    for place in [n, n / 2, 0] {
        let did = format!("commit that requires {n} blocks and, at place {place}, an absent one");
        let refused =
            saw(&did, store.commit(&require_all(Some((place, absent.cid))))).refused(ErrorKind::MissingBlock)?;
        let names = matches!(&refused, StoreError::MissingBlock { cid, .. } if *cid == absent.cid);
        ensure(names, &did, absent.cid, &refused)?;
    }
    saw(format_args!("commit that requires {n} blocks"), store.commit(&require_all(None))).ok()?;
    heads_are(&*store, &[head("new")], "after a commit with many requirements")?;
    let own = blocks("required and put", n);
    let mut batch = WriteBatch::new();
    batch.require_all(cids(&own).into_iter().rev());
    batch.extend(own.iter().map(|block| (block.cid, block.data.clone())));
    saw(format_args!("commit that requires the {n} blocks that it puts"), store.commit(&batch)).ok()?;
    Ok(())
}

pub(crate) fn head_changes_may_be_large(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    // Superseding them one by one would take thousands of syncs. This uses as many CIDs that are not heads.
    let unknown = heads("unknown", SUPERSEDED);
    update(&*store, &head("old"), &unknown)?;
    let superseded: Vec<Cid> = unknown.iter().copied().chain([head("old")]).collect();
    update(&*store, &head("new"), &superseded)?;
    heads_are(&*store, &[head("new")], format_args!("after an update that supersedes {} ids", superseded.len()))?;
    let expected = vec![head("new"); SUPERSEDED];
    saw(format_args!("swap that names its expected head {SUPERSEDED} times"), store.swap(&expected, &head("last")))
        .ok()?;
    heads_are(&*store, &[head("last")], "after that swap")?;
    for place in [0, SUPERSEDED / 2, SUPERSEDED] {
        let mut superseded = unknown.clone();
        superseded.insert(place, head("named"));
        update(&*store, &head("named"), &superseded)?;
        let when = format_args!("after an update that names its new head at place {place} of those it supersedes");
        heads_are(&*store, &[head("last"), head("named")], when)?;
    }
    update(&*store, &head("kept"), &[head("last"), head("named")])?;
    large_changes_compare_whole_cids(case, &unknown)?;
    Ok(())
}

/// Among many ids, too, one that is nearly a head supersedes nothing, and is not expected in its place.
fn large_changes_compare_whole_cids(case: &Case, unknown: &[Cid]) -> Result<(), Failure> {
    let (store, kept) = (case.heads()?, head("kept"));
    let near = near_codecs(b"one text").into_iter().skip(1);
    let alike: Vec<Cid> = one_text().into_iter().map(|block| block.cid).chain(near).collect();
    alike.iter().try_for_each(|cid| update(&*store, cid, &[]))?;
    for (place, gone) in alike.iter().enumerate() {
        let mut superseded = unknown.to_vec();
        superseded.insert(place * unknown.len() / alike.len(), *gone);
        let change = HeadChange::Update { new: vec![kept], supersedes: superseded };
        let left: Vec<Cid> = alike.iter().filter(|cid| *cid != gone).copied().chain([kept]).collect();
        let did = format_args!("an update that supersedes {gone} and {} ids that are no heads", unknown.len());
        if let (0, Some(store)) = (place % 2, case.handles().as_store()) {
            saw(did, store.commit(WriteBatch::new().change_heads(change))).ok()?;
        } else {
            let superseded: &[Cid] = if let HeadChange::Update { supersedes, .. } = &change { supersedes } else { &[] };
            update(&*store, &kept, superseded)?;
        }
        heads_are(&*store, &left, format_args!("after {did}, with heads of the same digest"))?;
        let mut expected = vec![kept; unknown.len()];
        expected.extend(&alike);
        saw(format_args!("swap that expects {gone} in vain"), store.swap(&expected, &head("never")))
            .refused(ErrorKind::HeadsMoved)?;
        update(&*store, gone, &[])?;
    }
    Ok(())
}

pub(crate) fn side_table_takes_keys_of_the_limit(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = saw("side_table", store.side_table(&"t".repeat(crate::limits::TABLE_NAME_BYTES_MAX))).ok()?;
    let key = Bytes::from(vec![b'k'; crate::limits::TABLE_KEY_BYTES_MAX]);
    let what = format!("a key of {} bytes", key.len());
    for value in ["first", "second"].map(Bytes::from) {
        saw(format_args!("write of {what}"), table.write(&[(key.clone(), value.clone())], &[])).ok()?;
        saw(format_args!("get of {what}"), table.get(&key)).is(Some(value))?;
        for prefix in [&key[..0], &key[..99], &key] {
            let keys = table.keys(prefix).and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
            saw(format_args!("keys of a prefix of {} bytes", prefix.len()), keys).is(vec![key.clone()])?;
        }
        saw(format_args!("delete of {what}"), table.write(&[], std::slice::from_ref(&key))).ok()?;
        saw(format_args!("get of {what} after its delete"), table.get(&key)).is(None)?;
    }
    Ok(())
}

pub(crate) fn side_table_writes_may_be_large(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = saw("side_table", store.side_table("table")).ok()?;
    let pace = Pace::of(500, || rows_come_and_go(&*store, &*table, 500))?;
    let most = pace.items_within(case.patience() / 3, 5000);
    rows_come_and_go(&*store, &*table, most)?;
    let row = |key: String| (Bytes::from(key), Bytes::from_static(b"first"));
    let mut rows: Vec<_> = (0..most).map(|i| row(format!("key {i:05}"))).collect();
    rows.push((rows[0].0.clone(), Bytes::from_static(b"last")));
    saw(format_args!("write that puts its first key again after {most} rows"), table.write(&rows, &[])).ok()?;
    saw("get of that key", table.get(&rows[0].0)).is(Some(Bytes::from_static(b"last")))?;
    many_tables_are_listed(case)?;
    if case.affords(3 * TABLE_VALUE_BYTES_MAX) {
        let value = Bytes::from(vec![b'v'; TABLE_VALUE_BYTES_MAX]);
        let rows = ["one", "two", "three"].map(|key| (Bytes::from(key), value.clone()));
        saw("write of three rows of 16 MiB", table.write(&rows, &[])).ok()?;
        saw("get of the last one", table.get(b"three")).is(Some(value))?;
    }
    Ok(())
}

/// As many tables as the store can make in time.
fn many_tables_are_listed(case: &Case) -> Result<(), Failure> {
    const TABLES: usize = 1100;
    let (store, begin) = (case.store()?, Instant::now());
    let before = saw("side_tables()", store.side_tables()).ok()?.len();
    let mut made = 0;
    while made < TABLES && begin.elapsed() < case.spare() / 30 {
        let table = saw("side_table", store.side_table(&format!("one_of_many_{made}"))).ok()?;
        saw("write", table.write(&[(Bytes::from_static(b"key"), Bytes::new())], &[])).ok()?;
        made += 1;
    }
    let listed = saw("side_tables() of many", store.side_tables().map(|tables| tables.len()));
    listed.is(before + made)
}

fn rows_come_and_go(store: &dyn Store, table: &dyn SideTable, n: usize) -> Result<(), Failure> {
    let rows: Vec<(Bytes, Bytes)> =
        (0..n).map(|i| (Bytes::from(format!("key {i:05}")), Bytes::from(format!("{n} rows, {i}")))).collect();
    saw(format_args!("write of {n} rows"), table.write(&rows, &[])).ok()?;
    let keys: Vec<Bytes> = rows.iter().map(|(key, _)| key.clone()).collect();
    let listed = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
    saw(format_args!("keys() after a write of {n} rows"), listed).is(keys.clone())?;
    for (key, value) in rows.iter().step_by(97).chain(rows.last()) {
        saw(format_args!("get of one of {n} rows"), table.get(key)).is(Some(value.clone()))?;
    }
    saw(format_args!("write that deletes {n} rows"), table.write(&[], &keys)).ok()?;
    saw("side_tables() after that", store.side_tables()).is(Vec::new())?;
    saw(format_args!("write that puts {n} rows and deletes them"), table.write(&rows, &keys)).ok()?;
    saw("side_tables() after a write that puts rows and deletes them", store.side_tables()).is(Vec::new())
}
