//! Writing many blocks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, Cause, ErrorKind, Outcome, StoreError,
    conformance::{
        Failure,
        case::Case,
        data::{Block, block, blocks, one_text, unknown_hash_cid},
        expect::{ensure, holds, lacks, lists, put, put_many, saw},
        failure::LawResult,
    },
};

fn cids(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid).collect()
}

pub(crate) fn put_many_stores_every_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("batch", 100);
    put_many(&*store, &all)?;
    for block in &all {
        holds(&*store, block, "after the put_many of 100 blocks")?;
    }
    lists(&*store, &cids(&all), "after the put_many of 100 blocks")?;
    Ok(())
}

pub(crate) fn put_many_of_nothing_is_ok(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    put_many(&*store, &[])?;
    lists(&*store, &[], "after a put_many of nothing")?;
    Ok(())
}

pub(crate) fn put_many_takes_duplicates(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (a, b) = (block("a"), block("b"));
    put_many(&*store, &[a.clone(), b.clone(), a.clone(), a.clone()])?;
    lists(&*store, &[a.cid, b.cid], "after a put_many that names a block three times")?;
    holds(&*store, &a, "after a put_many that names it three times")?;
    Ok(())
}

pub(crate) fn put_many_stores_the_same_bytes_under_each_cid(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = one_text();
    put_many(&*store, &all)?;
    for block in &all {
        holds(&*store, block, "after a put_many of the same bytes under several CIDs")?;
    }
    lists(&*store, &cids(&all), "after a put_many of the same bytes under several CIDs")?;
    Ok(())
}

pub(crate) fn put_many_takes_present_blocks(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("batch", 9);
    for block in all.iter().step_by(2) {
        put(&*store, block)?;
    }
    put_many(&*store, &all)?;
    put_many(&*store, &all)?;
    for block in &all {
        holds(&*store, block, "after a put_many of it among blocks that were present")?;
    }
    lists(&*store, &cids(&all), "after a put_many of blocks that were partly present")?;
    Ok(())
}

pub(crate) fn put_many_keeps_nothing_of_a_bad_batch(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let wrong = Block { cid: block("good").cid, data: Bytes::from_static(b"wrong") };
    let unknown = Block { cid: unknown_hash_cid(3), data: Bytes::from_static(b"any") };
    for (bad, kind) in [(wrong.clone(), ErrorKind::CidMismatch), (unknown, ErrorKind::UnsupportedHash)] {
        for place in [0, 3, 6] {
            let mut batch = blocks("batch", 6);
            batch.insert(place, bad.clone());
            let what = format!("put_many of 7 blocks, number {place} of them bad ({kind:?})");
            let result = store.put_many(&mut batch.iter().map(|block| Ok((block.cid, block.data.clone()))));
            saw(&what, result).refused(kind)?;
            lists(&*store, &[], &format!("after a refused {what}"))?;
        }
    }
    // Every block is checked, even if the batch has already named its CID.
    for batch in [[block("good"), wrong.clone()], [wrong, block("good")]] {
        let what = "put_many of a block and of wrong bytes under its CID";
        let result = store.put_many(&mut batch.into_iter().map(|block| Ok((block.cid, block.data))));
        saw(what, result).refused(ErrorKind::CidMismatch)?;
        lists(&*store, &[], &format!("after a refused {what}"))?;
    }
    Ok(())
}

pub(crate) fn failed_put_many_leaves_present_blocks(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let present = blocks("present", 3);
    put_many(&*store, &present)?;
    let wrong = Block { cid: block("good").cid, data: Bytes::from_static(b"wrong") };
    let batch = present.iter().chain([&wrong]);
    let result = store.put_many(&mut batch.map(|block| Ok((block.cid, block.data.clone()))));
    saw("put_many of three present blocks and a bad one", result).refused(ErrorKind::CidMismatch)?;
    for block in &present {
        holds(&*store, block, "after a put_many that named it was refused")?;
    }
    Ok(())
}

pub(crate) fn put_many_keeps_nothing_when_the_iterator_fails(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let batch = blocks("batch", 5);
    for own in iterators_errors() {
        let items = batch.iter().map(|block| Ok((block.cid, block.data.clone())));
        let result = store.put_many(&mut items.chain([Err(own.clone())]));
        let error = saw("put_many whose iterator fails after five blocks", result).refused(own.kind())?;
        is_unchanged("put_many", &own, &error)?;
        lists(&*store, &[], "after a put_many whose iterator failed")?;
        let next = block("of the next put_many");
        put_many(&*store, std::slice::from_ref(&next))?;
        lists(&*store, &[next.cid], "after a put_many that followed one whose iterator failed")?;
        saw("delete", store.delete(&next.cid)).ok()?;
    }
    Ok(())
}

