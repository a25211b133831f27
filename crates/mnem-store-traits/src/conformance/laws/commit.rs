//! Commits: blocks and heads in one durable step.

use std::ops::ControlFlow;

use bytes::Bytes;
use cid::Cid;

use crate::{
    DAG_CBOR, ErrorKind, RAW, Store, StoreError, WriteBatch,
    conformance::{
        Failure, Profile,
        case::Case,
        data::{
            Block, block, blocks, cid_v1, cids_under, head, identity_cid, one_text, sibling, sized, uncheckable_cids,
            unknown_hash_cid,
        },
        expect::{ensure, heads_are, holds, lacks, lists, put, put_many, saw, sweep_is_refused, update},
        failure::LawResult,
        outcomes::LARGE,
        ways::{Idle, IdleContent},
    },
    limits::BLOCK_BYTES_EVERY_BACKEND,
    supported_hashes,
};

fn batch_of(blocks: &[Block]) -> WriteBatch {
    blocks.iter().map(|block| (block.cid, block.data.clone())).collect::<WriteBatch>()
}

fn cids_of(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid).collect()
}

fn commit(store: &dyn Store, what: &str, batch: &WriteBatch) -> Result<(), Failure> {
    saw(format_args!("commit of {what}"), store.commit(batch)).ok()
}

pub(crate) fn commit_lands_blocks_and_head(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = blocks("block", 30);
    let op = all[29].cid;
    commit(&*store, "30 blocks and an update", batch_of(&all).update(op, []))?;
    for block in &all {
        holds(&*store, block, "after the commit of 30 blocks")?;
    }
    heads_are(&*store, &[op], "after the commit of an update")?;
    Ok(())
}

pub(crate) fn commit_changes_heads_as_update_does(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (a, b, c) = (head("a"), head("b"), head("c"));
    commit(&*store, "update(a)", WriteBatch::new().update(a, []))?;
    commit(&*store, "update(b)", WriteBatch::new().update(b, [head("unknown")]))?;
    heads_are(&*store, &[a, b], "after commits of two updates")?;
    commit(&*store, "update(c, superseding a and c)", WriteBatch::new().update(c, [a, c]))?;
    heads_are(&*store, &[b, c], "after a commit that supersedes a head and its own new one")?;
    commit(&*store, "update(a, superseding siblings)", WriteBatch::new().update(a, [b, c].map(|head| sibling(&head))))?;
    heads_are(&*store, &[a, b, c], "after a commit that supersedes other CIDs with the digests of the heads")?;
    Ok(())
}

pub(crate) fn commit_changes_heads_as_swap_does(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = blocks("block", 2);
    commit(&*store, "a block and the first swap", batch_of(&all[..1]).swap([], all[0].cid))?;
    heads_are(&*store, &[all[0].cid], "after the commit of a swap that expects none")?;
    commit(&*store, "a block and a swap", batch_of(&all[1..]).swap([all[0].cid, all[0].cid], all[1].cid))?;
    heads_are(&*store, &[all[1].cid], "after the commit of a swap")?;
    holds(&*store, &all[1], "after the commit of a swap")?;
    update(&*store, &head("other"), &[])?;
    let mut batch = WriteBatch::new();
    batch.swap([all[1].cid, head("other")], all[1].cid);
    commit(&*store, "a swap of two heads for one of them", &batch)?;
    heads_are(&*store, &[all[1].cid], "after the commit of a swap of two heads for one of them")?;
    Ok(())
}

pub(crate) fn commit_without_a_head_lands_blocks(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = blocks("block", 5);
    update(&*store, &head("a"), &[])?;
    commit(&*store, "blocks alone", &batch_of(&all))?;
    for block in &all {
        holds(&*store, block, "after a commit without a head")?;
    }
    heads_are(&*store, &[head("a")], "after a commit without a head")?;
    Ok(())
}

