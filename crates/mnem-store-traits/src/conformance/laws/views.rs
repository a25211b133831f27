//! The same store through pointers and through its parts.

use std::sync::Arc;

use crate::{
    Blockstore, OpHeadsStore, Store, WriteBatch,
    conformance::{
        Failure,
        case::Case,
        data::{block, head, unknown_hash_cid},
        expect::{heads_are, holds, put, put_many, saw, update},
        failure::LawResult,
    },
};

/// Writes blocks through a pointer, and checks the store itself.
fn blocks_through<S: Blockstore>(how: &str, pointer: S, store: &dyn Blockstore) -> Result<(), Failure> {
    saw(format_args!("capabilities() through {how}"), Ok(pointer.capabilities())).is(store.capabilities())?;
    let (one, many, trusted) = (block(&format!("put {how}")), block(&format!("put_many {how}")), block(how));
    put(&pointer, &one)?;
    put_many(&pointer, std::slice::from_ref(&many))?;
    saw(format_args!("put_trusted through {how}"), pointer.put_trusted(&trusted.cid, trusted.data.clone())).ok()?;
    for block in [&one, &many, &trusted] {
        holds(store, block, &format!("after it was put through {how}"))?;
        holds(&pointer, block, &format!("through {how}"))?;
    }
    saw(format_args!("delete through {how}"), pointer.delete(&one.cid)).ok()?;
    saw(format_args!("has after a delete through {how}"), store.has(&one.cid)).is(false)?;
    let unknown = unknown_hash_cid(how.len() as u8);
    let (direct, through) =
        (store.put_trusted(&unknown, one.data.clone()).is_ok(), pointer.put_trusted(&unknown, one.data).is_ok());
    saw(format_args!("whether put_trusted takes an unknown hash function through {how}"), Ok(through)).is(direct)
}

fn heads_through<S: OpHeadsStore>(how: &str, pointer: S, store: &dyn OpHeadsStore) -> Result<(), Failure> {
    let claimed = pointer.heads_capabilities();
    saw(format_args!("heads_capabilities() through {how}"), Ok(claimed)).is(store.heads_capabilities())?;
    let before = saw("heads()", store.heads()).ok()?;
    update(&pointer, &head(how), &before)?;
    heads_are(store, &[head(how)], format_args!("after an update through {how}"))?;
    saw(format_args!("swap through {how}"), pointer.swap(&[head(how)], &head("swapped"))).ok()?;
    heads_are(&pointer, &[head("swapped")], format_args!("through {how}"))
}

pub(crate) fn blocks_are_the_same_through_every_pointer(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    blocks_through("&dyn Blockstore", &*store, &*store)?;
    blocks_through("Arc<dyn Blockstore>", Arc::clone(&store), &*store)?;
    blocks_through("Box<dyn Blockstore>", Box::new(Arc::clone(&store)) as Box<dyn Blockstore>, &*store)?;
    blocks_through("&Arc<dyn Blockstore>", &store, &*store)?;
    Ok(())
}

pub(crate) fn heads_are_the_same_through_every_pointer(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    heads_through("&dyn OpHeadsStore", &*store, &*store)?;
    heads_through("Arc<dyn OpHeadsStore>", Arc::clone(&store), &*store)?;
    heads_through("Box<dyn OpHeadsStore>", Box::new(Arc::clone(&store)) as Box<dyn OpHeadsStore>, &*store)?;
    Ok(())
}

pub(crate) fn parts_of_a_store_share_its_content(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let blocks: Arc<dyn Blockstore> = Arc::clone(&store) as _;
    let parts: Arc<dyn OpHeadsStore> = Arc::clone(&store) as _;
    blocks_through("Arc<dyn Store> as Arc<dyn Blockstore>", blocks, &*store)?;
    heads_through("Arc<dyn Store> as Arc<dyn OpHeadsStore>", parts, &*store)?;
    let new = block("committed");
    let pointer: Box<dyn Store> = Box::new(Arc::clone(&store));
    let before = saw("heads()", store.heads()).ok()?;
    let mut batch = WriteBatch::new();
    batch.put(new.cid, new.data.clone()).swap(before, new.cid);
    saw("commit through Box<dyn Store>", pointer.commit(&batch)).ok()?;
    holds(&*store, &new, "after a commit through Box<dyn Store>")?;
    heads_are(&*store, &[new.cid], "after a commit through Box<dyn Store>")?;
    Ok(())
}