/// Errors that an iterator may yield. Their fields describe another call, not the batch.
pub(super) fn iterators_errors() -> [StoreError; 4] {
    let backend = |outcome| StoreError::Backend {
        backend: "the law's own iterator",
        operation: "yield the next block".into(),
        outcome,
        source: Cause::new("an error made by the law"),
    };
    let moved = StoreError::HeadsMoved { actual: vec![block("a head").cid] };
    let locked = StoreError::Locked { location: "a place of the law".into() };
    [backend(Outcome::NotApplied), backend(Outcome::Unknown), moved, locked]
}

/// Checks that the error is the iterator's, with every field.
pub(super) fn is_unchanged(call: &str, own: &StoreError, got: &StoreError) -> Result<(), Failure> {
    let did = format_args!("{call} whose iterator fails");
    ensure(
        format!("{got:?}") == format!("{own:?}"),
        did,
        format_args!("the iterator's error: {own:?}"),
        format_args!("{got:?}"),
    )
}

pub(crate) fn put_many_iterator_may_use_the_store(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let present = block("present");
    put(&*store, &present)?;
    let (batch, written) = (blocks("batch", 3), blocks("written by the iterator", 3));
    let mut own: Result<(), Failure> = Ok(());
    let mut items = batch.iter().zip(&written).map(|(block, written)| {
        let step = || {
            holds(&*store, &present, "inside the iterator of a put_many")?;
            put(&*store, written)
        };
        if own.is_ok() {
            own = step();
        }
        Ok((block.cid, block.data.clone()))
    });
    saw("put_many whose iterator reads and writes the same store", store.put_many(&mut items)).ok()?;
    own?;
    for block in batch.iter().chain(&written) {
        holds(&*store, block, "after a put_many whose iterator used the store")?;
    }
    Ok(())
}

pub(crate) fn panicking_iterator_leaves_the_store_usable(case: &mut Case) -> LawResult {
    /// More repetitions than any pool has resources that a panic might leak.
    const TIMES: usize = 20;
    let store = case.blocks()?;
    let batch = blocks("batch", 2);
    for time in 1..=TIMES {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let items = batch.iter().map(|block| Ok((block.cid, block.data.clone())));
            let panics = std::iter::once_with(|| std::panic::panic_any("the law's own iterator panics"));
            store.put_many(&mut items.chain(panics))
        }));
        let did = format_args!("put_many number {time} with an iterator that panics");
        ensure(panicked.is_err(), did, "the panic to reach the caller", "no panic")?;
        lists(&*store, &[], "after the iterator of a put_many panicked")?;
    }
    let after = block("after");
    put(&*store, &after)?;
    put_many(&*store, &batch)?;
    for block in batch.iter().chain([&after]) {
        holds(&*store, block, "put after the iterator of a put_many panicked")?;
    }
    Ok(())
}

pub(crate) fn reader_does_not_wait_for_a_batch(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (present, absent) = (block("present"), block("absent"));
    put(&*store, &present)?;
    let patience = case.patience();
    let (reader_done, done) = mpsc::channel();
    let mut read = None;
    let mut items = blocks("batch", 2).into_iter().enumerate().map(|(i, block)| {
        // The store has taken one block by now, which nobody may see yet.
        if i == 1 && read.is_none() {
            let (store, present, absent) = (store.clone(), present.clone(), absent.clone());
            let reader_done = reader_done.clone();
            // Not a scoped thread: if the reader is stuck it is left behind, like the thread of a law at its deadline.
            thread::spawn(move || {
                let while_draining = "in another thread, while a put_many drains its iterator";
                let result = holds(&*store, &present, while_draining)
                    .and_then(|()| lacks(&*store, &absent.cid, while_draining))
                    .and_then(|()| lists(&*store, &[present.cid], while_draining));
                let _ = reader_done.send(result);
            });
            read = Some(done.recv_timeout(patience));
        }
        Ok((block.cid, block.data))
    });
    saw("put_many", store.put_many(&mut items)).ok()?;
    match read {
        Some(Ok(result)) => result?,
        Some(Err(_)) => {
            let did = "get, has, size and cids in another thread, while a put_many drains its iterator";
            return Err(
                Failure::new(did, "an answer", "none until the put_many went on: readers wait for a batch").into()
            );
        }
        None => {
            return Err(Failure::new("put_many of 2 blocks", "its iterator to be drained", "it was not drained").into());
        }
    }
    Ok(())
}