pub(crate) fn commit_of_nothing_changes_nothing(case: &mut Case) -> LawResult {
    let store = case.store()?;
    commit(&*store, "an empty batch", &WriteBatch::new())?;
    lists(&*store, &[], "after the commit of an empty batch")?;
    heads_are(&*store, &[], "after the commit of an empty batch")?;
    Ok(())
}

pub(crate) fn commit_checks_every_supported_hash(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let bad = Bytes::from_static(b"wrong");
    for function in supported_hashes() {
        let (name, good) = (function.name(), Bytes::from_static(b"good"));
        for cid in cids_under(function, &good) {
            let result = store.commit(WriteBatch::new().put(cid, bad.clone()).update(head("never"), []));
            let kind = match &result {
                // A store that does not support the hash function must refuse it, even with the right bytes.
                Err(error) if error.kind() == ErrorKind::UnsupportedHash && !function.is_in_every_build() => {
                    error.kind()
                }
                _ => ErrorKind::CidMismatch,
            };
            saw(format_args!("commit of wrong bytes for {name} under {cid}"), result).refused(kind)?;
            lists(&*store, &[], &format!("after a refused commit of wrong bytes for {name}"))?;
            let result = store.commit(WriteBatch::new().put(cid, good.clone()));
            match kind {
                ErrorKind::UnsupportedHash => {
                    saw(format_args!("commit of the right bytes for {name} under {cid}"), result).refused(kind)?;
                }
                _ => saw(format_args!("commit of the right bytes for {name} under {cid}"), result).ok()?,
            }
            saw(format_args!("delete({cid})"), store.delete(&cid)).ok()?;
        }
        if let (Some(bytes), Some(hash)) = (function.digest_bytes(), function.multihash(&good)) {
            let cid = cid_v1(RAW, function.code(), &hash.digest()[..usize::from(bytes) - 1]);
            let result = store.commit(WriteBatch::new().put(cid, good));
            saw(format_args!("commit under a {name} digest that was cut short"), result)
                .refused(ErrorKind::UnsupportedHash)?;
        }
    }
    lists(&*store, &[], "after commits under every hash function")?;
    heads_are(&*store, &[], "after refused commits")?;
    Ok(())
}

pub(crate) fn commit_keeps_nothing_of_a_bad_batch(case: &mut Case) -> LawResult {
    let store = case.store()?;
    update(&*store, &head("before"), &[])?;
    let wrong = Block { cid: block("good").cid, data: Bytes::from_static(b"wrong") };
    let unknown = Block { cid: unknown_hash_cid(3), data: Bytes::from_static(b"any") };
    let mut bad = vec![(wrong, ErrorKind::CidMismatch), (unknown, ErrorKind::UnsupportedHash)];
    let limit = store.capabilities().block_bytes_max;
    if limit == BLOCK_BYTES_EVERY_BACKEND {
        bad.push((sized(limit as usize + 1), ErrorKind::BlockTooLarge));
    }
    for (bad, kind) in bad {
        for place in [0, 4] {
            let mut all = blocks("block", 4);
            all.insert(place, bad.clone());
            let what = format!("commit of 5 blocks, number {place} of them bad ({kind:?})");
            saw(&what, store.commit(batch_of(&all).update(all[2].cid, [head("before")]))).refused(kind)?;
            lists(&*store, &[], &format!("after a refused {what}"))?;
            heads_are(&*store, &[head("before")], format_args!("after a refused {what}"))?;
        }
    }
    // Every block is checked, even if the batch has already named its CID.
    let (good, wrong) = (block("good"), Block { cid: block("good").cid, data: Bytes::from_static(b"wrong") });
    for all in [[good.clone(), wrong.clone()], [wrong, good]] {
        let what = "commit of a block and of wrong bytes under its CID";
        saw(what, store.commit(batch_of(&all).update(all[0].cid, []))).refused(ErrorKind::CidMismatch)?;
        lists(&*store, &[], &format!("after a refused {what}"))?;
        heads_are(&*store, &[head("before")], format_args!("after a refused {what}"))?;
    }
    wrong_bytes_of_a_cid_with_another_part(&*store)?;
    let mut batch = WriteBatch::new();
    let (good, wrong) = (block("good"), Bytes::from_static(b"wrong"));
    batch.put_trusted(good.cid, good.data).put(good.cid, wrong).update(good.cid, []);
    let what = "commit of a trusted block and of wrong bytes under its CID";
    saw(what, store.commit(&batch)).refused(ErrorKind::CidMismatch)?;
    lists(&*store, &[], &format!("after a refused {what}"))?;
    heads_are(&*store, &[head("before")], format_args!("after a refused {what}"))?;
    Ok(())
}

