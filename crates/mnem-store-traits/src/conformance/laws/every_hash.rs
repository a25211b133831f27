//! Hash functions, through every way to write.

use bytes::Bytes;
use cid::Cid;

use crate::{
    ErrorKind, HashFunction, RAW, StoreError, WriteBatch,
    backend::{HashCheck, check_hash},
    conformance::{
        Failure, Profile,
        case::Case,
        data::{Block, block, blocks, cid_v1, cids_under, head, identity_block, sized, unknown_hash_cid},
        expect::{ensure, heads_are, holds, lacks, lists, put, saw, update},
        failure::LawResult,
        ways::{Write, writes_of},
    },
    limits::BLOCK_BYTES_EVERY_BACKEND,
    supported_hashes,
};

const WRONG: Bytes = Bytes::from_static(b"other bytes");

pub(crate) fn every_write_checks_every_hash(case: &mut Case) -> LawResult {
    let large = case.affords(BLOCK_BYTES_EVERY_BACKEND as usize).then(|| sized(BLOCK_BYTES_EVERY_BACKEND as usize));
    for way in writes_of("every_write_checks_every_hash") {
        if !way.is_offered(case) {
            continue;
        }
        if let Some(large) = &large {
            refuses_one_wrong_byte(case, way, large)?;
        }
        refuses_a_buffer_under_another_cid(case, way)?;
        for function in supported_hashes() {
            refuses_wrong_bytes(case, way, function)?;
            refuses_other_digests(case, way, function)?;
        }
        refused(case, way, "of an unknown hash function", unknown_hash_cid(1), WRONG, &[ErrorKind::UnsupportedHash])?;
        refuses_wrong_bytes_of_a_present_block(case, way)?;
    }
    Ok(())
}

fn refused(case: &Case, way: Write, what: &str, cid: Cid, data: Bytes, kinds: &[ErrorKind]) -> Result<(), Failure> {
    let written = way.put(case.handles(), &[Block { cid, data: data.clone() }])?;
    let kind = written.as_ref().err().map(StoreError::kind).filter(|kind| kinds.contains(kind));
    let did = format_args!("{way} of {what} under {cid}");
    let error = saw(did, written).refused(kind.unwrap_or(kinds[0]))?;
    match (error, check_hash(&cid, &data)) {
        (StoreError::CidMismatch { cid: named, actual }, HashCheck::Mismatch(has)) => {
            let both =
                |named: &Cid, has: &Cid| format!("an error that names {named}, and {has} as the CID of the bytes");
            ensure(named == cid && *actual == has, did, both(&cid, &has), both(&named, &actual))?;
        }
        (StoreError::UnsupportedHash { cid: named, code, digest_bytes }, _) => {
            let (hash, seen) = (cid.hash(), (named, code, digest_bytes));
            let fine = seen == (cid, hash.code(), hash.size());
            let expected =
                format_args!("an error that names {cid}, its code {} and its {} bytes", hash.code(), hash.size());
            ensure(fine, did, expected, format_args!("{seen:?}"))?;
        }
        _ => {}
    }
    lacks(&*case.blocks()?, &cid, &format!("after a refused {way} of {what}"))?;
    if way.changes_heads() {
        heads_are(&*case.heads()?, &[], format_args!("after a refused {way} of {what}"))?;
    }
    Ok(())
}

fn refuses_wrong_bytes(case: &Case, way: Write, function: &HashFunction) -> Result<(), Failure> {
    // A store may lack a hash function that is not in every build.
    let kinds: &[ErrorKind] = if function.is_in_every_build() {
        &[ErrorKind::CidMismatch]
    } else {
        &[ErrorKind::CidMismatch, ErrorKind::UnsupportedHash]
    };
    let what = format!("wrong bytes for {}", function.name());
    for good in [&b"good"[..], b""] {
        for cid in cids_under(function, good) {
            refused(case, way, &what, cid, WRONG, kinds)?;
        }
    }
    let what = format!("no bytes for {}", function.name());
    cids_under(function, b"good").into_iter().try_for_each(|cid| refused(case, way, &what, cid, Bytes::new(), kinds))
}

