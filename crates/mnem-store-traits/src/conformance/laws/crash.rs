//! Power cuts, at every point of a write.

use bytes::Bytes;

use crate::{
    WriteBatch,
    conformance::{
        Claim, Failure, Fault, Profile,
        case::{Case, offered},
        data::{Block, block, blocks, head},
        expect::{ensure, holds, put, put_many, saw, update},
        failure::LawResult,
        outcomes::{
            Done, all_or_nothing, at_each, nothing_acknowledged_is_lost, old_or_new, put_many_of, whole_or_absent,
        },
        show::Show,
        ways::Write,
    },
};

/// Cuts the power after 0, 1, 2, … operations, each time in a new place, until `act` completes.
pub(super) fn at_every_point(
    case: &Case,
    set_up: impl Fn(&Case) -> Result<(), Failure>,
    act: impl Fn(&Case) -> Result<Done, Failure>,
    judge: impl Fn(&Case, u32, Done) -> Result<(), Failure>,
) -> Result<(), Failure> {
    at_each(|operations| {
        let mut case = case.fresh()?;
        set_up(&case)?;
        case.cut_power_after(operations.into())?;
        let power_counts = case.claims(Claim::PutsSurvivePower) || case.claims(Claim::HeadsSurvivePower);
        let result = act(&case)?;
        let done = result.is_ok();
        case.drop_and_open()?;
        judge(&case, operations, result)?;
        // Without this check, a hook that has no effect would let every law pass.
        let met = !done || operations > 0 || !power_counts;
        ensure(met, "wrote after Fixture::cut_power_after(0)", "an error: the power is off", "Ok")?;
        Ok(done)
    })
}

pub(crate) fn acknowledged_blocks_survive_a_power_cut(case: &mut Case) -> LawResult {
    let (kept, new) = (blocks("kept", 3), blocks("new", 3));
    at_every_point(
        case,
        |case| put_many(&*case.blocks()?, &kept),
        |case| put_many_of(case, &new),
        |case, operations, result| {
            let when = format!("after the power was cut {operations} operations into a put_many");
            nothing_acknowledged_is_lost(case, &kept, &new, &when, &result)
        },
    )?;
    Ok(())
}

pub(crate) fn deletes_survive_a_power_cut(case: &mut Case) -> LawResult {
    let (kept, gone) = (block("kept"), block("gone"));
    delete_at_every_point(case, &kept, std::slice::from_ref(&gone), "a delete", |case| {
        Ok(case.blocks()?.delete(&gone.cid))
    })?;
    let gone = blocks("gone", 5);
    delete_at_every_point(case, &kept, &gone, "a delete_many", |case| {
        Ok(case.blocks()?.delete_many(&mut gone.iter().map(|block| Ok(block.cid))))
    })?;
    let cids: Vec<_> = gone.iter().map(|block| block.cid).collect();
    delete_at_every_point(case, &kept, &gone, "a sweep", |case| Write::Sweep.remove(case.handles(), &cids))?;
    Ok(())
}

fn delete_at_every_point(
    case: &mut Case,
    kept: &Block,
    gone: &[Block],
    what: &str,
    delete: impl Fn(&Case) -> Result<Done, Failure>,
) -> Result<(), Failure> {
    at_every_point(
        case,
        |case| {
            put(&*case.blocks()?, kept)?;
            put_many(&*case.blocks()?, gone)
        },
        delete,
        |case, operations, result| {
            let store = case.blocks()?;
            let when = format!("after the power was cut {operations} operations into {what}");
            holds(&*store, kept, &when)?;
            for block in gone {
                let there = whole_or_absent(&*store, block, &when)?;
                ensure(!there || result.is_err(), &when, "no block: its delete was acknowledged", "the block")?;
            }
            Ok(())
        },
    )
}

pub(crate) fn put_many_is_all_or_nothing_after_a_power_cut(case: &mut Case) -> LawResult {
    let new = blocks("new", 5);
    at_every_point(
        case,
        |_| Ok(()),
        |case| put_many_of(case, &new),
        |case, operations, result| {
            let did = format_args!("cut the power {operations} operations into a put_many");
            all_or_nothing(case, &new, did, result)
        },
    )?;
    Ok(())
}

pub(crate) fn acknowledged_heads_survive_a_power_cut(case: &mut Case) -> LawResult {
    let (old, new) = (head("old"), head("new"));
    for by_swap in [false, true] {
        at_every_point(
            case,
            |case| update(&*case.heads()?, &old, &[]),
            |case| {
                let store = case.heads()?;
                Ok(if by_swap { store.swap(&[old], &new) } else { store.update(&new, &[old]) })
            },
            |case, operations, result| {
                let did = format_args!("cut the power {operations} operations into a head change");
                old_or_new(&*case.heads()?, &[old], &[new], did, &result).map(|_| ())
            },
        )?;
    }
    Ok(())
}

pub(crate) fn no_head_without_its_blocks_after_a_power_cut(case: &mut Case) -> LawResult {
    commit_at_every_point(case, |_, _, _| Ok(()))?;
    Ok(())
}

