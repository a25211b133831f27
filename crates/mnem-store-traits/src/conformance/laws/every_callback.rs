//! Caller's code that runs inside a call: iterators, callbacks, consumers of listings.

use std::{
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Cause, ErrorKind, Outcome, StoreError,
    conformance::{
        Claim, Failure, Handles, Profile,
        case::{Case, offered},
        data::{Block, block, blocks},
        expect::{ensure, holds, lacks, put_many, saw},
        failure::LawResult,
        outcomes::Done,
        ways::{Extent, Scene, Write, writes_of},
    },
};

/// A call that runs its caller's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    PutMany,
    /// A `put_many` whose iterator fails after the caller's code ran.
    FailedPutMany,
    DeleteMany,
    FailedDeleteMany,
    WithBlock,
    GetMany,
    Cids,
    Keys,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::PutMany,
        Self::FailedPutMany,
        Self::DeleteMany,
        Self::FailedDeleteMany,
        Self::WithBlock,
        Self::GetMany,
        Self::Cids,
        Self::Keys,
    ];

    fn needs(self) -> Profile {
        if self == Self::Keys { Profile::SideTables } else { Profile::Blocks }
    }

    fn fails(self) -> bool {
        matches!(self, Self::FailedPutMany | Self::FailedDeleteMany)
    }

    /// Whether the blocks of the call are in the store before it.
    fn finds_its_blocks(self) -> bool {
        !matches!(self, Self::PutMany | Self::FailedPutMany)
    }

    /// Whether the blocks of the call are in the store after it.
    fn leaves_its_blocks(self) -> bool {
        !matches!(self, Self::FailedPutMany | Self::DeleteMany)
    }

    /// Makes the call, which runs `code` once, after the first block of `outer` and before the second.
    fn call(self, handles: &Handles, outer: &[Block], code: &mut dyn FnMut()) -> Result<Done, Failure> {
        let store = offered(handles.as_blocks(), Profile::Blocks)?;
        let fails = self.fails();
        let mut run = |i: usize| {
            if i == 1 {
                code();
            }
        };
        Ok(match self {
            Self::PutMany | Self::FailedPutMany => {
                let items = outer.iter().enumerate().map(|(i, block)| {
                    run(i);
                    Ok((block.cid, block.data.clone()))
                });
                store.put_many(&mut items.chain(fails.then(|| Err(own_failure()))))
            }
            Self::DeleteMany | Self::FailedDeleteMany => {
                let items = outer.iter().enumerate().map(|(i, block)| {
                    run(i);
                    Ok(block.cid)
                });
                store.delete_many(&mut items.chain(fails.then(|| Err(own_failure()))))
            }
            Self::WithBlock => store.with_block(&outer[0].cid, &mut |_| run(1)).map(drop),
            Self::GetMany => {
                let cids: Vec<Cid> = outer.iter().map(|block| block.cid).collect();
                let (mut calls, mut right) = (0, 0);
                let answered = store.get_many(&cids, &mut |i, data| {
                    run(calls);
                    calls += 1;
                    right += usize::from(outer.get(i).is_some_and(|block| data.as_ref() == Some(&block.data)));
                    ControlFlow::Continue(())
                });
                is_complete(self, answered.map(|()| right == outer.len()))?
            }
            Self::Cids => {
                let listed = store.cids().and_then(|cids| consume(cids, run));
                is_complete(self, listed.map(|listed| outer.iter().all(|block| listed.contains(&block.cid))))?
            }
            Self::Keys => {
                let table = offered(handles.as_store(), Profile::Store)?.side_table("listed");
                let listed = table.and_then(|table| consume(table.keys(b"")?, run));
                is_complete(self, listed.map(|listed| ROWS.iter().all(|key| listed.iter().any(|row| row == key))))?
            }
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PutMany => "the iterator of a put_many",
            Self::FailedPutMany => "the iterator of a put_many, which then fails",
            Self::DeleteMany => "the iterator of a delete_many",
            Self::FailedDeleteMany => "the iterator of a delete_many, which then fails",
            Self::WithBlock => "the callback of a with_block",
            Self::GetMany => "the callback of a get_many",
            Self::Cids => "the consumer of cids()",
            Self::Keys => "the consumer of keys()",
        })
    }
}