/// A block is hashed even if the same batch requires it, makes it a head or supersedes it, and even if it is present.
fn wrong_bytes_of_a_cid_with_another_part(store: &dyn Store) -> Result<(), Failure> {
    let (good, wrong, before) = (block("good"), Bytes::from_static(b"wrong"), head("before"));
    for present in [false, true] {
        if present {
            put(store, &good)?;
        }
        let wrong = || WriteBatch::new().put(good.cid, wrong.clone()).clone();
        for (what, batch) in [
            ("that it requires", wrong().require(good.cid).clone()),
            ("that it requires for an update", wrong().require(good.cid).update(head("new"), [before]).clone()),
            ("that becomes a head", wrong().update(good.cid, [before]).clone()),
            ("that it supersedes", wrong().update(head("new"), [good.cid, before]).clone()),
            ("that it swaps in", wrong().require(good.cid).swap([before], good.cid).clone()),
        ] {
            let did = format!("commit of wrong bytes under a CID {what}, which is present: {present}");
            saw(&did, store.commit(&batch)).refused(ErrorKind::CidMismatch)?;
            lists(
                store,
                if present { std::slice::from_ref(&good.cid) } else { &[] },
                &format!("after a refused {did}"),
            )?;
            heads_are(store, &[before], format_args!("after a refused {did}"))?;
        }
    }
    saw("delete", store.delete(&good.cid)).ok()
}

pub(crate) fn commit_refuses_a_missing_requirement(case: &mut Case) -> LawResult {
    let store = case.store()?;
    update(&*store, &head("before"), &[])?;
    let (new, present, absent) = (block("new"), block("present"), block("absent"));
    put(&*store, &present)?;
    // Blocks with the digest of a block in the batch, or of one in the store, but with another CID, are other blocks.
    let others = "commit that requires an absent block, whose digest under another codec is that of a block";
    for (did, required) in [
        ("commit that requires an absent block".to_owned(), absent.cid),
        ("commit that requires an absent block under an identity CID".to_owned(), identity_cid(RAW, b"absent")),
        (format!("{others} of the batch"), crate::cid_of(DAG_CBOR, &new.data)),
        (format!("{others} that is there"), crate::cid_of(DAG_CBOR, &present.data)),
    ] {
        let mut batch = batch_of(std::slice::from_ref(&new));
        batch.require(required).update(new.cid, [head("before")]);
        let mut alone = WriteBatch::new();
        alone.require(required);
        for (did, batch) in [(&did, &batch), (&format!("{did} and asks for nothing else"), &alone)] {
            let error = saw(did, store.commit(batch)).refused(ErrorKind::MissingBlock)?;
            let named = matches!(&error, StoreError::MissingBlock { cid, .. } if *cid == required);
            ensure(named, did, format_args!("an error that names {required}"), error)?;
        }
        heads_are(&*store, &[head("before")], "after a commit that required an absent block")?;
    }
    idle_commit_looks_for_its_requirements(&*store, &present, head("before"))?;
    Ok(())
}

