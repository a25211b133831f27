//! What a store contains after it was closed and reopened.

use std::time::Instant;

use bytes::Bytes;
use cid::Cid;

use crate::{
    DAG_CBOR, RAW, WriteBatch,
    conformance::{
        Failure, Handles, Profile,
        case::{Case, offered},
        data::{
            Block, SIZES, blake3_cid, block, blocks, cid_v1, head, heads, identity_block, identity_cid, near_codecs,
            sized, unknown_hash_cid, v0_cid,
        },
        expect::{delete_many, ensure, heads_are, holds, lacks, lists, put, put_many, saw, update},
        failure::LawResult,
    },
};

const REOPENED: &str = "after reopening";

/// The size that every store takes, of blocks and of values. It does not fit into 24 bits.
const LARGEST: usize = 16 * 1024 * 1024;

pub(crate) fn acknowledged_blocks_survive_reopen(case: &mut Case) -> LawResult {
    let (one, many, trusted) = (block("put"), blocks("put_many", 50), block("put_trusted"));
    let store = case.blocks()?;
    put(&*store, &one)?;
    put_many(&*store, &many)?;
    saw("put_trusted", store.put_trusted(&trusted.cid, trusted.data.clone())).ok()?;
    drop(store);
    for round in ["after reopening", "after reopening twice"] {
        case.reopen()?;
        let store = case.blocks()?;
        let all: Vec<&Block> = many.iter().chain([&one, &trusted]).collect();
        for block in &all {
            holds(&*store, block, round)?;
        }
        lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), round)?;
    }
    many_writes_survive_reopen(case)
}

/// Single writes, one after the other, as many as the store takes within the time.
fn many_writes_survive_reopen(case: &mut Case) -> LawResult {
    const WRITES: usize = 3000;
    let (begin, time) = (Instant::now(), case.spare() / 10);
    let (all, store) = (blocks("one of many writes", WRITES), case.blocks()?);
    let mut written = 0;
    while written < WRITES && begin.elapsed() < time {
        put(&*store, &all[written])?;
        written += 1;
    }
    drop(store);
    case.reopen()?;
    for block in &all[..written] {
        let did = format_args!("get({}) {REOPENED}, of {written} writes", block.cid);
        saw(did, case.blocks()?.get(&block.cid)).is(Some(block.data.clone()))?;
    }
    Ok(())
}

pub(crate) fn blocks_survive_a_drop_without_close(case: &mut Case) -> LawResult {
    let all = blocks("block", 10);
    put_many(&*case.blocks()?, &all)?;
    case.drop_and_open()?;
    let store = case.blocks()?;
    for block in &all {
        holds(&*store, block, "after the store was dropped without close() and opened again")?;
    }
    Ok(())
}

pub(crate) fn every_kind_of_block_survives_reopen(case: &mut Case) -> LawResult {
    let data = Bytes::from_static(b"one text");
    let cids = [v0_cid(&data), blake3_cid(RAW, &data), crate::cid_of(RAW, &data), crate::cid_of(DAG_CBOR, &data)];
    let mut all = cids.map(|cid| Block { cid, data: data.clone() }).to_vec();
    all.extend([identity_block(""), identity_block("named by itself")]);
    all.extend(SIZES.map(sized));
    let store = case.blocks()?;
    for block in &all {
        put(&*store, block)?;
    }
    drop(store);
    case.reopen()?;
    let store = case.blocks()?;
    for block in &all {
        holds(&*store, block, REOPENED)?;
    }
    lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), REOPENED)?;
    if !case.affords(LARGEST) {
        return Ok(());
    }
    let largest = sized(LARGEST);
    put(&*store, &largest)?;
    drop(store);
    case.reopen()?;
    holds(&*case.blocks()?, &largest, REOPENED)?;
    Ok(())
}

