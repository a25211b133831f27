//! Commits with many heads.

use cid::Cid;

use super::fault::at_every_failure;
use crate::{
    ErrorKind, HeadChange, OpHeadsStore, RAW, Store, StoreError, WriteBatch,
    conformance::{
        Failure,
        case::Case,
        data::{block, head, heads, identity_cid, near_codecs, v0_cid},
        expect::{ensure, heads_are, lists, saw, update},
        failure::LawResult,
        laws::crash::at_every_point,
        outcomes::{at_few, old_or_new},
        show::examples,
        threads::watched,
    },
};

/// Above every count at which a backend is likely to page, batch or limit.
const THOUSANDS: usize = 4_000;

fn commit(store: &dyn Store, what: &str, batch: &WriteBatch) -> Result<(), Failure> {
    saw(format_args!("commit of {what}"), store.commit(batch)).ok()
}

/// Compares many heads without printing all of them.
fn many_heads_are(store: &dyn OpHeadsStore, expected: &[Cid], when: &str) -> Result<(), Failure> {
    let did = format_args!("heads() {when}");
    let seen = saw(did, store.heads()).ok()?;
    let mut sorted = expected.to_vec();
    sorted.sort();
    sorted.dedup();
    if seen == sorted {
        return Ok(());
    }
    let of_one = |these: &[Cid], others: &[Cid]| -> Vec<Cid> {
        let others: std::collections::HashSet<&Cid> = others.iter().collect();
        these.iter().filter(|cid| !others.contains(cid)).copied().collect()
    };
    let (missing, foreign) = (of_one(&sorted, &seen), of_one(&seen, &sorted));
    let expected = format_args!("{} heads, ascending, each once", sorted.len());
    let saw = format_args!("{} heads; missing: {}; foreign: {}", seen.len(), examples(&missing), examples(&foreign));
    Err(Failure::new(did, expected, saw))
}

pub(crate) fn commit_adds_every_new_head(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (old, new) = (heads("old", 5), heads("new", 6));
    commit(&*store, "an update to two first heads", WriteBatch::new().update_all([old[1], old[0]], []))?;
    heads_are(&*store, &old[..2], "after an update to two first heads")?;
    commit(&*store, "an update that adds three", WriteBatch::new().update_all(old[2..].to_vec(), []))?;
    heads_are(&*store, &old, "after an update that adds three heads to two")?;
    // Unsorted and repeated, mixed with CIDs that are not heads.
    let mut batch = WriteBatch::new();
    batch.update_all([new[2], new[0], new[2], new[1], new[0]], [old[3], head("never a head"), old[0], old[3]]);
    commit(&*store, "an update to three heads that supersedes two of five", &batch)?;
    let expected = [&[old[1], old[2], old[4]], &new[..3]].concat();
    heads_are(&*store, &expected, "after an update to three heads that supersedes two of five")?;
    let mut batch = WriteBatch::new();
    batch.update_all([old[0], old[3]], [new[0], new[1], new[2]]);
    commit(&*store, "an update to two heads that were superseded", &batch)?;
    heads_are(&*store, &old, "after an update to two heads that were superseded")?;
    commit(&*store, "an update back", WriteBatch::new().update_all(new[..3].to_vec(), [old[0], old[3]]))?;
    heads_are(&*store, &expected, "after an update back")?;
    // A new head that the same change supersedes stays, wherever it is named, and whether or not it was a head before.
    let own = "an update that supersedes new heads of its own";
    commit(&*store, own, WriteBatch::new().update_all([new[3], new[0], new[4]], [new[3], new[0], old[1]]))?;
    heads_are(&*store, &[&[old[2], old[4]], &new[..5]].concat(), format_args!("after {own}"))?;
    commit(&*store, own, WriteBatch::new().update_all([new[4], new[0], new[3]], [new[3], old[2]]))?;
    heads_are(&*store, &[&[old[4]], &new[..5]].concat(), format_args!("after another {}", &own[3..]))?;
    let all = [&[old[4]], &new[..5]].concat();
    commit(&*store, "an update to two heads that supersedes all", WriteBatch::new().update_all([new[5], new[0]], all))?;
    heads_are(&*store, &[new[0], new[5]], "after an update to two heads that supersedes all")?;
    Ok(())
}

