//! Writes of every shape: whether a store syncs must not depend on the last part of a write.

use bytes::Bytes;
use cid::Cid;

use crate::{
    ErrorKind, HeadChange, RAW, WriteBatch,
    conformance::{
        Claim, Failure, Profile,
        case::Case,
        data::{
            Block, blake3_cid, block, cid_v1, heads, identity_block, identity_cid, near_codecs, one_text, sized,
            uncheckable_cids, unknown_hash_cid, v0_cid,
        },
        expect::{heads_are, holds, lists, put_many, saw},
        failure::LawResult,
        ways::Write,
    },
};

/// Above what a store is likely to keep beside small blocks.
const LARGE: usize = 100 * 1024;

pub(crate) fn writes_of_every_shape_survive_a_power_cut(case: &mut Case) -> LawResult {
    batches_survive(case)?;
    if case.has(Profile::SideTables) {
        rows_survive(case)?;
    }
    if case.has(Profile::Heads) && case.claims(Claim::HeadsSurvivePower) {
        heads_survive(case)?;
    }
    Ok(())
}

/// Loses whatever was not synced.
fn cut_the_power(case: &mut Case) -> Result<(), Failure> {
    case.cut_power_after(0)?;
    case.drop_and_open()
}

pub(crate) fn every_kind_of_content_survives_a_power_cut(case: &mut Case) -> LawResult {
    let mut checked = one_text();
    checked.extend([identity_block(""), sized(0), sized(1), block("last")]);
    let unchecked = uncheckable_cids().into_iter().map(|cid| Block { cid, data: Bytes::from_static(b"unchecked") });
    let mut unchecked: Vec<Block> = unchecked.collect();
    let text = b"a head";
    let mut kinds = vec![v0_cid(text), identity_cid(RAW, text), blake3_cid(RAW, text), cid_v1(RAW, 0x12, &[7; 20])];
    kinds.extend([identity_cid(RAW, b""), unknown_hash_cid(1)]);
    kinds.extend(near_codecs(text));
    kinds.sort();
    let rows = [
        (Bytes::from_static(b"\0"), Bytes::new()),
        (Bytes::from_static(b"a\0b"), Bytes::from_static(b"\0")),
        (Bytes::from(vec![0xff; 100]), Bytes::from_static(b"of the longest key")),
    ];
    let (heads, tables) =
        (case.has(Profile::Heads) && case.claims(Claim::HeadsSurvivePower), case.has(Profile::SideTables));
    put_many(&*case.blocks()?, &checked)?;
    let store = case.blocks()?;
    for block in std::mem::take(&mut unchecked) {
        match store.put_trusted(&block.cid, block.data.clone()) {
            // A store may refuse what it cannot check.
            Err(error) if error.kind() == ErrorKind::UnsupportedHash => {}
            put => {
                saw(format_args!("put_trusted of {block}"), put).ok()?;
                unchecked.push(block);
            }
        }
    }
    drop(store);
    if heads {
        kinds.iter().try_for_each(|head| saw("update", case.heads()?.update(head, &[])).ok())?;
    }
    if tables {
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        saw("write", table.write(&rows, &[])).ok()?;
    }
    // Each cut leaves another state of a write for the recovery to find.
    for operations in 0..5 {
        case.cut_power_after(operations)?;
        let cut = block(&format!("put that was cut {operations} operations in"));
        // The power is cut within this put, or right after it.
        let _ = case.blocks()?.put(&cut.cid, cut.data);
        case.drop_and_open()?;
        let when = format!("after the power was cut {operations} operations into a put of another block");
        let store = case.blocks()?;
        checked.iter().chain(&unchecked).try_for_each(|block| holds(&*store, block, &when))?;
        drop(store);
        if heads {
            heads_are(&*case.heads()?, &kinds, &when)?;
        }
        if tables {
            saw(format_args!("side_tables() {when}"), case.store()?.side_tables()).is(vec!["table".into()])?;
            let table = saw("side_table", case.store()?.side_table("table")).ok()?;
            for (key, value) in &rows {
                saw(format_args!("get of the row {key:?} {when}"), table.get(key)).is(Some(value.clone()))?;
            }
        }
    }
    Ok(())
}

/// Batches of large, small and empty blocks, in every order.
fn batches_survive(case: &Case) -> Result<(), Failure> {
    let (large, other) = (sized(LARGE), sized(LARGE + 1));
    let (small, empty) = (block("small"), sized(0));
    let shapes = [
        vec![large.clone(), small.clone()],
        vec![small.clone(), large.clone()],
        vec![small.clone(), large.clone(), empty.clone()],
        vec![large, other],
        vec![empty, small],
    ];
    let ways = Write::ALL.into_iter().filter(|way| way.adds_blocks() && way.is_batch() && way.is_offered(case));
    for way in ways.filter(|way| way.durable_by().iter().all(|claim| case.claims(*claim))) {
        for shape in &shapes {
            let mut case = case.fresh()?;
            let sizes: Vec<usize> = shape.iter().map(|block| block.data.len()).collect();
            let did = format!("{way} of blocks of {sizes:?} bytes");
            saw(&did, way.put(case.handles(), shape)?).ok()?;
            cut_the_power(&mut case)?;
            let store = case.blocks()?;
            shape.iter().try_for_each(|block| holds(&*store, block, &format!("after {did} and a power cut")))?;
            drop(store);
        }
    }
    delete_of_some_survives(&mut case.fresh()?)
}

