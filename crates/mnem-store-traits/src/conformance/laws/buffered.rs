//! `Buffered` on top of the store under test.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Blockstore, Buffered, Durability, ErrorKind, OpHeadsStore, Store, WriteBatch,
    conformance::{
        Failure, Profile,
        case::Case,
        data::{block, blocks, head, sized, unknown_hash_cid},
        expect::{ensure, heads_are, holds, lacks, lists, put, put_many, saw, update},
        failure::LawResult,
    },
};

type Wrapped = Buffered<Arc<dyn Store>>;

/// The store, and a `Buffered` on top of it.
fn buffered(case: &Case) -> Result<(Arc<dyn Store>, Wrapped), Failure> {
    let store = case.store()?;
    Ok((Arc::clone(&store), Buffered::new(store)))
}

const WRAPPER: &str = "through Buffered";
const BELOW: &str = "in the store below Buffered";

pub(crate) fn buffered_puts_are_visible_at_once(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let (below, staged) = (block("below"), blocks("staged", 5));
    put(&*store, &below)?;
    put(&buffered, &staged[0])?;
    put_many(&buffered, &staged[1..])?;
    put_many(&buffered, &staged)?;
    for block in &staged {
        holds(&buffered, block, WRAPPER)?;
        lacks(&*store, &block.cid, "in the store below Buffered, before anything landed")?;
    }
    holds(&buffered, &below, WRAPPER)?;
    let mut all: Vec<_> = staged.iter().map(|block| block.cid).collect();
    all.push(below.cid);
    lists(&buffered, &all, WRAPPER)?;
    lacks(&buffered, &block("absent").cid, WRAPPER)?;
    trusted_puts_are_visible_at_once(&store, &buffered)
}

/// Trusted bytes are staged if they can be checked when they are read; otherwise they go to the store below at once.
fn trusted_puts_are_visible_at_once(store: &Arc<dyn Store>, buffered: &Wrapped) -> LawResult {
    let trusted = block("trusted");
    let put = |cid| buffered.put_trusted(cid, trusted.data.clone());
    saw("put_trusted through Buffered", put(&trusted.cid)).ok()?;
    holds(buffered, &trusted, WRAPPER)?;
    lacks(&**store, &trusted.cid, "in the store below Buffered, before a trusted put landed")?;
    let unknown = unknown_hash_cid(1);
    if put(&unknown).is_ok() {
        saw("has below Buffered, after a trusted put that nobody can check", store.has(&unknown)).is(true)?;
    }
    Ok(())
}

pub(crate) fn buffered_update_lands_the_puts(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let staged = blocks("staged", 20);
    put_many(&buffered, &staged)?;
    update(&buffered, &staged[0].cid, &[])?;
    for block in &staged {
        holds(&*store, block, "in the store below Buffered, after an update")?;
        holds(&buffered, block, "through Buffered, after an update")?;
    }
    heads_are(&*store, &[staged[0].cid], BELOW)?;
    let more = block("more");
    put(&buffered, &more)?;
    saw("swap through Buffered", buffered.swap(&[staged[0].cid], &more.cid)).ok()?;
    holds(&*store, &more, "in the store below Buffered, after a swap")?;
    heads_are(&buffered, &[more.cid], "through Buffered, after a swap")?;
    Ok(())
}

pub(crate) fn buffered_checks_what_it_stages(case: &mut Case) -> LawResult {
    let (_, buffered) = buffered(case)?;
    let good = block("good");
    let wrong = || Bytes::from_static(b"wrong");
    saw("put of wrong bytes through Buffered", buffered.put(&good.cid, wrong())).refused(ErrorKind::CidMismatch)?;
    let mut batch = [Ok((block("other").cid, block("other").data)), Ok((good.cid, wrong()))].into_iter();
    saw("put_many with wrong bytes through Buffered", buffered.put_many(&mut batch)).refused(ErrorKind::CidMismatch)?;
    lists(&buffered, &[], "through Buffered, after refused puts")?;
    if buffered.put_trusted(&good.cid, wrong()).is_ok() {
        let result = buffered.get(&good.cid);
        saw("get of wrong bytes that were trusted, through Buffered", result).refused(ErrorKind::Corrupt)?;
    }
    Ok(())
}

pub(crate) fn buffered_keeps_puts_when_a_swap_fails(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    update(&*store, &head("current"), &[])?;
    let staged = blocks("staged", 3);
    put_many(&buffered, &staged)?;
    let refused = buffered.swap(&[head("expected")], &staged[0].cid);
    saw("swap through Buffered that expects another head", refused).refused(ErrorKind::HeadsMoved)?;
    for block in &staged {
        holds(&buffered, block, "through Buffered, after a refused swap")?;
    }
    heads_are(&buffered, &[head("current")], "through Buffered, after a refused swap")?;
    saw("swap through Buffered, repeated", buffered.swap(&[head("current")], &staged[0].cid)).ok()?;
    for block in &staged {
        holds(&*store, block, "in the store below Buffered, after the repeated swap")?;
    }
    Ok(())
}

pub(crate) fn buffered_requires_puts_it_skipped(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let present = block("present");
    put(&*store, &present)?;
    put(&buffered, &present)?;
    saw("delete below Buffered", store.delete(&present.cid)).ok()?;
    let refused = buffered.update(&present.cid, &[]);
    saw("update through Buffered, after a block whose put was skipped was deleted below", refused)
        .refused(ErrorKind::MissingBlock)?;
    heads_are(&*store, &[], "after an update through Buffered that missed a block")?;
    put(&buffered, &present)?;
    update(&buffered, &present.cid, &[])?;
    holds(&*store, &present, "in the store below Buffered, after it was put again")?;
    Ok(())
}