pub(crate) fn commit_swaps_to_every_new_head(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (first, second) = (heads("first", 3), heads("second", 4));
    commit(&*store, "a swap of no heads for three", WriteBatch::new().swap_all([], first.clone()))?;
    heads_are(&*store, &first, "after a swap of no heads for three")?;
    for (expected, what) in [
        (vec![], "expects none of three heads"),
        (first[1..].to_vec(), "expects two of three heads"),
        ([&first[..], &second[..1]].concat(), "expects three heads and one of its own"),
        (second.clone(), "expects its own new heads"),
    ] {
        let did = format_args!("commit of a swap to four heads that {what}");
        let error = saw(did, store.commit(WriteBatch::new().swap_all(expected, second.clone())))
            .refused(ErrorKind::HeadsMoved)?;
        let mut sorted = first.clone();
        sorted.sort();
        let found = matches!(&error, StoreError::HeadsMoved { actual } if *actual == sorted);
        ensure(found, did, "the heads that were found, in the error", format_args!("{error:?}"))?;
        heads_are(&*store, &first, format_args!("after a refused swap that {what}"))?;
    }
    let mut batch = WriteBatch::new();
    batch.swap_all([first[2], first[0], first[1], first[0]], [second[3], first[1], second[3], second[0]]);
    commit(&*store, "a swap of three heads for one of them and two others", &batch)?;
    heads_are(
        &*store,
        &[first[1], second[0], second[3]],
        "after a swap of three heads for one of them and two others",
    )?;
    Ok(())
}

pub(crate) fn commit_refuses_an_empty_set_of_new_heads(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let block = block("a block");
    let refused = |before: &[Cid]| -> Result<(), Failure> {
        let with_block = WriteBatch::from_iter([(block.cid, block.data.clone())]);
        for (what, batch) in [
            ("an update to no head that supersedes all", with_block.clone().update_all([], before.to_vec()).clone()),
            ("an update to no head that supersedes nothing", with_block.clone().update_all([], []).clone()),
            ("a swap of the heads for none", with_block.clone().swap_all(before.to_vec(), []).clone()),
            ("a swap of other heads for none", with_block.clone().swap_all([head("other")], []).clone()),
            ("an update to no head, alone", WriteBatch::new().update_all([], before.to_vec()).clone()),
        ] {
            saw(format_args!("commit of {what}"), store.commit(&batch)).refused(ErrorKind::InvalidArgument)?;
            heads_are(&*store, before, format_args!("after a refused commit of {what}"))?;
            lists(&*store, &[], &format!("after a refused commit of {what}"))?;
        }
        Ok(())
    };
    refused(&[])?;
    let some = heads("head", 2);
    for cid in &some {
        update(&*store, cid, &[])?;
    }
    refused(&some)?;
    update(&*store, &head("later"), &[])?;
    Ok(())
}

pub(crate) fn commit_takes_thousands_of_heads(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let all = case.in_time(THOUSANDS);
    let of_every_kind = |label: &str| -> Vec<Cid> {
        let near = near_codecs(label.as_bytes());
        let kinds = near.into_iter().chain([v0_cid(label.as_bytes()), identity_cid(RAW, label.as_bytes())]);
        kinds.chain(heads(label, all)).take(all).collect()
    };
    let (first, second) = (of_every_kind("first"), of_every_kind("second"));
    commit(&*store, "an update to 4,000 heads", WriteBatch::new().update_all(first.clone(), []))?;
    many_heads_are(&*store, &first, "after an update to 4,000 heads")?;
    let half = all / 2;
    let superseded = [&first[half..], &heads("never a head", half)].concat();
    commit(&*store, "an update that supersedes 2,000 of them", WriteBatch::new().update_all([second[0]], superseded))?;
    many_heads_are(
        &*store,
        &[&first[..half], &second[..1]].concat(),
        "after an update that supersedes 2,000 of 4,000",
    )?;
    let mut expected = [&first[..half], &second[..1]].concat();
    expected.reverse();
    for other in [vec![second[0]], expected[1..].to_vec()] {
        let did = format!("commit of a swap that expects {} of 2,001 heads", other.len());
        let refused = store.commit(WriteBatch::new().swap_all(other, [head("never")]));
        let error = saw(&did, refused).refused(ErrorKind::HeadsMoved)?;
        let found = if let StoreError::HeadsMoved { actual } = &error { actual.as_slice() } else { &[] };
        let mut sorted = expected.clone();
        sorted.sort();
        ensure(found == sorted, &did, "all heads in the error, ascending", format_args!("{} heads", found.len()))?;
    }
    commit(&*store, "a swap of 2,001 heads for 4,000", WriteBatch::new().swap_all(expected, second.clone()))?;
    many_heads_are(&*store, &second, "after a swap of 2,001 heads for 4,000")?;
    update(&*store, &head("one"), &second)?;
    heads_are(&*store, &[head("one")], "after an update of one that supersedes 4,000")?;
    Ok(())
}

