//! The laws. Each takes an empty store and reports the first violation.

use std::sync::Arc;

use mnem_store_traits::{Bytes, Cid, ErrorKind, RAW, SideTable, Store, StoreError, cid_of};

use super::{
    LawResult,
    cut::Cut,
    data::{nodes, root, several_parts, shapes, small},
};
use crate::{
    Format, KnnEdge, KnnEdgeIndex, NodeId, TABLE, delete, list, load, open, store, store_row, store_streamed,
    unfinished,
};

fn table(of: &dyn Store) -> Result<Arc<dyn SideTable>, StoreError> {
    of.side_table(TABLE)
}

/// Fails with this message unless `holds`.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> LawResult {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// All keys and values of the table.
fn rows(table: &dyn SideTable) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
    let keys = table.keys(&[])?.collect::<Result<Vec<_>, _>>()?;
    let value = |key: Bytes| Ok(table.get(&key)?.map(|value| (key, value)));
    keys.into_iter().filter_map(|key| value(key).transpose()).collect()
}

fn loads(table: &dyn SideTable, cid: &Cid, index: &KnnEdgeIndex, when: &str) -> LawResult {
    let loaded = load(table, cid)?;
    let same = loaded.as_ref().is_some_and(|loaded| loaded == index && same_bits(loaded.edges(), index.edges()));
    ensure(same, || format!("{when}: loading {cid} gave {}", if loaded.is_some() { "another index" } else { "none" }))
}

fn same_bits(a: &[KnnEdge], b: &[KnnEdge]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b && a.weight.to_bits() == b.weight.to_bits())
}

/// An index of any shape is loaded as it was stored, under its own CID and no other.
pub fn what_is_stored_is_loaded(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    for (shape, index) in shapes() {
        ensure(load(&*table, &index.compute_cid())?.is_none(), || format!("{shape}: there before it was stored"))?;
        let cid = store(&*table, &index)?;
        ensure(cid == index.compute_cid(), || format!("{shape}: stored under {cid}"))?;
        loads(&*table, &cid, &index, shape)?;
    }
    let other = cid_of(RAW, b"no index");
    ensure(load(&*table, &other)?.is_none() && open(table, &other)?.is_none(), || "an index nobody stored".into())
}

/// Storing an index again, from memory or streamed, leaves every row unchanged.
pub fn storing_again_changes_nothing(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    for (shape, index) in shapes() {
        store(&*table, &index)?;
        let before = rows(&*table)?;
        store(&*table, &index)?;
        ensure(rows(&*table)? == before, || format!("{shape}: stored twice"))?;
        let streamed = store_streamed(&*table, &index)?;
        ensure(streamed == index.compute_cid() && rows(&*table)? == before, || format!("{shape}: streamed"))?;
    }
    Ok(())
}

/// An index is the same in either format, and changing the format leaves no row of the other.
pub fn both_formats_hold_the_same(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    for (shape, index) in shapes() {
        let cid = store_row(&*table, &index)?;
        let row = rows(&*table)?;
        ensure(row.len() == 1 && row[0].1 == index.canonical_bytes(), || format!("{shape}: one row in format 1"))?;
        loads(&*table, &cid, &index, "format 1")?;
        store(&*table, &index)?;
        loads(&*table, &cid, &index, "format 2 after 1")?;
        store_row(&*table, &index)?;
        ensure(rows(&*table)? == row, || format!("{shape}: parts were left behind"))?;
        delete(&*table, &cid)?;
    }
    Ok(())
}

/// The lazy reader agrees with the index: counts, edges of every node, all edges.
pub fn a_reader_agrees_with_the_index(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    for (shape, index) in shapes() {
        for format in [Format::Packed, Format::Row] {
            let cid = if format == Format::Packed { store(&*table, &index)? } else { store_row(&*table, &index)? };
            let reader = open(table.clone(), &cid)?.ok_or("it was just stored")?;
            let numbers = (reader.cid(), reader.root_cid(), reader.k(), reader.metric(), reader.format());
            ensure(numbers == (&cid, index.root_cid(), index.k(), index.metric(), format), || {
                format!("{shape}: {numbers:?}")
            })?;
            ensure(reader.len() == index.edges().len() as u64, || format!("{shape}: {} edges", reader.len()))?;
            let all = reader.edges()?.collect::<Result<Vec<_>, _>>()?;
            ensure(same_bits(&all, index.edges()), || format!("{shape}: other edges in the stream"))?;
            let nodes = nodes(&index);
            // All nodes of a small index; of a large one, the nodes beside page and chunk boundaries, and some between.
            let step = nodes.len() / 300 + 1;
            let some = nodes.iter().copied().enumerate().filter(|(at, _)| at % step == 0 || at % 500 < 2);
            let others = [NodeId([0; 16]), NodeId([0xff; 16]), NodeId([0x5a; 16])];
            for node in some.map(|(_, node)| node).chain(index.edges().first().map(|edge| edge.src)).chain(others) {
                let from = index.edges().partition_point(|edge| edge.src < node);
                let to = index.edges().partition_point(|edge| edge.src <= node);
                let found = reader.neighbors(&node)?;
                ensure(same_bits(&found, &index.edges()[from..to]), || format!("{shape}: other edges of {node}"))?;
            }
            reader.check()?;
        }
    }
    Ok(())
}