fn refuses_other_digests(case: &Case, way: Write, function: &HashFunction) -> Result<(), Failure> {
    if function.digest_bytes().is_none() {
        return Ok(());
    }
    let good = block("good");
    let hash = function.multihash(&good.data).expect("a digest of its own length");
    for digest_bytes in [0, 1, 20, hash.digest().len() - 1] {
        let cid = cid_v1(RAW, function.code(), &hash.digest()[..digest_bytes]);
        let what = format!("the right bytes, their {} digest cut to {digest_bytes} bytes,", function.name());
        refused(case, way, &what, cid, good.data.clone(), &[ErrorKind::UnsupportedHash])?;
    }
    let longer = [hash.digest(), b"\0"].concat();
    // No CID has a digest of more than 64 bytes.
    if longer.len() <= 64 {
        let cid = cid_v1(RAW, function.code(), &longer);
        let what = format!("the right bytes, their {} digest with a byte more,", function.name());
        refused(case, way, &what, cid, good.data, &[ErrorKind::UnsupportedHash])?;
    }
    Ok(())
}

/// Hashing a large block is slow, but must not be skipped.
fn refuses_one_wrong_byte(case: &Case, way: Write, good: &Block) -> Result<(), Failure> {
    let mut wrong = good.data.to_vec();
    if let Some(last) = wrong.last_mut() {
        *last ^= 1;
    }
    let what = format!("{} bytes of which the last is wrong,", wrong.len());
    refused(case, way, &what, good.cid, wrong.into(), &[ErrorKind::CidMismatch])
}

/// Puts one buffer under its own CID, then under that of another block. A check must cover the pair of CID and bytes,
/// not the bytes alone.
fn refuses_a_buffer_under_another_cid(case: &Case, way: Write) -> Result<(), Failure> {
    let (store, good) = (case.blocks()?, block("under its own CID"));
    let wrong = Block { cid: block("whose CID it takes").cid, data: good.data.clone() };
    let written = way.put(case.handles(), &[good.clone(), wrong.clone()])?;
    let did = format_args!("{way} of a block and of its bytes under another CID");
    saw(did, written).refused(ErrorKind::CidMismatch)?;
    lacks(&*store, &wrong.cid, &format!("after a refused {did}"))?;
    // If each block is a call of its own, the first one stays.
    saw("delete", store.delete(&good.cid)).ok()
}

/// Bytes must be checked even if the block is already in the store, or was there before.
fn refuses_wrong_bytes_of_a_present_block(case: &Case, way: Write) -> Result<(), Failure> {
    let (store, present) = (case.blocks()?, block("present"));
    // Of another length, and of the same.
    let all_wrong = [WRONG, Bytes::from_static(b"Present")];
    saw(format_args!("{way} of a block"), way.put(case.handles(), std::slice::from_ref(&present))?).ok()?;
    put(&*store, &present)?;
    for wrong in &all_wrong {
        let written = way.put(case.handles(), &[Block { cid: present.cid, data: wrong.clone() }])?;
        let did = format_args!("{way} of wrong bytes under a CID that is present");
        saw(did, written).refused(ErrorKind::CidMismatch)?;
        holds(&*store, &present, &format!("after a {way} of wrong bytes for it was refused"))?;
        lists(&*store, &[present.cid], &format!("after wrong bytes through {way} were refused"))?;
    }
    saw("delete", store.delete(&present.cid)).ok()?;
    for wrong in all_wrong {
        let written = way.put(case.handles(), &[Block { cid: present.cid, data: wrong }])?;
        let did = format_args!("{way} of wrong bytes under the CID of a block that was deleted");
        saw(did, written).refused(ErrorKind::CidMismatch)?;
        lacks(&*store, &present.cid, &format!("after a refused {did}"))?;
    }
    if way.changes_heads() {
        update(&*case.heads()?, &head("after"), &[present.cid])?;
    }
    Ok(())
}

pub(crate) fn every_write_takes_every_supported_hash(case: &mut Case) -> LawResult {
    let ways = writes_of("every_write_takes_every_supported_hash").into_iter().filter(|way| way.is_offered(case));
    for way in ways {
        for function in supported_hashes() {
            for cid in cids_under(function, b"data") {
                takes(case, way, function, &Block { cid, data: Bytes::from_static(b"data") })?;
            }
            // A digest whose length is that of the data, and not fixed.
            const DATA: &[u8; 64] = &[b'd'; 64];
            for bytes in [0, 1, 31, 32, 33, 36, 37, 63, 64].into_iter().filter(|_| function.digest_bytes().is_none()) {
                takes(case, way, function, &identity_block(&DATA[..bytes]))?;
            }
        }
    }
    Ok(())
}

