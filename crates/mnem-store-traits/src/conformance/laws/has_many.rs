//! Looking for many blocks at once.

use cid::Cid;

use crate::{
    Blockstore, DAG_JSON, cid_of,
    conformance::{
        Failure,
        case::{Case, Pace},
        data::{block, blocks, identity_block, one_text, raw},
        expect::{delete_many, ensure, put_many, same, saw},
        failure::LawResult,
    },
};

/// Checks the answers of one request, and names the first wrong one.
fn answers(store: &dyn Blockstore, request: &[(Cid, bool)], when: &str) -> Result<(), Failure> {
    let cids: Vec<Cid> = request.iter().map(|(cid, _)| *cid).collect();
    let did = format!("has_many of {} CIDs {when}", cids.len());
    let found = saw(&did, store.has_many(&cids)).ok()?;
    let (count, expected) = (found.len(), cids.len());
    ensure(count == expected, &did, format_args!("{expected} answers"), format_args!("{count} answers"))?;
    for (index, (found, (_, expected))) in found.into_iter().zip(request).enumerate() {
        same(format_args!("{did}: index {index}"), found, *expected)?;
    }
    Ok(())
}

pub(crate) fn has_many_answers_as_has(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    answers(&*store, &[], "in an empty store")?;
    answers(&*store, &[(block("absent").cid, false)], "in an empty store")?;
    let (present, absent, twins) = (blocks("present", 300), blocks("absent", 300), one_text());
    put_many(&*store, &present)?;
    put_many(&*store, &twins)?;
    // Other CIDs of bytes that are in the store; these blocks are not.
    let names = [&present[0], &twins[0]].map(|block| cid_of(DAG_JSON, &block.data));
    let mixed = present.iter().zip(&absent).flat_map(|(present, absent)| [(present.cid, true), (absent.cid, false)]);
    let request: Vec<(Cid, bool)> = mixed
        .chain(twins.iter().map(|block| (block.cid, true)))
        .chain(names.map(|cid| (cid, false)))
        .chain(present.iter().rev().step_by(7).map(|block| (block.cid, true)))
        .collect();
    for size in [0, 1, 2, 255, 256, 257, request.len()] {
        answers(&*store, &request[..size], "with present, absent and repeated blocks")?;
    }
    let alike = |there: bool| -> Vec<_> { request.iter().copied().filter(|(_, is)| *is == there).collect() };
    answers(&*store, &alike(true), "that are all present")?;
    answers(&*store, &alike(false), "that are all absent")?;
    let repeated: Vec<_> = request.iter().copied().take(5).cycle().take(50).collect();
    answers(&*store, &repeated, "that names each of its blocks ten times")?;
    delete_many(&*store, &present.iter().step_by(2).map(|block| block.cid).collect::<Vec<_>>())?;
    put_many(&*store, &absent)?;
    let exchanged = present.iter().enumerate().map(|(n, block)| (block.cid, n % 2 == 1));
    let exchanged: Vec<_> = exchanged.chain(absent.iter().map(|block| (block.cid, true))).collect();
    answers(&*store, &exchanged, "after some were deleted and others put")?;
    Ok(())
}

/// More indexes than fit into 16 bits.
const LONG_REQUEST: usize = 70_000;

pub(crate) fn has_many_answers_a_long_request(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (mut present, absent) = (blocks("present", 83), blocks("absent", 10));
    // Empty blocks, and one text under every kind of CID.
    present.extend([raw(&b""[..]), identity_block(&b""[..])].into_iter().chain(one_text()));
    put_many(&*store, &present)?;
    let held = present.iter().map(|block| (block.cid, true));
    let all: Vec<(Cid, bool)> = held.chain(absent.iter().map(|block| (block.cid, false))).collect();
    let request = |n: usize| -> Vec<(Cid, bool)> { all.iter().copied().cycle().take(n).collect() };
    let pace = Pace::of(256, || answers(&*store, &request(256), "before a longer one"))?;
    let n = pace.items_within(case.spare() / 6, LONG_REQUEST);
    answers(&*store, &request(n), "with present and absent blocks")?;
    Ok(())
}
