//! A model of a store that is small enough to be obviously right, and random operations on both the model and the
//! store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bytes::Bytes;
use cid::Cid;

use super::{
    Failure,
    case::Case,
    data::{Block, SIZES, blake3_cid, block, head, identity_block, sized, v0_cid},
    expect::{heads_are, holds, lacks, lists, saw},
    random::{Rng, random},
};
use crate::{DAG_CBOR, ErrorKind, HeadChange, RAW, StoreError, WriteBatch, cid_of};

/// A kind of step in a random sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Blocks,
    Heads,
    Commits,
    SideTable,
    Reopening,
}

/// One step. Numbers stand for blocks, heads, keys and values from a fixed supply, so every subsequence of a sequence
/// is valid too.
#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    PutTrusted(usize),
    PutWrong(usize, usize),
    PutMany(Vec<usize>),
    PutManyWithBad(Vec<usize>, usize),
    Delete(usize),
    DeleteMany(Vec<usize>),
    List,
    Update { new: usize, supersedes: Vec<usize> },
    Swap { new: usize, expected: Expected },
    Commit { puts: Vec<usize>, requires: Vec<usize>, head: Option<Change> },
    Write { puts: Vec<(usize, usize)>, deletes: Vec<usize> },
    Reopen,
}

/// A head change in a commit. It may name no new head, which the store must refuse.
#[derive(Clone, Debug)]
enum Change {
    Update { new: Vec<usize>, supersedes: Vec<usize> },
    Swap { new: Vec<usize>, expected: Expected },
}

/// The heads that a swap expects.
#[derive(Clone, Debug)]
enum Expected {
    Current,
    These(Vec<usize>),
}

const HEADS: usize = 7;
const KEYS: usize = 9;

/// Compares a store with the model, on random sequences of these kinds of steps.
pub(crate) fn agrees_with_the_model(case: &Case, parts: &[Part], length: usize) -> Result<(), Failure> {
    let supply = supply();
    random(
        case,
        length,
        |rng| {
            let part = parts[rng.below(parts.len())];
            step(rng, part, supply.len())
        },
        |steps| {
            let mut case = case.fresh()?;
            let mut model = Model { supply: &supply, ..Model::default() };
            steps.iter().try_for_each(|step| model.take(&mut case, step))?;
            model.compare(&case, parts)
        },
    )
}

/// Blocks of every size, and CIDs that differ only in parts a careless comparison would skip.
fn supply() -> Vec<Block> {
    let data = Bytes::from_static(b"the same bytes under many names");
    let names = [
        cid_of(RAW, &data),
        cid_of(DAG_CBOR, &data),
        v0_cid(&data),
        blake3_cid(RAW, &data),
        identity_block(data.clone()).cid,
    ];
    let mut supply: Vec<Block> = names.map(|cid| Block { cid, data: data.clone() }).to_vec();
    supply.extend(SIZES.into_iter().filter(|size| *size <= 65_536).map(sized));
    supply.extend([0, 1, 2, 33, 63, 64].map(|len| identity_block(vec![7; len])));
    supply.extend(["a", "A", "b"].map(block));
    supply
}

fn step(rng: &mut Rng, part: Part, blocks: usize) -> Step {
    match part {
        Part::Blocks => match rng.below(10) {
            0..=2 => Step::Put(rng.below(blocks)),
            3 => Step::PutTrusted(rng.below(blocks)),
            4 => Step::PutWrong(rng.below(blocks), rng.below(blocks)),
            5 => Step::PutMany(rng.some(6, blocks)),
            6 => Step::PutManyWithBad(rng.some(4, blocks), rng.below(5)),
            7 => Step::Delete(rng.below(blocks)),
            8 => Step::DeleteMany(rng.some(6, blocks)),
            _ => Step::List,
        },
        Part::Heads if rng.one_in(3) => {
            let expected = expected(rng);
            Step::Swap { new: rng.below(HEADS), expected }
        }
        Part::Heads => Step::Update { new: rng.below(HEADS), supersedes: rng.some(4, HEADS) },
        // A commit that changes no head and requires one block; most of these are refused.
        Part::Commits if rng.one_in(6) => {
            Step::Commit { puts: rng.some(2, blocks), requires: vec![rng.below(blocks)], head: None }
        }
        Part::Commits => Step::Commit {
            puts: rng.some(5, blocks),
            requires: if rng.one_in(3) { rng.some(2, blocks) } else { Vec::new() },
            head: if rng.one_in(4) { None } else { Some(change(rng)) },
        },
        Part::SideTable => Step::Write {
            puts: (0..rng.below(5)).map(|_| (rng.below(KEYS), rng.below(KEYS))).collect(),
            deletes: rng.some(3, KEYS),
        },
        Part::Reopening => Step::Reopen,
    }
}

