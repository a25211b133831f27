//! Failing media: what the caller is told, and what the store contains afterwards.

use std::{
    fmt::Display,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    Blockstore, ErrorKind, OpHeadsStore, Outcome, StoreError, WriteBatch,
    conformance::{
        Failure, Fault, Profile,
        case::Case,
        data::{Block, block, blocks, head, heads},
        expect::{answered, ensure, heads_are, holds, listing, put, put_many, saw, sweep_is_refused, update},
        failure::LawResult,
        outcomes::{
            Done, all_or_nothing, at_each, nothing_acknowledged_is_lost, old_or_new, put_many_of, whole_or_absent,
        },
        show::{Show, error_text},
    },
};

const REOPENED: &str = "after the fault was over and the store reopened";

/// While the medium cannot be read, a read must return the true answer or fail.
fn true_or_failed<T: Show + PartialEq>(
    did: impl Display,
    answer: Result<T, StoreError>,
    truth: T,
) -> Result<(), Failure> {
    let fine = match &answer {
        Ok(value) => *value == truth,
        Err(error) => matches!(error.kind(), ErrorKind::Backend | ErrorKind::Poisoned),
    };
    ensure(fine, did, format_args!("Ok({}), or Err(Backend)", truth.show()), answer.show())
}

pub(crate) fn failed_read_is_an_error_and_no_absence(case: &mut Case) -> LawResult {
    let present = blocks("present", 20);
    put_many(&*case.blocks()?, &present)?;
    case.reopen()?;
    let store = case.blocks()?;
    case.set_fault(Some(Fault::Reads))?;
    for Block { cid, data } in &present {
        true_or_failed("get of a block while reads fail", store.get(cid), Some(data.clone()))?;
        true_or_failed("has of a block while reads fail", store.has(cid), true)?;
        true_or_failed("has_many of a block while reads fail", store.has_many(&[*cid]), vec![true])?;
        true_or_failed("size of a block while reads fail", store.size(cid), Some(data.len() as u64))?;
        let mut lent = None;
        let found = store.with_block(cid, &mut |data| lent = Some(Bytes::copy_from_slice(data)));
        true_or_failed("with_block of a block while reads fail", found.map(|_| lent), Some(data.clone()))?;
        true_or_failed("get_many of a block while reads fail", answered(&*store, cid), Some(data.clone()))?;
    }
    true_or_failed("get of an absent block while reads fail", store.get(&block("absent").cid), None)?;
    let listed = store.cids().and_then(|cids| cids.collect::<Result<Vec<_>, _>>()).map(|cids| cids.len());
    true_or_failed("cids() while reads fail: how many", listed, present.len())?;
    case.set_fault(None)?;
    for block in &present {
        holds(&*store, block, "once reads succeed again")?;
    }
    Ok(())
}

pub(crate) fn failed_read_ends_a_listing(case: &mut Case) -> LawResult {
    put_many(&*case.blocks()?, &blocks("present", 20))?;
    case.reopen()?;
    let store = case.blocks()?;
    case.set_fault(Some(Fault::Reads))?;
    if let Ok(mut listing) = store.cids() {
        let failed = listing.by_ref().take(40).find_map(Result::err);
        if let Some(error) = failed {
            let after = listing.next().map_or_else(|| "the end".into(), |item| item.show());
            let did = format_args!("cids() while reads fail, after the error: {}", error_text(&error));
            ensure(after == "the end", did, "the end", after.clone())?;
        }
    }
    drop(store);
    case.set_fault(None)?;
    if case.has(Profile::SideTables) { failed_read_ends_keys(case) } else { Ok(()) }
}

fn failed_read_ends_keys(case: &mut Case) -> LawResult {
    let row = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
    let open = |case: &Case| saw("side_table", case.store()?.side_table("table")).ok();
    saw("write", open(case)?.write(&[row], &[])).ok()?;
    case.reopen()?;
    let table = open(case)?;
    case.set_fault(Some(Fault::Reads))?;
    if let Ok(mut keys) = table.keys(b"") {
        let failed = keys.by_ref().take(4).find_map(Result::err);
        let after = failed.and_then(|_| keys.next()).map_or_else(|| "the end".into(), |item| item.show());
        ensure(after == "the end", "keys() while reads fail, after an error", "the end", after.clone())?;
    }
    Ok(())
}

pub(crate) fn failed_read_of_heads_is_an_error(case: &mut Case) -> LawResult {
    let mut all = heads("head", 5);
    for cid in &all {
        update(&*case.heads()?, cid, &[])?;
    }
    all.sort();
    case.reopen()?;
    let store = case.heads()?;
    case.set_fault(Some(Fault::Reads))?;
    for _ in 0..3 {
        true_or_failed("heads() while reads fail", store.heads(), all.clone())?;
    }
    case.set_fault(None)?;
    heads_are(&*store, &all, "once reads succeed again")?;
    Ok(())
}

