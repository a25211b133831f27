//! Reading many blocks.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, DAG_JSON, cid_of,
    conformance::{
        Failure,
        case::{Case, Pace},
        data::{Block, block, blocks, identity_block, one_text, raw},
        expect::{ensure, holds, put, put_many, same, saw},
        failure::LawResult,
    },
};

/// Checks that a request gets exactly these answers, one for each index.
fn answers(store: &dyn Blockstore, cids: &[Cid], expected: &[Option<Bytes>], when: &str) -> Result<(), Failure> {
    let mut seen: Vec<Vec<Option<Bytes>>> = vec![Vec::new(); cids.len()];
    let mut beyond = Vec::new();
    let result = store.get_many(cids, &mut |index, data| {
        match seen.get_mut(index) {
            Some(answers) => answers.push(data),
            None => beyond.push(index),
        }
        ControlFlow::Continue(())
    });
    let did = format!("get_many of {} CIDs {when}", cids.len());
    saw(&did, result).ok()?;
    ensure(beyond.is_empty(), &did, "indexes of the request", format_args!("index {:?}", beyond.first()))?;
    for (index, (seen, expected)) in seen.into_iter().zip(expected).enumerate() {
        let calls = seen.len();
        let did = format!("{did}: index {index}");
        ensure(calls == 1, &did, "one call", format_args!("{calls} calls"))?;
        same(&did, seen.into_iter().next().flatten(), expected.clone())?;
    }
    Ok(())
}

pub(crate) fn get_many_answers_each_index_once(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    answers(&*store, &[], &[], "in an empty store")?;
    let (present, absent) = (blocks("present", 300), blocks("absent", 300));
    put_many(&*store, &present)?;
    let twins = one_text();
    put_many(&*store, &twins)?;
    let held = |block: &Block| (block.cid, Some(block.data.clone()));
    // Other CIDs of bytes that are in the store; these blocks are not.
    let names = [present[0].clone(), twins[0].clone()].map(|block| cid_of(DAG_JSON, &block.data));
    let mixed = present.iter().map(held).zip(absent.iter().map(|block| (block.cid, None)));
    let request: Vec<(Cid, Option<Bytes>)> = mixed
        .flat_map(|(present, absent)| [present, absent])
        .chain(twins.iter().map(held))
        .chain(names.map(|cid| (cid, None)))
        .chain(present.iter().rev().step_by(7).map(held))
        .collect();
    for size in [0, 1, 2, 255, 256, 257, request.len()] {
        let (cids, expected): (Vec<_>, Vec<_>) = request.iter().take(size).cloned().unzip();
        answers(&*store, &cids, &expected, "with present, absent and repeated blocks")?;
    }
    let (cids, expected): (Vec<_>, Vec<_>) = request.iter().take(5).cycle().take(50).cloned().unzip();
    answers(&*store, &cids, &expected, "that names each of its blocks ten times")?;
    Ok(())
}

/// More indexes than fit into 16 bits.
const LONG_REQUEST: usize = 70_000;

pub(crate) fn get_many_answers_a_long_request(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (mut present, absent) = (blocks("present", 80), blocks("absent", 10));
    // Empty blocks, and one text under every kind of CID.
    present.extend([raw(&b""[..]), identity_block(&b""[..])].into_iter().chain(one_text()));
    put_many(&*store, &present)?;
    let held = present.iter().map(|block| (block.cid, Some(block.data.clone())));
    let all: Vec<(Cid, Option<Bytes>)> = held.chain(absent.iter().map(|block| (block.cid, None))).collect();
    let request = |n: usize| -> (Vec<Cid>, Vec<Option<Bytes>>) { all.iter().cycle().take(n).cloned().unzip() };
    let (cids, expected) = request(256);
    let pace = Pace::of(cids.len(), || answers(&*store, &cids, &expected, "before a longer one"))?;
    let (cids, expected) = request(pace.items_within(case.spare() / 6, LONG_REQUEST));
    answers(&*store, &cids, &expected, "with present and absent blocks")?;
    Ok(())
}

pub(crate) fn get_many_ends_when_it_is_told(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", 250);
    put_many(&*store, &all)?;
    let cids: Vec<Cid> = all.iter().map(|block| block.cid).cycle().take(1000).collect();
    let short = [1, 2, 49, 50].map(|last| (50, last));
    let long = [1, 99, 100, 101, 255, 256, 300, 999].map(|last| (cids.len(), last));
    for (size, last) in short.into_iter().chain(long) {
        let mut calls = 0;
        let result = store.get_many(&cids[..size], &mut |_, _| {
            calls += 1;
            if calls >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let did = format!("get_many of {size} CIDs whose callback breaks at call {last}");
        saw(&did, result).ok()?;
        ensure(calls == last, &did, format_args!("{last} calls"), format_args!("{calls} calls"))?;
    }
    Ok(())
}

pub(crate) fn get_many_callback_may_use_the_store(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let read = blocks("read", 300);
    put_many(&*store, &read)?;
    let cids: Vec<Cid> = read.iter().map(|block| block.cid).collect();
    // A long request may take another code path than a short one.
    for n in [3, cids.len()] {
        let written = blocks(&format!("put by the callback of {n}:"), 3);
        let (mut inside, mut calls): (Result<(), Failure>, usize) = (Ok(()), 0);
        let result = store.get_many(&cids[..n], &mut |index, _| {
            calls += 1;
            if let Some(block) = written.get(index).filter(|_| inside.is_ok()) {
                inside = holds(&*store, &read[0], "inside a callback of get_many").and_then(|()| put(&*store, block));
                let ended = store.get_many(&cids[..2], &mut |_, _| ControlFlow::Break(()));
                inside = inside.clone().and(saw("get_many inside a callback of get_many", ended).ok());
            }
            ControlFlow::Continue(())
        });
        saw(format_args!("get_many of {n} whose callback reads and writes the same store"), result).ok()?;
        inside?;
        same("calls of a callback that ends another get_many inside", calls, n)?;
        for block in &written {
            holds(&*store, block, "after a callback of get_many put it")?;
        }
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.get_many(&cids, &mut |_, _| std::panic::panic_any("the law's own callback panics"))
    }));
    ensure(panicked.is_err(), "get_many with a callback that panics", "the panic to reach the caller", "no panic")?;
    let after = block("after");
    put(&*store, &after)?;
    holds(&*store, &after, "put after a callback of get_many panicked")?;
    Ok(())
}