/// A commit that would change nothing looks for what it requires like any other.
fn idle_commit_looks_for_its_requirements(store: &dyn Store, present: &Block, head: Cid) -> Result<(), Failure> {
    let absent = block("absent").cid;
    for (what, batch) in [
        ("of nothing else", WriteBatch::new()),
        ("of a present block", batch_of(std::slice::from_ref(present))),
        ("of a head that is there", WriteBatch::new().update(head, []).clone()),
        ("of a swap of the heads for themselves", WriteBatch::new().swap([head], head).clone()),
        ("of a present block and head", batch_of(std::slice::from_ref(present)).update(head, []).clone()),
    ] {
        let did = format!("commit {what} that requires an absent block");
        let mut batch = batch;
        saw(&did, store.commit(batch.require_all([present.cid, absent]))).refused(ErrorKind::MissingBlock)?;
    }
    Ok(())
}

pub(crate) fn commit_decides_requirements_before_its_swap(case: &mut Case) -> LawResult {
    let store = case.store()?;
    update(&*store, &head("current"), &[])?;
    let absent = block("absent").cid;
    for (did, expected) in [
        ("commit that requires an absent block and swaps another head", vec![head("expected")]),
        ("commit that requires an absent block and swaps no head", vec![]),
        ("commit that requires an absent block and swaps another head for two", vec![head("expected")]),
    ] {
        let new = [absent, head("second")];
        let mut batch = WriteBatch::new();
        batch.require(absent).swap_all(expected, new.into_iter().take(if did.ends_with("two") { 2 } else { 1 }));
        let error = saw(did, store.commit(&batch)).refused(ErrorKind::MissingBlock)?;
        let named = matches!(&error, StoreError::MissingBlock { cid, .. } if *cid == absent);
        ensure(named, did, format_args!("an error that names {absent}"), error)?;
        heads_are(&*store, &[head("current")], format_args!("after a {did}"))?;
    }
    Ok(())
}

pub(crate) fn commit_that_misses_a_requirement_keeps_no_block(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let new = blocks("new", 3);
    let mut batch = batch_of(&new);
    batch.require(block("absent").cid).update(new[0].cid, []);
    saw("commit that requires an absent block", store.commit(&batch)).refused(ErrorKind::MissingBlock)?;
    lists(&*store, &[], "after an atomic commit that required an absent block")?;
    heads_are(&*store, &[], "after an atomic commit that required an absent block")?;
    let later = block("of a later commit");
    commit(&*store, "a block, after one that was refused", &batch_of(std::slice::from_ref(&later)))?;
    lists(&*store, &[later.cid], "after a commit that followed a refused one")?;
    Ok(())
}

pub(crate) fn commit_takes_a_requirement_that_is_met(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (present, new) = (block("present"), block("new"));
    put(&*store, &present)?;
    let mut batch = WriteBatch::new();
    batch.require(new.cid).require(present.cid).require(present.cid);
    batch.put(new.cid, new.data.clone()).update(new.cid, []);
    commit(&*store, "a batch that requires a present block and one of its own", &batch)?;
    heads_are(&*store, &[new.cid], "after a commit whose requirements are met")?;
    commit(&*store, "a requirement alone", WriteBatch::new().require(present.cid))?;
    saw("delete of the required block", store.delete(&present.cid)).ok()?;
    let mut batch = WriteBatch::new();
    batch.require(present.cid).update(present.cid, []);
    saw("commit that requires a block deleted since", store.commit(&batch)).refused(ErrorKind::MissingBlock)?;
    Ok(())
}

pub(crate) fn commit_lands_the_head_when_blocks_are_present(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = blocks("block", 4);
    put_many(&*store, &all)?;
    commit(&*store, "present blocks and an update", batch_of(&all).update(all[0].cid, []))?;
    heads_are(&*store, &[all[0].cid], "after a commit whose blocks were all present")?;
    commit(&*store, "an update alone", WriteBatch::new().update(all[1].cid, [all[0].cid]))?;
    heads_are(&*store, &[all[1].cid], "after a commit without blocks")?;
    lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), "after commits of present blocks")?;
    Ok(())
}

