//! Replacing all heads at once.

use cid::Cid;

use crate::{
    ErrorKind, OpHeadsStore, StoreError, WriteBatch,
    conformance::{
        Failure,
        case::Case,
        data::{head, heads, sibling},
        expect::{heads_are, same, saw, update},
        failure::LawResult,
        show::examples,
    },
};

fn swap(store: &dyn OpHeadsStore, expected: &[Cid], new: &Cid) -> Result<(), Failure> {
    let did = format_args!("swap(expecting {}, new {new})", examples(expected));
    saw(did, store.swap(expected, new)).ok()
}

/// A swap that must be refused, report the current heads, and change nothing.
fn refused(store: &dyn OpHeadsStore, expected: &[Cid], actual: &[Cid], what: &str) -> Result<(), Failure> {
    found(store, actual, &format!("swap {what}"), store.swap(expected, &head("new")))
}

fn found(store: &dyn OpHeadsStore, actual: &[Cid], did: &str, swapped: Result<(), StoreError>) -> Result<(), Failure> {
    let error = saw(did, swapped).refused(ErrorKind::HeadsMoved)?;
    let mut sorted = actual.to_vec();
    sorted.sort();
    if let StoreError::HeadsMoved { actual } = error {
        same(format_args!("the heads in the error of a {did}"), actual, sorted)?;
    }
    heads_are(store, actual, format_args!("after a refused {did}"))
}

/// The same as [`refused`], through `swap` and through a commit.
fn refused_both_ways(case: &Case, expected: &[Cid], new: &Cid, actual: &[Cid], what: &str) -> Result<(), Failure> {
    let heads = case.heads()?;
    found(&*heads, actual, &format!("swap {what}"), heads.swap(expected, new))?;
    if let Some(store) = case.handles().as_store() {
        let committed = store.commit(WriteBatch::new().swap(expected.iter().copied(), *new));
        found(&*heads, actual, &format!("commit of a swap {what}"), committed)?;
    }
    Ok(())
}

pub(crate) fn swap_replaces_expected_heads(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let old = heads("old", 4);
    for cid in &old {
        update(&*store, cid, &[])?;
    }
    swap(&*store, &old, &head("new"))?;
    heads_are(&*store, &[head("new")], "after a swap of four heads")?;
    swap(&*store, &[head("new")], &old[0])?;
    heads_are(&*store, &[old[0]], "after a swap back to an old head")?;
    Ok(())
}

pub(crate) fn swap_from_other_heads_is_refused(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b, c) = (head("a"), head("b"), head("c"));
    refused(&*store, &[a], &[], "expecting a head of a set that is empty")?;
    update(&*store, &a, &[])?;
    update(&*store, &b, &[])?;
    for (expected, what) in [
        (vec![], "expecting none of two heads"),
        (vec![a], "expecting one of two heads"),
        (vec![b], "expecting the other of two heads"),
        (vec![a, c], "expecting one of two heads and another"),
        (vec![a, b, c], "expecting both heads and another"),
        (vec![c], "expecting another head"),
        (vec![a, a], "expecting one of two heads twice"),
        (vec![b, b, b], "expecting the other of two heads three times"),
        (vec![head("new")], "expecting its own new head"),
    ] {
        refused(&*store, &expected, &[a, b], what)?;
    }
    swap(&*store, &[a, b], &c)?;
    heads_are(&*store, &[c], "after a swap that follows refused ones")?;
    for expected in [vec![], vec![a], vec![a, c]] {
        refused_both_ways(case, &expected, &c, &[c], "to the only head there is, expecting others")?;
    }
    refused_both_ways(case, &[sibling(&c)], &a, &[c], "expecting another CID with the digest of the head")?;
    every_head_is_compared(case)
}

/// Sets of equal size that differ in one head, at either end or in the middle.
fn every_head_is_compared(case: &Case) -> LawResult {
    let store = case.heads()?;
    let mut all = heads("many", 12);
    all.sort();
    let other = all.remove(5);
    swap(&*store, &saw("heads()", store.heads()).ok()?, &all[0])?;
    for cid in &all[1..] {
        update(&*store, cid, &[])?;
    }
    for place in 0..all.len() {
        let mut expected = all.clone();
        expected[place] = other;
        let what = format!("expecting another one of {} heads, number {place}", all.len());
        refused_both_ways(case, &expected, &head("new"), &all, &what)?;
    }
    Ok(())
}

pub(crate) fn swap_of_empty_sets_the_first_head(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    swap(&*store, &[], &head("first"))?;
    heads_are(&*store, &[head("first")], "after a swap that expects none")?;
    refused(&*store, &[], &[head("first")], "expecting none, a second time")?;
    Ok(())
}

pub(crate) fn swap_takes_expected_as_a_set(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let mut old = heads("old", 3);
    for cid in &old {
        update(&*store, cid, &[])?;
    }
    old.sort();
    swap(&*store, &[old[2], old[0], old[2], old[1], old[0]], &head("new"))?;
    heads_are(&*store, &[head("new")], "after a swap whose expected heads are unsorted and repeated")?;
    Ok(())
}

pub(crate) fn swap_takes_a_new_head_that_is_expected(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b) = (head("a"), head("b"));
    update(&*store, &a, &[])?;
    swap(&*store, &[a], &a)?;
    heads_are(&*store, &[a], "after swap(expecting a, new a)")?;
    update(&*store, &b, &[])?;
    swap(&*store, &[a, b], &b)?;
    heads_are(&*store, &[b], "after swap(expecting a and b, new b)")?;
    Ok(())
}
