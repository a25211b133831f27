//! Blocks whose stored bytes were changed from outside.

use std::ops::ControlFlow;

use cid::Cid;

use crate::{
    Blockstore, ErrorKind, StoreError,
    conformance::{
        Failure,
        case::Case,
        data::{Block, block, blocks, node, sized},
        expect::{answered, delete_many, ensure, holds, lists, put, put_many, saw},
        failure::LawResult,
        laws::sweep::sweep_to_the_end,
        show::Show,
    },
};

/// A read must fail with `Corrupt` and name the block.
fn is_corrupt<T>(did: &str, cid: &Cid, read: Result<T, StoreError>) -> Result<(), Failure> {
    let error = saw(did, read).refused(ErrorKind::Corrupt)?;
    let named = matches!(&error, StoreError::Corrupt { cid: named, .. } if named == cid);
    ensure(named, did, format_args!("an error that names {cid}"), error)
}

/// A long request may take another code path than a short one.
fn long_request_is_corrupt(store: &dyn Blockstore, others: &[Block], cid: &Cid, damage: &str) -> Result<(), Failure> {
    for n in [16, 64, others.len()] {
        let mut request: Vec<Cid> = others[..n].iter().map(|other| other.cid).collect();
        request.insert(n / 2, *cid);
        let did = format!("get_many of {n} blocks and one {damage}");
        let mut answered = None;
        let result = store.get_many(&request, &mut |index, data| {
            answered = answered.take().or(data.filter(|_| request.get(index) == Some(cid)));
            ControlFlow::Continue(())
        });
        is_corrupt(&did, cid, result)?;
        ensure(answered.is_none(), &did, "no call with the bytes of the damaged block", answered.show())?;
    }
    Ok(())
}

fn reads_corrupt(store: &dyn Blockstore, cid: &Cid, damage: &str) -> Result<(), Failure> {
    is_corrupt(&format!("get of a block {damage}"), cid, store.get(cid))?;
    let mut lent = false;
    is_corrupt(&format!("with_block of a block {damage}"), cid, store.with_block(cid, &mut |_| lent = true))?;
    ensure(!lent, format_args!("with_block of a block {damage}"), "no call of the callback", "a call with its bytes")?;
    let did = format!("get_many of a block {damage}");
    is_corrupt(&did, cid, answered(store, cid))
}

const LARGE: usize = 2 * 1024 * 1024;

pub(crate) fn damaged_block_is_corrupt_to_every_read(case: &mut Case) -> LawResult {
    let victim = sized(3000);
    let mut flipped = victim.data.to_vec();
    flipped[2999] ^= 1;
    let longer = [&victim.data[..], b"\0"].concat();
    let damages: [(&str, &[u8]); 5] = [
        ("with one bit flipped", &flipped),
        ("that lost its last byte", &victim.data[..2999]),
        ("that lost all its bytes", b""),
        ("with one byte more", &longer),
        ("replaced by another", &block("another").data),
    ];
    let others = blocks("other", 300);
    put_many(&*case.blocks()?, &others)?;
    put(&*case.blocks()?, &victim)?;
    for (damage, data) in damages {
        // An earlier successful read says nothing about a later one.
        holds(&*case.blocks()?, &victim, "before it was damaged")?;
        case.damage(&victim.cid, data)?;
        reads_corrupt(&*case.blocks()?, &victim.cid, damage)?;
        long_request_is_corrupt(&*case.blocks()?, &others, &victim.cid, damage)?;
        case.damage(&victim.cid, &victim.data)?;
    }
    // A large block may be read in another way than a small one.
    let large = sized(LARGE);
    put(&*case.blocks()?, &large)?;
    let mut flipped = large.data.to_vec();
    flipped[LARGE - 1] ^= 1;
    case.damage(&large.cid, &flipped)?;
    Ok(reads_corrupt(&*case.blocks()?, &large.cid, "of 2 MiB with one bit flipped")?)
}

