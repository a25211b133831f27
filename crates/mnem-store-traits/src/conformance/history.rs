//! Concurrent histories of heads: is there an order of the calls that explains their results?

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
};

use cid::Cid;

use super::{
    Failure,
    data::head,
    expect::{saw, update},
    random::Rng,
    show::Show,
    threads::together,
};
use crate::{HeadChange, OpHeadsStore, Store, StoreError, WriteBatch};

/// Threads of one history, and calls of each thread. In the worst case, checking is exponential in these numbers.
const THREADS: usize = 3;
const CALLS: usize = 4;
/// The number of different heads: few, so that calls conflict.
const NAMES: usize = 5;

/// What a thread asked for.
#[derive(Clone, Debug)]
enum Asked {
    Heads,
    Change(HeadChange),
}

/// One call, its begin and end, and its result.
struct Call {
    thread: usize,
    asked: Asked,
    /// Ticks of a clock that all threads share.
    began: u64,
    ended: u64,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Heads(Vec<Cid>),
    /// Refused, with the heads that the store reported.
    Moved(Vec<Cid>),
}

/// Lets threads call at random. Fails unless there is an order of the calls that explains all results, with each call
/// taking effect at some moment between its begin and its end.
///
/// If there is a whole store, a change may also name several new heads and go through `commit`.
pub(crate) fn check_one(heads: &dyn OpHeadsStore, store: Option<&dyn Store>, rng: &mut Rng) -> Result<(), Failure> {
    let before = reset(heads)?;
    let most_new = if store.is_some() { 3 } else { 1 };
    let plans: Vec<Vec<Asked>> = (0..THREADS).map(|_| (0..CALLS).map(|_| ask(rng, most_new)).collect()).collect();
    let (clock, barrier) = (AtomicU64::new(0), Barrier::new(THREADS));
    let calls = together(THREADS, |thread| {
        barrier.wait();
        plans[thread].iter().map(|asked| call(heads, store, thread, asked, &clock)).collect::<Result<Vec<_>, _>>()
    })?;
    let calls: Vec<Call> = calls.into_iter().flatten().collect();
    if explained(&calls, &before) {
        return Ok(());
    }
    let mut in_time: Vec<&Call> = calls.iter().collect();
    in_time.sort_by_key(|call| call.began);
    let history: Vec<String> = in_time.iter().map(ToString::to_string).collect();
    Err(Failure::new(
        format_args!(
            "{THREADS} threads changed and read the heads {}",
            before.iter().copied().collect::<Vec<_>>().show()
        ),
        "answers that some order of the calls explains",
        format_args!("a history that none does:\n            {}", history.join("\n            ")),
    ))
}

/// Resets the heads to a single known one.
fn reset(store: &dyn OpHeadsStore) -> Result<BTreeSet<Cid>, Failure> {
    let heads = saw("heads()", store.heads()).ok()?;
    update(store, &name(0), &heads)?;
    Ok(BTreeSet::from([name(0)]))
}

fn name(n: usize) -> Cid {
    head(&format!("history {n}"))
}

fn ask(rng: &mut Rng, most_new: usize) -> Asked {
    let names = |rng: &mut Rng| rng.some(3, NAMES).into_iter().map(name).collect::<Vec<_>>();
    let new = |rng: &mut Rng| (0..=rng.below(most_new)).map(|_| name(rng.below(NAMES))).collect();
    match rng.below(6) {
        0 | 1 => Asked::Heads,
        2 => Asked::Change(HeadChange::Swap { expected: names(rng), new: new(rng) }),
        _ => Asked::Change(HeadChange::Update { new: new(rng), supersedes: names(rng) }),
    }
}

fn change(heads: &dyn OpHeadsStore, store: Option<&dyn Store>, change: &HeadChange) -> Result<(), StoreError> {
    match (change, change.new_heads(), store) {
        (HeadChange::Update { supersedes, .. }, [new], _) => heads.update(new, supersedes),
        (HeadChange::Swap { expected, .. }, [new], _) => heads.swap(expected, new),
        (_, _, Some(store)) => store.commit(WriteBatch::new().change_heads(change.clone())),
        (_, _, None) => Ok(()),
    }
}

fn call(
    heads: &dyn OpHeadsStore,
    store: Option<&dyn Store>,
    thread: usize,
    asked: &Asked,
    clock: &AtomicU64,
) -> Result<Call, Failure> {
    let now = || clock.fetch_add(1, Ordering::SeqCst);
    let began = now();
    let answer = match asked {
        Asked::Heads => heads.heads().map(Answer::Heads),
        Asked::Change(asked) => change(heads, store, asked).map(|()| Answer::Done),
    };
    let ended = now();
    let answer = match answer {
        Err(StoreError::HeadsMoved { actual }) => Answer::Moved(actual),
        other => saw(format_args!("{asked} beside other threads"), other).ok()?,
    };
    Ok(Call { thread, asked: asked.clone(), began, ended, answer })
}