pub(crate) fn deletes_survive_reopen(case: &mut Case) -> LawResult {
    let (kept, gone, back) = (block("kept"), block("gone"), block("back"));
    let store = case.blocks()?;
    put_many(&*store, &[kept.clone(), gone.clone(), back.clone()])?;
    for block in [&gone, &back] {
        saw("delete", store.delete(&block.cid)).ok()?;
    }
    put(&*store, &back)?;
    drop(store);
    case.reopen()?;
    let store = case.blocks()?;
    lacks(&*store, &gone.cid, "after its delete and reopening")?;
    holds(&*store, &back, "after its delete, another put, and reopening")?;
    lists(&*store, &[kept.cid, back.cid], "after a delete and reopening")?;
    Ok(())
}

pub(crate) fn empty_store_reopens_empty(case: &mut Case) -> LawResult {
    case.reopen()?;
    let store = case.blocks()?;
    lists(&*store, &[], "of an empty store, after reopening")?;
    put(&*store, &block("first"))?;
    Ok(())
}

pub(crate) fn heads_survive_reopen(case: &mut Case) -> LawResult {
    let all = heads("head", 6);
    let store = case.heads()?;
    for cid in &all {
        update(&*store, cid, &[])?;
    }
    update(&*store, &head("new"), &all[..3])?;
    drop(store);
    case.reopen()?;
    let store = case.heads()?;
    let expected = [all[3], all[4], all[5], head("new")];
    heads_are(&*store, &expected, REOPENED)?;
    saw("swap", store.swap(&expected, &head("swapped"))).ok()?;
    drop(store);
    case.reopen()?;
    heads_are(&*case.heads()?, &[head("swapped")], "after a swap and reopening")?;
    case.drop_and_open()?;
    heads_are(&*case.heads()?, &[head("swapped")], "after a drop without close() and opening again")?;
    // Heads of every kind of CID.
    let text = b"of every kind";
    let mut kinds = vec![v0_cid(text), Cid::new_v1(0x70, *v0_cid(text).hash()), identity_cid(RAW, text)];
    kinds.extend([blake3_cid(RAW, text), unknown_hash_cid(1), cid_v1(RAW, 0x12, &[7; 20])]);
    kinds.extend(near_codecs(text));
    let store = case.heads()?;
    kinds.iter().try_for_each(|cid| update(&*store, cid, &[head("swapped")]))?;
    drop(store);
    case.reopen()?;
    heads_are(&*case.heads()?, &kinds, "of every kind of CID, after reopening")?;
    Ok(())
}

pub(crate) fn no_heads_survive_reopen_as_none(case: &mut Case) -> LawResult {
    case.reopen()?;
    let store = case.heads()?;
    heads_are(&*store, &[], "of a store without heads, after reopening")?;
    saw("swap that expects none, after reopening", store.swap(&[], &head("first"))).ok()?;
    Ok(())
}

pub(crate) fn commit_survives_reopen(case: &mut Case) -> LawResult {
    let (first, second) = (blocks("first", 20), blocks("second", 20));
    for (blocks, before) in [(&first, None), (&second, Some(first[0].cid))] {
        let mut batch: WriteBatch = blocks.iter().map(|block| (block.cid, block.data.clone())).collect();
        saw("commit", case.store()?.commit(batch.update(blocks[0].cid, before))).ok()?;
        case.drop_and_open()?;
    }
    case.reopen()?;
    let store = case.store()?;
    for block in first.iter().chain(&second) {
        holds(&*store, block, "after a commit of it and reopening")?;
    }
    heads_are(&*store, &[second[0].cid], "after two commits and reopening")?;
    Ok(())
}

