//! CIDs and keys that are alike, and pages that change before a listing gets to them.

use bytes::Bytes;
use cid::Cid;

use crate::{
    DAG_CBOR, ErrorKind, RAW, SideTable, StoreError, WriteBatch,
    conformance::{
        Failure, Profile,
        case::Case,
        data::{Block, blocks, head, identity_block, near_codecs, one_text, v0_cid},
        expect::{delete_many, ensure, heads_are, lists, put, put_many, same, saw},
        failure::LawResult,
        ways::Write,
    },
    limits::TABLE_KEY_BYTES_MAX,
};

/// More than two pages of 256.
const PAGES: usize = 600;

fn cids_of(blocks: &[Block]) -> Vec<Cid> {
    blocks.iter().map(|block| block.cid).collect()
}

pub(crate) fn cids_that_are_alike_are_listed_on_every_page(case: &mut Case) -> LawResult {
    let (store, n) = (case.blocks()?, case.in_time(PAGES));
    let text = Bytes::from_static(b"one text");
    let hash = *crate::cid_of(RAW, &text).hash();
    let private_use = 0x30_0000;
    let kinds: [(&str, Vec<Block>); 3] = [
        ("identity CIDs with the same 56 bytes first", {
            let digest = |i: usize| format!("{:56}{i:06}", "the same bytes at the beginning");
            (0..n).map(|i| identity_block(digest(i))).collect()
        }),
        ("CIDv0s", {
            let data = |i: usize| Bytes::from(format!("DAG-PB {i}"));
            (0..n).map(|i| Block { cid: v0_cid(&data(i)), data: data(i) }).collect()
        }),
        ("CIDs of one text under different codecs", {
            let cid = |i: usize| Cid::new_v1(private_use + i as u64, hash);
            (0..n).map(|i| Block { cid: cid(i), data: text.clone() }).collect()
        }),
    ];
    let mut all = Vec::new();
    for (what, blocks) in &kinds {
        put_many(&*store, blocks)?;
        all.extend(cids_of(blocks));
        lists(&*store, &all, &format!("after a put_many of {n} {what}"))?;
    }
    for (what, blocks) in &kinds {
        let (gone, kept) = blocks.split_at(n / 2);
        delete_many(&*store, &cids_of(gone))?;
        all.retain(|cid| !gone.iter().any(|block| block.cid == *cid));
        lists(&*store, &all, &format!("after a delete_many of half of {n} {what}"))?;
        same("how many of them are left", kept.len(), n - n / 2)?;
    }
    Ok(())
}

pub(crate) fn large_batches_keep_cids_apart(case: &mut Case) -> LawResult {
    let (store, n) = (case.blocks()?, case.in_time(750));
    let raw = blocks("under two CIDs", n);
    let other = |block: &Block| Block { cid: crate::cid_of(DAG_CBOR, &block.data), data: block.data.clone() };
    let others: Vec<Block> = raw.iter().map(other).collect();
    let both: Vec<Block> = raw.iter().zip(&others).flat_map(|(raw, other)| [raw.clone(), other.clone()]).collect();
    let ways = Write::ALL.into_iter().filter(|way| way.adds_blocks() && way.is_batch());
    for way in ways.filter(|way| way.is_offered(case)) {
        let did = format!("{way} of {n} texts, each under two CIDs");
        saw(&did, way.put(case.handles(), &both)?).ok()?;
        lists(&*store, &cids_of(&both), &format!("after {did}"))?;
        delete_many(&*store, &cids_of(&raw))?;
        lists(&*store, &cids_of(&others), &format!("after {did} and a delete_many of one CID of each"))?;
        delete_many(&*store, &cids_of(&others))?;
    }
    Ok(())
}

pub(crate) fn requirements_are_whole_cids(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let data = Bytes::from_static(b"one text");
    let dag_pb = Block { cid: Cid::new_v1(0x70, *v0_cid(&data).hash()), data: data.clone() };
    let near = near_codecs(&data).into_iter().skip(1).map(|cid| Block { cid, data: data.clone() });
    let all: Vec<Block> = one_text().into_iter().chain([dag_pb]).chain(near).collect();
    for present in &all {
        put(&*store, present)?;
        for absent in all.iter().filter(|block| block.cid != present.cid) {
            let did =
                format!("commit that requires {}, while the same bytes are there under {}", absent.cid, present.cid);
            let mut batch = WriteBatch::new();
            batch.require(absent.cid).update(head("that requires it"), []);
            let error = saw(&did, store.commit(&batch)).refused(ErrorKind::MissingBlock)?;
            let named = matches!(&error, StoreError::MissingBlock { cid, .. } if *cid == absent.cid);
            ensure(named, &did, format_args!("an error that names {}", absent.cid), &error)?;
        }
        saw("delete", store.delete(&present.cid)).ok()?;
    }
    heads_are(&*store, &[], "after commits that required absent blocks")?;
    own_puts_are_whole_cids(case, &all)?;
    Ok(())
}

