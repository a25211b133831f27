//! Changing heads one by one.

use cid::Cid;

use crate::{
    DAG_CBOR, OpHeadsStore, RAW,
    conformance::{
        case::Case,
        data::{blake3_cid, cid_v1, head, heads, identity_cid, near_codecs, unknown_hash_cid, v0_cid},
        expect::{heads_are, saw, update},
        failure::LawResult,
    },
};

pub(crate) fn new_store_has_no_heads(case: &mut Case) -> LawResult {
    heads_are(&*case.heads()?, &[], "of a new store")?;
    Ok(())
}

pub(crate) fn update_adds_a_head(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b) = (head("a"), head("b"));
    update(&*store, &a, &[])?;
    heads_are(&*store, &[a], "after the first update")?;
    update(&*store, &b, &[])?;
    heads_are(&*store, &[a, b], "after an update that supersedes nothing")?;
    Ok(())
}

pub(crate) fn update_removes_every_superseded_head(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let old = heads("old", 5);
    for cid in &old {
        update(&*store, cid, &[])?;
    }
    let (x, y) = (head("x"), head("y"));
    update(&*store, &x, &[old[3], old[0], old[2]])?;
    heads_are(&*store, &[old[1], old[4], x], "after an update that supersedes three of five heads")?;
    update(&*store, &y, &[old[4], x, old[1]])?;
    heads_are(&*store, &[y], "after an update that supersedes all heads")?;
    Ok(())
}

pub(crate) fn update_takes_hundreds_of_superseded_heads(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let old = heads("old", 40);
    for cid in &old {
        update(&*store, cid, &[])?;
    }
    heads_are(&*store, &old, "after 40 updates that supersede nothing")?;
    let mut supersedes = heads("never a head", 500);
    supersedes.extend(&old[1..]);
    update(&*store, &head("new"), &supersedes)?;
    heads_are(&*store, &[old[0], head("new")], "after an update that supersedes 39 of 40 heads, and names 500 others")?;
    Ok(())
}

pub(crate) fn heads_are_sorted_and_unique(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    // These CIDs differ in version, codec, hash function and digest length, so that any order other than that of `Cid`
    // shows.
    let mut all = heads("head", 12);
    all.extend([v0_cid(b"v0"), v0_cid(b"another"), crate::cid_of(RAW, b"raw"), blake3_cid(DAG_CBOR, b"blake3")]);
    // Codecs of several bytes, which sort differently from their encodings.
    all.extend([0x0200, 0x0129, 0x0401, 0x0301_0080].map(|codec| crate::cid_of(codec, b"codec")));
    all.extend([identity_cid(RAW, b""), identity_cid(RAW, b"longer"), identity_cid(RAW, b"z"), unknown_hash_cid(1)]);
    for (i, cid) in all.iter().enumerate() {
        update(&*store, cid, &[])?;
        heads_are(&*store, &all[..=i], format_args!("after {} updates", i + 1))?;
    }
    Ok(())
}

pub(crate) fn new_head_named_in_supersedes_stays(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b, c) = (head("a"), head("b"), head("c"));
    update(&*store, &a, &[a])?;
    heads_are(&*store, &[a], "after update(a, superseding a) of an empty set")?;
    update(&*store, &a, &[a])?;
    heads_are(&*store, &[a], "after update(a, superseding a) once more")?;
    update(&*store, &b, &[])?;
    update(&*store, &b, &[a, b])?;
    heads_are(&*store, &[b], "after update(b, superseding a and b)")?;
    update(&*store, &c, &[c, b])?;
    heads_are(&*store, &[c], "after update(c, superseding c and b)")?;
    Ok(())
}

pub(crate) fn unknown_superseded_ids_are_ignored(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b) = (head("a"), head("b"));
    update(&*store, &a, &[head("never there")])?;
    heads_are(&*store, &[a], "after a first update that supersedes an unknown id")?;
    update(&*store, &b, &[head("nor this"), a, head("nor that")])?;
    heads_are(&*store, &[b], "after an update that supersedes a head and two unknown ids")?;
    update(&*store, &a, &[head("nor this")])?;
    heads_are(&*store, &[a, b], "after an update that supersedes only an unknown id")?;
    Ok(())
}

pub(crate) fn superseded_head_may_come_back(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b) = (head("a"), head("b"));
    for round in 0..3 {
        update(&*store, &a, &[b])?;
        heads_are(&*store, &[a], format_args!("after a superseded b, round {round}"))?;
        update(&*store, &b, &[a])?;
        heads_are(&*store, &[b], format_args!("after b superseded a, round {round}"))?;
    }
    update(&*store, &a, &[])?;
    heads_are(&*store, &[a, b], "after a came back beside b")?;
    Ok(())
}

pub(crate) fn repeated_update_changes_nothing(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let (a, b) = (head("a"), head("b"));
    update(&*store, &a, &[])?;
    for _ in 0..2 {
        update(&*store, &b, &[a, a, a])?;
        heads_are(&*store, &[b], "after an update that names what it supersedes three times")?;
    }
    update(&*store, &b, &[])?;
    heads_are(&*store, &[b], "after an update to a head that is current")?;
    Ok(())
}

pub(crate) fn heads_are_whole_cids(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let data = b"one digest";
    let v0 = v0_cid(data);
    let mut all = vec![v0, Cid::new_v1(0x70, *v0.hash()), crate::cid_of(DAG_CBOR, data), blake3_cid(RAW, data)];
    all.extend(near_codecs(data));
    // Digests of the greatest length that differ in their last byte.
    all.extend([1, 2].map(|last| cid_v1(RAW, 0x13, &[[7; 63].as_slice(), &[last]].concat())));
    for cid in &all {
        update(&*store, cid, &[])?;
    }
    heads_are(&*store, &all, "that differ in one part of their CIDs")?;
    for (i, cid) in all.iter().enumerate() {
        let other = crate::cid_of(0x0129, data);
        update(&*store, &other, &[*cid])?;
        let mut left = all[i + 1..].to_vec();
        left.push(other);
        heads_are(&*store, &left, format_args!("after {cid} was superseded, and no other CID with its digest"))?;
    }
    Ok(())
}

pub(crate) fn heads_need_no_block(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let ids = [head("no block has this CID"), v0_cid(b"nor this"), identity_cid(RAW, b"nor this"), unknown_hash_cid(4)];
    for cid in ids {
        update(&*store, &cid, &[])?;
    }
    heads_are(&*store, &ids, "without blocks")?;
    Ok(())
}

pub(crate) fn heads_capabilities_are_constant(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let claimed = store.heads_capabilities();
    update(&*store, &head("a"), &[])?;
    saw("heads_capabilities() after an update", Ok(OpHeadsStore::heads_capabilities(&*store))).is(claimed)?;
    Ok(())
}