/// The result that the call would have had alone, and the heads after it.
fn alone(asked: &Asked, heads: &BTreeSet<Cid>) -> (Answer, BTreeSet<Cid>) {
    let list = || heads.iter().copied().collect::<Vec<_>>();
    match asked {
        Asked::Heads => (Answer::Heads(list()), heads.clone()),
        Asked::Change(change) => match change.apply(heads) {
            Ok(after) => (Answer::Done, after),
            Err(_) => (Answer::Moved(list()), heads.clone()),
        },
    }
}

/// Searches for an order, call by call. A set of remaining calls that failed with the same heads before is not tried
/// again.
fn explained(calls: &[Call], before: &BTreeSet<Cid>) -> bool {
    let mut dead_ends = HashSet::new();
    let mut open = vec![(0_u32, before.clone())];
    let all = (1_u32 << calls.len()) - 1;
    while let Some((done, heads)) = open.pop() {
        if done == all {
            return true;
        }
        if !dead_ends.insert((done, heads.clone())) {
            continue;
        }
        let waiting = || calls.iter().enumerate().filter(|(i, _)| done & (1 << i) == 0);
        // A call that began after another had ended cannot have taken effect before it.
        let first_end = waiting().map(|(_, call)| call.ended).min().unwrap_or(u64::MAX);
        for (i, call) in waiting().filter(|(_, call)| call.began < first_end) {
            let (answer, after) = alone(&call.asked, &heads);
            if answer == call.answer {
                open.push((done | 1 << i, after));
            }
        }
    }
    false
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heads => f.write_str("heads()"),
            Self::Change(HeadChange::Update { new, supersedes }) => {
                write!(f, "update(new {}, superseding {})", shorts(new), shorts(supersedes))
            }
            Self::Change(HeadChange::Swap { expected, new }) => {
                write!(f, "swap(expecting {}, new {})", shorts(expected), shorts(new))
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, asked, began, ended, answer } = self;
        write!(f, "{began:>3} to {ended:>3}, thread {thread}: {asked} = ")?;
        match answer {
            Answer::Done => f.write_str("Ok"),
            Answer::Heads(heads) => f.write_str(&shorts(heads)),
            Answer::Moved(heads) => write!(f, "HeadsMoved, found {}", shorts(heads)),
        }
    }
}

/// The number of a known head, or the whole CID of any other.
fn short(cid: &Cid) -> String {
    (0..NAMES).find(|n| name(*n) == *cid).map_or_else(|| cid.to_string(), |n| n.to_string())
}

fn shorts(cids: &[Cid]) -> String {
    format!("{{{}}}", cids.iter().map(short).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(thread: usize, began: u64, ended: u64, asked: Asked, answer: Answer) -> Call {
        Call { thread, asked, began, ended, answer }
    }

    fn update(new: usize, supersedes: &[usize]) -> Asked {
        Asked::Change(HeadChange::Update {
            new: vec![name(new)],
            supersedes: supersedes.iter().copied().map(name).collect(),
        })
    }

    fn heads(numbers: &[usize]) -> Answer {
        Answer::Heads(numbers.iter().copied().map(name).collect::<BTreeSet<_>>().into_iter().collect())
    }

    #[test]
    fn what_overlaps_may_be_seen_in_either_order() {
        let before = BTreeSet::from([name(0)]);
        for seen in [&[0][..], &[1]] {
            let calls = [call(0, 0, 3, update(1, &[0]), Answer::Done), call(1, 1, 2, Asked::Heads, heads(seen))];
            assert!(explained(&calls, &before), "{seen:?}");
        }
    }

    #[test]
    fn a_lost_update_a_stale_read_and_a_half_done_one_are_not_explained() {
        let before = BTreeSet::from([name(0)]);
        let lost = [
            call(0, 0, 2, update(1, &[]), Answer::Done),
            call(1, 1, 3, update(2, &[]), Answer::Done),
            call(0, 4, 5, Asked::Heads, heads(&[0, 2])),
        ];
        let stale = [call(0, 0, 1, update(1, &[0]), Answer::Done), call(1, 2, 3, Asked::Heads, heads(&[0]))];
        let half = [call(0, 0, 3, update(1, &[0]), Answer::Done), call(1, 1, 2, Asked::Heads, heads(&[0, 1]))];
        for calls in [&lost[..], &stale, &half] {
            assert!(!explained(calls, &before));
        }
    }
}
