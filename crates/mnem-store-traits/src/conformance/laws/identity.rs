//! The identity of a block: the whole CID, and nothing less.

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, DAG_CBOR, RAW,
    conformance::{
        Failure,
        case::Case,
        data::{
            BLAKE3, Block, IDENTITY, SHA2_256, blake3_cid, cid_v1, identity_block, identity_cid, near_codecs,
            unknown_hash_code, v0_cid,
        },
        expect::{holds, lacks, lists, put, saw},
        failure::LawResult,
    },
    is_checkable,
};

/// Puts the blocks one by one. After each step, exactly the blocks put so far must be found.
fn apart(store: &dyn Blockstore, blocks: &[Block], how: &str) -> Result<(), Failure> {
    apart_once_put(store, blocks, how, |block| put(store, block))
}

fn apart_once_put(
    store: &dyn Blockstore,
    blocks: &[Block],
    how: &str,
    put: impl Fn(&Block) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for (i, block) in blocks.iter().enumerate() {
        for absent in &blocks[i..] {
            lacks(store, &absent.cid, &format!("although only others, {how}, were put"))?;
        }
        put(block)?;
        for present in &blocks[..=i] {
            holds(store, present, &format!("beside others, {how}"))?;
        }
    }
    lists(store, &blocks.iter().map(|block| block.cid).collect::<Vec<_>>(), &format!("of blocks {how}"))?;
    for (i, block) in blocks.iter().enumerate() {
        saw(format_args!("delete({})", block.cid), store.delete(&block.cid)).ok()?;
        lacks(store, &block.cid, "after its delete")?;
        for present in &blocks[i + 1..] {
            holds(store, present, &format!("after the delete of others, {how}"))?;
        }
    }
    Ok(())
}

/// Identity blocks of 64 bytes, each different from the previous one in a single byte.
fn longest_near_blocks() -> Vec<Block> {
    let changed = |at: usize| {
        let mut digest = vec![b'a'; 64];
        digest[at] = b'b';
        identity_block(digest)
    };
    [0, 31, 32, 40, 47, 48, 63].map(changed).into_iter().chain([identity_block(vec![b'a'; 64])]).collect()
}

fn same_bytes(cids: impl IntoIterator<Item = Cid>, data: &'static [u8]) -> Vec<Block> {
    cids.into_iter().map(|cid| Block { cid, data: Bytes::from_static(data) }).collect()
}

pub(crate) fn version_is_part_of_the_key(case: &mut Case) -> LawResult {
    let data = b"one digest, two versions";
    let v0 = v0_cid(data);
    let v1 = Cid::new_v1(v0.codec(), *v0.hash());
    apart(&*case.blocks()?, &same_bytes([v0, v1], data), "equal but for the version")?;
    apart(&*case.blocks()?, &same_bytes([v1, v0], data), "equal but for the version")?;
    Ok(())
}

pub(crate) fn codec_is_part_of_the_key(case: &mut Case) -> LawResult {
    let data = b"one digest, many codecs";
    let codecs = [RAW, DAG_CBOR, 0x70, 0x00, 0x0129, 0x7f, 0x80, 0x3f_ffff];
    apart(
        &*case.blocks()?,
        &same_bytes(codecs.map(|codec| crate::cid_of(codec, data)), data),
        "equal but for the codec",
    )?;
    Ok(())
}

pub(crate) fn hash_function_is_part_of_the_key(case: &mut Case) -> LawResult {
    let data = b"one text, many hash functions";
    let cids = [crate::cid_of(RAW, data), blake3_cid(RAW, data), identity_cid(RAW, data)];
    apart(&*case.blocks()?, &same_bytes(cids, data), "equal but for the hash function")?;
    Ok(())
}

pub(crate) fn equal_digests_of_other_hash_functions_are_others(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let digest = Bytes::copy_from_slice(crate::cid_of(RAW, b"text").hash().digest());
    let text = Block { cid: crate::cid_of(RAW, b"text"), data: Bytes::from_static(b"text") };
    let named_by_the_digest = Block { cid: cid_v1(RAW, IDENTITY, &digest), data: digest.clone() };
    apart(&*store, &[text.clone(), named_by_the_digest], "with one digest under two hash functions")?;
    put(&*store, &text)?;
    for code in [BLAKE3, unknown_hash_code()] {
        lacks(&*store, &cid_v1(RAW, code, &digest), "with the digest of a present block under another hash function")?;
    }
    lacks(&*store, &cid_v1(RAW, SHA2_256, &digest[..31]), "with a prefix of the digest of a present block")?;
    Ok(())
}

