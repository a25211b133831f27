//! Writing one block.

use std::ops::ControlFlow;

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, DAG_CBOR, ErrorKind, HashFunction, RAW, StoreError,
    conformance::{
        Failure,
        case::Case,
        data::{Block, block, cid_v1, cids_under, identity_cid, raw, sized, unknown_hash_cid},
        expect::{answered, ensure, holds, lacks, lists, put, put_many, saw},
        failure::LawResult,
    },
    limits::BLOCK_BYTES_EVERY_BACKEND,
    supported_hashes,
};

const WRONG: Bytes = Bytes::from_static(b"other bytes");

/// Checks that `put` refuses these bytes and leaves nothing behind.
fn refused(store: &dyn Blockstore, what: &str, cid: &Cid, data: Bytes, kind: ErrorKind) -> Result<(), Failure> {
    saw(format_args!("put of {what} under {cid}"), store.put(cid, data)).refused(kind)?;
    lacks(store, cid, &format!("after a refused put of {what}"))?;
    lists(store, &[], &format!("after a refused put of {what}"))
}

pub(crate) fn put_rejects_wrong_bytes(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let good = block("good");
    refused(&*store, "bytes that hash to another CID", &good.cid, WRONG, ErrorKind::CidMismatch)?;
    refused(&*store, "no bytes", &good.cid, Bytes::new(), ErrorKind::CidMismatch)?;
    let longer = Bytes::from_static(b"good ");
    refused(&*store, "the right bytes and one more", &good.cid, longer, ErrorKind::CidMismatch)?;
    put(&*store, &good)?;
    holds(&*store, &good, "put after wrong bytes were refused")?;
    Ok(())
}

/// Whether the store supports the hash function, shown by putting the right bytes. Only a function that is not in every
/// build may be unsupported; the store must then refuse it.
fn knows(store: &dyn Blockstore, function: &HashFunction, block: &Block) -> Result<bool, Failure> {
    match store.put(&block.cid, block.data.clone()) {
        Err(error) if error.kind() == ErrorKind::UnsupportedHash && !function.is_in_every_build() => {
            lacks(store, &block.cid, &format!("after a refused put under {}", function.name()))?;
            Ok(false)
        }
        put => saw(format_args!("put of {block} under {}", function.name()), put).ok().map(|()| true),
    }
}

pub(crate) fn put_checks_every_supported_hash(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    for function in supported_hashes() {
        let mut cids = cids_under(function, b"good");
        cids.extend(cids_under(function, b""));
        for cid in cids {
            // A store that does not support the hash function must refuse it as unsupported.
            let refused_by = |error: &StoreError| match error.kind() {
                ErrorKind::UnsupportedHash if !function.is_in_every_build() => ErrorKind::UnsupportedHash,
                _ => ErrorKind::CidMismatch,
            };
            let name = function.name();
            let ways: [(&str, Result<(), StoreError>); 2] =
                [("put", store.put(&cid, WRONG)), ("put_many", store.put_many(&mut std::iter::once(Ok((cid, WRONG)))))];
            for (way, result) in ways {
                let kind = result.as_ref().err().map_or(ErrorKind::CidMismatch, refused_by);
                saw(format_args!("{way} of wrong bytes for {name} under {cid}"), result).refused(kind)?;
            }
            lacks(&*store, &cid, &format!("after refused puts of wrong bytes for {name}"))?;
        }
    }
    lists(&*store, &[], "after wrong bytes under every hash function were refused")?;
    Ok(())
}

pub(crate) fn put_of_wrong_bytes_leaves_the_present_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let good = block("good");
    put(&*store, &good)?;
    saw("put of wrong bytes under a CID that is present", store.put(&good.cid, WRONG))
        .refused(ErrorKind::CidMismatch)?;
    holds(&*store, &good, "after wrong bytes for it were refused")?;
    Ok(())
}

pub(crate) fn trusted_put_leaves_the_present_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let good = block("good");
    put(&*store, &good)?;
    if let Err(error) = store.put_trusted(&good.cid, WRONG) {
        // A backend may check trusted bytes nevertheless.
        saw("put_trusted of wrong bytes", Err::<(), _>(error)).refused(ErrorKind::CidMismatch)?;
    }
    holds(&*store, &good, "after a trusted put of other bytes under its CID")?;
    Ok(())
}