/// A listing returns each index once, ascending, and no parts.
pub fn a_listing_names_each_index_once(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    let mut expected = Vec::new();
    for (at, (_, index)) in shapes().into_iter().enumerate() {
        expected.push(if at % 2 == 0 { store(&*table, &index)? } else { store_row(&*table, &index)? });
    }
    expected.sort_by_key(Cid::to_bytes);
    let listed = list(&*table)?.collect::<Result<Vec<_>, _>>()?;
    ensure(listed == expected, || format!("listed {listed:?}, stored {expected:?}"))?;
    ensure(unfinished(&*table)?.is_empty(), || "whole indexes are unfinished".into())
}

/// Deleting removes every key of an index and no key of another; deleting an absent index is `Ok`.
pub fn deleting_leaves_no_key(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    let (kept, gone) = (store(&*table, &small())?, several_parts());
    let before = rows(&*table)?;
    let cid = store(&*table, &gone)?;
    for _ in 0..2 {
        delete(&*table, &cid)?;
        ensure(load(&*table, &cid)?.is_none(), || "still there".into())?;
        ensure(rows(&*table)? == before, || "deleting left keys, or took others".into())?;
    }
    delete(&*table, &root())?;
    loads(&*table, &kept, &small(), "beside what was deleted")?;
    delete(&*table, &kept)?;
    ensure(!store_under_test.side_tables()?.iter().any(|name| name == TABLE), || {
        "the table has no key, and is there".into()
    })
}

/// Wherever storing or deleting stops, the index is complete or absent. Storing again completes it, and deleting again
/// removes it.
pub fn a_stop_at_any_key_leaves_no_half_index(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    let index = several_parts();
    let cid = store(&*table, &index)?;
    let whole = rows(&*table)?;
    for keys in 0..whole.len() {
        delete(&*table, &cid)?;
        let stopped = store(&Cut::after(keys, &table), &index);
        ensure(stopped.is_err(), || format!("{keys} keys of {} are no index", whole.len()))?;
        ensure(load(&*table, &cid)?.is_none(), || format!("visible after {keys} keys"))?;
        let left = unfinished(&*table)?;
        ensure(left == if keys == 0 { vec![] } else { vec![cid] }, || {
            format!("unfinished after {keys} keys: {left:?}")
        })?;
        store(&*table, &index)?;
        ensure(rows(&*table)? == whole, || format!("not completed after {keys} keys"))?;
        ensure(delete(&Cut::after(keys, &table), &cid).is_err(), || "deleted with fewer keys than there are".into())?;
        if keys == 0 {
            loads(&*table, &cid, &index, "deleting stopped before it began")?;
        } else {
            ensure(load(&*table, &cid)?.is_none(), || format!("visible, and {keys} of its keys are gone"))?;
        }
        delete(&*table, &cid)?;
        ensure(rows(&*table)?.is_empty(), || "deleting again left keys".into())?;
        store(&*table, &index)?;
    }
    Ok(())
}

/// A flipped bit in any row never changes an edge that is returned, and storing again repairs the row.
pub fn damage_is_never_a_wrong_edge(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    let index = several_parts();
    let cid = store(&*table, &index)?;
    let whole = rows(&*table)?;
    for (key, value) in &whole {
        // Some places: at the start, in every column, at the end.
        let places =
            [0, 4, 9, 20].into_iter().chain((30..value.len()).step_by(value.len() / 8 + 1)).chain([value.len() - 1]);
        for at in places {
            let mut flipped = value.to_vec();
            flipped[at] ^= 1 << (at % 8);
            table.write(&[(key.clone(), Bytes::from(flipped))], &[])?;
            is_damaged(&table, &cid, &index, || format!("byte {at} of key {:02x?}", &key[..]))?;
            table.write(&[(key.clone(), value.clone())], &[])?;
        }
        table.write(&[(key.clone(), Bytes::from_static(b"damaged"))], &[])?;
        store(&*table, &index)?;
        ensure(rows(&*table)? == whole, || format!("key {:02x?} was not healed", &key[..]))?;
    }
    Ok(())
}

/// A missing part of an index that has a manifest is damage, and storing again repairs it.
pub fn a_missing_part_is_damage(store_under_test: &dyn Store) -> LawResult {
    let table = table(store_under_test)?;
    let index = several_parts();
    let cid = store(&*table, &index)?;
    let whole = rows(&*table)?;
    for (key, _) in whole.iter().filter(|(key, _)| key[..] != cid.to_bytes()) {
        table.write(&[], std::slice::from_ref(key))?;
        is_damaged(&table, &cid, &index, || format!("without key {:02x?}", &key[..]))?;
        store(&*table, &index)?;
        ensure(rows(&*table)? == whole, || format!("key {:02x?} was not healed", &key[..]))?;
    }
    Ok(())
}

/// Loading and checking report the damage; reading in parts reports it, or returns what was stored.
fn is_damaged(table: &Arc<dyn SideTable>, cid: &Cid, index: &KnnEdgeIndex, what: impl Fn() -> String) -> LawResult {
    let told = |result: Result<(), StoreError>| match result {
        Ok(()) => Err(format!("{}: not seen", what())),
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::UnsupportedFormat) => Ok(()),
        Err(error) => Err(format!("{}: {error}", what())),
    };
    told(load(&**table, cid).map(drop))?;
    let reader = match open(table.clone(), cid) {
        Ok(reader) => reader.ok_or_else(|| format!("{}: no index", what()))?,
        Err(error) => return Ok(told(Err(error))?),
    };
    told(reader.check())?;
    for edges in index.edges().chunk_by(|a, b| a.src == b.src).step_by(23) {
        match reader.neighbors(&edges[0].src) {
            Ok(found) => ensure(same_bits(&found, edges), || format!("{}: other edges", what()))?,
            Err(error) => told(Err(error))?,
        }
    }
    Ok(())
}
