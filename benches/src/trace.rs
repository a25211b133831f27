//! Replaying the recorded calls of a real client. The format is described in `benches/traces/README.md`.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use mnem_store_traits::{Bytes, Cid, Store, WriteBatch, cid_of};

use crate::{
    Block, WorkloadError,
    blocks::fill,
    error::{expect_present, wrong},
};

/// The recordings of `benches/traces`: what the client did, and the text.
pub const RECORDED: [(&str, &str); 4] = [
    ("1 node", include_str!("../traces/nodes-1.trace")),
    ("100 nodes", include_str!("../traces/nodes-100.trace")),
    ("1,000 nodes", include_str!("../traces/nodes-1000.trace")),
    ("1 edge on 1,000 nodes + 1,000 edges", include_str!("../traces/edge-on-1000.trace")),
];

/// The calls of one recording, with bytes made for its blocks.
#[derive(Clone, Debug)]
pub struct Trace {
    blocks: Vec<Block>,
    given: usize,
    heads: Vec<usize>,
    calls: Vec<Call>,
}

/// Numbers are places in `Trace::blocks`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Get(usize, bool),
    Has(usize, bool),
    Put(usize),
    PutTrusted(usize),
    PutMany(Vec<usize>),
    Delete(usize),
    Heads(Vec<usize>),
    Update(usize, Vec<usize>),
    List(u64),
}

/// Why a text is not a trace: the line, from 1, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}")]
pub struct TraceError {
    /// Counted from 1.
    pub line: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// What [`Trace::replay`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// From the first call to the last answer.
    pub time: Duration,
    /// Calls made.
    pub calls: usize,
    /// Of those, calls that write.
    pub writes: usize,
}

impl Trace {
    /// Puts what the client found into an empty store: blocks and heads, in as many commits as there are heads.
    ///
    /// # Errors
    /// The store's.
    pub fn prepare(&self, store: &dyn Store) -> Result<(), WorkloadError> {
        let mut batch = WriteBatch::new();
        batch.extend(self.blocks.iter().take(self.given).cloned());
        store.commit(&batch)?;
        for (head, _) in self.heads.iter().filter_map(|&head| self.blocks.get(head)) {
            store.update(head, &[])?;
        }
        Ok(())
    }

    /// Makes the calls, timed, and compares each answer with the recorded one; then, untimed, the bytes of every block that the client put.
    ///
    /// # Errors
    /// [`WorkloadError`]: the store's, or an answer is another than the client was given.
    pub fn replay(&self, store: &dyn Store) -> Result<Replayed, WorkloadError> {
        let start = Instant::now();
        for (number, call) in self.calls.iter().enumerate() {
            self.call(store, call).map_err(|error| match error {
                WorkloadError::Wrong(what) => wrong(format_args!("call {number}, {call:?}: {what}")),
                other => other,
            })?;
        }
        let time = start.elapsed();
        let written = self.calls.iter().flat_map(Call::puts).filter_map(|&number| self.blocks.get(number));
        for (cid, data) in written {
            expect_present(store, cid, data)?;
        }
        let writes = self.calls.iter().filter(|call| call.writes()).count();
        Ok(Replayed { time, calls: self.calls.len(), writes })
    }

    fn call(&self, store: &dyn Store, call: &Call) -> Result<(), WorkloadError> {
        match call {
            Call::Get(number, found) => {
                let (cid, data) = self.block(*number)?;
                let answer = store.get(cid)?;
                same(answer.as_ref(), found.then_some(data))
            }
            Call::Has(number, there) => same(store.has(&self.block(*number)?.0)?, *there),
            Call::Put(number) => {
                let (cid, data) = self.block(*number)?;
                Ok(store.put(cid, data.clone())?)
            }
            Call::PutTrusted(number) => {
                let (cid, data) = self.block(*number)?;
                Ok(store.put_trusted(cid, data.clone())?)
            }
            Call::PutMany(numbers) => {
                let blocks = numbers.iter().filter_map(|&number| self.blocks.get(number));
                Ok(store.put_many(&mut blocks.cloned().map(Ok))?)
            }
            Call::Delete(number) => Ok(store.delete(&self.block(*number)?.0)?),
            Call::Heads(numbers) => {
                let mut expected = self.cids(numbers);
                expected.sort_unstable();
                same(store.heads()?, expected)
            }
            Call::Update(new, supersedes) => Ok(store.update(&self.block(*new)?.0, &self.cids(supersedes))?),
            Call::List(count) => same(store.cids()?.try_fold(0, |count, cid| cid.map(|_| count + 1))?, *count),
        }
    }