pub(crate) fn sets_of_heads_survive_reopen(case: &mut Case) -> LawResult {
    let (first, second) = (heads("first", 2500), heads("second", 3));
    commit(&*case.store()?, "an update to 2,500 heads", WriteBatch::new().update_all(first.clone(), []))?;
    case.drop_and_open()?;
    many_heads_are(
        &*case.heads()?,
        &first,
        "after an update to 2,500 heads, a drop without close() and opening again",
    )?;
    commit(&*case.store()?, "a swap of 2,500 heads for three", WriteBatch::new().swap_all(first, second.clone()))?;
    case.reopen()?;
    heads_are(&*case.heads()?, &second, "after a swap of 2,500 heads for three, and reopening")?;
    Ok(())
}

pub(crate) fn new_heads_of_a_commit_are_seen_as_one_step(case: &mut Case) -> LawResult {
    let store = case.store()?;
    update(&*store, &head("base"), &[])?;
    // Many heads once, so that the change takes long; then few heads more often, so that changes begin at different
    // moments of the watcher.
    for (round, n) in [500, 25, 25, 25].into_iter().enumerate() {
        let before = saw("heads()", store.heads()).ok()?;
        let new = heads(&format!("new of round {round}"), n);
        let change = || match round % 2 {
            0 => HeadChange::Update { new: new.clone(), supersedes: before.clone() },
            _ => HeadChange::Swap { expected: before.clone(), new: new.clone() },
        };
        let mut after = new.clone();
        after.sort();
        let look = || {
            let seen = saw("heads()", store.heads()).ok()?;
            let whole = seen == before || seen == after;
            let did = format_args!("heads() while one commit replaces {} heads by {n}", before.len());
            ensure(
                whole,
                did,
                "all of the old heads, or all of the new",
                format_args!("{} heads: {}", seen.len(), examples(&seen)),
            )
        };
        watched(|| commit(&*store, "several heads", WriteBatch::new().change_heads(change())), look)?;
    }
    Ok(())
}

/// The old heads, and the batches that replace them with the new ones.
fn replacements(old: &[Cid], new: &[Cid]) -> [WriteBatch; 2] {
    let (old, new) = (old.iter().copied(), new.iter().copied());
    [WriteBatch::new().update_all(new.clone(), old.clone()).clone(), WriteBatch::new().swap_all(old, new).clone()]
}

pub(crate) fn failed_commit_lands_all_new_heads_or_none(case: &mut Case) -> LawResult {
    let (old, new) = (heads("old", 2), heads("new", 3));
    for batch in replacements(&old, &new) {
        at_every_failure(
            case,
            true,
            |case| old.iter().try_for_each(|cid| update(&*case.heads()?, cid, &[])),
            |case| Ok(case.store()?.commit(&batch)),
            |case, fault, result| {
                let did = format_args!("commit of three heads for two that met {fault:?}");
                old_or_new(&*case.heads()?, &old, &new, did, &result).map(drop)
            },
        )?;
    }
    Ok(())
}

pub(crate) fn heads_of_a_commit_survive_a_power_cut_together(case: &mut Case) -> LawResult {
    let (old, new) = (heads("old", 2), heads("new", 3));
    for batch in replacements(&old, &new) {
        at_every_point(
            case,
            |case| old.iter().try_for_each(|cid| update(&*case.heads()?, cid, &[])),
            |case| Ok(case.store()?.commit(&batch)),
            |case, operations, result| {
                let did = format_args!("cut the power {operations} operations into a commit of three heads for two");
                old_or_new(&*case.heads()?, &old, &new, did, &result).map(drop)
            },
        )?;
    }
    let new = heads("one of many", case.in_short(1500));
    for batch in replacements(&old, &new) {
        at_few(|operations| {
            let mut case = case.fresh()?;
            old.iter().try_for_each(|cid| update(&*case.heads()?, cid, &[]))?;
            case.cut_power_after(operations.into())?;
            let result = case.store()?.commit(&batch);
            case.drop_and_open()?;
            let did = format!("cut the power {operations} operations into a commit of {} heads for two", new.len());
            let seen = saw("heads()", case.heads()?.heads()).ok()?.len();
            let whole = seen == new.len() || (result.is_err() && seen == old.len());
            ensure(whole, did, "all of the new heads or, unless acknowledged, the old", format_args!("{seen} heads"))?;
            Ok(result.is_ok())
        })?;
    }
    Ok(())
}
