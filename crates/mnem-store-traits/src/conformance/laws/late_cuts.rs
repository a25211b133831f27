//! Power cuts late in the life of a handle, and within batches of many bytes or many parts.

use std::{collections::BTreeSet, sync::Arc};

use cid::Cid;

use crate::{
    SideTable,
    conformance::{
        Failure,
        case::Case,
        data::{blocks, sized},
        expect::{ensure, heads_are, holds, lists, put, put_many, saw},
        failure::LawResult,
        outcomes::{at_doubling, at_few},
        ways::{Extent, Scene, Write, writes_of},
    },
};

/// A power cut follows the last of this many writes: round numbers, at which a buffer is full or a log is rotated, and
/// the numbers after them. An event of every 16th, 32nd, 64th or 128th write happens at the 256th too.
const LATER: [usize; 4] = [100, 101, 256, 257];

pub(crate) fn later_writes_of_a_handle_survive_a_power_cut(case: &mut Case) -> LawResult {
    let counts: BTreeSet<usize> = LATER.iter().map(|writes| case.in_short(*writes)).collect();
    for way in writes_of("later_writes_of_a_handle_survive_a_power_cut") {
        let claimed = way.durable_by().iter().all(|claim| case.claims(*claim));
        if way.is_offered(case) && claimed {
            counts.iter().try_for_each(|writes| many_then_cut(case, way, *writes))?;
        }
    }
    Ok(())
}

fn table(case: &Case) -> Result<Arc<dyn SideTable>, Failure> {
    saw("side_table", case.store()?.side_table("table")).ok()
}

/// Many writes one after the other, then a power cut, which must lose none of them.
fn many_then_cut(case: &Case, way: Write, writes: usize) -> Result<(), Failure> {
    let mut case = case.fresh()?;
    let all = blocks(&format!("{way}, number"), writes);
    let cids: Vec<Cid> = all.iter().map(|block| block.cid).collect();
    if way.deletes_blocks() {
        put_many(&*case.blocks()?, &all)?;
        // So that the handle has written nothing before.
        case.drop_and_open()?;
    }
    for (n, block) in all.iter().enumerate() {
        let written = match way {
            Write::Update => case.heads()?.update(&block.cid, &[]),
            Write::Swap => case.heads()?.swap(&cids[n.saturating_sub(1)..n], &block.cid),
            Write::Delete | Write::DeleteMany | Write::Sweep => way.remove(case.handles(), &[block.cid])?,
            Write::Row => table(&case)?.write(&[(block.data.clone(), block.data.clone())], &[]),
            _ => way.put(case.handles(), std::slice::from_ref(block))?,
        };
        saw(format_args!("{way} of {block}"), written).ok()?;
    }
    case.cut_power_after(0)?;
    case.drop_and_open()?;
    let when = format!("after {} calls of {way} and a power cut", all.len());
    if way.adds_blocks() {
        all.iter().try_for_each(|block| holds(&*case.blocks()?, block, &when))?;
    } else if way.deletes_blocks() {
        lists(&*case.blocks()?, &[], &when)?;
    } else if way == Write::Row {
        let table = table(&case)?;
        for block in &all {
            saw(format_args!("get of a row {when}"), table.get(&block.data)).is(Some(block.data.clone()))?;
        }
    }
    if way.changes_heads() {
        let last = if way == Write::Swap { &cids[cids.len() - 1..] } else { &cids[..] };
        heads_are(&*case.heads()?, last, &when)?;
    }
    Ok(())
}

pub(crate) fn put_into_the_next_segment_survives_a_power_cut(case: &mut Case) -> LawResult {
    /// After so many blocks of 1 MiB, a store is likely to go on in another segment: the block that fills one of 1, 2,
    /// 4, 8 or 16 MiB, and the block after it.
    const LAST: [usize; 9] = [1, 2, 3, 4, 5, 8, 9, 16, 17];
    let few = if case.is_slow() { 2 } else { LAST.len() };
    let all: Vec<_> = (0..LAST[few - 1]).map(|n| sized((1 << 20) + n)).collect();
    for last in &LAST[..few] {
        let mut case = case.fresh()?;
        all[..*last].iter().try_for_each(|block| put(&*case.blocks()?, block))?;
        case.cut_power_after(0)?;
        case.drop_and_open()?;
        let when = format!("after {last} puts of 1 MiB each and a power cut");
        all[..*last].iter().try_for_each(|block| holds(&*case.blocks()?, block, &when))?;
    }
    Ok(())
}