pub(crate) fn failed_read_of_a_side_table_is_an_error(case: &mut Case) -> LawResult {
    let row = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
    saw("write", saw("side_table", case.store()?.side_table("table")).ok()?.write(std::slice::from_ref(&row), &[]))
        .ok()?;
    case.reopen()?;
    let store = case.store()?;
    let table = saw("side_table", store.side_table("table")).ok()?;
    case.set_fault(Some(Fault::Reads))?;
    true_or_failed("get of a row while reads fail", table.get(&row.0), Some(row.1))?;
    let keys = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
    true_or_failed("keys() while reads fail", keys, vec![row.0])?;
    true_or_failed("side_tables() while reads fail", store.side_tables(), vec!["table".to_owned()])?;
    Ok(())
}

/// Makes the medium fail at each write, then at each sync of `act`, every time with a new store. Then repairs the
/// medium, reopens the store and calls the judge. Ends when `act` completes. `writes` means that `act` cannot succeed
/// without a write.
pub(super) fn at_every_failure(
    case: &Case,
    writes: bool,
    set_up: impl Fn(&Case) -> Result<(), Failure>,
    act: impl Fn(&Case) -> Result<Done, Failure>,
    judge: impl Fn(&Case, Fault, Done) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for fault in [Fault::WritesAfter, Fault::SyncsAfter] {
        at_each(|n| {
            let mut case = case.fresh()?;
            set_up(&case)?;
            case.set_fault(Some(fault(n)))?;
            let result = act(&case)?;
            case.set_fault(None)?;
            let done = result.is_ok();
            case.drop_and_open()?;
            judge(&case, fault(n), result)?;
            // Without this check, a hook that has no effect would let every law pass.
            let met = !done || fault(n) != Fault::WritesAfter(0) || !writes;
            ensure(met, "wrote while Fixture::set_fault() lets every write fail", "an error", "Ok")?;
            Ok(done)
        })?;
    }
    Ok(())
}

pub(crate) fn failed_write_harms_no_block(case: &mut Case) -> LawResult {
    let (kept, new) = (blocks("kept", 3), blocks("new", 3));
    let batch = [&kept[..2], &new].concat();
    at_every_failure(
        case,
        true,
        |case| put_many(&*case.blocks()?, &kept),
        |case| put_many_of(case, &batch),
        |case, fault, result| {
            nothing_acknowledged_is_lost(
                case,
                &kept,
                &new,
                &format!("after a put_many met {fault:?}, {REOPENED}"),
                &result,
            )
        },
    )?;
    Ok(())
}

pub(crate) fn failed_put_many_keeps_all_or_nothing(case: &mut Case) -> LawResult {
    let new = blocks("new", 6);
    at_every_failure(
        case,
        true,
        |_| Ok(()),
        |case| put_many_of(case, &new),
        |case, fault, result| {
            let did = format_args!("put_many of {} blocks that met {fault:?}", new.len());
            all_or_nothing(case, &new, did, result)
        },
    )?;
    Ok(())
}

pub(crate) fn failed_head_change_is_old_or_new(case: &mut Case) -> LawResult {
    let (old, new) = (head("old"), head("new"));
    for call in ["update", "swap"] {
        at_every_failure(
            case,
            true,
            |case| update(&*case.heads()?, &old, &[]),
            |case| {
                let store = case.heads()?;
                Ok(if call == "swap" { store.swap(&[old], &new) } else { store.update(&new, &[old]) })
            },
            |case, fault, result| {
                let did = format_args!("heads() {REOPENED}: {call} met {fault:?}");
                old_or_new(&*case.heads()?, &[old], &[new], did, &result).map(|_| ())
            },
        )?;
    }
    Ok(())
}

pub(crate) fn failed_commit_leaves_no_head_without_its_blocks(case: &mut Case) -> LawResult {
    let (kept, new) = (block("kept"), blocks("new", 3));
    at_every_failure(
        case,
        true,
        |case| {
            put(&*case.blocks()?, &kept)?;
            update(&*case.heads()?, &kept.cid, &[])
        },
        |case| {
            let mut batch: WriteBatch = new.iter().map(|block| (block.cid, block.data.clone())).collect();
            Ok(case.store()?.commit(batch.update(new[0].cid, [kept.cid])))
        },
        |case, fault, result| {
            let did = format_args!("heads() {REOPENED}: a commit met {fault:?}");
            let store = case.store()?;
            holds(&*store, &kept, REOPENED)?;
            if old_or_new(&*store, &[kept.cid], &[new[0].cid], did, &result)? {
                new.iter().try_for_each(|block| holds(&*store, block, "as its head is there"))?;
            }
            Ok(())
        },
    )?;
    Ok(())
}

