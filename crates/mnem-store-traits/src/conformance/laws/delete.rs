//! Removing blocks.

use cid::Cid;

use crate::{
    DAG_CBOR, DAG_PB, ErrorKind, RAW,
    conformance::{
        case::Case,
        data::{Block, block, blocks, cid_v1, near_codecs, one_text, unknown_hash_cid, v0_cid},
        expect::{holds, lacks, lists, put, put_many, saw},
        failure::LawResult,
        ways::Write,
    },
};

pub(crate) fn delete_removes_only_its_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", 20);
    put_many(&*store, &all)?;
    for (i, block) in all.iter().enumerate().step_by(3) {
        saw(format_args!("delete of block {i}"), store.delete(&block.cid)).ok()?;
        lacks(&*store, &block.cid, "after its delete")?;
    }
    let rest: Vec<Block> = all.into_iter().enumerate().filter(|(i, _)| i % 3 != 0).map(|(_, block)| block).collect();
    for block in &rest {
        holds(&*store, block, "after the delete of others")?;
    }
    lists(&*store, &rest.iter().map(|block| block.cid).collect::<Vec<_>>(), "after deletes")?;
    Ok(())
}

pub(crate) fn delete_of_absent_is_ok(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let (present, absent) = (block("present"), block("absent"));
    saw("delete of an absent block in an empty store", store.delete(&absent.cid)).ok()?;
    put(&*store, &present)?;
    saw("delete of an absent block", store.delete(&absent.cid)).ok()?;
    saw("delete of a present block", store.delete(&present.cid)).ok()?;
    saw("delete of a block deleted before", store.delete(&present.cid)).ok()?;
    lists(&*store, &[], "after everything was deleted")?;
    Ok(())
}

pub(crate) fn deleted_block_can_be_put_again(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let block = block("again");
    for round in 0..3 {
        put(&*store, &block)?;
        holds(&*store, &block, &format!("after put number {round}"))?;
        saw("delete", store.delete(&block.cid)).ok()?;
        lacks(&*store, &block.cid, &format!("after delete number {round}"))?;
    }
    put_many(&*store, std::slice::from_ref(&block))?;
    holds(&*store, &block, "after a put_many of a deleted block")?;
    Ok(())
}

/// Bytes under an unknown hash function cannot be checked, so other bytes may be put after a delete. A handle must not
/// return the deleted ones from a cache.
pub(crate) fn block_may_come_back_with_other_bytes(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let cid = unknown_hash_cid(3);
    for (round, text) in ["first", "second, and longer", "", "4th"].into_iter().enumerate() {
        let block = Block { cid, data: text.into() };
        let put = store.put_trusted(&cid, block.data.clone());
        if put.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnsupportedHash) {
            return Ok(());
        }
        saw(format_args!("put_trusted number {round} of a block that nobody can check"), put).ok()?;
        holds(&*store, &block, &format!("after put_trusted number {round}, of other bytes"))?;
        saw("delete", store.delete(&cid)).ok()?;
        lacks(&*store, &cid, &format!("after delete number {round}"))?;
    }
    Ok(())
}

pub(crate) fn delete_takes_the_whole_cid(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let block = block("kept");
    put(&*store, &block)?;
    let digest = block.cid.hash().digest();
    for other in [crate::cid_of(DAG_CBOR, &block.data), v0_cid(&block.data), cid_v1(RAW, 0x1e, digest)] {
        saw(format_args!("delete of an absent CID with the digest of a present one, {other}"), store.delete(&other))
            .ok()?;
        holds(&*store, &block, "after the delete of another CID with the same digest")?;
    }
    saw("delete", store.delete(&block.cid)).ok()?;
    siblings_stay(case)
}

/// The same bytes under many CIDs, deleted one by one.
fn siblings_stay(case: &Case) -> LawResult {
    let store = case.blocks()?;
    let mut all = one_text();
    let data = all[0].data.clone();
    let others = [Cid::new_v1(DAG_PB, *v0_cid(&data).hash())].into_iter().chain(near_codecs(&data).into_iter().skip(1));
    all.extend(others.map(|cid| Block { cid, data: data.clone() }));
    for way in [Write::Delete, Write::DeleteMany] {
        for order in ["in one order", "in the other order"] {
            put_many(&*store, &all)?;
            for (i, gone) in all.iter().enumerate() {
                saw(format_args!("{way} of {gone}"), way.remove(case.handles(), &[gone.cid])?).ok()?;
                let left: Vec<Cid> = all[i + 1..].iter().map(|block| block.cid).collect();
                lists(&*store, &left, &format!("after {way} of {i} siblings and of {}, {order}", gone.cid))?;
            }
            all.reverse();
        }
    }
    Ok(())
}
