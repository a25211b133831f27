//! Compares what a law saw with what the contract promises.

use std::{fmt::Display, ops::ControlFlow};

use bytes::Bytes;
use cid::Cid;

use super::{
    Failure,
    data::Block,
    show::{Show, examples},
};
use crate::{Blockstore, ErrorKind, OpHeadsStore, StoreError};

/// A step of a law and its result.
pub(crate) struct Seen<D, T> {
    did: D,
    saw: Result<T, StoreError>,
}

/// Begins a comparison: `saw("get(absent)", store.get(&cid)).is(None)?`.
pub(crate) fn saw<D: Display, T>(did: D, saw: Result<T, StoreError>) -> Seen<D, T> {
    Seen { did, saw }
}

impl<D: Display, T> Seen<D, T> {
    /// The value, if the call succeeded.
    pub(crate) fn ok(self) -> Result<T, Failure> {
        self.saw.map_err(|error| Failure::new(self.did, "Ok", Err::<(), _>(error).show()))
    }

    /// The error, if the call failed with this kind.
    pub(crate) fn refused(self, kind: ErrorKind) -> Result<StoreError, Failure> {
        let expected = format_args!("Err({kind:?})");
        match self.saw {
            Err(error) if error.kind() == kind => Ok(error),
            Err(error) => Err(Failure::new(self.did, expected, Err::<(), _>(error).show())),
            Ok(_) => Err(Failure::new(self.did, expected, "Ok: the call was accepted")),
        }
    }
}

impl<D: Display, T: Show + PartialEq> Seen<D, T> {
    /// Checks for success with exactly this value.
    pub(crate) fn is(self, expected: T) -> Result<(), Failure> {
        match self.saw {
            Ok(value) if value == expected => Ok(()),
            other => Err(Failure::new(self.did, Ok::<_, StoreError>(expected).show(), other.show())),
        }
    }
}

/// Checks a value that is not the result of a store call.
pub(crate) fn same<T: Show + PartialEq>(did: impl Display, saw: T, expected: T) -> Result<(), Failure> {
    if saw == expected { Ok(()) } else { Err(Failure::new(did, expected.show(), saw.show())) }
}

/// Checks any other fact.
pub(crate) fn ensure(fact: bool, did: impl Display, expected: impl Display, saw: impl Display) -> Result<(), Failure> {
    if fact { Ok(()) } else { Err(Failure::new(did, expected, saw)) }
}

/// Puts a block; the store must accept it.
pub(crate) fn put(store: &dyn Blockstore, block: &Block) -> Result<(), Failure> {
    saw(format_args!("put of {block}"), store.put(&block.cid, block.data.clone())).ok()
}

/// Puts blocks in one batch; the store must accept it.
pub(crate) fn put_many(store: &dyn Blockstore, blocks: &[Block]) -> Result<(), Failure> {
    let mut batch = blocks.iter().map(|block| Ok((block.cid, block.data.clone())));
    saw(format_args!("put_many of {} blocks", blocks.len()), store.put_many(&mut batch)).ok()
}

/// Deletes blocks in one batch; the store must accept it.
pub(crate) fn delete_many(store: &dyn Blockstore, cids: &[Cid]) -> Result<(), Failure> {
    let mut batch = cids.iter().map(|cid| Ok(*cid));
    saw(format_args!("delete_many of {} CIDs", cids.len()), store.delete_many(&mut batch)).ok()
}

/// Checks that a sweep is refused, unless the store has none.
pub(crate) fn sweep_is_refused<S: Blockstore + ?Sized>(store: &S, kind: ErrorKind, when: &str) -> Result<(), Failure> {
    match store.sweep(None, None, &mut |_| true) {
        Ok(None) => Ok(()),
        swept => saw(format_args!("sweep {when}"), swept).refused(kind).map(drop),
    }
}

/// Checks that every lookup finds the block and its bytes.
pub(crate) fn holds(store: &dyn Blockstore, block: &Block, when: &str) -> Result<(), Failure> {
    let Block { cid, data } = block;
    saw(format_args!("get({cid}) {when}"), store.get(cid)).is(Some(data.clone()))?;
    saw(format_args!("has({cid}) {when}"), store.has(cid)).is(true)?;
    saw(format_args!("size({cid}) {when}"), store.size(cid)).is(Some(data.len() as u64))?;
    saw(format_args!("with_block({cid}) {when}"), lent(store, cid)).is(Some(data.clone()))?;
    saw(format_args!("get_many([{cid}]) {when}"), answered(store, cid)).is(Some(data.clone()))?;
    saw(format_args!("has_many([{cid}]) {when}"), store.has_many(&[*cid])).is(vec![true])
}

