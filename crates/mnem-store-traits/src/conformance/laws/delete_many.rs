//! Removing many blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cid::Cid;

use crate::{
    DAG_CBOR,
    conformance::{
        Failure,
        case::Case,
        data::{Block, block, blocks, v0_cid},
        expect::{delete_many, ensure, holds, lacks, lists, put, put_many, saw},
        failure::LawResult,
        laws::put_many::{is_unchanged, iterators_errors},
    },
};

fn cids<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> Vec<Cid> {
    blocks.into_iter().map(|block| block.cid).collect()
}

/// Batch sizes on both sides of common limits.
const BATCHES: [usize; 5] = [0, 1, 2, 100, 1500];

pub(crate) fn delete_many_removes_only_its_blocks(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    for size in BATCHES {
        let (gone, kept) = (blocks(&format!("gone {size}"), size), blocks(&format!("kept {size}"), 20));
        put_many(&*store, &gone)?;
        put_many(&*store, &kept)?;
        delete_many(&*store, &cids(&gone))?;
        let when = format!("after a delete_many of {size} blocks");
        for block in gone.iter().take(20).chain(gone.last()) {
            lacks(&*store, &block.cid, &when)?;
        }
        for block in &kept {
            holds(&*store, block, &when)?;
        }
        lists(&*store, &cids(&kept), &when)?;
        delete_many(&*store, &cids(&kept))?;
        lists(&*store, &[], &format!("{when} and one of the others"))?;
    }
    Ok(())
}

pub(crate) fn delete_many_ignores_absent_and_repeated_blocks(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (present, absent, kept) = (blocks("present", 3), blocks("absent", 3), block("kept"));
    put_many(&*store, &present)?;
    put(&*store, &kept)?;
    let digest_twins = [crate::cid_of(DAG_CBOR, &kept.data), v0_cid(&kept.data)];
    let named: Vec<Cid> =
        cids(absent.iter().chain(&present).chain(&absent).chain(&present)).into_iter().chain(digest_twins).collect();
    delete_many(&*store, &named)?;
    lists(&*store, &[kept.cid], "after a delete_many that names present and absent blocks twice")?;
    holds(&*store, &kept, "after a delete_many of other CIDs with its digest")?;
    delete_many(&*store, &named)?;
    lists(&*store, &[kept.cid], "after a delete_many of absent blocks only")?;
    put_many(&*store, &present)?;
    for block in &present {
        holds(&*store, block, "put again after a delete_many")?;
    }
    Ok(())
}

pub(crate) fn delete_many_removes_nothing_when_the_iterator_fails(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let present = blocks("present", 5);
    put_many(&*store, &present)?;
    for own in iterators_errors() {
        let result = store.delete_many(&mut cids(&present).into_iter().map(Ok).chain([Err(own.clone())]));
        let error = saw("delete_many whose iterator fails after five CIDs", result).refused(own.kind())?;
        is_unchanged("delete_many", &own, &error)?;
        lists(&*store, &cids(&present), "after a delete_many whose iterator failed")?;
        delete_many(&*store, &[block("absent").cid])?;
        lists(&*store, &cids(&present), "after a delete_many that followed one whose iterator failed")?;
    }
    Ok(())
}

pub(crate) fn delete_many_iterator_may_use_the_store(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (gone, written) = (blocks("gone", 3), blocks("written by the iterator", 3));
    put_many(&*store, &gone)?;
    let mut own: Result<(), Failure> = Ok(());
    let mut items = gone.iter().zip(&written).map(|(block, written)| {
        if own.is_ok() {
            own = holds(&*store, &gone[2], "inside the iterator of a delete_many").and_then(|()| put(&*store, written));
        }
        Ok(block.cid)
    });
    saw("delete_many whose iterator reads and writes the same store", store.delete_many(&mut items)).ok()?;
    own?;
    lists(&*store, &cids(&written), "after a delete_many whose iterator put blocks")?;

    // A block that is named before the iterator puts it is gone afterwards like any other.
    let mut own = Ok(());
    let puts = std::iter::once_with(|| {
        own = put(&*store, &gone[0]);
        Ok(gone[1].cid)
    });
    saw(
        "delete_many whose iterator puts a block that it named",
        store.delete_many(&mut std::iter::once(Ok(gone[0].cid)).chain(puts)),
    )
    .ok()?;
    own?;
    lists(&*store, &cids(&written), "after a delete_many whose iterator put a block that it named")?;

    // So is one that the iterator puts before it names it.
    let mut own = Ok(());
    let mut puts = [&gone[0], &gone[1]].into_iter().map(|block| {
        own = own.clone().and_then(|()| put(&*store, block));
        Ok(block.cid)
    });
    saw("delete_many whose iterator puts what it names next", store.delete_many(&mut puts)).ok()?;
    own?;
    lists(&*store, &cids(&written), "after a delete_many whose iterator put what it named next")?;

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let panics = std::iter::once_with(|| std::panic::panic_any("the law's own iterator panics"));
        store.delete_many(&mut cids(&written).into_iter().map(Ok).chain(panics))
    }));
    ensure(panicked.is_err(), "delete_many with an iterator that panics", "the panic to reach the caller", "no panic")?;
    lists(&*store, &cids(&written), "after the iterator of a delete_many panicked")?;
    delete_many(&*store, &cids(&written))?;
    lists(&*store, &[], "after a delete_many that followed one whose iterator panicked")?;
    Ok(())
}

pub(crate) fn delete_many_survives_reopen(case: &mut Case) -> LawResult {
    let (gone, kept) = (blocks("gone", 40), blocks("kept", 10));
    let store = case.blocks()?;
    put_many(&*store, &gone)?;
    put_many(&*store, &kept)?;
    delete_many(&*store, &cids(&gone))?;
    drop(store);
    case.reopen()?;
    let store = case.blocks()?;
    for block in &gone {
        lacks(&*store, &block.cid, "after a delete_many and reopening")?;
    }
    lists(&*store, &cids(&kept), "after a delete_many and reopening")?;
    Ok(())
}
