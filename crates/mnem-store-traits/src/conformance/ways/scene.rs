//! One small store that every way to write is tried on: the initial content, what each write adds and removes, and how
//! much of a write has taken effect.

use std::fmt::Display;

use bytes::Bytes;
use cid::Cid;

use super::{Subject, Write, read::TABLE, write::Row};
use crate::{
    Outcome, StoreError,
    conformance::{
        Failure, Handles, Profile,
        case::{Case, offered},
        data::{Block, blocks, head, raw},
        expect::{ensure, holds, put_many, saw, update},
        outcomes::{Done, whole_or_absent},
        show::Show,
    },
};

/// The number of consecutive writes that a scene has data for.
const ROUNDS: usize = 3;

/// A store with a few blocks, a head and rows.
pub(crate) struct Scene {
    /// The number of blocks in one batch.
    size: usize,
    /// The size of each block, or of the value of each row. `None` means small.
    block_bytes: Option<usize>,
    kept: Vec<Block>,
    old: Cid,
}

/// How much of a write has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Nothing,
    Part,
    All,
}

fn row(key: String, value: impl Into<Bytes>) -> Row {
    (Bytes::from(key), value.into())
}

fn kept_row() -> Row {
    row("kept".into(), "kept")
}

impl Scene {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, block_bytes: None, kept: blocks("kept", 3), old: head("old") }
    }

    /// Batches of 9 MiB, which a store may split.
    pub(crate) fn of_many_bytes() -> Self {
        Self { block_bytes: Some(768 * 1024), ..Self::new(12) }
    }

    /// Batches of 300 KiB, and single blocks of 100 KiB: more than a buffer usually holds.
    pub(crate) fn of_large_blocks() -> Self {
        Self { block_bytes: Some(100 * 1024), ..Self::new(3) }
    }

    pub(crate) fn kept(&self) -> &[Block] {
        &self.kept
    }

    /// A row that no write changes.
    pub(crate) fn row_that_stays(&self) -> Subject {
        Subject::Row(kept_row())
    }

    /// The blocks that this round adds or removes.
    pub(crate) fn blocks(&self, way: Write, round: usize) -> Vec<Block> {
        let one = matches!(way, Write::Put | Write::PutTrusted | Write::Delete);
        let what = if way.deletes_blocks() { "gone" } else { "new" };
        let label = format!("{what} in round {round}:");
        let count = if one { 1 } else { self.size };
        let Some(bytes) = self.block_bytes else { return blocks(&label, count) };
        let data = |i: usize| format!("{label} {i} ").into_bytes().repeat(bytes / label.len());
        (0..count).map(|i| raw(data(i))).collect()
    }

    /// A block or row of the first round; none if the way writes neither.
    pub(crate) fn subjects(&self, way: Write) -> Vec<Subject> {
        if way.adds_blocks() || way.deletes_blocks() {
            self.blocks(way, 0).into_iter().take(1).map(Subject::Block).collect()
        } else if way == Write::Row {
            self.rows(0).into_iter().take(1).map(Subject::Row).collect()
        } else {
            Vec::new()
        }
    }

    /// The head after this round, for a way that changes heads.
    pub(crate) fn head(&self, way: Write, round: usize) -> Cid {
        match way {
            Write::CommitHead => self.blocks(way, round)[0].cid,
            _ => head(&format!("of round {round}")),
        }
    }

    /// All heads while `current` is the current one. An update leaves a second head in place.
    pub(crate) fn heads_with(&self, way: Write, current: Cid) -> Vec<Cid> {
        let others = if matches!(way, Write::Update | Write::CommitHead) { Some(head("that stays")) } else { None };
        let mut heads: Vec<Cid> = others.into_iter().chain([current]).collect();
        heads.sort();
        heads
    }

    /// The number of heads; no round changes it.
    pub(crate) fn head_count(&self, way: Write) -> usize {
        self.heads_with(way, self.old).len()
    }

    fn head_before(&self, way: Write, round: usize) -> Cid {
        round.checked_sub(1).map_or(self.old, |before| self.head(way, before))
    }

    fn rows(&self, round: usize) -> Vec<Row> {
        let value = Bytes::from(b"value".repeat(self.block_bytes.map_or(1, |bytes| bytes / 5)));
        (0..self.size).map(|i| row(format!("{i} of round {round}"), value.clone())).collect()
    }

    fn gone_row(round: usize) -> Row {
        row(format!("gone in round {round}"), "value")
    }

    /// Writes the content that this way needs before its first round.
    pub(crate) fn set(&self, case: &Case, way: Write) -> Result<(), Failure> {
        let rounds = if way.deletes_blocks() { ROUNDS } else { 0 };
        let gone = (0..rounds).flat_map(|round| self.blocks(way, round));
        put_many(&*case.blocks()?, &self.kept.iter().cloned().chain(gone).collect::<Vec<_>>())?;
        if case.has(Profile::Heads) {
            self.heads_with(way, self.old).iter().try_for_each(|head| update(&*case.heads()?, head, &[]))?;
        }
        if case.has(Profile::SideTables) {
            let rows: Vec<Row> = (0..ROUNDS).map(Self::gone_row).chain([kept_row()]).collect();
            let table = saw("side_table", case.store()?.side_table(TABLE)).ok()?;
            saw("write of the first rows", table.write(&rows, &[])).ok()?;
        }
        Ok(())
    }

    /// Performs the write of this round.
    pub(crate) fn act(&self, way: Write, handles: &Handles, round: usize) -> Result<Done, Failure> {
        let (old, new) = (self.head_before(way, round), || self.head(way, round));
        Ok(match way {
            Write::Update => offered(handles.as_heads(), Profile::Heads)?.update(&new(), &[old]),
            Write::Swap => offered(handles.as_heads(), Profile::Heads)?.swap(&[old], &new()),
            Write::Row => {
                let table = offered(handles.as_store(), Profile::Store)?.side_table(TABLE);
                table.and_then(|table| table.write(&self.rows(round), &[Self::gone_row(round).0]))
            }
            Write::Delete | Write::DeleteMany | Write::Sweep => {
                let cids: Vec<Cid> = self.blocks(way, round).iter().map(|block| block.cid).collect();
                way.remove(handles, &cids)?
            }
            _ => way.put_superseding(handles, &self.blocks(way, round), &[old])?,
        })
    }

    /// How much of a round has taken effect. Checks that every block and row is whole, and that no head is there
    /// without its blocks. Looks at heads only in the last round.
    pub(crate) fn extent(
        &self,
        way: Write,
        handles: &Handles,
        round: usize,
        is_last: bool,
        when: &str,
    ) -> Result<Extent, Failure> {
        let mut landed = Vec::new();
        if way.adds_blocks() || way.deletes_blocks() {
            let store = offered(handles.as_blocks(), Profile::Blocks)?;
            for block in self.blocks(way, round) {
                // With many blocks, trying every lookup would take too long.
                let there = if self.size < 10 {
                    whole_or_absent(&*store, &block, when)?
                } else {
                    let found = saw(format_args!("get({}) {when}", block.cid), store.get(&block.cid)).ok()?;
                    ensure(
                        found.as_ref().is_none_or(|found| *found == block.data),
                        when,
                        "whole blocks",
                        found.show(),
                    )?;
                    found.is_some()
                };
                landed.push(there != way.deletes_blocks());
            }
        }
        if way.changes_heads() && is_last {
            let heads =
                saw(format_args!("heads() {when}"), offered(handles.as_heads(), Profile::Heads)?.heads()).ok()?;
            let [old, new] =
                [self.head_before(way, round), self.head(way, round)].map(|head| self.heads_with(way, head));
            let moved = heads == new;
            let did = format_args!("heads() {when}");
            ensure(moved || heads == old, did, format_args!("{} or {}", old.show(), new.show()), heads.show())?;
            let did = format_args!("blocks of {way} whose head is there, {when}");
            ensure(!moved || landed.iter().all(|there| *there), did, "all of them", "not all")?;
            landed.push(moved);
        }
        if way == Write::Row {
            self.rows_landed(handles, round, when, &mut landed)?;
        }
        Ok(match landed.iter().filter(|there| **there).count() {
            0 => Extent::Nothing,
            n if n == landed.len() => Extent::All,
            _ => Extent::Part,
        })
    }

    fn rows_landed(&self, handles: &Handles, round: usize, when: &str, landed: &mut Vec<bool>) -> Result<(), Failure> {
        let table = saw("side_table", offered(handles.as_store(), Profile::Store)?.side_table(TABLE)).ok()?;
        for (key, value) in self.rows(round) {
            let did = format_args!("get of a row {when}");
            let found = saw(did, table.get(&key)).ok()?;
            ensure(found.as_ref().is_none_or(|found| *found == value), did, "a whole row or none", found.show())?;
            landed.push(found.is_some());
        }
        landed.push(saw("get of a deleted row", table.get(&Self::gone_row(round).0)).ok()?.is_none());
        Ok(())
    }

    /// Checks that the content which this way must not touch is unchanged.
    pub(crate) fn rest_is_kept(&self, way: Write, handles: &Handles, when: &str) -> Result<(), Failure> {
        let store = offered(handles.as_blocks(), Profile::Blocks)?;
        self.kept.iter().try_for_each(|block| holds(&*store, block, when))?;
        if let Some(heads) = handles.as_heads().filter(|_| !way.changes_heads()) {
            saw(format_args!("heads() {when}"), heads.heads()).is(self.heads_with(way, self.old))?;
        }
        if let Some(store) = handles.as_store().filter(|store| store.capabilities().side_tables) {
            let table = saw("side_table", store.side_table(TABLE)).ok()?;
            let kept = kept_row();
            saw(format_args!("get of a row that was there {when}"), table.get(&kept.0)).is(Some(kept.1))?;
        }
        Ok(())
    }

    /// Checks that the round took effect as far as its result says.
    pub(crate) fn is_as_said(
        &self,
        case: &Case,
        way: Write,
        round: usize,
        result: &Result<(), StoreError>,
        when: &str,
    ) -> Result<(), Failure> {
        self.rest_is_kept(way, case.handles(), when)?;
        let extent = self.extent(way, case.handles(), round, true, when)?;
        let atomic = way.atomic_by().is_some_and(|claim| case.claims(claim));
        // A single block, a single head and a single deletion cannot be partial.
        let whole =
            atomic || matches!(way, Write::Put | Write::PutTrusted | Write::Update | Write::Swap | Write::Delete);
        let undone = atomic || matches!(way, Write::Update | Write::Swap | Write::Row);
        let fine = match result {
            Ok(()) => extent == Extent::All,
            Err(error) if undone && error.outcome() == Outcome::NotApplied => extent == Extent::Nothing,
            Err(_) => !whole || extent != Extent::Part,
        };
        let promise =
            "all of it after Ok; otherwise a part only where no claim forbids that, and nothing after NotApplied";
        ensure(fine, format_args!("{way} {when}"), promise, Said(extent, result))
    }
}

struct Said<'a>(Extent, &'a Result<(), StoreError>);

impl Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of it is there after {}", self.0, self.1.show())
    }
}