pub(crate) fn side_tables_survive_reopen(case: &mut Case) -> LawResult {
    let row = |i: usize| (Bytes::from(format!("key {i}")), Bytes::from(format!("value {i}")));
    let mut rows: Vec<_> = (0..case.in_time(2500)).map(row).collect();
    // Values and keys of every size.
    rows.push((Bytes::from_static(b"without a value"), Bytes::new()));
    for bytes in [1, 15, 16, 31, 32, 33, 63, 64, 65, 99, 100] {
        rows.push((Bytes::from(vec![b'e'; bytes]), Bytes::new()));
        rows.push((Bytes::from(vec![b'o'; bytes]), Bytes::from_static(b"1")));
    }
    rows.push((Bytes::from_static(b"of 2 MiB"), sized(2 * 1024 * 1024).data));
    if case.affords(LARGEST) {
        rows.push((Bytes::from_static(b"of 16 MiB"), sized(LARGEST).data));
    }
    rows.push((Bytes::from(vec![0xff; 100]), Bytes::from_static(b"of the longest key")));
    let store = case.store()?;
    let table = saw("side_table", store.side_table("table")).ok()?;
    saw("write", table.write(&rows, &[])).ok()?;
    saw("write that deletes", table.write(&[], std::slice::from_ref(&rows[0].0))).ok()?;
    let emptied = saw("side_table", store.side_table("emptied")).ok()?;
    saw("write", emptied.write(&rows[..2], &[])).ok()?;
    saw("write that empties the table", emptied.write(&[], &[rows[0].0.clone(), rows[1].0.clone()])).ok()?;
    drop((store, table, emptied));
    case.reopen()?;
    let store = case.store()?;
    saw("side_tables() after reopening", store.side_tables()).is(vec!["table".into()])?;
    let table = saw("side_table", store.side_table("table")).ok()?;
    saw("get of a deleted key, after reopening", table.get(&rows[0].0)).is(None)?;
    for (key, value) in &rows[1..] {
        saw(format_args!("get({key:?}) after reopening"), table.get(key)).is(Some(value.clone()))?;
    }
    let keys = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>()).map(|keys| keys.len());
    saw("the number of keys() after reopening", keys).is(rows.len() - 1)?;
    Ok(())
}

/// A block, a head and a row that are added, removed and added again.
fn come_back(case: &Case) -> Result<(), Failure> {
    let (store, back) = (case.blocks()?, block("back"));
    put(&*store, &back)?;
    saw("delete", store.delete(&back.cid)).ok()?;
    put(&*store, &back)?;
    if case.has(Profile::Heads) {
        let heads = case.heads()?;
        let (old, new, other) = (head("old"), head("new"), head("other"));
        update(&*heads, &other, &[])?;
        update(&*heads, &old, &[])?;
        update(&*heads, &new, &[old])?;
        update(&*heads, &old, &[new])?;
    }
    if case.has(Profile::SideTables) {
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        let row = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
        saw("write", table.write(std::slice::from_ref(&row), &[])).ok()?;
        saw("write that deletes the row", table.write(&[], std::slice::from_ref(&row.0))).ok()?;
        saw("write once more", table.write(&[row], &[])).ok()?;
    }
    Ok(())
}

fn is_back(handles: &Handles, when: &str) -> Result<(), Failure> {
    holds(&*offered(handles.as_blocks(), Profile::Blocks)?, &block("back"), when)?;
    if let Some(heads) = handles.as_heads() {
        heads_are(&**heads, &[head("old"), head("other")], when)?;
    }
    if let Some(store) = handles.as_store().filter(|store| store.capabilities().side_tables) {
        let row = store.side_table("table").and_then(|table| table.get(b"key"));
        saw(format_args!("get of a row that came back {when}"), row).is(Some(Bytes::from_static(b"value")))?;
    }
    Ok(())
}

pub(crate) fn what_came_back_survives_reopen(case: &mut Case) -> LawResult {
    come_back(case)?;
    case.reopen()?;
    is_back(case.handles(), REOPENED)?;
    case.drop_and_open()?;
    is_back(case.handles(), "after it was dropped without close() and opened once more")?;
    // An opening may take another way for a store of many writes.
    let mut case = case.fresh()?;
    let before = write_for_a_while(&case, "before")?;
    come_back(&case)?;
    let after = write_for_a_while(&case, "after")?;
    case.drop_and_open()?;
    is_back(case.handles(), &format!("after {before} other writes, and before {after}, {REOPENED}"))?;
    Ok(())
}