pub(crate) fn buffered_delete_removes_staged_blocks(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let (staged, below, kept) = (block("staged"), block("below"), block("kept"));
    put(&*store, &below)?;
    put_many(&buffered, &[staged.clone(), kept.clone(), below.clone()])?;
    for block in [&staged, &below] {
        saw("delete through Buffered", buffered.delete(&block.cid)).ok()?;
        lacks(&buffered, &block.cid, "through Buffered, after its delete")?;
    }
    update(&buffered, &kept.cid, &[])?;
    lists(&*store, &[kept.cid], "in the store below Buffered, after deletes and an update")?;
    Ok(())
}

pub(crate) fn buffered_flush_lands_without_a_head(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let (below, staged) = (block("below"), blocks("staged", 4));
    put(&*store, &below)?;
    put_many(&buffered, &staged)?;
    put(&buffered, &below)?;
    let bytes = buffered.staged_bytes();
    ensure(bytes > 0, "staged_bytes() after put_many through Buffered", "more than 0", bytes)?;
    for _ in 0..2 {
        saw("flush()", buffered.flush()).ok()?;
    }
    saw("staged_bytes() after flush()", Ok(buffered.staged_bytes())).is(0)?;
    for block in &staged {
        holds(&*store, block, "in the store below Buffered, after flush()")?;
    }
    heads_are(&*store, &[], "after flush()")?;
    Ok(())
}

pub(crate) fn buffered_spills_past_its_bound(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let buffered = Buffered::with_bound(Arc::clone(&store), 10_000);
    let all: Vec<_> = (4000..4006).map(sized).collect();
    for block in &all {
        put(&buffered, block)?;
        ensure(
            buffered.staged_bytes() <= 10_000,
            "put through Buffered with a bound of 10000 bytes",
            "at most 10000 staged bytes",
            buffered.staged_bytes(),
        )?;
    }
    for block in &all {
        holds(&buffered, block, "through Buffered, after some blocks spilled")?;
    }
    holds(&*store, &all[0], "in the store below Buffered, past its bound")?;
    saw("flush()", buffered.flush()).ok()?;
    lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), "below Buffered, after flush()")?;
    Ok(())
}

pub(crate) fn buffered_claims_no_put_durability(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let (below, claimed) = (store.capabilities(), buffered.capabilities());
    ensure(
        claimed.put_durability == Durability::None,
        "capabilities() of Buffered",
        "put_durability None: puts are in memory",
        format_args!("{:?}", claimed.put_durability),
    )?;
    saw("block_bytes_max of Buffered", Ok(claimed.block_bytes_max)).is(below.block_bytes_max)?;
    saw("atomic_commit of Buffered", Ok(claimed.atomic_commit)).is(below.atomic_commit)?;
    saw("side_tables of Buffered", Ok(claimed.side_tables)).is(below.side_tables)?;
    saw("heads_capabilities() of Buffered", Ok(buffered.heads_capabilities())).is(store.heads_capabilities())?;
    Ok(())
}

pub(crate) fn buffered_commit_takes_the_puts_along(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let (staged, own) = (block("staged"), block("of the batch"));
    put(&buffered, &staged)?;
    let mut batch = WriteBatch::new();
    batch.put(own.cid, own.data.clone()).require(staged.cid).update(staged.cid, []);
    saw("commit through Buffered that requires a staged block", buffered.commit(&batch)).ok()?;
    for block in [&staged, &own] {
        holds(&*store, block, "in the store below Buffered, after a commit")?;
    }
    heads_are(&*store, &[staged.cid], "in the store below Buffered, after a commit")?;
    Ok(())
}

pub(crate) fn buffered_lands_when_dropped(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let staged = blocks("staged", 3);
    put_many(&buffered, &staged)?;
    drop(buffered);
    for block in &staged {
        holds(&*store, block, "after Buffered was dropped")?;
    }
    Ok(())
}

pub(crate) fn buffered_passes_side_tables_through(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let row = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
    let table = saw("side_table through Buffered", buffered.side_table("table")).ok()?;
    saw("write through Buffered", table.write(std::slice::from_ref(&row), &[])).ok()?;
    let below = saw("side_table of the store below", store.side_table("table")).ok()?;
    saw("get below Buffered", below.get(&row.0)).is(Some(row.1))?;
    saw("side_tables() through Buffered", buffered.side_tables()).is(vec!["table".into()])?;
    Ok(())
}

pub(crate) fn buffered_close_lands_and_closes(case: &mut Case) -> LawResult {
    let (store, buffered) = buffered(case)?;
    let staged = block("staged");
    put(&buffered, &staged)?;
    saw("close() of Buffered", buffered.close()).ok()?;
    saw("close() of a closed Buffered", buffered.close()).ok()?;
    saw("get through a closed Buffered", buffered.get(&staged.cid)).refused(ErrorKind::Closed)?;
    let put = buffered.put(&staged.cid, staged.data.clone());
    saw("put through a closed Buffered", put).refused(ErrorKind::Closed)?;
    if store.heads().is_ok() {
        holds(&*store, &staged, "in the store below a closed Buffered")?;
    }
    if case.has(Profile::Persistence) && store.capabilities().put_durability >= Durability::Process {
        drop((buffered, store));
        case.drop_and_open()?;
        holds(&*case.blocks()?, &staged, "after Buffered was closed and the store reopened")?;
    }
    Ok(())
}