pub(crate) fn batch_of_many_bytes_is_all_or_nothing_after_a_power_cut(case: &mut Case) -> LawResult {
    let ways = writes_of("batch_of_many_bytes_is_all_or_nothing_after_a_power_cut");
    ways.into_iter().try_for_each(|way| is_whole(case, way, &Scene::of_many_bytes(), "of 9 MiB"))?;
    Ok(())
}

pub(crate) fn batch_of_many_parts_is_all_or_nothing_after_a_power_cut(case: &mut Case) -> LawResult {
    /// More than one statement or transaction of a database usually takes.
    const PARTS: usize = 1100;
    /// More than a store is likely to hold back before it begins to write.
    const MANY_PARTS: usize = 3000;
    let ways = writes_of("batch_of_many_parts_is_all_or_nothing_after_a_power_cut");
    let parts = case.in_short(PARTS);
    ways.iter().try_for_each(|way| is_whole(case, *way, &Scene::new(parts), &format!("of {parts} parts")))?;
    let many = case.in_short(MANY_PARTS);
    // One way of each kind, because many parts take long.
    for way in [Write::PutMany, Write::CommitHead, Write::Row] {
        if !is_atomic(case, way) || many == parts {
            continue;
        }
        at_doubling(|operations| {
            is_whole_after(case, way, &Scene::new(many), &format!("of {many} parts"), operations)
        })?;
    }
    Ok(())
}

fn is_atomic(case: &Case, way: Write) -> bool {
    way.is_offered(case) && way.atomic_by().is_some_and(|claim| case.claims(claim))
}

/// The power is cut within a write that claims to be atomic.
fn is_whole(case: &Case, way: Write, scene: &Scene, what: &str) -> Result<(), Failure> {
    if !is_atomic(case, way) {
        return Ok(());
    }
    at_few(|operations| is_whole_after(case, way, scene, what, operations))
}

/// Returns whether the write completed before the cut.
fn is_whole_after(case: &Case, way: Write, scene: &Scene, what: &str, operations: u32) -> Result<bool, Failure> {
    let mut case = case.fresh()?;
    scene.set(&case, way)?;
    case.cut_power_after(operations.into())?;
    let result = scene.act(way, case.handles(), 0)?;
    case.drop_and_open()?;
    let when = format!("{what}, after the power was cut {operations} operations into it");
    scene.is_as_said(&case, way, 0, &result, &when)?;
    // Early cuts leave the first half of a write in one piece, a journal without an end, or some of several pieces.
    if result.is_err() && matches!(operations, 1 | 4) {
        goes_on(&mut case, way, scene, &when)?;
    }
    Ok(result.is_ok())
}

/// The remains of a large write that was cut off do not disturb later writes.
fn goes_on(case: &mut Case, way: Write, scene: &Scene, when: &str) -> Result<(), Failure> {
    for round in 0..2 {
        saw(format_args!("{way} {when}, and then write {round}"), scene.act(way, case.handles(), round)?).ok()?;
    }
    case.cut_power_after(0)?;
    case.drop_and_open()?;
    let when = format!("{when}; two more were acknowledged, and the power was cut again");
    scene.rest_is_kept(way, case.handles(), &when)?;
    for round in 0..2 {
        let extent = scene.extent(way, case.handles(), round, round == 1, &when)?;
        let did = format_args!("write {round} by {way} {when}");
        ensure(extent == Extent::All, did, "all of it: it was acknowledged", format_args!("{extent:?} of it"))?;
    }
    Ok(())
}