fn consume<T>(
    items: impl Iterator<Item = Result<T, StoreError>>,
    mut run: impl FnMut(usize),
) -> Result<Vec<T>, StoreError> {
    let mut consumed = Vec::new();
    for (i, item) in items.enumerate() {
        consumed.push(item?);
        run(i);
    }
    Ok(consumed)
}

/// A read that succeeds has the right answers, whatever its caller's code did.
fn is_complete(place: Place, read: Result<bool, StoreError>) -> Result<Done, Failure> {
    let complete = *read.as_ref().unwrap_or(&true);
    ensure(complete, format_args!("a call whose code is {place}"), "every answer, or an error", "others")?;
    Ok(read.map(drop))
}

const ROWS: [&str; 3] = ["one", "two", "three"];

fn own_failure() -> StoreError {
    let source = Cause::new("the law's own iterator");
    StoreError::Backend { backend: "law", operation: "go on".into(), outcome: Outcome::NotApplied, source }
}

/// Sets up what the calls of this law need: two blocks if the call finds its blocks, and rows for `keys`.
fn set(case: &Case, place: Place) -> Result<Vec<Block>, Failure> {
    let outer = blocks("of the outer call", 2);
    if place.finds_its_blocks() {
        put_many(&*case.blocks()?, &outer)?;
    }
    if place == Place::Keys {
        let rows = ROWS.map(|key| (Bytes::from(key), Bytes::from_static(b"value")));
        saw("write", case.store()?.side_table("listed").and_then(|table| table.write(&rows, &[]))).ok()?;
    }
    Ok(outer)
}

fn outer_is_as_promised(case: &Case, place: Place, outer: &[Block], there: bool, when: &str) -> Result<(), Failure> {
    are_there(case.handles(), place, outer, there, when)
}

/// Whether the blocks of the call are all there, or all absent.
fn are_there(handles: &Handles, place: Place, outer: &[Block], there: bool, when: &str) -> Result<(), Failure> {
    let store = offered(handles.as_blocks(), Profile::Blocks)?;
    outer.iter().try_for_each(|block| {
        let when = format!("{when}, of the call whose code is {place}");
        if there { holds(&*store, block, &when) } else { lacks(&*store, &block.cid, &when) }
    })
}

pub(crate) fn every_write_within_callers_code_stands(case: &mut Case) -> LawResult {
    for way in writes_of("every_write_within_callers_code_stands").into_iter().filter(|way| way.is_offered(case)) {
        for place in Place::ALL.into_iter().filter(|place| case.has(place.needs())) {
            write_within(&case.fresh()?, way, place)?;
        }
    }
    Ok(())
}

fn write_within(case: &Case, way: Write, place: Place) -> Result<(), Failure> {
    let scene = Scene::new(2);
    scene.set(case, way)?;
    let outer = set(case, place)?;
    let all_there = |when: &str| {
        scene.rest_is_kept(way, case.handles(), when)?;
        let extent = scene.extent(way, case.handles(), 0, true, when)?;
        ensure(extent == Extent::All, format_args!("{way} {when}"), "all of it", format_args!("{extent:?} of it"))
    };
    let within = format!("within {place}");
    let mut inside = Err(Failure::new(&within, "one run of the code", "none"));
    let done = place.call(case.handles(), &outer, &mut || {
        inside = scene
            .act(way, case.handles(), 0)
            .and_then(|done| saw(format_args!("{way} {within}"), done).ok())
            .and_then(|()| all_there(&within))
            .and_then(|()| outer_is_as_promised(case, place, &outer, place.finds_its_blocks(), "before it ended"));
    })?;
    inside?;
    let did = format_args!("a call with {way} {within}");
    if place.fails() {
        saw(did, done).refused(ErrorKind::Backend)?;
    } else {
        saw(did, done).ok()?;
    }
    all_there(&format!("after it was done {within}"))?;
    outer_is_as_promised(case, place, &outer, place.leaves_its_blocks(), "after it ended")?;
    close(case, &format!("after {way} {within}"))
}

fn close(case: &Case, when: &str) -> Result<(), Failure> {
    case.handles().as_store().map_or(Ok(()), |store| saw(format_args!("close() {when}"), store.close()).ok())
}

