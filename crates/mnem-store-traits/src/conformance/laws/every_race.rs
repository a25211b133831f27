//! Concurrent writes of different kinds.

use std::sync::Barrier;

use bytes::Bytes;
use cid::Cid;

use crate::{
    StoreError,
    conformance::{
        Failure, Handles, Profile,
        case::{Case, offered},
        data::{Block, block, identity_block},
        expect::{heads_are, holds, lists, put_many, saw, update},
        failure::LawResult,
        threads::{caught, together},
        ways::{TABLE, Write, writes_of},
    },
};

const ROUNDS: usize = 6;

/// The writes of one thread: all made in one way, and none that another thread makes too.
#[derive(Clone, Copy)]
struct Lane(Write);

impl Lane {
    /// Two blocks. The digest of the first one begins and ends like those of all other lanes in this round, so a
    /// backend that keeps blocks by parts of their digests keeps them together.
    fn blocks(self, round: usize) -> [Block; 2] {
        let Self(way) = self;
        [identity_block(format!("{round} {} {round}", way.name())), block(&format!("{way}, round {round}"))]
    }

    fn head(self, round: usize) -> Cid {
        self.blocks(round)[0].cid
    }

    /// The head that a round supersedes.
    fn old_head(self, round: usize) -> Cid {
        self.blocks(round)[1].cid
    }

    fn row(what: &str, round: usize) -> (Bytes, Bytes) {
        (Bytes::from(format!("{what} in round {round}")), Bytes::from_static(b"value"))
    }

    /// Sets up what the rounds supersede or delete. No round undoes an earlier one, because that would hide a loss.
    fn set(self, case: &Case) -> Result<(), Failure> {
        let Self(way) = self;
        (0..ROUNDS).try_for_each(|round| {
            if way.deletes_blocks() {
                put_many(&*case.blocks()?, &self.blocks(round))?;
            }
            if way.changes_heads() {
                update(&*case.heads()?, &self.old_head(round), &[])?;
            }
            Ok(())
        })?;
        if way != Write::Row {
            return Ok(());
        }
        let rows: Vec<_> = (0..ROUNDS).map(|round| Self::row("gone", round)).collect();
        let table = case.store()?.side_table(TABLE);
        saw("write of the first rows", table.and_then(|table| table.write(&rows, &[]))).ok()
    }

    fn write(self, handles: &Handles, round: usize) -> Result<Result<(), StoreError>, Failure> {
        let Self(way) = self;
        let old = self.old_head(round);
        Ok(match way {
            Write::Delete | Write::DeleteMany | Write::Sweep => {
                way.remove(handles, &self.blocks(round).map(|block| block.cid))?
            }
            Write::Update => offered(handles.as_heads(), Profile::Heads)?.update(&self.head(round), &[old]),
            Write::Row => {
                let table = offered(handles.as_store(), Profile::Store)?.side_table(TABLE);
                table.and_then(|table| table.write(&[Self::row("new", round)], &[Self::row("gone", round).0]))
            }
            _ => way.put_superseding(handles, &self.blocks(round), &[old])?,
        })
    }
}

pub(crate) fn writes_of_every_kind_at_once_lose_nothing(case: &mut Case) -> LawResult {
    let ways = writes_of("writes_of_every_kind_at_once_lose_nothing").into_iter().filter(|way| way.is_offered(case));
    let lanes: Vec<Lane> = ways.map(Lane).collect();
    write_at_once(case, &[case.handles()], &lanes)?;
    if case.has(Profile::SecondHandle) {
        let case = case.fresh()?;
        write_at_once(&case, &[case.handles(), &case.second()?], &lanes)?;
    }
    Ok(())
}

/// Lets the lanes write concurrently. They take turns with the handles.
fn write_at_once(case: &Case, handles: &[&Handles], lanes: &[Lane]) -> Result<(), Failure> {
    lanes.iter().try_for_each(|lane| lane.set(case))?;
    let barrier = Barrier::new(lanes.len());
    together(lanes.len(), |i| {
        let (lane, mut kept) = (lanes[i], Ok(()));
        // Every thread must reach this barrier in every round, even after a failure; otherwise the others would wait
        // forever.
        for round in 0..ROUNDS {
            barrier.wait();
            let did = format!("{} beside writes of every other kind", lane.0);
            let written = caught(&did, || lane.write(handles[i % handles.len()], round));
            kept = kept.and(written.and_then(|written| saw(did, written).ok()));
        }
        kept
    })?;
    let when = match handles.len() {
        1 => "after writes of every kind at once",
        _ => "after writes of every kind at once, through two handles",
    };
    handles.iter().try_for_each(|handles| everything_stands(handles, lanes, when))
}