pub(crate) fn commit_with_a_failed_swap_moves_no_head(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let present = block("present");
    put(&*store, &present)?;
    update(&*store, &head("current"), &[])?;
    let new = block("new");
    let mut batch = batch_of(&[new.clone(), present.clone()]);
    batch.swap([head("expected")], new.cid);
    let did = "commit of a swap that expects another head";
    let error = saw(did, store.commit(&batch)).refused(ErrorKind::HeadsMoved)?;
    let found = matches!(&error, StoreError::HeadsMoved { actual } if *actual == [head("current")]);
    ensure(found, did, "the heads that were found, in the error", format_args!("{error:?}"))?;
    heads_are(&*store, &[head("current")], "after a commit whose swap was refused")?;
    holds(&*store, &present, "after a commit that named it, and whose swap was refused")?;
    Ok(())
}

pub(crate) fn commit_writes_a_deleted_block_again(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = blocks("block", 2);
    commit(&*store, "two blocks", &batch_of(&all))?;
    saw("delete", store.delete(&all[0].cid)).ok()?;
    commit(&*store, "both again, with a head", batch_of(&all).update(all[0].cid, []))?;
    for block in &all {
        holds(&*store, block, "after it was committed, deleted, and committed again")?;
    }
    Ok(())
}

pub(crate) fn commit_under_the_same_head_lands_blocks(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (op, all) = (head("op"), blocks("block", 2));
    update(&*store, &op, &[])?;
    commit(&*store, "a block and a swap of the head for itself", batch_of(&all[..1]).swap([op], op))?;
    commit(&*store, "a block and an update to the head that is there", batch_of(&all[1..]).update(op, []))?;
    for block in &all {
        holds(&*store, block, "after a commit that left the heads as they were")?;
    }
    heads_are(&*store, &[op], "after commits that left them as they were")?;
    Ok(())
}

pub(crate) fn trusted_puts_of_a_commit_leave_present_blocks(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let good = block("good");
    put(&*store, &good)?;
    let mut wrong = WriteBatch::new();
    wrong.put_trusted(good.cid, Bytes::from_static(b"other bytes"));
    if let Err(error) = store.commit(&wrong) {
        // A backend may check trusted bytes nevertheless.
        saw("commit of a trusted put of wrong bytes", Err::<(), _>(error)).refused(ErrorKind::CidMismatch)?;
    }
    holds(&*store, &good, "after a commit with a trusted put of other bytes under its CID")?;
    Ok(())
}

pub(crate) fn commit_with_a_failed_swap_keeps_no_block(case: &mut Case) -> LawResult {
    let store = case.store()?;
    update(&*store, &head("current"), &[])?;
    let new = blocks("new", 3);
    let result = store.commit(batch_of(&new).swap([], new[0].cid));
    saw("commit of a swap that expects no head", result).refused(ErrorKind::HeadsMoved)?;
    lists(&*store, &[], "after an atomic commit whose swap was refused")?;
    Ok(())
}

fn commit_takes_what_put_trusted_takes(store: &dyn Store, cid: &Cid) -> Result<(), Failure> {
    let unknown = Block { cid: *cid, data: Bytes::from_static(b"from elsewhere") };
    let taken = store.put_trusted(cid, unknown.data.clone()).is_ok();
    saw("delete", store.delete(cid)).ok()?;
    let committed = store.commit(WriteBatch::new().put_trusted(*cid, unknown.data.clone()));
    let did = format_args!("commit of a trusted put of {cid}, which cannot be checked");
    match committed {
        Err(error) if !taken => {
            saw(did, Err::<(), _>(error)).refused(ErrorKind::UnsupportedHash)?;
            lacks(store, cid, "after its commit was refused")
        }
        committed => {
            saw(format_args!("{did}, as put_trusted takes"), committed).ok()?;
            holds(store, &unknown, "after a commit of it")
        }
    }
}