pub(crate) fn panic_in_callers_code_harms_nothing(case: &mut Case) -> LawResult {
    let ways = writes_of("panic_in_callers_code_harms_nothing");
    for place in Place::ALL.into_iter().filter(|place| case.has(place.needs()) && !place.fails()) {
        for way in ways.iter().copied().filter(|way| way.is_offered(case)) {
            write_after_a_panic(&case.fresh()?, way, place)?;
        }
    }
    Ok(())
}

fn write_after_a_panic(case: &Case, way: Write, place: Place) -> Result<(), Failure> {
    let scene = Scene::new(2);
    scene.set(case, way)?;
    let outer = set(case, place)?;
    let when = format!("after a panic in {place}");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        place.call(case.handles(), &outer, &mut || std::panic::panic_any("the law's own code panics"))
    }));
    ensure(panicked.is_err(), format_args!("a panic in {place}"), "the panic to reach the caller", "no panic")?;
    outer_is_as_promised(case, place, &outer, place.finds_its_blocks(), "after a panic")?;
    saw(format_args!("{way} {when}"), scene.act(way, case.handles(), 0)?).ok()?;
    let extent = scene.extent(way, case.handles(), 0, true, &when)?;
    ensure(extent == Extent::All, format_args!("{way} {when}"), "all of it", format_args!("{extent:?} of it"))?;
    let after = block("after");
    put_many(&*case.blocks()?, std::slice::from_ref(&after))?;
    holds(&*case.blocks()?, &after, &when)?;
    close(case, &when)
}

pub(crate) fn close_within_callers_code_is_a_close(case: &mut Case) -> LawResult {
    let closes = closes(&case.fresh()?)?;
    for place in Place::ALL.into_iter().filter(|place| case.has(place.needs())) {
        close_within(&mut case.fresh()?, place, closes)?;
    }
    Ok(())
}

/// Whether `close` closes anything. There is nothing to close in a backend that is only a block store.
fn closes(case: &Case) -> Result<bool, Failure> {
    let known = block("known");
    put_many(&*case.blocks()?, std::slice::from_ref(&known))?;
    close(case, "outside of all calls")?;
    Ok(matches!(case.blocks()?.get(&known.cid), Err(error) if error.kind() == ErrorKind::Closed))
}

fn close_within(case: &mut Case, place: Place, closes: bool) -> Result<(), Failure> {
    let outer = set(case, place)?;
    let mut closed = Err(Failure::new(format_args!("close() within {place}"), "one run of the code", "none"));
    let done = place.call(case.handles(), &outer, &mut || closed = close(case, &format!("within {place}")))?;
    closed?;
    if !closes {
        // The call is like any other.
        return outer_is_as_promised(
            case,
            place,
            &outer,
            place.leaves_its_blocks(),
            "after a close() that closed nothing",
        );
    }
    let probe = case.blocks()?.get(&outer[0].cid);
    saw(format_args!("get after a close() within {place}"), probe).refused(ErrorKind::Closed)?;
    let did = format_args!("a call with a close() within {place}");
    match place {
        Place::PutMany | Place::DeleteMany => saw(did, done).refused(ErrorKind::Closed).map(drop)?,
        // The iterator's own error; or the store asked whether it was closed before it asked for the next item.
        Place::FailedPutMany | Place::FailedDeleteMany => match &done {
            Err(error) if error.kind() == ErrorKind::Closed => {}
            _ => saw(did, done).refused(ErrorKind::Backend).map(drop)?,
        },
        _ if done.is_ok() => {}
        _ => saw(did, done).refused(ErrorKind::Closed).map(drop)?,
    }
    if case.has(Profile::SecondHandle) {
        are_there(
            &case.second()?,
            place,
            &outer,
            place.finds_its_blocks(),
            "in another opening of a store that was closed",
        )?;
    }
    if case.has(Profile::Persistence) && case.claims(Claim::PutsSurvive) {
        case.drop_and_open()?;
        let when = "in a store that was closed and opened again";
        outer_is_as_promised(case, place, &outer, place.finds_its_blocks(), when)?;
    }
    Ok(())
}