fn takes(case: &Case, way: Write, function: &HashFunction, block: &Block) -> Result<(), Failure> {
    let store = case.blocks()?;
    match way.put(case.handles(), std::slice::from_ref(block))? {
        Err(error) if error.kind() == ErrorKind::UnsupportedHash && !function.is_in_every_build() => {
            lacks(&*store, &block.cid, &format!("after a refused {way}"))
        }
        written => {
            saw(format_args!("{way} of {block} under {}", function.name()), written).ok()?;
            holds(&*store, block, &format!("after {way} of it"))?;
            saw("delete", store.delete(&block.cid)).ok()
        }
    }
}

/// An invalid CID is refused anywhere in a large batch, and so is the batch.
fn refuses_a_large_batch(case: &Case, way: Write, no_cids: &[Cid], good: &Block) -> Result<(), Failure> {
    const LARGE: usize = 1500;
    for (cid, place) in no_cids.iter().zip([0, LARGE / 2, LARGE - 1, LARGE]) {
        let mut batch = blocks("beside an invalid CID", LARGE);
        batch.insert(place, Block { cid: *cid, data: good.data.clone() });
        let written = way.put(case.handles(), &batch)?;
        let unsupported = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnsupportedHash);
        let kind =
            if unsupported && cid.codec() == RAW { ErrorKind::UnsupportedHash } else { ErrorKind::InvalidArgument };
        let did = format!("{way} of {LARGE} blocks and, at place {place}, one under {cid}");
        saw(&did, written).refused(kind)?;
        lists(&*case.blocks()?, &[good.cid], &format!("after a refused {did}"))?;
    }
    Ok(())
}

/// Codecs and hash functions above what multiformats allow.
const ABOVE: [u64; 2] = [1 << 63, u64::MAX];

pub(crate) fn every_write_refuses_what_is_no_cid(case: &mut Case) -> LawResult {
    let (store, good) = (case.blocks()?, block("good"));
    put(&*store, &good)?;
    let digest = good.cid.hash().digest();
    let no_cids = ABOVE.iter().flat_map(|above| [Cid::new_v1(*above, *good.cid.hash()), cid_v1(RAW, *above, digest)]);
    let no_cids: Vec<Cid> = no_cids.collect();
    for way in writes_of("every_write_refuses_what_is_no_cid").into_iter().filter(|way| way.is_offered(case)) {
        for cid in &no_cids {
            let written = way.put(case.handles(), &[Block { cid: *cid, data: good.data.clone() }])?;
            // A store may look at the hash function first.
            let unsupported = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnsupportedHash);
            let kind =
                if unsupported && cid.codec() == RAW { ErrorKind::UnsupportedHash } else { ErrorKind::InvalidArgument };
            saw(format_args!("{way} under {cid}, of which a number has 64 bits"), written).refused(kind)?;
            lacks(&*store, cid, &format!("after a refused {way}"))?;
        }
        lists(&*store, &[good.cid], &format!("after {way} under CIDs of 64 bits"))?;
        if way.is_batch() {
            refuses_a_large_batch(case, way, &no_cids, &good)?;
        }
    }
    if !case.has(Profile::Heads) {
        return Ok(());
    }
    let heads = case.heads()?;
    update(&*heads, &good.cid, &[])?;
    for cid in no_cids {
        let did = format!("a change to head {cid}, of which a number has 64 bits");
        saw(format_args!("update: {did}"), heads.update(&cid, &[good.cid])).refused(ErrorKind::InvalidArgument)?;
        saw(format_args!("swap: {did}"), heads.swap(&[good.cid], &cid)).refused(ErrorKind::InvalidArgument)?;
        if case.has(Profile::Store) {
            let committed = case.store()?.commit(WriteBatch::new().update_all([block("another").cid, cid], []));
            saw(format_args!("commit: {did}"), committed).refused(ErrorKind::InvalidArgument)?;
        }
        heads_are(&*heads, &[good.cid], format_args!("after {did} was refused"))?;
    }
    Ok(())
}