/// Single writes, as many as the store takes within the time. Returns how many.
fn write_for_a_while(case: &Case, label: &str) -> Result<usize, Failure> {
    const WRITES: usize = 400;
    let (begin, time, mut written) = (Instant::now(), case.spare() / 60, 0);
    while written < WRITES && begin.elapsed() < time {
        put(&*case.blocks()?, &block(&format!("{label}, write {written}")))?;
        written += 1;
    }
    Ok(written)
}

pub(crate) fn what_came_back_survives_a_power_cut(case: &mut Case) -> LawResult {
    come_back(case)?;
    // Each cut leaves another state of a write for the recovery to find.
    for operations in 0..4 {
        case.cut_power_after(operations)?;
        let cut = block(&format!("put that was cut {operations} operations in"));
        // The power is cut within this put, or right after it.
        let _ = case.blocks()?.put(&cut.cid, cut.data);
        case.drop_and_open()?;
        is_back(
            case.handles(),
            &format!("after the power was cut {operations} operations into a put of another block"),
        )?;
    }
    Ok(())
}

pub(crate) fn opening_undoes_nothing(case: &mut Case) -> LawResult {
    come_back(case)?;
    let second = case.second()?;
    is_back(&second, "through a second handle")?;
    is_back(case.handles(), "after another handle was opened")?;
    openings_tidy_up_beside_a_reader(&case.fresh()?)?;
    Ok(())
}

/// An opening may rewrite a store of which much was deleted. Handles that are open go on reading and writing.
fn openings_tidy_up_beside_a_reader(case: &Case) -> Result<(), Failure> {
    let (store, all) = (case.blocks()?, blocks("tidied", case.in_time(600)));
    put_many(&*store, &all)?;
    let (kept, gone): (Vec<_>, Vec<_>) = all.iter().enumerate().partition(|(i, _)| i % 20 == 7);
    let [kept, gone] = [kept, gone].map(|part| part.into_iter().map(|(_, block)| block.clone()).collect::<Vec<_>>());
    let mut listing = saw("cids()", store.cids()).ok()?;
    let mut listed = vec![saw("the first item of cids()", listing.next().transpose()).ok()?];
    delete_many(&*store, &gone.iter().map(|block| block.cid).collect::<Vec<_>>())?;
    kept.iter().try_for_each(|block| holds(&*store, block, "after most blocks were deleted"))?;
    let second = case.second()?;
    let other = offered(second.as_blocks(), Profile::Blocks)?;
    const WHEN: &str = "after most blocks were deleted and the store was opened once more";
    for block in &kept {
        holds(&*store, block, WHEN)?;
        holds(&*other, block, "through a handle that was opened after most blocks were deleted")?;
    }
    for item in listing.take(2 * all.len()) {
        listed.push(Some(saw(format_args!("cids() {WHEN}"), item).ok()?));
    }
    for Block { cid, .. } in &kept {
        let times = listed.iter().filter(|item| item.as_ref() == Some(cid)).count();
        let did = format_args!("cids() {WHEN}");
        ensure(times == 1, did, format_args!("{cid} once, which is there throughout"), format_args!("{times} times"))?;
    }
    let (of_first, of_second) = (block("of the first handle"), block("of the second handle"));
    put(&*store, &of_first)?;
    put(&*other, &of_second)?;
    let cids: Vec<Cid> = kept.iter().chain([&of_first, &of_second]).map(|block| block.cid).collect();
    for (handle, which) in [(&store, "the first handle"), (&other, "the second handle")] {
        lists(&**handle, &cids, &format!("through {which}, {WHEN}"))?;
        holds(&**handle, &of_first, WHEN)?;
        holds(&**handle, &of_second, WHEN)?;
    }
    Ok(())
}