fn everything_stands(handles: &Handles, lanes: &[Lane], when: &str) -> Result<(), Failure> {
    let of = |is: fn(Write) -> bool| lanes.iter().filter(move |Lane(way)| is(*way));
    let store = offered(handles.as_blocks(), Profile::Blocks)?;
    let there: Vec<Block> =
        of(Write::adds_blocks).flat_map(|lane| (0..ROUNDS).flat_map(|round| lane.blocks(round))).collect();
    there.iter().try_for_each(|block| holds(&*store, block, when))?;
    lists(&*store, &there.iter().map(|block| block.cid).collect::<Vec<_>>(), when)?;
    if let Some(store) = handles.as_heads() {
        let heads = of(Write::changes_heads).flat_map(|lane| (0..ROUNDS).map(|round| lane.head(round)));
        heads_are(&**store, &heads.collect::<Vec<_>>(), when)?;
    }
    if lanes.iter().any(|Lane(way)| *way == Write::Row) {
        let table = offered(handles.as_store(), Profile::Store)?.side_table(TABLE);
        let keys = table.and_then(|table| table.keys(b"")?.collect::<Result<Vec<_>, _>>());
        let rows: Vec<Bytes> = (0..ROUNDS).map(|round| Lane::row("new", round).0).collect();
        saw(format_args!("keys() {when}"), keys).is(rows)?;
    }
    Ok(())
}

/// Two blocks that a backend is likely to keep in one folder or page, because their digests begin or end with the same
/// byte.
fn neighbours(name: &str, by_the_first_byte: bool) -> [Block; 2] {
    let edge = |block: &Block| {
        let digest = block.cid.hash().digest();
        if by_the_first_byte { digest.first().copied() } else { digest.last().copied() }
    };
    let first = block(&format!("{name}: kept"));
    let second = (0..).map(|i| block(&format!("{name}: passing {i}"))).find(|other| edge(other) == edge(&first));
    [first.clone(), second.unwrap_or(first)]
}

pub(crate) fn deletes_lose_no_put_of_another_thread(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let ways = writes_of("deletes_lose_no_put_of_another_thread").into_iter().filter(|way| way.is_offered(case));
    let (removes, adds): (Vec<Write>, Vec<Write>) = ways.partition(|way| way.deletes_blocks());
    let mut races: Vec<(Write, Write, [Block; 2])> = Vec::new();
    for by_the_first_byte in [true, false] {
        for remove in &removes {
            races.extend(adds.iter().map(|add| {
                let name = format!("{add} beside {remove} {by_the_first_byte}");
                (*add, *remove, neighbours(&name, by_the_first_byte))
            }));
        }
    }
    let barrier = Barrier::new(2);
    let raced = together(2, |lane| {
        let mut kept = Ok(());
        // Both threads must reach both barriers in every round, even after a failure; otherwise the other would wait
        // forever.
        for (add, remove, [stays, passes]) in &races {
            let before = caught("put_many of a block", || match lane {
                0 => Ok(()),
                _ => put_many(&*store, std::slice::from_ref(passes)),
            });
            barrier.wait();
            let did = match lane {
                0 => format!("{add} beside {remove}"),
                _ => format!("{remove} of a block that only this thread uses"),
            };
            let done = caught(&did, || match lane {
                0 => add.put(case.handles(), std::slice::from_ref(stays)),
                _ => remove.remove(case.handles(), &[passes.cid]),
            });
            let done = done.and_then(|done| saw(did, done).ok());
            barrier.wait();
            kept = kept.and(before).and(done);
        }
        kept
    });
    raced?;
    for (add, remove, [stays, _]) in &races {
        holds(&*store, stays, &format!("after its {add} beside a {remove} of another block"))?;
    }
    let stay: Vec<Cid> = races.iter().map(|(_, _, [stays, _])| stays.cid).collect();
    lists(&*store, &stay, "after writes beside deletes of others")?;
    Ok(())
}