/// Checks that no lookup finds the block.
pub(crate) fn lacks(store: &dyn Blockstore, cid: &Cid, when: &str) -> Result<(), Failure> {
    saw(format_args!("get({cid}) {when}"), store.get(cid)).is(None)?;
    saw(format_args!("has({cid}) {when}"), store.has(cid)).is(false)?;
    saw(format_args!("size({cid}) {when}"), store.size(cid)).is(None)?;
    saw(format_args!("with_block({cid}) {when}"), lent(store, cid)).is(None)?;
    saw(format_args!("get_many([{cid}]) {when}"), answered(store, cid)).is(None)?;
    saw(format_args!("has_many([{cid}]) {when}"), store.has_many(&[*cid])).is(vec![false])
}

/// The answer of `get_many` for a request of one CID.
pub(crate) fn answered(store: &dyn Blockstore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
    let mut calls = Vec::new();
    store.get_many(std::slice::from_ref(cid), &mut |index, data| {
        calls.push((index, data));
        ControlFlow::Continue(())
    })?;
    match (calls.pop(), calls.len()) {
        (Some((0, data)), 0) => Ok(data),
        // Any sequence of callbacks other than one call for index 0 is returned as bytes that cannot match.
        (last, before) => Ok(Some(Bytes::from(format!("{before} calls, then {last:?}")))),
    }
}

fn lent(store: &dyn Blockstore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
    let mut calls = Vec::new();
    let found = store.with_block(cid, &mut |data| calls.push(Bytes::copy_from_slice(data)))?;
    // A callback that ran for an absent block, or not exactly once, is returned as bytes that cannot match.
    Ok(match (found, calls.len()) {
        (false, 0) => None,
        (true, 1) => calls.pop(),
        (found, n) => Some(Bytes::from(format!("returned {found} after {n} calls of the callback"))),
    })
}

/// Checks that the store lists exactly these blocks, each once.
pub(crate) fn lists(store: &dyn Blockstore, expected: &[Cid], when: &str) -> Result<(), Failure> {
    let mut listed = listing(store, when, expected.len() * 2 + 16)?;
    let mut expected = expected.to_vec();
    listed.sort();
    expected.sort();
    if listed == expected {
        return Ok(());
    }
    let missing: Vec<Cid> = expected.iter().filter(|cid| listed.binary_search(cid).is_err()).copied().collect();
    let foreign: Vec<Cid> = listed.iter().filter(|cid| expected.binary_search(cid).is_err()).copied().collect();
    let repeated: Vec<Cid> = listed.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    let mut differences = format!("{} items", listed.len());
    for (what, cids) in [("missing", missing), ("never put", foreign), ("repeated", repeated)] {
        if !cids.is_empty() {
            differences += &format!("; {what}: {}", examples(&cids));
        }
    }
    Err(Failure::new(format_args!("cids() {when}"), format_args!("{} blocks, each once", expected.len()), differences))
}

/// Collects the listing, which must end without an error and with at most this many items.
pub(crate) fn listing(store: &dyn Blockstore, when: &str, at_most: usize) -> Result<Vec<Cid>, Failure> {
    let mut listed = Vec::new();
    for item in saw(format_args!("cids() {when}"), store.cids()).ok()? {
        listed.push(saw(format_args!("item {} of cids() {when}", listed.len()), item).ok()?);
        if listed.len() > at_most {
            return Err(Failure::new(
                format_args!("cids() {when}"),
                "an end",
                format_args!("{at_most} items and no end"),
            ));
        }
    }
    Ok(listed)
}

/// Checks that these are the heads, in any order.
pub(crate) fn heads_are(store: &dyn OpHeadsStore, expected: &[Cid], when: impl Display) -> Result<(), Failure> {
    let mut expected = expected.to_vec();
    expected.sort();
    expected.dedup();
    let did = format_args!("heads() {when}");
    let seen = saw(did, store.heads()).ok()?;
    let mut ascending = seen.clone();
    ascending.sort();
    if seen != expected && ascending == expected {
        return Err(Failure::new(did, "the heads, ascending", "the same heads, in another order"));
    }
    saw(did, Ok(seen)).is(expected)
}

/// Changes the heads; the store must accept it.
pub(crate) fn update(store: &dyn OpHeadsStore, new: &Cid, supersedes: &[Cid]) -> Result<(), Failure> {
    let did = format_args!("update(new {new}, superseding {})", examples(supersedes));
    saw(did, store.update(new, supersedes)).ok()
}
