//! A stream of operations that is the same in every process, and the state after any number of them.

use std::collections::BTreeSet;

use mnem_storage::{Bytes, Cid, DAG_CBOR, RAW, Store, WriteBatch, cid_of};

use super::Random;
use crate::fixtures::node;

const TABLE: &str = "notes";

/// The operations of one step: a put, a commit, rows, a delete.
const PARTS: u64 = 4;

/// A delete removes what was put this many steps earlier.
const DELETED_AFTER: u64 = 2;

/// Rows are deleted this many steps after they were written.
const ROWS_KEPT: u64 = 3;

fn bytes(seed: u64, len: u64) -> Bytes {
    let mut random = Random(seed);
    (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len as usize).collect::<Vec<u8>>().into()
}

fn raw(seed: u64, len: u64) -> (Cid, Bytes) {
    let data = bytes(seed, len);
    (cid_of(RAW, &data), data)
}

/// A block that no head ever reaches.
fn loose(step: u64) -> (Cid, Bytes) {
    raw(step << 20, 40 + step % 700)
}

/// The blocks of a commit: few or many, small or large.
fn blocks(step: u64) -> Vec<(Cid, Bytes)> {
    let mut random = Random(step);
    let count = 1 + random.below(20);
    let mut blocks: Vec<_> = (0..count)
        .map(|n| {
            let len = match random.below(40) {
                0 => 70_000,
                1..8 => random.below(5_000),
                _ => random.below(400),
            };
            raw((step << 20) + 1 + n, 16 + len)
        })
        .collect();
    let links: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    blocks.push(node(&links));
    blocks
}

/// The head of a step. It links to the step's blocks, and each step has a different one.
fn head(step: u64) -> Cid {
    let data = blocks(step).pop().map(|(_, data)| data).unwrap_or_default();
    cid_of(DAG_CBOR, &data)
}

/// The heads that a step supersedes: none, all, or the previous one.
fn superseded(step: u64, heads: &BTreeSet<Cid>) -> Vec<Cid> {
    match (step % 4, step.checked_sub(1)) {
        (0, _) | (_, None) => Vec::new(),
        (1, _) => heads.iter().copied().collect(),
        (_, Some(before)) => vec![head(before)],
    }
}

fn heads_after(commits: u64) -> BTreeSet<Cid> {
    let mut heads = BTreeSet::new();
    // Three of four steps leave the head of every fourth step alone.
    for step in (commits / 4 * 4).saturating_sub(4)..commits {
        for old in superseded(step, &heads) {
            heads.remove(&old);
        }
        heads.insert(head(step));
    }
    heads
}

fn rows(step: u64) -> Vec<(Bytes, Bytes)> {
    let row = |n: u64| (Bytes::from(format!("{step}.{n}")), bytes((step << 20) + n, 10 + step % 3_000));
    (0..3).map(row).collect()
}

/// Performs an operation. Repeating it, as after a kill before its acknowledgement, changes nothing.
pub(super) fn perform(store: &dyn Store, operation: u64) -> Result<(), mnem_storage::StoreError> {
    let step = operation / PARTS;
    match operation % PARTS {
        0 => {
            let (cid, data) = loose(step);
            store.put(&cid, data)
        }
        1 => {
            let mut batch = WriteBatch::new();
            batch.extend(blocks(step));
            store.commit(batch.update(head(step), superseded(step, &heads_after(step))))
        }
        2 => {
            let old = step.checked_sub(ROWS_KEPT).map(rows).unwrap_or_default();
            let old: Vec<Bytes> = old.into_iter().map(|(key, _)| key).collect();
            store.side_table(TABLE)?.write(&rows(step), &old)
        }
        _ => step.checked_sub(DELETED_AFTER).map_or(Ok(()), |old| store.delete(&loose(old).0)),
    }
}

/// How many of the first `done` operations are this part of their steps.
fn count(done: u64, part: u64) -> u64 {
    done / PARTS + u64::from(done % PARTS > part)
}

/// Whether something must be there that operation `from` creates and operation `to` removes. `None` while one of them
/// is in progress.
fn is_due(done: u64, from: u64, to: u64) -> Option<bool> {
    match done {
        _ if done == from || done == to => None,
        _ => Some(done > from && done < to),
    }
}

/// Compares a store with the state after `done` operations. The next operation may have taken effect too, or partly if
/// its contract allows that. Returns `true` if the next one was a commit that took effect.
pub(super) fn check(store: &dyn Store, done: u64) -> bool {
    let commits = count(done, 1);
    let (now, next) = (heads_after(commits), heads_after(commits + 1));
    let found: BTreeSet<Cid> = store.heads().expect("heads").into_iter().collect();
    let in_flight = done % PARTS == 1;
    let landed = in_flight && found == next && next != now;
    assert!(found == now || landed, "after {done} operations the heads are {found:?}, not {now:?}");
    for step in 0..commits + u64::from(landed) {
        for (cid, data) in blocks(step) {
            assert_eq!(store.get(&cid).expect("get").as_ref(), Some(&data), "{cid} of commit {step} of {commits}");
        }
    }
    for step in 0..=done / PARTS {
        let (cid, data) = loose(step);
        let found = store.get(&cid).expect("get");
        let due = is_due(done, step * PARTS, (step + DELETED_AFTER) * PARTS + 3);
        assert!(due.is_none_or(|due| due == found.is_some()), "after {done} operations: {cid} of put {step}");
        assert!(found.is_none_or(|found| found == data));
    }
    check_rows(store, done);
    landed
}

fn check_rows(store: &dyn Store, done: u64) {
    let table = store.side_table(TABLE).expect("the side table");
    for step in 0..=done / PARTS {
        let due = is_due(done, step * PARTS + 2, (step + ROWS_KEPT) * PARTS + 2);
        for (key, value) in rows(step) {
            let found = table.get(&key).expect("get a row");
            assert!(due.is_none_or(|due| due == found.is_some()), "after {done} operations: row {key:?}");
            assert!(found.is_none_or(|found| found == value), "row {key:?}");
        }
    }
}