pub(crate) fn identity_is_not_synthesised(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    for data in [Bytes::new(), Bytes::from_static(b"a"), Bytes::from_static(b"named by itself")] {
        let block = identity_block(data);
        lacks(&*store, &block.cid, "before the put of an identity block")?;
        put(&*store, &block)?;
        holds(&*store, &block, "after the put of an identity block")?;
        saw("delete of an identity block", store.delete(&block.cid)).ok()?;
        lacks(&*store, &block.cid, "after the delete of an identity block")?;
    }
    lists(&*store, &[], "after identity blocks were put and deleted")?;
    Ok(())
}

pub(crate) fn identity_cids_of_every_length_are_kept(case: &mut Case) -> LawResult {
    let all: Vec<Block> = [0, 1, 2, 20, 31, 32, 33, 63, 64].map(|n| identity_block(vec![b'i'; n])).to_vec();
    apart(&*case.blocks()?, &all, "identity CIDs that are prefixes of each other")?;
    let zeros = [&b""[..], b"\0", b"\0\0", b"i", b"i\0", b"i\0\0"].map(|data| identity_block(data.to_vec()));
    apart(&*case.blocks()?, &zeros, "identity CIDs that differ in zeros at their end")?;
    Ok(())
}

pub(crate) fn near_cids_are_apart(case: &mut Case) -> LawResult {
    let mut texts = vec![[b'a'; 32]; 6];
    texts[1][0] = b'A';
    texts[2][31] = b'A';
    texts[3][0] = b'b';
    texts[4][31] = b'b';
    texts[5][16] = 0;
    let all: Vec<Block> = texts.into_iter().map(|text| identity_block(text.to_vec())).collect();
    apart(&*case.blocks()?, &all, "different in one byte at the beginning, in the middle or at the end")?;
    apart(&*case.blocks()?, &longest_near_blocks(), "of the longest digests, different in one byte")?;
    let data = b"one text, near codecs";
    apart(&*case.blocks()?, &same_bytes(near_codecs(data), data), "whose codecs differ in one bit of a high byte")?;
    near_hash_functions_are_apart(&*case.blocks()?)?;
    Ok(())
}

/// Codes of hash functions that are equal in their low 8, 16 or 24 bits, if the store accepts blocks that cannot be
/// checked.
fn near_hash_functions_are_apart(store: &dyn Blockstore) -> Result<(), Failure> {
    let code = unknown_hash_code();
    let all: Vec<Block> = [0, 1 << 8, 1 << 16, 1 << 24, 1 << 32]
        .map(|high| Block { cid: cid_v1(RAW, code + high, &[7; 32]), data: format!("{high}").into() })
        .into_iter()
        .filter(|block| !is_checkable(&block.cid))
        .collect();
    let put_trusted = |block: &Block| store.put_trusted(&block.cid, block.data.clone());
    if put_trusted(&all[0]).is_err() {
        return Ok(());
    }
    saw("delete", store.delete(&all[0].cid)).ok()?;
    let how = "whose hash functions differ in one bit of a high byte";
    apart_once_put(store, &all, how, |block| {
        saw(format_args!("put_trusted of {} {how}", block.cid), put_trusted(block)).ok()
    })
}

pub(crate) fn digests_that_are_not_text_are_kept(case: &mut Case) -> LawResult {
    let all: Vec<Block> = [
        vec![0; 4],
        vec![0xff; 4],
        vec![0xff, 0xfe, 0x00, 0x2f],
        vec![0xfe, 0xff, 0x00, 0x2f],
        b"../x".to_vec(),
        b"a/b\n".to_vec(),
        vec![0xef, 0xbf, 0xbd, 0x00],
    ]
    .into_iter()
    .map(identity_block)
    .collect();
    apart(&*case.blocks()?, &all, "with digests that are not text")?;
    Ok(())
}