pub(crate) fn commit_takes_duplicates_and_trusted_puts(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (twice, trusted) = (block("twice"), block("trusted"));
    let mut batch = batch_of(&[twice.clone(), twice.clone()]);
    batch.put_trusted(trusted.cid, trusted.data.clone());
    commit(&*store, "a block twice and a trusted one", batch.put_trusted(twice.cid, twice.data.clone()))?;
    for block in [&twice, &trusted] {
        holds(&*store, block, "after a commit of it")?;
    }
    lists(&*store, &[twice.cid, trusted.cid], "after a commit of a block twice")?;
    lacks(&*store, &block("never put").cid, "after a commit of others")?;
    uncheckable_cids().iter().try_for_each(|cid| commit_takes_what_put_trusted_takes(&*store, cid))?;
    Ok(())
}

pub(crate) fn commit_stores_the_same_bytes_under_each_cid(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = one_text();
    commit(&*store, "the same bytes under several CIDs", &batch_of(&all))?;
    for block in &all {
        holds(&*store, block, "after a commit of the same bytes under several CIDs")?;
    }
    lists(&*store, &cids_of(&all), "after a commit of the same bytes under several CIDs")?;
    Ok(())
}

pub(crate) fn callers_code_may_use_heads_and_commit(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (outer, batch, committed) = (block("outer"), blocks("batch", 2), blocks("committed", 2));
    put(&*store, &outer)?;
    let use_store = |new: &Block, before: &[Cid], whose: &str| {
        heads_are(&*store, before, format_args!("inside {whose}"))?;
        update(&*store, &head(whose), before)?;
        commit(
            &*store,
            &format!("a block inside {whose}"),
            batch_of(std::slice::from_ref(new)).update(new.cid, [head(whose)]),
        )
    };
    let mut inside = None;
    let found = store.with_block(&outer.cid, &mut |_| {
        inside = Some(use_store(&committed[0], &[], "a callback of with_block"));
    });
    saw("with_block whose callback commits", found).is(true)?;
    inside.take().unwrap_or(Ok(()))?;
    let mut items = batch.iter().map(|block| {
        if inside.is_none() {
            inside = Some(use_store(&committed[1], &[committed[0].cid], "the iterator of a put_many"));
        }
        Ok((block.cid, block.data.clone()))
    });
    saw("put_many whose iterator commits", store.put_many(&mut items)).ok()?;
    inside.unwrap_or(Ok(()))?;
    for block in batch.iter().chain(&committed).chain([&outer]) {
        holds(&*store, block, "after a callback and an iterator committed")?;
    }
    heads_are(&*store, &[committed[1].cid], "after a callback and an iterator committed")?;
    Ok(())
}

pub(crate) fn close_cuts_no_listing_short(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = blocks("block", 600);
    put_many(&*store, &all)?;
    let listing = saw("cids()", store.cids()).ok()?;
    goes_on_or_is_closed("cids()", &*store, listing, all.len())?;
    if !case.has(Profile::SideTables) {
        return Ok(());
    }
    let other = case.fresh()?;
    let store = other.store()?;
    let table = saw("side_table", store.side_table("table")).ok()?;
    let rows: Vec<_> = (0..600).map(|i| (Bytes::from(format!("key {i:03}")), Bytes::new())).collect();
    saw("write of 600 rows", table.write(&rows, &[])).ok()?;
    let listing = saw("keys()", table.keys(b"")).ok()?;
    goes_on_or_is_closed("keys()", &*store, listing, rows.len())?;
    Ok(())
}

/// Closes the store after three items of the listing.
fn goes_on_or_is_closed<T>(
    what: &str,
    store: &dyn Store,
    mut listing: impl Iterator<Item = Result<T, StoreError>>,
    all: usize,
) -> Result<(), Failure> {
    let mut listed = 0;
    while listed < 3 {
        let did = format_args!("item {listed} of {what}");
        saw(did, listing.next().transpose()).ok()?.ok_or_else(|| Failure::new(did, "an item", "the end"))?;
        listed += 1;
    }
    saw("close() while a listing is under way", store.close()).ok()?;
    // The listing may go on, or report that it cannot.
    for item in listing.take(2 * all) {
        if item.is_err() {
            let did = format_args!("an item of {what} after close()");
            return saw(did, item.map(drop)).refused(ErrorKind::Closed).map(drop);
        }
        listed += 1;
    }
    let did = format_args!("{what} while the store is closed");
    ensure(listed == all, did, format_args!("all {all} items, or Err(Closed)"), format_args!("{listed} and the end"))
}

