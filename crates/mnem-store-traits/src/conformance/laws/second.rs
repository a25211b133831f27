//! What a second handle of an open store sees.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch,
    conformance::{
        Failure, Profile,
        case::{Case, offered},
        data::{block, blocks, head},
        expect::{ensure, heads_are, holds, lacks, lists, put, put_many, same, saw, update},
        failure::LawResult,
        threads::together,
    },
};

const OTHER: &str = "through a second handle";

/// The first handle and a second one.
type Both<T> = Result<(Arc<T>, Arc<T>), Failure>;

fn two_blocks(case: &Case) -> Both<dyn Blockstore> {
    Ok((case.blocks()?, offered(case.second()?.as_blocks(), Profile::Blocks)?))
}

fn two_heads(case: &Case) -> Both<dyn OpHeadsStore> {
    Ok((case.heads()?, offered(case.second()?.as_heads(), Profile::Heads)?))
}

fn two_stores(case: &Case) -> Both<dyn Store> {
    Ok((case.store()?, offered(case.second()?.as_store(), Profile::Store)?))
}

pub(crate) fn put_is_visible_through_a_second_handle(case: &mut Case) -> LawResult {
    let (first, second) = two_blocks(case)?;
    let (one, many) = (block("one"), blocks("many", 5));
    lacks(&*second, &one.cid, OTHER)?;
    put(&*first, &one)?;
    holds(&*second, &one, OTHER)?;
    put_many(&*second, &many)?;
    for block in &many {
        holds(&*first, block, OTHER)?;
    }
    put(&*second, &one)?;
    let mut all: Vec<_> = many.iter().map(|block| block.cid).collect();
    all.push(one.cid);
    lists(&*first, &all, "through the first handle")?;
    lists(&*second, &all, OTHER)?;
    Ok(())
}

pub(crate) fn delete_is_visible_through_a_second_handle(case: &mut Case) -> LawResult {
    let (first, second) = two_blocks(case)?;
    let block = block("block");
    // Each pair is tried twice, so that a handle's memory of its own puts is compared with the changes of the other
    // handle.
    let pairs = [(&first, &second), (&second, &first), (&first, &first)];
    for (writer, deleter) in pairs.into_iter().flat_map(|pair| [pair, pair]) {
        put(&**writer, &block)?;
        holds(&*second, &block, OTHER)?;
        saw("delete", deleter.delete(&block.cid)).ok()?;
        lacks(&*first, &block.cid, "after a delete through one of two handles")?;
        lacks(&*second, &block.cid, "after a delete through one of two handles")?;
    }
    if case.has(Profile::Store) { requirements_are_looked_up(case) } else { Ok(()) }
}

/// A commit must look up what it requires in the store. What the handle itself has put or seen is not enough, because
/// another handle may have deleted it.
fn requirements_are_looked_up(case: &Case) -> LawResult {
    let (first, second) = two_stores(case)?;
    let all = blocks("required", 40);
    put_many(&*first, &all)?;
    for block in &all {
        holds(&*first, block, "through the handle that put it")?;
    }
    for (n, gone) in [(40, 30), (20, 0), (1, 0)] {
        let (required, gone) = (&all[..n], &all[gone]);
        put(&*first, gone)?;
        let mut batch = WriteBatch::new();
        batch.require_all(required.iter().map(|block| block.cid)).update(head("that requires them"), []);
        saw("delete through a second handle", second.delete(&gone.cid)).ok()?;
        let did = format!("commit that requires {n} blocks, of which a second handle has deleted one");
        let error = saw(&did, first.commit(&batch)).refused(ErrorKind::MissingBlock)?;
        let named = matches!(&error, StoreError::MissingBlock { cid, .. } if *cid == gone.cid);
        ensure(named, &did, format_args!("an error that names {}", gone.cid), error)?;
        heads_are(&*first, &[], format_args!("after a {did}"))?;
    }
    Ok(())
}

pub(crate) fn heads_are_visible_through_a_second_handle(case: &mut Case) -> LawResult {
    let (first, second) = two_heads(case)?;
    let (a, b) = (head("a"), head("b"));
    update(&*first, &a, &[])?;
    heads_are(&*second, &[a], OTHER)?;
    update(&*second, &b, &[])?;
    heads_are(&*first, &[a, b], OTHER)?;
    let refused = first.swap(&[a], &head("new"));
    saw("swap that does not expect what another handle added", refused).refused(ErrorKind::HeadsMoved)?;
    saw("swap", first.swap(&[a, b], &head("new"))).ok()?;
    heads_are(&*second, &[head("new")], OTHER)?;
    Ok(())
}

/// A change that expects heads replaced by another handle must be refused, and must report the current heads.
fn found(heads: &[Cid], did: &str, result: Result<(), StoreError>) -> Result<(), Failure> {
    if let StoreError::HeadsMoved { actual } = saw(did, result).refused(ErrorKind::HeadsMoved)? {
        same(format_args!("the heads in the error of a {did}"), actual, heads.to_vec())?;
    }
    Ok(())
}