pub(crate) fn commit_is_all_or_nothing_after_a_power_cut(case: &mut Case) -> LawResult {
    commit_at_every_point(case, |case, new, landed| {
        let store = case.blocks()?;
        let when = "after the power was cut in a commit";
        new.iter().try_for_each(|block| {
            let there = whole_or_absent(&*store, block, when)?;
            let expected = if landed { "a block, as the head is there" } else { "no block, as the head is not there" };
            ensure(there == landed, format_args!("get({}) {when}", block.cid), expected, there.show())
        })
    })?;
    Ok(())
}

fn commit_at_every_point(
    case: &Case,
    judge: impl Fn(&Case, &[Block], bool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (kept, new) = (block("kept"), blocks("new", 3));
    let batch = || {
        let mut batch: WriteBatch = new.iter().map(|block| (block.cid, block.data.clone())).collect();
        batch.require(kept.cid).update(new[0].cid, [kept.cid]);
        batch
    };
    at_every_point(
        case,
        |case| {
            put(&*case.blocks()?, &kept)?;
            update(&*case.heads()?, &kept.cid, &[])
        },
        |case| Ok(case.store()?.commit(&batch())),
        |case, operations, result| {
            let did = format_args!("cut the power {operations} operations into a commit");
            let store = case.store()?;
            holds(&*store, &kept, "after the power was cut in a commit")?;
            let landed = old_or_new(&*store, &[kept.cid], &[new[0].cid], did, &result)?;
            if landed {
                new.iter().try_for_each(|block| holds(&*store, block, "whose head survived a power cut"))?;
            }
            judge(case, &new, landed)
        },
    )
}

pub(crate) fn side_table_rows_survive_a_power_cut(case: &mut Case) -> LawResult {
    side_table_at_every_point(case, |_, _| Ok(()))?;
    Ok(())
}

pub(crate) fn side_table_write_is_all_or_nothing_after_a_power_cut(case: &mut Case) -> LawResult {
    side_table_at_every_point(case, |values, whole| {
        ensure(
            whole,
            "rows after the power was cut in a write",
            "all of the write or none of it",
            values.to_vec().show(),
        )
    })?;
    Ok(())
}

/// A side table write that changes, adds and deletes a row.
fn side_table_at_every_point(
    case: &Case,
    judge: impl Fn(&[Option<Bytes>], bool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let [changed, added, deleted, kept] =
        [b"changed", b"added..", b"deleted", b"kept..."].map(|key| Bytes::from_static(key));
    let [old, new] = ["old", "new"].map(Bytes::from);
    let before = [Some(old.clone()), None, Some(old.clone())];
    let after = [Some(new.clone()), Some(new.clone()), None];
    let table = |case: &Case| saw("side_table", case.store()?.side_table("table")).ok();
    at_every_point(
        case,
        |case| {
            let rows = [&changed, &deleted, &kept].map(|key| (key.clone(), old.clone()));
            saw("write", table(case)?.write(&rows, &[])).ok()
        },
        |case| {
            let rows = [&changed, &added].map(|key| (key.clone(), new.clone()));
            // Opening a table may access the medium too.
            let opened = case.store()?.side_table("table");
            Ok(opened.and_then(|table| table.write(&rows, std::slice::from_ref(&deleted))))
        },
        |case, operations, result| {
            let table = table(case)?;
            let did = format_args!("get of a row after the power was cut {operations} operations into a write");
            saw(did, table.get(&kept)).is(Some(old.clone()))?;
            let mut values = Vec::new();
            for (key, (before, after)) in [&changed, &added, &deleted].into_iter().zip(before.iter().zip(&after)) {
                let value = saw(did, table.get(key)).ok()?;
                let allowed = value == *after || (result.is_err() && value == *before);
                ensure(
                    allowed,
                    did,
                    format_args!("{} or, unless acknowledged, {}", after.show(), before.show()),
                    value.show(),
                )?;
                values.push(value);
            }
            judge(&values, values == before || values == after)
        },
    )
}

pub(crate) fn second_put_makes_an_unsynced_block_durable(case: &mut Case) -> LawResult {
    let block = block("put by a handle whose sync fails, then by another");
    at_each(|syncs| {
        let mut case = case.fresh()?;
        case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
        let done = case.blocks()?.put(&block.cid, block.data.clone()).is_ok();
        case.set_fault(None)?;
        let second = offered(case.second()?.as_blocks(), Profile::Blocks)?;
        put(&*second, &block)?;
        case.cut_power_after(0)?;
        drop(second);
        case.drop_and_open()?;
        let when =
            format!("after a power cut: its first put met a failure after {syncs} syncs, its second was acknowledged");
        holds(&*case.blocks()?, &block, &when)?;
        Ok(done)
    })?;
    Ok(())
}

pub(crate) fn put_after_reopening_makes_an_unsynced_block_durable(case: &mut Case) -> LawResult {
    let block = block("put by a handle whose sync fails, then by the next one");
    at_each(|syncs| {
        let mut case = case.fresh()?;
        case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
        let done = case.blocks()?.put(&block.cid, block.data.clone()).is_ok();
        case.set_fault(None)?;
        case.drop_and_open()?;
        put(&*case.blocks()?, &block)?;
        case.cut_power_after(0)?;
        case.drop_and_open()?;
        let when = format!(
            "after reopening and a power cut: its first put met a failure after {syncs} syncs, its second was acknowledged"
        );
        holds(&*case.blocks()?, &block, &when)?;
        Ok(done)
    })?;
    Ok(())
}