pub(crate) fn put_rejects_unsupported_hash(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let cid = unknown_hash_cid(1);
    refused(&*store, "bytes under an unknown hash function", &cid, WRONG, ErrorKind::UnsupportedHash)?;
    let result = store.put_many(&mut std::iter::once(Ok((cid, WRONG))));
    saw(format_args!("put_many of bytes under {cid}"), result).refused(ErrorKind::UnsupportedHash)?;
    lists(&*store, &[], "after a refused put_many under an unknown hash function")?;
    Ok(())
}

pub(crate) fn put_rejects_truncated_digest(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let good = block("good");
    for function in supported_hashes().iter().filter(|function| function.digest_bytes().is_some()) {
        let hash = function.multihash(&good.data).expect("a digest of its own length");
        let digest = hash.digest();
        for digest_bytes in [0, 1, 20, digest.len() - 1] {
            let cid = cid_v1(RAW, function.code(), &digest[..digest_bytes]);
            let name = function.name();
            let what = format!("the right bytes, their {name} digest cut to {digest_bytes} bytes,");
            refused(&*store, &what, &cid, good.data.clone(), ErrorKind::UnsupportedHash)?;
            let result = store.put_many(&mut std::iter::once(Ok((cid, good.data.clone()))));
            saw(format_args!("put_many of {what} under {cid}"), result).refused(ErrorKind::UnsupportedHash)?;
            lacks(&*store, &cid, &format!("after a refused put_many of {what}"))?;
        }
    }
    Ok(())
}

pub(crate) fn put_takes_every_supported_hash(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let data = Bytes::from_static(b"data");
    for function in supported_hashes() {
        for cid in cids_under(function, &data) {
            let block = Block { cid, data: data.clone() };
            if knows(&*store, function, &block)? {
                holds(&*store, &block, "after its put")?;
                saw(format_args!("delete of {block}"), store.delete(&cid)).ok()?;
                put_many(&*store, std::slice::from_ref(&block))?;
                holds(&*store, &block, "after a put_many of it")?;
            }
        }
    }
    Ok(())
}

pub(crate) fn put_twice_is_ok(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let block = block("twice");
    for when in ["after one put", "after two", "after three"] {
        put(&*store, &block)?;
        holds(&*store, &block, when)?;
        lists(&*store, &[block.cid], when)?;
    }
    Ok(())
}

pub(crate) fn put_does_not_check_the_codec(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let data = Bytes::from_static(b"\xff this is not CBOR");
    let block = Block { cid: crate::cid_of(DAG_CBOR, &data), data };
    put(&*store, &block)?;
    holds(&*store, &block, "whose bytes are not valid in its codec")?;
    Ok(())
}

pub(crate) fn empty_block_is_a_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let empty = raw(Bytes::new());
    let empty_identity = Block { cid: identity_cid(RAW, b""), data: Bytes::new() };
    for block in [&empty, &empty_identity] {
        lacks(&*store, &block.cid, "before the put of a block of 0 bytes")?;
        put(&*store, block)?;
        holds(&*store, block, "after the put of a block of 0 bytes")?;
    }
    lists(&*store, &[empty.cid, empty_identity.cid], "with two blocks of 0 bytes")?;
    Ok(())
}

pub(crate) fn block_of_16_mib_is_taken(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let large = sized(BLOCK_BYTES_EVERY_BACKEND as usize);
    put(&*store, &large)?;
    holds(&*store, &large, "after its put")?;
    let batch = raw(large.data.slice(1..));
    put_many(&*store, std::slice::from_ref(&batch))?;
    holds(&*store, &batch, "after a put_many of it")?;
    Ok(())
}

pub(crate) fn block_above_the_limit_is_refused(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let limit = store.capabilities().block_bytes_max;
    let large = sized(limit as usize + 1);
    refused(&*store, "a block above block_bytes_max", &large.cid, large.data.clone(), ErrorKind::BlockTooLarge)?;
    let trusted = store.put_trusted(&large.cid, large.data.clone());
    saw("put_trusted of a block above block_bytes_max", trusted).refused(ErrorKind::BlockTooLarge)?;
    let small = block("small");
    let mut batch = [&small, &large].into_iter().map(|block| Ok((block.cid, block.data.clone())));
    saw("put_many with a block above block_bytes_max", store.put_many(&mut batch)).refused(ErrorKind::BlockTooLarge)?;
    lists(&*store, &[], "after blocks above the limit were refused")?;
    Ok(())
}

