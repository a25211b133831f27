//! Reading one block.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::{
    conformance::{
        case::Case,
        data::{Block, SIZES, block, blocks, identity_block, sized, uncheckable_cids},
        expect::{ensure, holds, lacks, put, put_many, saw},
        failure::LawResult,
    },
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

pub(crate) fn absent_is_none(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    lacks(&*store, &block("absent").cid, "in an empty store")?;
    put(&*store, &block("present"))?;
    lacks(&*store, &block("absent").cid, "beside another block")?;
    Ok(())
}

pub(crate) fn put_then_get_returns_the_bytes(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", 20);
    for block in &all {
        put(&*store, block)?;
        holds(&*store, block, "after its put")?;
    }
    for block in &all {
        holds(&*store, block, "after other puts")?;
    }
    Ok(())
}

pub(crate) fn blocks_of_every_size_are_returned_whole(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = SIZES.map(sized);
    for block in &all {
        put(&*store, block)?;
    }
    for (block, size) in all.iter().zip(SIZES) {
        holds(&*store, block, &format!("of a block of {size} bytes"))?;
    }
    Ok(())
}

pub(crate) fn unknown_hash_is_returned_as_stored(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    for cid in uncheckable_cids() {
        let unknown = Block { cid, data: Bytes::from_static(b"what no digest here can check") };
        if store.put_trusted(&unknown.cid, unknown.data.clone()).is_err() {
            lacks(&*store, &unknown.cid, "after put_trusted refused a digest that cannot be checked")?;
        } else {
            holds(&*store, &unknown, "after put_trusted under a digest that cannot be checked")?;
        }
    }
    Ok(())
}

pub(crate) fn bytes_handed_out_never_change(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (kept, deleted) = (sized(4096), sized(65_536));
    put(&*store, &kept)?;
    put(&*store, &deleted)?;
    let kept_bytes = saw(format_args!("get({})", kept.cid), store.get(&kept.cid)).ok()?;
    let deleted_bytes = saw(format_args!("get({})", deleted.cid), store.get(&deleted.cid)).ok()?;
    saw("delete of a block whose bytes are held", store.delete(&deleted.cid)).ok()?;
    put_many(&*store, &blocks("written over freed space", 50))?;
    put(&*store, &sized(65_535))?;
    saw("bytes held since before other blocks were written", Ok(kept_bytes)).is(Some(kept.data))?;
    saw("bytes held since before their block was deleted", Ok(deleted_bytes)).is(Some(deleted.data))?;
    Ok(())
}

pub(crate) fn has_and_size_agree_with_get(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = [sized(0), sized(1), sized(255), sized(256), sized(65_536), identity_block("named by itself")];
    for block in &all {
        lacks(&*store, &block.cid, "before its put")?;
        put(&*store, block)?;
        holds(&*store, block, "after its put")?;
    }
    Ok(())
}

pub(crate) fn with_block_lends_what_get_returns(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    for block in [sized(0), sized(100), sized(70_000)] {
        put(&*store, &block)?;
        let mut lent = Vec::new();
        let found = store.with_block(&block.cid, &mut |data| lent.push(Bytes::copy_from_slice(data)));
        saw(format_args!("with_block of {block}"), found).is(true)?;
        saw(format_args!("the bytes lent by with_block of {block}"), Ok(lent)).is(vec![block.data.clone()])?;
    }
    Ok(())
}

pub(crate) fn with_block_is_not_called_for_absent(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let mut calls = 0_usize;
    saw("with_block of an absent block", store.with_block(&block("absent").cid, &mut |_| calls += 1)).is(false)?;
    saw("calls of the callback for an absent block", Ok(calls)).is(0)?;
    Ok(())
}

pub(crate) fn with_block_callback_may_use_the_store(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (inner, other) = (block("put by the callback"), block("read by the callback"));
    put(&*store, &other)?;
    // A large block may be lent where a small one is copied.
    for outer in [block("outer"), sized(2 << 20)] {
        put(&*store, &outer)?;
        let mut result = Ok(());
        let found = store.with_block(&outer.cid, &mut |_| {
            result = holds(&*store, &other, "inside a callback of with_block").and_then(|()| put(&*store, &inner));
        });
        saw(format_args!("with_block of {outer}"), found).is(true)?;
        result?;
        holds(&*store, &inner, "after a callback of with_block put it")?;
        saw("delete", store.delete(&inner.cid)).ok()?;
    }
    Ok(())
}

pub(crate) fn panicking_callback_leaves_the_store_usable(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (first, second) = (block("first"), block("second"));
    put(&*store, &first)?;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.with_block(&first.cid, &mut |_| std::panic::panic_any("the law's own callback panics"))
    }));
    ensure(panicked.is_err(), "with_block with a callback that panics", "the panic to reach the caller", "no panic")?;
    holds(&*store, &first, "after a callback panicked")?;
    put(&*store, &second)?;
    holds(&*store, &second, "put after a callback panicked")?;
    Ok(())
}

pub(crate) fn capabilities_are_at_least_the_weakest(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let claimed = store.capabilities();
    ensure(
        claimed.block_bytes_max >= BLOCK_BYTES_EVERY_BACKEND,
        "capabilities().block_bytes_max",
        format_args!("at least {BLOCK_BYTES_EVERY_BACKEND}"),
        claimed.block_bytes_max,
    )?;
    ensure(
        claimed.side_tables || !claimed.atomic_side_table_writes,
        "capabilities()",
        "side_tables wherever atomic_side_table_writes is claimed",
        "atomic_side_table_writes without side_tables",
    )?;
    put(&*store, &block("any"))?;
    saw("capabilities() after a put", Ok(store.capabilities())).is(claimed)?;
    Ok(())
}
