//! What may be left by a write that failed or was cut off. Laws about failing media and about power cuts share these
//! checks.

use std::{collections::BTreeSet, fmt::Display};

use cid::Cid;

use crate::{
    Blockstore, OpHeadsStore, Outcome, StoreError,
    conformance::{
        Failure,
        case::Case,
        data::Block,
        expect::{ensure, holds, lacks, saw},
        show::Show,
    },
};

/// The result of a write.
pub(crate) type Done = Result<(), StoreError>;

/// More operations than one small write may take. A write that never completes is a failure too.
const OPERATIONS_MAX: u32 = 5000;

/// Calls `attempt` with 0, 1, 2, … until it returns `true`, which means that the write completed.
pub(crate) fn at_each(mut attempt: impl FnMut(u32) -> Result<bool, Failure>) -> Result<(), Failure> {
    for n in 0..OPERATIONS_MAX {
        if attempt(n)? {
            return Ok(());
        }
    }
    Err(Failure::new(format_args!("let {OPERATIONS_MAX} operations succeed"), "a write that is done by then", "none"))
}

/// The number of blocks or rows in a batch that is too large to try a failure at each of its operations.
pub(crate) const LARGE: usize = 300;

/// Calls `attempt` with 0, 1, 2, …, later in steps of one eighth, until it returns `true` twice in a row.
pub(crate) fn at_growing(attempt: impl FnMut(u32) -> Result<bool, Failure>) -> Result<(), Failure> {
    at_some(8, attempt)
}

/// Calls `attempt` with 0, 1, 2, 4, 7, …, in steps of one half, until it returns `true` twice in a row. For batches of
/// size [`LARGE`].
pub(crate) fn at_few(attempt: impl FnMut(u32) -> Result<bool, Failure>) -> Result<(), Failure> {
    at_some(2, attempt)
}

/// Calls `attempt` with 0, 1, 3, 7, …, until it returns `true` twice in a row. For batches of thousands.
pub(crate) fn at_doubling(attempt: impl FnMut(u32) -> Result<bool, Failure>) -> Result<(), Failure> {
    at_some(1, attempt)
}

fn at_some(part: u32, mut attempt: impl FnMut(u32) -> Result<bool, Failure>) -> Result<(), Failure> {
    let (mut n, mut through) = (0_u32, 0);
    while through < 2 {
        through = if attempt(n)? { through + 1 } else { 0 };
        n += 1 + n / part;
        ensure(n < 1_000_000, "let a million operations succeed", "a call that is done by then", "none")?;
    }
    Ok(())
}

/// A `put_many` that may fail.
pub(crate) fn put_many_of(case: &Case, blocks: &[Block]) -> Result<Done, Failure> {
    Ok(case.blocks()?.put_many(&mut blocks.iter().map(|block| Ok((block.cid, block.data.clone())))))
}

/// Checks that every lookup finds the whole block, or none does. Returns whether the block is there.
pub(crate) fn whole_or_absent(store: &dyn Blockstore, block: &Block, when: &str) -> Result<bool, Failure> {
    let there = saw(format_args!("get({}) {when}", block.cid), store.get(&block.cid)).ok()?.is_some();
    if there {
        holds(store, block, when)?
    } else {
        lacks(store, &block.cid, when)?
    }
    Ok(there)
}

/// Checks that the blocks in `kept` are still there, and that each block of the batch `new` is whole or absent. If the
/// call was acknowledged, all of `new` must be there.
pub(crate) fn nothing_acknowledged_is_lost(
    case: &Case,
    kept: &[Block],
    new: &[Block],
    when: &str,
    result: &Done,
) -> Result<(), Failure> {
    let store = case.blocks()?;
    kept.iter().try_for_each(|block| holds(&*store, block, when))?;
    new.iter().try_for_each(|block| {
        let there = whole_or_absent(&*store, block, when)?;
        ensure(there || result.is_err(), when, "a block that was acknowledged", "None")
    })
}

/// Checks that all blocks are there or none: all if the call was acknowledged, none if its outcome is `NotApplied`.
pub(crate) fn all_or_nothing(case: &Case, new: &[Block], did: impl Display, result: Done) -> Result<(), Failure> {
    let store = case.blocks()?;
    let mut there = 0;
    for block in new {
        there += usize::from(whole_or_absent(&*store, block, "after reopening")?);
    }
    let expected = match &result {
        Ok(()) => there == new.len(),
        Err(error) if error.outcome() == Outcome::NotApplied => there == 0,
        Err(_) => there == 0 || there == new.len(),
    };
    let promise = "all blocks or none: all after Ok, none after NotApplied";
    ensure(expected, did, promise, format_args!("{there} of {} blocks, after {}", new.len(), result.show()))
}

/// Checks that the heads are the old ones or the new ones, as the result says. Returns whether they are the new ones.
pub(crate) fn old_or_new(
    store: &dyn OpHeadsStore,
    old: &[Cid],
    new: &[Cid],
    did: impl Display,
    result: &Done,
) -> Result<bool, Failure> {
    let heads = saw("heads() after reopening", store.heads()).ok()?;
    let sorted = |heads: &[Cid]| heads.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let (old, new) = (sorted(old), sorted(new));
    let (is_old, is_new) = (heads == old, heads == new);
    let expected = match result {
        Ok(()) => is_new,
        Err(error) if error.outcome() == Outcome::NotApplied => is_old,
        Err(_) => is_old || is_new,
    };
    let promise = format!("{}, or {}: new after Ok, old after NotApplied", old.show(), new.show());
    ensure(expected, did, promise, format_args!("{} after {}", heads.show(), result.show()))?;
    Ok(is_new)
}