pub(crate) fn failed_commit_is_all_or_nothing(case: &mut Case) -> LawResult {
    let (old, new) = (head("old"), blocks("new", 3));
    at_every_failure(
        case,
        true,
        |case| update(&*case.heads()?, &old, &[]),
        |case| {
            let mut batch: WriteBatch = new.iter().map(|block| (block.cid, block.data.clone())).collect();
            Ok(case.store()?.commit(batch.update(new[0].cid, [old])))
        },
        |case, fault, result| {
            let store = case.store()?;
            let did = format_args!("heads() {REOPENED}: an atomic commit met {fault:?}");
            let landed = old_or_new(&*store, &[old], &[new[0].cid], did, &result)?;
            for block in &new {
                let there = whole_or_absent(&*store, block, REOPENED)?;
                let did = format_args!("get({}) {REOPENED}: an atomic commit met {fault:?}", block.cid);
                let expected =
                    if landed { "the block, as the head is there" } else { "none, as the head is not there" };
                ensure(there == landed, did, expected, if there { "the block" } else { "None" })?;
            }
            Ok(())
        },
    )?;
    Ok(())
}

pub(crate) fn failed_side_table_write_is_as_its_outcome_says(case: &mut Case) -> LawResult {
    let rows = [b"a", b"b", b"c"].map(|key| (Bytes::from_static(key), Bytes::from_static(b"value")));
    let atomic = case.store()?.capabilities().atomic_side_table_writes;
    let table = |case: &Case| saw("side_table", case.store()?.side_table("table")).ok();
    at_every_failure(
        case,
        true,
        |_| Ok(()),
        |case| Ok(case.store()?.side_table("table").and_then(|table| table.write(&rows, &[]))),
        |case, fault, result| {
            let table = table(case)?;
            let did = format_args!("get of three rows {REOPENED}: their write met {fault:?}");
            let mut there = 0;
            let mut first_ones = true;
            for (i, (key, value)) in rows.iter().enumerate() {
                let found = saw(did, table.get(key)).ok()?;
                ensure(found.as_ref().is_none_or(|found| found == value), did, "whole rows or none", found.show())?;
                first_ones &= found.is_none() || there == i;
                there += usize::from(found.is_some());
            }
            let expected = match &result {
                Ok(()) => there == rows.len(),
                Err(error) if error.outcome() == Outcome::NotApplied => there == 0,
                Err(_) => first_ones && (!atomic || there == 0 || there == rows.len()),
            };
            let promise = "all after Ok, none after NotApplied, else the first ones: all or none where that is claimed";
            ensure(expected, did, promise, format_args!("{there} of them, after {}", result.show()))
        },
    )?;
    Ok(())
}

pub(crate) fn failed_sync_refuses_writes_until_reopened(case: &mut Case) -> LawResult {
    case.must_have_syncs()?;
    let (kept, first, second) = (block("kept"), block("first"), block("second"));
    at_each(|n| {
        let mut case = case.fresh()?;
        let store = case.blocks()?;
        put(&*store, &kept)?;
        case.set_fault(Some(Fault::SyncsAfter(n)))?;
        if store.put(&first.cid, first.data.clone()).is_ok() {
            ensure(n > 0, "put while every sync fails", "an error: it could not be made durable", "Ok")?;
            return Ok(true);
        }
        case.set_fault(None)?;
        let again = store.put(&second.cid, second.data.clone());
        saw("put after a failed sync", again).refused(ErrorKind::Poisoned)?;
        saw("delete after a failed sync", store.delete(&kept.cid)).refused(ErrorKind::Poisoned)?;
        let mut one = std::iter::once(Ok(kept.cid));
        saw("delete_many after a failed sync", store.delete_many(&mut one)).refused(ErrorKind::Poisoned)?;
        sweep_is_refused(&*store, ErrorKind::Poisoned, "after a failed sync")?;
        holds(&*store, &kept, "through a handle whose sync failed")?;
        drop(store);
        case.drop_and_open()?;
        let store = case.blocks()?;
        holds(&*store, &kept, REOPENED)?;
        put(&*store, &second)?;
        holds(&*store, &second, REOPENED)?;
        Ok(false)
    })?;
    Ok(())
}