/// A requirement is not met by what a batch, small or large, puts under a similar CID.
fn own_puts_are_whole_cids(case: &Case, all: &[Block]) -> Result<(), Failure> {
    let store = case.store()?;
    for n in [0, 40, case.in_time(750)] {
        for absent in all {
            // A store that does not claim `atomic_commit` may keep the blocks of the commits before.
            saw("delete", store.delete(&absent.cid)).ok()?;
            let mut batch: WriteBatch = blocks("beside", n).into_iter().map(|block| (block.cid, block.data)).collect();
            batch.extend(all.iter().filter(|put| put.cid != absent.cid).map(|put| (put.cid, put.data.clone())));
            batch.require(absent.cid).update(head("that requires it"), []);
            let did = format!("commit of {n} blocks, and of the same bytes under others, that requires {}", absent.cid);
            let error = saw(&did, store.commit(&batch)).refused(ErrorKind::MissingBlock)?;
            let named = matches!(&error, StoreError::MissingBlock { cid, .. } if *cid == absent.cid);
            ensure(named, &did, format_args!("an error that names {}", absent.cid), &error)?;
        }
    }
    heads_are(&*store, &[], "after commits that required what they put under other CIDs")
}

fn write(table: &dyn SideTable, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), Failure> {
    saw(format_args!("write of {} puts and {} deletes", puts.len(), deletes.len()), table.write(puts, deletes)).ok()
}

fn keys_are(table: &dyn SideTable, prefix: &[u8], expected: &[Bytes], when: &str) -> Result<(), Failure> {
    let keys = table.keys(prefix).and_then(|keys| keys.take(2 * expected.len() + 8).collect::<Result<Vec<_>, _>>());
    saw(format_args!("keys of a prefix of {} bytes {when}", prefix.len()), keys).is(expected.to_vec())
}

/// Keys of the greatest length that differ in their last bytes alone.
pub(crate) fn long_keys_are_apart_on_every_page(case: &mut Case) -> LawResult {
    let table = saw("side_table", case.store()?.side_table("table")).ok()?;
    let n = case.in_time(PAGES);
    let stem = "s".repeat(TABLE_KEY_BYTES_MAX - 20);
    let key = |group: char, i: usize| Bytes::from(format!("{stem}{group}{i:019}"));
    let value = |key: &Bytes| key.slice(TABLE_KEY_BYTES_MAX - 20..);
    let group = |group: char| (0..n).map(|i| key(group, i)).collect::<Vec<Bytes>>();
    let groups = ['a', 'b', 'c'].map(|letter| (letter, group(letter)));
    for (_, keys) in &groups {
        let rows: Vec<_> = keys.iter().map(|key| (key.clone(), value(key))).collect();
        write(&*table, &rows, &[])?;
    }
    for (letter, keys) in &groups {
        keys_are(&*table, format!("{stem}{letter}").as_bytes(), keys, "of long keys")?;
        for key in [&keys[0], &keys[1], &keys[n / 2], &keys[n - 1]] {
            saw(format_args!("get of {key:?}"), table.get(key)).is(Some(value(key)))?;
            keys_are(&*table, key, std::slice::from_ref(key), "that is a whole key")?;
            keys_are(&*table, &[key, &b"0"[..]].concat(), &[], "that is longer than any key")?;
        }
    }
    let (gone, kept) = groups[1].1.split_at(n - 1);
    write(&*table, &[], gone)?;
    keys_are(&*table, format!("{stem}b").as_bytes(), kept, "of which one key is left")?;
    let left = [&groups[0].1, kept, &groups[2].1].concat();
    keys_are(&*table, stem.as_bytes(), &left, "after many keys with it were deleted")?;
    Ok(())
}

/// What is there throughout: some of many.
fn some<T: Clone>(all: &[T]) -> Vec<T> {
    all.iter().skip(5).step_by(all.len() / 16).cloned().collect()
}

pub(crate) fn listings_go_on_when_what_comes_next_is_deleted(case: &mut Case) -> LawResult {
    let (store, all) = (case.blocks()?, cids_of(&blocks("listed", case.in_time(1100))));
    put_many(&*store, &blocks("listed", all.len()))?;
    let steady = some(&all);
    let gone: Vec<Cid> = all.iter().filter(|cid| !steady.contains(cid)).copied().collect();
    let mut listing = saw("cids()", store.cids()).ok()?;
    let mut listed = vec![saw("the first item of cids()", listing.next().transpose()).ok()?];
    delete_many(&*store, &gone)?;
    let did = "cids() whose consumer deletes most of what it was not handed yet";
    for item in listing.take(2 * all.len()) {
        listed.push(Some(saw(did, item).ok()?));
    }
    for cid in &steady {
        let times = listed.iter().filter(|item| item.as_ref() == Some(cid)).count();
        ensure(times == 1, did, format_args!("{cid} once, which is there throughout"), format_args!("{times} times"))?;
    }
    if !case.has(Profile::SideTables) {
        return Ok(());
    }
    let table = saw("side_table", case.store()?.side_table("table")).ok()?;
    let all: Vec<Bytes> = (0..all.len()).map(|i| Bytes::from(format!("key {i:05}"))).collect();
    write(&*table, &all.iter().map(|key| (key.clone(), Bytes::new())).collect::<Vec<_>>(), &[])?;
    let steady = some(&all);
    let gone: Vec<Bytes> = all.iter().filter(|key| !steady.contains(key)).cloned().collect();
    let mut listing = saw("keys()", table.keys(b"")).ok()?;
    let mut listed = vec![saw("the first item of keys()", listing.next().transpose()).ok()?.unwrap_or_default()];
    write(&*table, &[], &gone)?;
    let did = "keys() whose consumer deletes most of what it was not handed yet";
    for item in listing.take(2 * all.len()) {
        listed.push(saw(did, item).ok()?);
    }
    listed.retain(|key| steady.contains(key));
    same(did, listed, steady)?;
    Ok(())
}