pub(crate) fn damaged_block_hides_no_other(case: &mut Case) -> LawResult {
    let all = blocks("block", 20);
    put_many(&*case.blocks()?, &all)?;
    case.damage(&all[7].cid, b"damaged")?;
    let store = case.blocks()?;
    for (_, block) in all.iter().enumerate().filter(|(i, _)| *i != 7) {
        holds(&*store, block, "beside a damaged block")?;
    }
    lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), "with a damaged block")?;
    let mut shown = 0;
    let swept = sweep_to_the_end(&*store, [None, None], all.len(), &mut |cid| {
        shown += 1;
        *cid == all[7].cid
    });
    if swept?.is_some() {
        ensure(shown == all.len(), "sweep with a damaged block", "every block", format_args!("{shown} of them"))?;
        let kept = all.iter().map(|block| block.cid).filter(|cid| *cid != all[7].cid);
        lists(&*store, &kept.collect::<Vec<_>>(), "after a sweep removed a damaged block")?;
    }
    Ok(())
}

pub(crate) fn damage_on_the_medium_is_healed_by_delete_and_put(case: &mut Case) -> LawResult {
    let victim = sized(3000);
    put(&*case.blocks()?, &victim)?;
    case.damage(&victim.cid, b"damaged")?;
    let store = case.blocks()?;
    saw("delete of a damaged block", store.delete(&victim.cid)).ok()?;
    put(&*store, &victim)?;
    holds(&*store, &victim, "after delete and put of a damaged block")?;
    drop(store);
    case.damage(&victim.cid, b"damaged")?;
    let (store, sound) = (case.blocks()?, block("sound"));
    put(&*store, &sound)?;
    delete_many(&*store, &[sound.cid, victim.cid])?;
    lists(&*store, &[], "after a delete_many of a damaged block and a sound one")?;
    put_many(&*store, std::slice::from_ref(&victim))?;
    holds(&*store, &victim, "after delete_many and put_many of a damaged block")?;
    Ok(())
}

pub(crate) fn walk_reports_a_damaged_block(case: &mut Case) -> LawResult {
    let (damaged, sound) = (node("damaged", &[]), block("sound"));
    let root = node("root", &[damaged.cid, sound.cid]);
    put_many(&*case.blocks()?, &[damaged.clone(), sound.clone(), root.clone()])?;
    case.damage(&damaged.cid, b"damaged")?;
    let store = case.blocks()?;
    let mut walk = case.walk(&*store, root.cid);
    let mut next = |which: &Block| {
        let did = format_args!("walk, where {} stands", which.cid);
        let item = walk.next().ok_or_else(|| Failure::new(did, "an item", "the end"))?;
        Ok::<_, Failure>((did.to_string(), item))
    };
    for block in [&root, &damaged, &sound] {
        let (did, item) = next(block)?;
        if block == &damaged {
            is_corrupt(&did, &damaged.cid, item)?;
        } else {
            saw(did, item.map(|(cid, _)| cid)).is(block.cid)?;
        }
    }
    ensure(walk.next().is_none(), "walk of a graph with a damaged block", "an end", "another item")?;
    Ok(())
}

pub(crate) fn damaged_block_is_not_taken_for_absent(case: &mut Case) -> LawResult {
    let victim = sized(500);
    put(&*case.blocks()?, &victim)?;
    case.damage(&victim.cid, b"damaged")?;
    let store = case.blocks()?;
    for (did, answer) in [
        ("has of a damaged block", store.has(&victim.cid)),
        ("size of a damaged block", store.size(&victim.cid).map(|size| size.is_some())),
    ] {
        let told = match &answer {
            Ok(present) => *present,
            Err(error) => error.kind() == ErrorKind::Corrupt,
        };
        ensure(told, did, "that it is there, or Err(Corrupt)", answer.show())?;
    }
    Ok(())
}
