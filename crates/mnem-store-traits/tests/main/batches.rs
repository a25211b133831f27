//! `WriteBatch` and `HeadChange`.

use std::collections::BTreeSet;

use mnem_store_traits::{Bytes, Cid, ErrorKind, HeadChange, RAW, StoreError, WriteBatch, cid_of};

fn id(name: &str) -> Cid {
    cid_of(RAW, name.as_bytes())
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<Cid> {
    names.map(id).into()
}

fn update(new: &str, supersedes: &[&str]) -> HeadChange {
    HeadChange::Update { new: vec![id(new)], supersedes: supersedes.iter().map(|name| id(name)).collect() }
}

fn swap(expected: &[&str], new: &str) -> HeadChange {
    HeadChange::Swap { expected: expected.iter().map(|name| id(name)).collect(), new: vec![id(new)] }
}

#[test]
fn update_is_old_without_superseded_and_new() {
    let before = set(["a", "b"]);
    for (change, after) in [
        (update("c", &[]), set(["a", "b", "c"])),
        (update("c", &["a"]), set(["b", "c"])),
        (update("c", &["a", "b", "a"]), set(["c"])),
        (update("c", &["unknown"]), set(["a", "b", "c"])),
        (update("c", &["c"]), set(["a", "b", "c"])),
        (update("a", &["a", "b"]), set(["a"])),
        (update("a", &[]), set(["a", "b"])),
    ] {
        assert_eq!(change.apply(&before).expect("an update always applies"), after, "{change:?}");
    }
}

#[test]
fn swap_compares_sets() {
    let before = set(["a", "b"]);
    assert_eq!(swap(&["b", "a", "b"], "c").apply(&before).expect("as expected"), set(["c"]));
    assert_eq!(swap(&["b", "a"], "a").apply(&before).expect("as expected"), set(["a"]));
    assert_eq!(swap(&[], "a").apply(&BTreeSet::new()).expect("as expected"), set(["a"]));
    for (change, heads) in [
        (swap(&["a"], "c"), before.clone()),
        (swap(&["a", "b", "c"], "c"), before.clone()),
        (swap(&[], "c"), before),
        (swap(&["a"], "c"), BTreeSet::new()),
    ] {
        let Err(StoreError::HeadsMoved { actual }) = change.apply(&heads) else { panic!("{change:?} applies") };
        assert_eq!(actual, heads.into_iter().collect::<Vec<_>>());
    }
}

fn ids(names: &[&str]) -> Vec<Cid> {
    names.iter().map(|name| id(name)).collect()
}

#[test]
fn new_heads_are_a_set() {
    let before = set(["a", "b"]);
    let update = |new: &[&str], supersedes: &[&str]| HeadChange::Update { new: ids(new), supersedes: ids(supersedes) };
    let swap = |expected: &[&str], new: &[&str]| HeadChange::Swap { expected: ids(expected), new: ids(new) };
    for (change, after) in [
        (update(&["d", "c", "d"], &[]), set(["a", "b", "c", "d"])),
        (update(&["c", "d"], &["b", "a"]), set(["c", "d"])),
        (update(&["c", "a"], &["c", "a", "b"]), set(["a", "c"])),
        (swap(&["b", "a"], &["d", "c", "d"]), set(["c", "d"])),
        (swap(&["a", "b"], &["b", "c"]), set(["b", "c"])),
    ] {
        assert_eq!(change.apply(&before).expect("it applies"), after, "{change:?}");
    }
    for empty in [update(&[], &["a"]), update(&[], &[]), swap(&["a", "b"], &[]), swap(&["other"], &[])] {
        for error in [empty.apply(&before).map(drop), empty.check(), WriteBatch::new().change_heads(empty).check(0)] {
            let error = error.expect_err("no new head");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("name at least one head"), "{error}");
        }
    }
}

/// `update` and `swap` with one head equal the same changes with a set of one.
#[test]
fn a_change_of_one_head_is_a_set_of_one() {
    let mut of_one = WriteBatch::new();
    of_one.update(id("a"), [id("b")]);
    assert_eq!(of_one.head(), WriteBatch::new().update_all([id("a")], [id("b")]).head());
    let mut of_one = WriteBatch::new();
    of_one.swap([id("b")], id("a"));
    assert_eq!(of_one.head(), WriteBatch::new().swap_all([id("b")], [id("a")]).head());
}

#[test]
fn a_batch_keeps_order_and_the_last_head_change() {
    let mut batch = WriteBatch::new();
    batch.put(id("a"), Bytes::from_static(b"a")).require(id("r")).swap([id("x")], id("y"));
    batch.put_trusted(id("b"), Bytes::from_static(b"not b")).update(id("new"), [id("old")]);
    batch.extend([(id("c"), Bytes::from_static(b"c"))]);
    let puts: Vec<_> = batch.puts().iter().map(|put| (put.cid, put.trusted)).collect();
    assert_eq!(puts, [(id("a"), false), (id("b"), true), (id("c"), false)]);
    assert_eq!(batch.required(), [id("r")]);
    assert_eq!(batch.head(), Some(&update("new", &["old"])));
    let mut other = WriteBatch::new();
    other.extend(batch.puts().iter().cloned());
    let puts: Vec<_> = other.puts().iter().map(|put| (put.cid, put.trusted)).collect();
    assert_eq!(puts, [(id("a"), false), (id("b"), true), (id("c"), false)], "of another batch");
}

#[test]
fn only_a_batch_with_nothing_in_it_is_empty() {
    assert!(WriteBatch::new().is_empty());
    assert!(!WriteBatch::new().put(id("a"), Bytes::new()).is_empty());
    assert!(!WriteBatch::new().require(id("a")).is_empty());
    assert!(!WriteBatch::new().update(id("a"), []).is_empty());
}

#[test]
fn a_batch_checks_all_but_its_trusted_puts() {
    let wrong = Bytes::from_static(b"wrong");
    WriteBatch::new().put_trusted(id("a"), wrong.clone()).check(100).expect("trusted");
    let mut checked = WriteBatch::new();
    checked.put_trusted(id("a"), wrong.clone()).put(id("b"), wrong.clone());
    assert_eq!(checked.check(100).expect_err("wrong bytes").kind(), ErrorKind::CidMismatch);
    let mut large = WriteBatch::new();
    large.put_trusted(id("a"), wrong);
    assert_eq!(large.check(4).expect_err("5 bytes").kind(), ErrorKind::BlockTooLarge);
}