    fn block(&self, number: usize) -> Result<&Block, WorkloadError> {
        self.blocks.get(number).ok_or_else(|| wrong(format_args!("the trace has no block {number}")))
    }

    fn cids(&self, numbers: &[usize]) -> Vec<Cid> {
        numbers.iter().filter_map(|&number| self.blocks.get(number)).map(|(cid, _)| *cid).collect()
    }
}

fn same<T: PartialEq + std::fmt::Debug>(answer: T, recorded: T) -> Result<(), WorkloadError> {
    if answer == recorded { Ok(()) } else { Err(wrong("the client was given another answer")) }
}

impl Call {
    fn puts(&self) -> &[usize] {
        match self {
            Self::Put(number) | Self::PutTrusted(number) => std::slice::from_ref(number),
            Self::PutMany(numbers) => numbers,
            _ => &[],
        }
    }

    fn writes(&self) -> bool {
        !matches!(self, Self::Get(..) | Self::Has(..) | Self::Heads(_) | Self::List(_))
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut lines = Lines { lines: text.lines(), line: 0 };
        lines.take("mnem-trace 1", |line| (line == "mnem-trace 1").then_some(()))?;
        let mut blocks = Vec::new();
        let given = lines.take("given N", |line| line.strip_prefix("given ")?.parse().ok())?;
        lines.blocks(given, &mut blocks)?;
        let heads = lines.take("heads and their numbers", |line| numbers(line.strip_prefix("heads")?, given))?;
        let named: usize = lines.take("named N", |line| line.strip_prefix("named ")?.parse().ok())?;
        lines.blocks(named, &mut blocks)?;
        lines.take("calls", |line| (line == "calls").then_some(()))?;
        let mut calls = Vec::new();
        while let Some(line) = lines.next() {
            calls.push(call(line, blocks.len()).ok_or_else(|| lines.expected("a call"))?);
        }
        Ok(Self { blocks, given, heads, calls })
    }
}

struct Lines<'a> {
    lines: std::str::Lines<'a>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.line += 1;
        self.lines.next()
    }

    fn expected(&self, expected: &'static str) -> TraceError {
        TraceError { line: self.line, expected }
    }

    fn take<T>(&mut self, expected: &'static str, parse: impl FnOnce(&'a str) -> Option<T>) -> Result<T, TraceError> {
        self.next().and_then(parse).ok_or_else(|| self.expected(expected))
    }

    fn blocks(&mut self, count: usize, blocks: &mut Vec<Block>) -> Result<(), TraceError> {
        for _ in 0..count {
            let number = blocks.len() as u64;
            blocks.push(self.take("a CID and a size of at least 16", |line| block(line, number))?);
        }
        Ok(())
    }
}

/// Bytes for the block, under their own CID and the codec of the recorded one. Below 16 bytes two blocks might be the same.
fn block(line: &str, number: u64) -> Option<Block> {
    let (recorded, size) = line.split_once(' ')?;
    let recorded: Cid = recorded.parse().ok()?;
    let data: Bytes = fill(0, number, size.parse().ok().filter(|&size| size >= 16)?);
    Some((cid_of(recorded.codec(), &data), data))
}

fn numbers(text: &str, end: usize) -> Option<Vec<usize>> {
    text.split_whitespace().map(|number| number.parse().ok().filter(|&number| number < end)).collect()
}

fn call(line: &str, end: usize) -> Option<Call> {
    let (letter, rest) = line.split_at_checked(1)?;
    if letter == "l" {
        return rest.trim().parse().ok().map(Call::List);
    }
    let numbers = numbers(rest, end)?;
    Some(match (letter, numbers.as_slice()) {
        ("g", &[number]) => Call::Get(number, true),
        ("f", &[number]) => Call::Get(number, false),
        ("h", &[number]) => Call::Has(number, true),
        ("i", &[number]) => Call::Has(number, false),
        ("p", &[number]) => Call::Put(number),
        ("t", &[number]) => Call::PutTrusted(number),
        ("d", &[number]) => Call::Delete(number),
        ("m", _) => Call::PutMany(numbers),
        ("c", _) => Call::Heads(numbers),
        ("u", [new, supersedes @ ..]) => Call::Update(*new, supersedes.to_vec()),
        _ => return None,
    })
}