fn expected(rng: &mut Rng) -> Expected {
    if rng.one_in(2) { Expected::Current } else { Expected::These(rng.some(3, HEADS)) }
}

fn change(rng: &mut Rng) -> Change {
    // Usually one new head, sometimes several, and rarely none, which must be refused.
    let new = if rng.one_in(2) { vec![rng.below(HEADS)] } else { rng.some(4, HEADS) };
    match rng.below(3) {
        0 => Change::Swap { new, expected: expected(rng) },
        _ => Change::Update { new, supersedes: rng.some(3, HEADS) },
    }
}

fn named(n: usize) -> Cid {
    head(&n.to_string())
}

fn all_named(numbers: &[usize]) -> Vec<Cid> {
    numbers.iter().copied().map(named).collect()
}

/// Keys that are prefixes of each other, and keys that are not text.
fn key(n: usize) -> Bytes {
    Bytes::from([&b"k\0k\xffkk"[..n % 4 + 1], &b"\xff"[..n % 2]].concat())
}

fn value(n: usize) -> Bytes {
    Bytes::from(vec![n as u8; n * 100])
}

#[derive(Default)]
struct Model<'a> {
    supply: &'a [Block],
    blocks: BTreeMap<Cid, Bytes>,
    heads: BTreeSet<Cid>,
    rows: BTreeMap<Bytes, Bytes>,
}