/// Some of the blocks to delete were never there.
fn delete_of_some_survives(case: &mut Case) -> Result<(), Failure> {
    let all: Vec<Block> = ["gone", "kept"].map(block).to_vec();
    put_many(&*case.blocks()?, &all)?;
    for cids in [[all[0].cid, block("absent").cid], [block("absent").cid, all[0].cid]] {
        put_many(&*case.blocks()?, &all)?;
        let did = "delete_many of a block and an absent one";
        saw(did, Write::DeleteMany.remove(case.handles(), &cids)?).ok()?;
        cut_the_power(case)?;
        lists(&*case.blocks()?, &[all[1].cid], &format!("after a {did} and a power cut"))?;
    }
    Ok(())
}

fn row(key: &'static str, value: &'static str) -> (Bytes, Bytes) {
    (Bytes::from_static(key.as_bytes()), Bytes::from_static(value.as_bytes()))
}

fn rows_survive(case: &Case) -> Result<(), Failure> {
    let key = |key: &'static str| Bytes::from_static(key.as_bytes());
    type Shape = (&'static str, Vec<(Bytes, Bytes)>, Vec<Bytes>, Vec<(Bytes, Bytes)>);
    let shapes: [Shape; 5] = [
        ("deletes one row", vec![], vec![key("a")], vec![row("b", "old")]),
        ("deletes every row", vec![], vec![key("a"), key("b")], vec![]),
        ("replaces a value", vec![row("a", "new")], vec![], vec![row("a", "new"), row("b", "old")]),
        ("empties a value", vec![row("b", "")], vec![], vec![row("a", "old"), row("b", "")]),
        (
            "puts and deletes",
            vec![row("c", "new"), row("a", "new")],
            vec![key("a")],
            vec![row("b", "old"), row("c", "new")],
        ),
    ];
    for (what, puts, deletes, expected) in shapes {
        let mut case = case.fresh()?;
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        saw("write of two rows", table.write(&[row("a", "old"), row("b", "old")], &[])).ok()?;
        saw(format_args!("write that {what}"), table.write(&puts, &deletes)).ok()?;
        drop(table);
        cut_the_power(&mut case)?;
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        let rows = table.keys(b"").and_then(|keys| {
            keys.map(|key| key.and_then(|key| Ok((table.get(&key)?.unwrap_or_default(), key))))
                .collect::<Result<Vec<_>, _>>()
        });
        let rows = rows.map(|rows| rows.into_iter().flat_map(|(value, key)| [key, value]).collect::<Vec<Bytes>>());
        let expected: Vec<Bytes> = expected.into_iter().flat_map(|(key, value)| [key, value]).collect();
        saw(format_args!("the rows after a write that {what} and a power cut"), rows).is(expected)?;
    }
    Ok(())
}

fn heads_survive(case: &Case) -> Result<(), Failure> {
    let all = heads("head", 4);
    let [a, b, c, d]: [Cid; 4] = all.try_into().unwrap_or_default();
    let update =
        |new: &[Cid], supersedes: &[Cid]| HeadChange::Update { new: new.to_vec(), supersedes: supersedes.to_vec() };
    let swap = |new: &[Cid]| HeadChange::Swap { expected: vec![a, b, c], new: new.to_vec() };
    let shapes = [
        ("an update to a head that is there, superseding another", update(&[a], &[b]), vec![a, c]),
        ("an update to a head that is there, superseding all", update(&[c], &[a, b, c]), vec![c]),
        ("an update to a new head, superseding none", update(&[d], &[]), vec![a, b, c, d]),
        ("a swap to one of three heads", swap(&[b]), vec![b]),
        ("an update to two heads that are there, superseding the third", update(&[a, b], &[c]), vec![a, b]),
        ("a swap to two of three heads", swap(&[a, c]), vec![a, c]),
    ];
    for (what, change, expected) in shapes {
        for alone in [true, false] {
            let mut case = case.fresh()?;
            let store = case.heads()?;
            [a, b, c].iter().try_for_each(|head| saw("update", store.update(head, &[])).ok())?;
            let did = match (&change, alone) {
                (HeadChange::Update { new, supersedes }, true) if new.len() == 1 => store.update(&new[0], supersedes),
                (HeadChange::Swap { expected, new }, true) if new.len() == 1 => store.swap(expected, &new[0]),
                (change, false) if case.has(Profile::Store) => {
                    case.store()?.commit(WriteBatch::new().change_heads(change.clone()))
                }
                _ => continue,
            };
            drop(store);
            let what = format!("{what}{}", if alone { "" } else { ", in a commit" });
            saw(&what, did).ok()?;
            cut_the_power(&mut case)?;
            heads_are(&*case.heads()?, &expected, format_args!("after {what} and a power cut"))?;
        }
    }
    Ok(())
}