pub(crate) fn closed_store_refuses_calls(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (present, new) = (block("present"), block("new"));
    commit(&*store, "a block and a head", batch_of(std::slice::from_ref(&present)).update(present.cid, []))?;
    let content = IdleContent::write(case, case.in_short(LARGE), vec![present.cid])?;
    saw("close()", store.close()).ok()?;
    saw("close() of a closed store", store.close()).ok()?;
    let get = store.get(&present.cid);
    if get.is_ok() {
        // The default `close` does nothing, which is right if there is nothing to close. Then nothing may change.
        saw("get after a close() that closed nothing", get).is(Some(present.data.clone()))?;
        put(&*store, &new)?;
        holds(&*store, &new, "put after a close() that closed nothing")?;
        heads_are(&*store, &[present.cid], "after a close() that closed nothing")?;
        return Ok(());
    }
    let closed = ErrorKind::Closed;
    saw("get after close()", get).refused(closed)?;
    saw("put after close()", store.put(&new.cid, new.data.clone())).refused(closed)?;
    saw("has after close()", store.has(&present.cid)).refused(closed)?;
    saw("has_many after close()", store.has_many(&[present.cid])).refused(closed)?;
    saw("size after close()", store.size(&present.cid)).refused(closed)?;
    saw("with_block after close()", store.with_block(&present.cid, &mut |_| ())).refused(closed)?;
    saw("put_trusted after close()", store.put_trusted(&new.cid, new.data.clone())).refused(closed)?;
    let mut one = std::iter::once(Ok((new.cid, new.data.clone())));
    saw("put_many after close()", store.put_many(&mut one)).refused(closed)?;
    saw("delete after close()", store.delete(&present.cid)).refused(closed)?;
    saw("get_many after close()", store.get_many(&[present.cid], &mut |_, _| ControlFlow::Continue(())))
        .refused(closed)?;
    saw("delete_many after close()", store.delete_many(&mut std::iter::once(Ok(present.cid)))).refused(closed)?;
    sweep_is_refused(&*store, closed, "after close()")?;
    saw("cids, or its first item, after close()", store.cids().and_then(|mut cids| cids.next().transpose()))
        .refused(closed)?;
    saw("heads after close()", store.heads()).refused(closed)?;
    saw("update after close()", store.update(&new.cid, &[])).refused(closed)?;
    saw("swap after close()", store.swap(&[present.cid], &new.cid)).refused(closed)?;
    let mut batch = batch_of(std::slice::from_ref(&new));
    batch.update(new.cid, []);
    saw("commit after close()", store.commit(&batch)).refused(closed)?;
    closed_calls_with_nothing_to_do(case, &content, &new)
}

/// Calls that would have nothing to write if the store were open.
fn closed_calls_with_nothing_to_do(case: &Case, content: &IdleContent, absent: &Block) -> LawResult {
    let (store, closed) = (case.store()?, ErrorKind::Closed);
    for idle in Idle::all().into_iter().filter(|idle| idle.is_offered(case)) {
        for n in [1, content.blocks.len()] {
            let refused = idle.act(case.handles(), content, n)?;
            saw(format_args!("{idle} ({n}), after close()"), refused).refused(closed)?;
        }
    }
    saw("get of an absent block after close()", store.get(&absent.cid)).refused(closed)?;
    saw("has of an absent block after close()", store.has(&absent.cid)).refused(closed)?;
    saw("has_many of an absent block after close()", store.has_many(&[absent.cid])).refused(closed)?;
    Ok(())
}