impl Model<'_> {
    fn keep(&mut self, block: &Block) {
        self.blocks.insert(block.cid, block.data.clone());
    }

    /// Takes one step in the store and in the model; their answers must agree.
    fn take(&mut self, case: &mut Case, step: &Step) -> Result<(), Failure> {
        let supply = self.supply;
        match step {
            Step::Put(n) => {
                let block = &supply[*n];
                saw(step, case.blocks()?.put(&block.cid, block.data.clone())).ok()?;
                self.keep(block);
                holds(&*case.blocks()?, block, "after its put")
            }
            Step::PutTrusted(n) => {
                let block = &supply[*n];
                saw(step, case.blocks()?.put_trusted(&block.cid, block.data.clone())).ok()?;
                self.keep(block);
                Ok(())
            }
            Step::PutWrong(n, other) if supply[*n].data == supply[*other].data => Ok(()),
            Step::PutWrong(n, other) => {
                let put = case.blocks()?.put(&supply[*n].cid, supply[*other].data.clone());
                saw(step, put).refused(ErrorKind::CidMismatch).map(|_| ())
            }
            Step::PutMany(numbers) => {
                let mut batch = numbers.iter().map(|n| Ok((supply[*n].cid, supply[*n].data.clone())));
                saw(step, case.blocks()?.put_many(&mut batch)).ok()?;
                numbers.iter().for_each(|n| self.keep(&supply[*n]));
                Ok(())
            }
            Step::PutManyWithBad(numbers, at) => {
                let mut batch: Vec<(Cid, Bytes)> =
                    numbers.iter().map(|n| (supply[*n].cid, supply[*n].data.clone())).collect();
                let bad = (cid_of(RAW, b"other bytes"), Bytes::from_static(b"than these"));
                batch.insert((*at).min(batch.len()), bad);
                let put = case.blocks()?.put_many(&mut batch.into_iter().map(Ok));
                saw(step, put).refused(ErrorKind::CidMismatch).map(|_| ())
            }
            Step::Delete(n) => {
                saw(step, case.blocks()?.delete(&supply[*n].cid)).ok()?;
                self.blocks.remove(&supply[*n].cid);
                lacks(&*case.blocks()?, &supply[*n].cid, "after its delete")
            }
            Step::DeleteMany(numbers) => {
                let cids: Vec<Cid> = numbers.iter().map(|n| supply[*n].cid).collect();
                saw(step, case.blocks()?.delete_many(&mut cids.iter().map(|cid| Ok(*cid)))).ok()?;
                for cid in &cids {
                    self.blocks.remove(cid);
                    lacks(&*case.blocks()?, cid, "after its delete_many")?;
                }
                Ok(())
            }
            Step::List => {
                lists(&*case.blocks()?, &self.blocks.keys().copied().collect::<Vec<_>>(), "between random steps")
            }
            Step::Update { new, supersedes } => {
                let (new, supersedes) = (named(*new), all_named(supersedes));
                let changed = case.heads()?.update(&new, &supersedes);
                self.change_heads(case, step, HeadChange::Update { new: vec![new], supersedes }, changed)
            }
            Step::Swap { new, expected } => {
                let expected = self.expected(expected);
                let changed = case.heads()?.swap(&expected, &named(*new));
                self.change_heads(case, step, HeadChange::Swap { expected, new: vec![named(*new)] }, changed)
            }
            Step::Commit { puts, requires, head } => self.commit(case, step, puts, requires, head.as_ref()),
            Step::Write { puts, deletes } => {
                let puts: Vec<_> = puts.iter().map(|(k, v)| (key(*k), value(*v))).collect();
                let deletes: Vec<_> = deletes.iter().map(|k| key(*k)).collect();
                let table = saw("side_table", case.store()?.side_table("table")).ok()?;
                saw(step, table.write(&puts, &deletes)).ok()?;
                self.rows.extend(puts);
                deletes.iter().for_each(|key| {
                    self.rows.remove(key);
                });
                Ok(())
            }
            Step::Reopen => case.reopen(),
        }
    }

    fn change_heads(
        &mut self,
        case: &Case,
        step: &Step,
        change: HeadChange,
        changed: Result<(), StoreError>,
    ) -> Result<(), Failure> {
        match change.apply(&self.heads) {
            Ok(heads) => {
                saw(step, changed).ok()?;
                self.heads = heads;
            }
            Err(refusal) => drop(saw(step, changed).refused(refusal.kind())?),
        }
        heads_are(&*case.heads()?, &self.heads.iter().copied().collect::<Vec<_>>(), format_args!("after {step}"))
    }

    fn expected(&self, expected: &Expected) -> Vec<Cid> {
        match expected {
            Expected::Current => self.heads.iter().copied().collect(),
            Expected::These(numbers) => all_named(numbers),
        }
    }

    fn change_of(&self, change: &Change) -> HeadChange {
        match change {
            Change::Update { new, supersedes } => {
                HeadChange::Update { new: all_named(new), supersedes: all_named(supersedes) }
            }
            Change::Swap { new, expected } => {
                HeadChange::Swap { expected: self.expected(expected), new: all_named(new) }
            }
        }
    }

    fn commit(
        &mut self,
        case: &Case,
        step: &Step,
        puts: &[usize],
        requires: &[usize],
        head: Option<&Change>,
    ) -> Result<(), Failure> {
        let supply = self.supply;
        let change = head.map(|head| self.change_of(head));
        let mut batch: WriteBatch = puts.iter().map(|n| (supply[*n].cid, supply[*n].data.clone())).collect();
        batch.require_all(requires.iter().map(|n| supply[*n].cid));
        if let Some(change) = &change {
            batch.change_heads(change.clone());
        }
        let is_met = |n: &usize| puts.contains(n) || self.blocks.contains_key(&supply[*n].cid);
        let committed = case.store()?.commit(&batch);
        if change.as_ref().is_some_and(|change| change.new_heads().is_empty()) {
            return saw(step, committed).refused(ErrorKind::InvalidArgument).map(drop);
        }
        let moved = change.as_ref().is_some_and(|change| change.apply(&self.heads).is_err());
        let missing = !requires.iter().all(is_met);
        if moved || missing {
            // If both errors apply, the store may report either.
            let found_moved = matches!(committed, Err(StoreError::HeadsMoved { .. }));
            let kind = if moved && (found_moved || !missing) { ErrorKind::HeadsMoved } else { ErrorKind::MissingBlock };
            saw(step, committed).refused(kind)?;
            return self.keep_what_remains(case, puts);
        }
        puts.iter().for_each(|n| self.keep(&supply[*n]));
        match change {
            Some(change) => self.change_heads(case, step, change, committed),
            None => saw(step, committed).ok(),
        }
    }

    /// After a refused commit that is not atomic some of its blocks may remain: copies them into the model.
    fn keep_what_remains(&mut self, case: &Case, puts: &[usize]) -> Result<(), Failure> {
        let store = case.blocks()?;
        for block in puts.iter().map(|n| &self.supply[*n]) {
            if saw("has", store.has(&block.cid)).ok()? && !store.capabilities().atomic_commit {
                self.keep(block);
            }
        }
        Ok(())
    }

    /// Checks that the store equals the model.
    fn compare(&self, case: &Case, parts: &[Part]) -> Result<(), Failure> {
        const WHEN: &str = "after random steps";
        if parts.contains(&Part::Blocks) || parts.contains(&Part::Commits) {
            let store = case.blocks()?;
            for block in self.supply {
                let held = self.blocks.contains_key(&block.cid);
                if held { holds(&*store, block, WHEN)? } else { lacks(&*store, &block.cid, WHEN)? }
            }
            lists(&*store, &self.blocks.keys().copied().collect::<Vec<_>>(), WHEN)?;
        }
        if parts.contains(&Part::Heads) || parts.contains(&Part::Commits) {
            heads_are(&*case.heads()?, &self.heads.iter().copied().collect::<Vec<_>>(), WHEN)?;
        }
        if parts.contains(&Part::SideTable) {
            let table = saw("side_table", case.store()?.side_table("table")).ok()?;
            let keys = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
            saw("keys() after random steps", keys).is(self.rows.keys().cloned().collect())?;
            for n in 0..KEYS {
                saw(format_args!("get of row {n} {WHEN}"), table.get(&key(n))).is(self.rows.get(&key(n)).cloned())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(n) => write!(f, "put block {n}"),
            Self::PutTrusted(n) => write!(f, "put_trusted block {n}"),
            Self::PutWrong(n, other) => write!(f, "put block {n} with the bytes of block {other}"),
            Self::PutMany(numbers) => write!(f, "put_many blocks {numbers:?}"),
            Self::PutManyWithBad(numbers, at) => write!(f, "put_many blocks {numbers:?} with a bad one at {at}"),
            Self::Delete(n) => write!(f, "delete block {n}"),
            Self::DeleteMany(numbers) => write!(f, "delete_many blocks {numbers:?}"),
            Self::List => f.write_str("list"),
            Self::Update { new, supersedes } => write!(f, "update to head {new}, superseding {supersedes:?}"),
            Self::Swap { new, expected: Expected::Current } => write!(f, "swap the current heads for {new}"),
            Self::Swap { new, expected: Expected::These(numbers) } => write!(f, "swap heads {numbers:?} for {new}"),
            Self::Commit { puts, requires, head } => {
                write!(f, "commit blocks {puts:?}, requiring {requires:?}")?;
                match head {
                    Some(Change::Update { new, supersedes }) => {
                        write!(f, ", heads {new:?} superseding {supersedes:?}")
                    }
                    Some(Change::Swap { new, expected: Expected::Current }) => {
                        write!(f, ", swapping the current heads for {new:?}")
                    }
                    Some(Change::Swap { new, expected: Expected::These(numbers) }) => {
                        write!(f, ", swapping heads {numbers:?} for {new:?}")
                    }
                    None => Ok(()),
                }
            }
            Self::Write { puts, deletes } => write!(f, "write rows {puts:?}, delete rows {deletes:?}"),
            Self::Reopen => f.write_str("reopen"),
        }
    }
}