pub(crate) fn head_changes_build_on_those_of_other_handles(case: &mut Case) -> LawResult {
    let (first, second) = two_heads(case)?;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(head);
    update(&*first, &a, &[])?;
    heads_are(&*first, &[a], "through the first handle")?;
    // From here on, the first handle does not read the heads.
    update(&*second, &b, &[a])?;
    let refused = first.swap(&[a], &head("new"));
    found(&[b], "swap that expects what another handle has replaced since", refused)?;
    let refused = second.swap(&[head("never")], &head("new"));
    found(&[b], "swap that expects what never was", refused)?;
    update(&*first, &a, &[b])?;
    let refused = second.swap(&[head("never")], &head("new"));
    found(&[a], "swap that expects what never was, after another handle's update", refused)?;
    update(&*second, &b, &[a])?;
    update(&*second, &c, &[])?;
    update(&*first, &d, &[b])?;
    heads_are(&*second, &[c, d], "after updates through two handles in turn")?;
    saw("swap that expects what both handles added", second.swap(&[c, d], &a)).ok()?;
    saw("swap that expects what another handle has made of the heads since", first.swap(&[a], &b)).ok()?;
    heads_are(&*second, &[b], OTHER)?;
    if let Some(store) = case.handles().as_store() {
        update(&*second, &c, &[b])?;
        found(
            &[c],
            "commit that swaps what another handle has replaced since",
            store.commit(WriteBatch::new().swap([b], d)),
        )?;
    }
    Ok(())
}

pub(crate) fn commit_is_visible_through_a_second_handle(case: &mut Case) -> LawResult {
    let (first, second) = two_stores(case)?;
    let all = blocks("block", 2);
    let mut batch = WriteBatch::new();
    batch.put(all[0].cid, all[0].data.clone()).update(all[0].cid, []);
    saw("commit", first.commit(&batch)).ok()?;
    heads_are(&*second, &[all[0].cid], OTHER)?;
    holds(&*second, &all[0], OTHER)?;
    let mut batch = WriteBatch::new();
    batch.put(all[1].cid, all[1].data.clone()).require(all[0].cid).swap([all[0].cid], all[1].cid);
    saw("commit that requires a block of the other handle", second.commit(&batch)).ok()?;
    heads_are(&*first, &[all[1].cid], OTHER)?;
    holds(&*first, &all[1], OTHER)?;
    Ok(())
}

pub(crate) fn close_leaves_other_openings_open(case: &mut Case) -> LawResult {
    let (first, second) = two_stores(case)?;
    let (before, after) = (block("before"), block("after"));
    put(&*first, &before)?;
    update(&*first, &head("before"), &[])?;
    saw("close() of one of two openings", first.close()).ok()?;
    const WHEN: &str = "through another opening, after the first one was closed";
    for store in [second, offered(case.second()?.as_store(), Profile::Store)?] {
        holds(&*store, &before, WHEN)?;
        put(&*store, &after)?;
        holds(&*store, &after, WHEN)?;
        lists(&*store, &[before.cid, after.cid], WHEN)?;
        update(&*store, &head("after"), &[])?;
        heads_are(&*store, &[head("before"), head("after")], WHEN)?;
        saw("side_tables() through another opening", store.side_tables()).ok()?;
    }
    saw("close() of an opening that was closed", first.close()).ok()?;
    listings_outlive_another_close(&case.fresh()?)
}

/// Closing one opening, once or twice, ends no listing of another.
fn listings_outlive_another_close(case: &Case) -> LawResult {
    let (first, second) = two_stores(case)?;
    let all = blocks("listed", case.in_time(600));
    put_many(&*first, &all)?;
    let mut cids = saw("cids()", second.cids()).ok()?;
    saw("the first item of cids()", cids.next().transpose()).ok()?;
    let rows: Vec<_> = all.iter().map(|block| (block.data.clone(), Bytes::new())).collect();
    let has_tables = case.has(Profile::SideTables);
    let table = has_tables.then(|| saw("side_table", second.side_table("table")).ok()).transpose()?;
    let mut keys: crate::KeyIter<'_> = Box::new(std::iter::empty());
    if let Some(table) = &table {
        saw("write", table.write(&rows, &[])).ok()?;
        keys = saw("keys()", table.keys(b"")).ok()?;
        saw("the first item of keys()", keys.next().transpose()).ok()?;
    }
    saw("close() of one of two openings", first.close()).ok()?;
    saw("close() of the same opening again", first.close()).ok()?;
    const WHEN: &str = "that was under way when another opening was closed";
    let listed = cids.collect::<Result<Vec<_>, _>>();
    same(format_args!("cids() {WHEN}: how many items"), 1 + saw("cids()", listed).ok()?.len(), all.len())?;
    let listed = keys.collect::<Result<Vec<_>, _>>();
    let expected = if has_tables { rows.len() - 1 } else { 0 };
    same(format_args!("keys() {WHEN}: how many items"), saw("keys()", listed).ok()?.len(), expected)?;
    holds(&*second, &all[0], "through another opening, after the first one was closed twice")?;
    Ok(())
}

pub(crate) fn side_tables_are_visible_through_a_second_handle(case: &mut Case) -> LawResult {
    let (first, second) = two_stores(case)?;
    let row = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
    let open = |store: &Arc<dyn Store>| saw("side_table", store.side_table("table")).ok();
    let (one, other) = (open(&first)?, open(&second)?);
    saw("write", one.write(std::slice::from_ref(&row), &[])).ok()?;
    saw("get through a second handle", other.get(&row.0)).is(Some(row.1))?;
    saw("side_tables() through a second handle", second.side_tables()).is(vec!["table".into()])?;
    Ok(())
}

pub(crate) fn two_handles_lose_no_head(case: &mut Case) -> LawResult {
    const ROUNDS: usize = 10;
    let (first, second) = two_heads(case)?;
    let name = |lane: usize, round: usize| head(&format!("lane {lane} round {round}"));
    together(2, |lane| {
        let store = if lane == 0 { &first } else { &second };
        (0..ROUNDS).try_for_each(|round| {
            let before = round.checked_sub(1).map(|before| name(lane, before));
            update(&**store, &name(lane, round), before.as_slice())
        })
    })?;
    heads_are(&*first, &[name(0, ROUNDS - 1), name(1, ROUNDS - 1)], "after two handles each replaced their own head")?;
    Ok(())
}