pub(crate) fn failed_sync_refuses_head_changes_until_reopened(case: &mut Case) -> LawResult {
    case.must_have_syncs()?;
    let (old, new) = (head("old"), head("new"));
    at_each(|n| {
        let mut case = case.fresh()?;
        let store = case.heads()?;
        update(&*store, &old, &[])?;
        case.set_fault(Some(Fault::SyncsAfter(n)))?;
        if store.update(&new, &[old]).is_ok() {
            ensure(n > 0, "update while every sync fails", "an error: it could not be made durable", "Ok")?;
            return Ok(true);
        }
        case.set_fault(None)?;
        saw("update after a failed sync", store.update(&new, &[])).refused(ErrorKind::Poisoned)?;
        saw("swap after a failed sync", store.swap(&[old], &new)).refused(ErrorKind::Poisoned)?;
        let seen = saw("heads() through a handle whose sync failed", store.heads()).ok()?;
        ensure(seen == [old] || seen == [new], "heads() after a failed sync", "the old head or the new", seen.show())?;
        drop(store);
        case.drop_and_open()?;
        update(&*case.heads()?, &new, &[old])?;
        heads_are(&*case.heads()?, &[new], REOPENED)?;
        Ok(false)
    })?;
    Ok(())
}

pub(crate) fn close_reports_and_closes_under_faults(case: &mut Case) -> LawResult {
    let kept = block("kept");
    // If `close` has nothing to close, the store stays open.
    let closes = {
        let store = case.store()?;
        saw("close()", store.close()).ok()?;
        store.heads().is_err()
    };
    at_every_failure(
        case,
        false,
        |case| put(&*case.blocks()?, &kept),
        |case| {
            let store = case.store()?;
            // An error is allowed but not required: there may be nothing to write.
            let closed = store.close();
            if let Err(error) = &closed {
                let fine = error.kind() == ErrorKind::Backend;
                ensure(fine, "close() on a medium that fails", "Ok, or Err(Backend)", error_text(error))?;
                saw("get after close() failed", store.get(&kept.cid)).refused(ErrorKind::Closed)?;
                saw("close() again", store.close()).ok()?;
            } else if closes {
                let get = store.get(&kept.cid);
                saw("get after close() on a medium that fails said Ok", get).refused(ErrorKind::Closed)?;
            }
            Ok(closed)
        },
        |case, fault, _| holds(&*case.blocks()?, &kept, &format!("after close() met {fault:?}, {REOPENED}")),
    )?;
    Ok(())
}

/// Reads while a writer in another thread waits for its sync; then releases the sync.
fn beside_a_waiting_sync(
    case: &Case,
    write: impl FnOnce() -> Result<(), Failure> + Send,
    mut read: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    /// Usually long enough for a thread to start and reach its first sync.
    const WINDOW: Duration = Duration::from_millis(300);
    case.set_fault(Some(Fault::SyncsWait))?;
    let started = Barrier::new(2);
    let (reads, write) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            started.wait();
            write()
        });
        started.wait();
        // The writer reaches its sync during these reads. A reader that waited for it would wait forever.
        let begin = Instant::now();
        let mut reads = Ok(());
        while reads.is_ok() && !writer.is_finished() && begin.elapsed() < WINDOW {
            reads = read();
        }
        let released = case.set_fault(None);
        let write = writer.join().unwrap_or_else(|panic| {
            Err(Failure::new("put in a thread", "no panic", crate::conformance::threads::panic_text(&*panic)))
        });
        (reads.and(released), write)
    });
    reads.and(write)
}

pub(crate) fn readers_do_not_wait_for_a_sync(case: &mut Case) -> LawResult {
    let (kept, new) = (block("kept"), block("new"));
    let store = case.blocks()?;
    put(&*store, &kept)?;
    let read = || {
        holds(&*store, &kept, "while a writer waits for its sync")?;
        let listed = listing(&*store, "while a writer waits for its sync", 2)?;
        ensure(listed.contains(&kept.cid), "cids() while a writer waits for its sync", &kept, listed.show())
    };
    beside_a_waiting_sync(case, || put(&*store, &new), read)?;
    holds(&*store, &new, "once its sync was let go")?;
    Ok(())
}

pub(crate) fn readers_of_heads_do_not_wait_for_a_sync(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (old, new) = (head("old"), head("new"));
    update(&*store, &old, &[])?;
    let read = || {
        let heads = saw("heads() while a writer waits for its sync", store.heads()).ok()?;
        let fine = heads == [old] || heads == [new];
        ensure(fine, "heads() while a writer waits for its sync", "the old head or the new", heads.show())
    };
    beside_a_waiting_sync(case, || update(&*store, &new, &[old]), read)?;
    heads_are(&*store, &[new], "once the sync of its update was let go")?;
    Ok(())
}