pub(crate) fn put_trusted_keeps_unknown_hashes(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let unknown = Block { cid: unknown_hash_cid(9), data: WRONG };
    let did = "put_trusted under a hash function that cannot be checked";
    match store.put_trusted(&unknown.cid, unknown.data.clone()) {
        Ok(()) => {
            holds(&*store, &unknown, &format!("after {did}"))?;
            lists(&*store, &[unknown.cid], &format!("after {did}"))?;
        }
        refusal => {
            saw(did, refusal).refused(ErrorKind::UnsupportedHash)?;
            lacks(&*store, &unknown.cid, &format!("after a refused {did}"))?;
        }
    }
    Ok(())
}

pub(crate) fn put_many_takes_a_block_of_the_limit(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let limit = store.capabilities().block_bytes_max;
    let largest = sized(limit as usize);
    put_many(&*store, std::slice::from_ref(&largest))?;
    saw("size of a block of the limit", store.size(&largest.cid)).is(Some(limit))?;
    Ok(())
}

pub(crate) fn put_trusted_stores_the_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let block = block("trusted");
    for _ in 0..2 {
        saw(format_args!("put_trusted of {block}"), store.put_trusted(&block.cid, block.data.clone())).ok()?;
        holds(&*store, &block, "after put_trusted")?;
    }
    lists(&*store, &[block.cid], "after put_trusted")?;
    Ok(())
}

/// Stores wrong bytes past the check. Returns `false` if the backend checks trusted bytes too, and refused them.
fn plant_wrong_bytes(store: &dyn Blockstore, cid: &Cid) -> Result<bool, Failure> {
    match store.put_trusted(cid, WRONG) {
        Ok(()) => Ok(true),
        refusal => {
            saw("put_trusted of wrong bytes", refusal).refused(ErrorKind::CidMismatch)?;
            lacks(store, cid, "after a refused put_trusted of wrong bytes")?;
            Ok(false)
        }
    }
}

pub(crate) fn get_never_returns_wrong_bytes(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let good = Bytes::from_static(b"good");
    let cids = supported_hashes().iter().flat_map(|f| cids_under(f, &good).into_iter().map(move |cid| (f, cid)));
    for (function, cid) in cids {
        // A store cannot check a hash function that it does not support.
        if !knows(&*store, function, &Block { cid, data: good.clone() })? {
            continue;
        }
        // That its bytes were right once says nothing about the next ones.
        saw(format_args!("get({cid}) of right bytes"), store.get(&cid)).is(Some(good.clone()))?;
        saw(format_args!("delete({cid})"), store.delete(&cid)).ok()?;
        if !plant_wrong_bytes(&*store, &cid)? {
            continue;
        }
        saw(format_args!("get({cid}) of wrong bytes that were trusted"), store.get(&cid))
            .refused(ErrorKind::Corrupt)?;
        let mut calls = 0_usize;
        let lent = store.with_block(&cid, &mut |_| calls += 1);
        saw(format_args!("with_block({cid}) of wrong bytes that were trusted"), lent).refused(ErrorKind::Corrupt)?;
        ensure(calls == 0, "with_block of wrong bytes", "no call of the callback", format_args!("{calls} calls"))?;
        saw(format_args!("get_many([{cid}]) of wrong bytes that were trusted"), answered(&*store, &cid))
            .refused(ErrorKind::Corrupt)?;
        let long = [cid; 64];
        let answered = store.get_many(&long, &mut |_, _| ControlFlow::Continue(()));
        saw(format_args!("get_many of {} times {cid}, whose wrong bytes were trusted", long.len()), answered)
            .refused(ErrorKind::Corrupt)?;
    }
    Ok(())
}

pub(crate) fn damaged_block_is_healed_by_delete_and_put(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let good = block("good");
    // If `put_trusted` refuses wrong bytes, there is nothing to repair.
    if plant_wrong_bytes(&*store, &good.cid)? {
        saw(format_args!("get({}) of wrong bytes", good.cid), store.get(&good.cid)).refused(ErrorKind::Corrupt)?;
    }
    saw("delete of the damaged block", store.delete(&good.cid)).ok()?;
    lacks(&*store, &good.cid, "after the delete of the damaged block")?;
    put(&*store, &good)?;
    holds(&*store, &good, "after the damaged block was deleted and put again")?;
    Ok(())
}
