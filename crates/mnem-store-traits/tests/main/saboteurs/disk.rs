//! A store on an in-memory disk that can fail, be damaged and lose its power. The store is sound, or has one flaw.
//!
//! Every transaction is first written and synced as one journal row, then row by row, and synced again. An opening
//! applies a journal that is still there.

mod fixture;
mod flaw;
mod left_out;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mnem_store_traits::{Bytes, Cause, Cid, HeadChange, Outcome, StoreError, conformance::Fault};

use super::lock;
pub(crate) use fixture::OnDisk;
pub(crate) use flaw::Flaw;

type Key = Vec<u8>;
type Change = (Key, Option<Value>);

#[derive(Clone, Debug)]
enum Value {
    Row(Bytes),
    Journal(Vec<Change>),
}

/// The rows of the store.
type Rows = BTreeMap<Key, Value>;

const JOURNAL: &[u8] = b"journal";
const HEADS: &[u8] = b"heads";

/// The disk, and the state that all handles on it share.
#[derive(Debug)]
pub(crate) struct Disk {
    flaw: Flaw,
    medium: Mutex<Medium>,
    released: Condvar,
    /// What readers see. Each transaction changes it in one step.
    visible: Mutex<Rows>,
    /// Held by the one running transaction.
    writer: Mutex<()>,
    updates: AtomicUsize,
    /// Whether a sync is waiting for the fault to end.
    sync_waits: AtomicBool,
    /// Rows that were found sound.
    verified: Mutex<BTreeSet<Key>>,
    /// Rows that are being written.
    in_flight: Mutex<BTreeSet<Key>>,
}

#[derive(Debug, Default)]
struct Medium {
    now: Rows,
    synced: Rows,
    /// What was ever deleted.
    deleted: BTreeSet<Key>,
    fault: Option<Fault>,
    power: Option<u64>,
    power_of_next: Option<u64>,
    outages: u64,
    has_no_locks: bool,
    /// What is written now is behind the end that an opening finds.
    is_behind_the_end: bool,
}

impl Medium {
    /// Counts one operation that changes the medium. Fails if the power is off.
    fn spend(&mut self) -> Result<(), StoreError> {
        let Some(left) = &mut self.power else { return Ok(()) };
        *left = left.checked_sub(1).ok_or_else(|| failed(Outcome::Unknown, "the power is off"))?;
        Ok(())
    }
}

fn change(rows: &mut Rows, (key, value): &Change) {
    match value {
        Some(value) => drop(rows.insert(key.clone(), value.clone())),
        None => drop(rows.remove(key)),
    }
}

fn failed(outcome: Outcome, why: &str) -> StoreError {
    StoreError::Backend { backend: "disk", operation: "go on".into(), outcome, source: Cause::new(why.to_owned()) }
}

impl Disk {
    fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            medium: Mutex::default(),
            released: Condvar::new(),
            visible: Mutex::default(),
            writer: Mutex::default(),
            updates: AtomicUsize::new(0),
            sync_waits: AtomicBool::new(false),
            verified: Mutex::default(),
            in_flight: Mutex::default(),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Restores the power, and applies a journal that is still there.
    fn recover(&self) -> Result<u64, StoreError> {
        let mut medium = lock(&self.medium);
        let behind_a_hole = self.has(Flaw::GoesOnBehindAHole) && medium.is_behind_the_end;
        if behind_a_hole {
            medium.now = medium.synced.clone();
        }
        if medium.power.take().is_some() {
            let bytes = |value: &Value| match value {
                Value::Journal(changes) => changes.iter().map(left_out::bytes).sum::<usize>(),
                Value::Row(_) => 0,
            };
            let is_long = |rows: &Rows| rows.get(JOURNAL).map_or(0, bytes) > 1 << 20;
            let is_torn = is_long(&medium.now) && !is_long(&medium.synced);
            medium.is_behind_the_end |= is_torn && self.has(Flaw::GoesOnBehindATornTail);
            medium.now = medium.synced.clone();
            medium.outages += 1;
            if self.has(Flaw::RecoveryDeletesLast) {
                let Medium { now, synced, deleted, .. } = &mut *medium;
                now.retain(|key, _| !deleted.contains(key));
                synced.clone_from(now);
            }
            if self.has(Flaw::RecoveryDropsUnchecked) {
                let is_unchecked = |key: &Key| {
                    let cid = key.strip_prefix(b"block ").and_then(|cid| mnem_store_traits::cid_from_bytes(cid).ok());
                    cid.is_some_and(|cid| !mnem_store_traits::is_checkable(&cid))
                };
                medium.now.retain(|key, _| !is_unchecked(key));
                medium.synced = medium.now.clone();
            }
        }
        medium.power = medium.power_of_next.take();
        if self.has(Flaw::WritesBeforeLocking) && medium.fault == Some(Fault::WritesAfter(0)) {
            return Err(failed(Outcome::Unknown, "planted"));
        }
        let makes_a_store = self.has(Flaw::MakesAStoreBeforeLocking) && medium.now.is_empty();
        if makes_a_store && matches!(medium.fault, Some(Fault::WritesAfter(1 | 2))) {
            return Err(failed(Outcome::Unknown, "planted failure of a block's write"));
        }
        if medium.has_no_locks && !self.has(Flaw::OpensWithoutLocks) {
            return Err(failed(Outcome::NotApplied, "the medium has no locks"));
        }
        if self.has(Flaw::OpeningRewrites) {
            let rows = std::mem::take(&mut medium.now);
            medium.spend()?;
            medium.synced.clear();
            medium.spend()?;
            medium.now = rows;
            medium.synced = medium.now.clone();
        }
        if let Some(Value::Journal(changes)) = medium.now.remove(JOURNAL) {
            changes.iter().for_each(|each| change(&mut medium.now, each));
            let unsynced = [
                Flaw::RecoversWithoutSync,
                Flaw::CommitTakesPresentForDurable,
                Flaw::MixedBatchSyncsWhatIsNew,
                Flaw::EqualRowsSyncNothing,
                Flaw::PresentBatchesSyncNothing,
                Flaw::IdleWritesForgetPoison,
            ];
            let idle = self.has(Flaw::IdleWritesSyncBlocks);
            if !idle && !unsynced.contains(&self.flaw) {
                medium.synced = medium.now.clone();
            }
        }
        let unread = matches!(medium.fault, Some(Fault::ReadsAfter(0)));
        let empty = unread && self.has(Flaw::OpensUnreadAsEmpty);
        let mut visible = if empty { Rows::new() } else { medium.now.clone() };
        if let (true, Some(Fault::ReadsAfter(reads @ 1..))) = (self.has(Flaw::OpensWhatItReads), medium.fault) {
            visible = visible.into_iter().take(100 * reads as usize).collect();
        }
        *lock(&self.visible) = visible;
        Ok(medium.outages)
    }
}

/// One handle.
#[derive(Clone, Debug)]
pub(crate) struct DiskStore(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    disk: Arc<Disk>,
    outage: u64,
    closed: AtomicBool,
    poisoned: AtomicBool,
    /// The kind of the write that failed.
    poisoned_by: Mutex<&'static str>,
    /// What this handle saw last, if it caches that.
    seen: Mutex<Rows>,
    writes: AtomicUsize,
    /// Whether a write of this handle is in progress.
    writes_now: AtomicBool,
}

/// Sets a flag while it lives.
struct Raised<'a>(&'a AtomicBool);

impl<'a> Raised<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::SeqCst);
        Self(flag)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Read,
    Write,
    Sync,
}

impl Handle {
    fn has(&self, flaw: Flaw) -> bool {
        self.disk.has(flaw)
    }

    fn medium(&self, op: Op) -> Result<MutexGuard<'_, Medium>, StoreError> {
        let mut medium = lock(&self.disk.medium);
        if medium.outages != self.outage || medium.power == Some(0) {
            return Err(failed(Outcome::Unknown, "the power is off"));
        }
        let left = match (&mut medium.fault, op) {
            (Some(Fault::Reads), Op::Read) => &mut 0,
            (Some(Fault::ReadsAfter(left)), Op::Read)
            | (Some(Fault::WritesAfter(left)), Op::Write)
            | (Some(Fault::SyncsAfter(left)), Op::Sync) => left,
            _ => return Ok(medium),
        };
        if *left == 0 {
            return Err(failed(Outcome::Unknown, "planted"));
        }
        *left -= 1;
        Ok(medium)
    }

    fn changing(&self, op: Op) -> Result<MutexGuard<'_, Medium>, StoreError> {
        let mut medium = self.medium(op)?;
        if let Some(left) = &mut medium.power {
            *left -= 1;
        }
        Ok(medium)
    }

    fn write(&self, each: &Change) -> Result<(), StoreError> {
        let mut medium = self.changing(Op::Write)?;
        change(&mut medium.now, each);
        if each.1.is_none() && each.0 != JOURNAL {
            medium.deleted.insert(each.0.clone());
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.has(Flaw::SyncsNothing) {
            return self.medium(Op::Sync).map(drop);
        }
        let mut medium = self.changing(Op::Sync)?;
        while medium.fault == Some(Fault::SyncsWait) {
            self.disk.sync_waits.store(true, Ordering::SeqCst);
            medium = self.disk.released.wait(medium).unwrap_or_else(|e| e.into_inner());
        }
        self.disk.sync_waits.store(false, Ordering::SeqCst);
        if !medium.is_behind_the_end {
            medium.synced = medium.now.clone();
        }
        Ok(())
    }

    fn rewrite(&self) -> Result<(), StoreError> {
        let rows = lock(&self.disk.medium).now.clone();
        rows.keys().try_for_each(|key| self.write(&(key.clone(), None)))?;
        self.sync()?;
        rows.into_iter().try_for_each(|(key, value)| self.write(&(key, Some(value))))?;
        self.sync()
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        let closed = self.closed.load(Ordering::SeqCst);
        if closed { Err(StoreError::Closed { backend: "disk", operation }) } else { Ok(()) }
    }

    /// Reads what readers see, if the disk can be read.
    fn view<T>(&self, operation: &'static str, look: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        self.check_open(operation)?;
        let waits = self.has(Flaw::ReadersWaitForSyncs)
            || (self.has(Flaw::HeadsWaitForOthers) && operation == "heads" && self.another_syncs())
            || (self.has(Flaw::HeadReadersWaitForSyncs) && operation == "heads")
            || (self.has(Flaw::SizeWaitsForSyncs) && operation == "size");
        let _waits = waits.then(|| {
            // Not before the writer has reached its sync.
            while lock(&self.disk.medium).fault == Some(Fault::SyncsWait)
                && !self.disk.sync_waits.load(Ordering::SeqCst)
            {
                std::thread::yield_now();
            }
            lock(&self.disk.writer)
        });
        if self.has(Flaw::PoisonedReadsFail) && self.poisoned.load(Ordering::SeqCst) {
            return Err(failed(Outcome::NotApplied, "an earlier write failed"));
        }
        let is_list = ["side_tables", "list a table"].contains(&operation);
        if self.has(Flaw::PoisonedListsFail) && is_list && self.poisoned.load(Ordering::SeqCst) {
            return Err(StoreError::Poisoned { backend: "disk", source: Cause::new("an earlier write failed") });
        }
        match self.medium(Op::Read) {
            Ok(medium) => drop(medium),
            Err(_) if self.has(Flaw::FailedReadIsAbsence) => return Ok(look(&Rows::new())),
            Err(_) if self.has(Flaw::UnreadKeysAreNone) && operation == "list a table" => {
                return Ok(look(&Rows::new()));
            }
            Err(_) if self.has(Flaw::AnswersFromMemory) => return Ok(look(&lock(&self.seen))),
            Err(error) => return Err(error),
        }
        if self.has(Flaw::AnswersFromMemory) || self.has(Flaw::TakesInOneMib) {
            return Ok(look(&self.take_in()));
        }
        if self.has(Flaw::ReadsHeal) {
            self.poisoned.store(false, Ordering::SeqCst);
        }
        if self.has(Flaw::PoisonedStandsStill) && self.poisoned.load(Ordering::SeqCst) {
            return Ok(look(&lock(&self.seen)));
        }
        Ok(look(&lock(&self.disk.visible)))
    }

    /// Whether another handle waits for its sync.
    fn another_syncs(&self) -> bool {
        self.disk.sync_waits.load(Ordering::SeqCst) && !self.writes_now.load(Ordering::SeqCst)
    }

    /// Takes in new rows, and returns what the handle knows then.
    fn take_in(&self) -> MutexGuard<'_, Rows> {
        let (visible, mut seen) = (lock(&self.disk.visible), lock(&self.seen));
        seen.retain(|key, _| visible.contains_key(key));
        let mut bytes = 0;
        for (key, value) in visible.iter() {
            let same = matches!((seen.get(key), value), (Some(Value::Row(old)), Value::Row(new)) if old == new);
            let is_full = self.has(Flaw::TakesInOneMib) && bytes > 1 << 20;
            if !same && !is_full {
                bytes += if let Value::Row(row) = value { row.len() } else { 0 };
                seen.insert(key.clone(), value.clone());
            }
        }
        drop(visible);
        seen
    }

    fn row(&self, operation: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        while self.has(Flaw::WaitsForItsKey) && lock(&self.disk.in_flight).contains(key) {
            std::thread::yield_now();
        }
        self.view(operation, |rows| match rows.get(key) {
            Some(Value::Row(row)) => Some(row.clone()),
            _ => None,
        })
    }

    fn heads_of(rows: &Rows) -> BTreeSet<Cid> {
        let Some(Value::Row(row)) = rows.get(HEADS) else { return BTreeSet::new() };
        std::str::from_utf8(row).expect("text").split_whitespace().map(|cid| cid.parse().expect("a CID")).collect()
    }

    fn heads_row(heads: &BTreeSet<Cid>) -> Change {
        let text: Vec<String> = heads.iter().map(Cid::to_string).collect();
        (HEADS.to_vec(), Some(Value::Row(Bytes::from(text.join(" ")))))
    }

    /// Decides what to change, and applies the changes in one step.
    fn transact(
        &self,
        kind: &'static str,
        decide: impl FnOnce(&Rows) -> Result<Vec<Change>, StoreError>,
    ) -> Result<(), StoreError> {
        self.check_open("write")?;
        if self.has(Flaw::RidesOnASync) && self.disk.sync_waits.load(Ordering::SeqCst) {
            let changes = decide(&lock(&self.disk.visible))?;
            self.show(&changes);
            return Ok(());
        }
        let _alone = lock(&self.disk.writer);
        let _writes = Raised::new(&self.writes_now);
        let spared = self.has(Flaw::PoisonsItsKind) && *lock(&self.poisoned_by) != kind;
        if self.poisoned.load(Ordering::SeqCst) && !spared {
            return Err(StoreError::Poisoned { backend: "disk", source: Cause::new("an earlier write failed") });
        }
        let changes = if self.has(Flaw::CommitOverUnreadHeads) && kind == "commit" && self.medium(Op::Read).is_err() {
            let mut rows = lock(&self.disk.visible).clone();
            rows.remove(HEADS);
            decide(&rows)?
        } else {
            // Readers do not wait for the caller's code.
            let rows = lock(&self.disk.visible).clone();
            decide(&rows)?
        };
        if changes.is_empty() || (self.has(Flaw::SameHeadsSyncNothing) && kind == "heads" && self.is_seen(&changes)) {
            let syncs = [
                Flaw::MixedBatchSyncsWhatIsNew,
                Flaw::EqualRowsSyncNothing,
                Flaw::PresentBatchesSyncNothing,
                Flaw::IdleWritesForgetPoison,
            ];
            let syncs =
                (self.has(Flaw::CommitTakesPresentForDurable) && kind != "commit") || syncs.contains(&self.disk.flaw);
            if self.has(Flaw::IdleWritesSyncBlocks) {
                return self.sync_blocks();
            }
            let trusts = self.has(Flaw::FailedWriteMovesItsMark) && !lock(&self.poisoned_by).is_empty();
            let syncs = syncs || (self.has(Flaw::FailedWriteMovesItsMark) && !trusts);
            return if syncs { self.sync() } else { Ok(()) };
        }
        if (self.has(Flaw::SameHeadsSyncNothing) && kind == "heads") || self.has(Flaw::FailedWriteMovesItsMark) {
            self.show(&changes);
        }
        self.land_in_flight(kind, &changes).map_err(|error| {
            *lock(&self.poisoned_by) = kind;
            let hole = self.has(Flaw::GoesOnBehindAHole) && self.leaves_a_hole(&changes);
            if !self.has(Flaw::ForgetsPoison) && !self.has(Flaw::FailedWriteMovesItsMark) && !hole {
                if self.has(Flaw::PoisonedStandsStill) {
                    let now = lock(&self.disk.visible).clone();
                    *lock(&self.seen) = now;
                }
                self.poisoned.store(true, Ordering::SeqCst);
            }
            if self.has(Flaw::UndoesByDeleting) {
                let undone = |rows: &mut Rows| changes.iter().for_each(|(key, _)| change(rows, &(key.clone(), None)));
                let mut medium = lock(&self.disk.medium);
                undone(&mut medium.now);
                undone(&mut medium.synced);
            }
            match error {
                StoreError::Backend { .. } if self.has(Flaw::SaysNotApplied) => failed(Outcome::NotApplied, "planted"),
                other => other,
            }
        })
    }

    /// Whether the first write of these changes failed, and was large.
    fn leaves_a_hole(&self, changes: &[Change]) -> bool {
        let mut medium = lock(&self.disk.medium);
        let leaves = matches!(medium.fault, Some(Fault::WritesAfter(0)))
            && !medium.now.contains_key(JOURNAL)
            && changes.iter().map(left_out::bytes).sum::<usize>() > 64 * 1024;
        medium.is_behind_the_end |= leaves;
        leaves
    }

    /// Whether readers see these rows already.
    fn is_seen(&self, changes: &[Change]) -> bool {
        let visible = lock(&self.disk.visible);
        changes.iter().all(|(key, value)| match (visible.get(key), value) {
            (Some(Value::Row(seen)), Some(Value::Row(new))) => seen == new,
            (seen, new) => seen.is_none() && new.is_none(),
        })
    }

    fn show(&self, changes: &[Change]) {
        // Under one lock, so that no reader sees half of the changes.
        let mut visible = lock(&self.disk.visible);
        changes.iter().for_each(|each| change(&mut visible, each));
    }

    /// Writes all changes in one journal or, with the flaw, in several.
    fn land_in_flight(&self, kind: &'static str, changes: &[Change]) -> Result<(), StoreError> {
        let keys = || changes.iter().map(|(key, _)| key.clone());
        lock(&self.disk.in_flight).extend(keys());
        let (mut bytes, mut rows) = (0, 0);
        let ends_a_piece = |(_, value): &Change| {
            bytes += if let Some(Value::Row(row)) = value { row.len() } else { 0 };
            rows += 1;
            let ends = (self.has(Flaw::JournalOf4MiB) && bytes > 4 * 1024 * 1024)
                || (self.has(Flaw::JournalOf500Rows) && rows == 500)
                || (self.has(Flaw::JournalOf2500Rows) && rows == 2500);
            (bytes, rows) = if ends { (0, 0) } else { (bytes, rows) };
            ends
        };
        let landed = changes.split_inclusive(ends_a_piece).try_for_each(|piece| self.land(kind, piece));
        let mut in_flight = lock(&self.disk.in_flight);
        for key in keys() {
            in_flight.remove(&key);
        }
        landed
    }

    /// Syncs only the journal and these rows.
    fn sync_only(&self, changes: &[Change]) -> Result<(), StoreError> {
        let medium = &mut *self.changing(Op::Sync)?;
        for key in changes.iter().map(|(key, _)| key.as_slice()).chain([JOURNAL]) {
            change(&mut medium.synced, &(key.to_vec(), medium.now.get(key).cloned()));
        }
        Ok(())
    }

    /// Syncs only the blocks.
    fn sync_blocks(&self) -> Result<(), StoreError> {
        let blocks = lock(&self.disk.visible).clone().into_iter().filter(|(key, _)| key.starts_with(b"block "));
        self.sync_only(&blocks.map(|(key, value)| (key, Some(value))).collect::<Vec<_>>())
    }

    fn land(&self, kind: &'static str, changes: &[Change]) -> Result<(), StoreError> {
        let show = || self.show(changes);
        if self.has(Flaw::NoJournal) || self.has(Flaw::HeadFirst) {
            let heads_first = |(key, _): &&Change| (key == HEADS) == self.has(Flaw::HeadFirst);
            let order = changes.iter().filter(heads_first).chain(changes.iter().filter(|each| !heads_first(each)));
            for each in order {
                self.write(each)?;
                self.sync()?;
            }
            show();
            return Ok(());
        }
        if let Err(error) = self.write(&(JOURNAL.to_vec(), Some(Value::Journal(changes.to_vec())))) {
            return if self.has(Flaw::FailedWriteIsAcknowledged) { Ok(()) } else { Err(error) };
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        let left_out = matches!(self.disk.flaw, Flaw::NoSyncOfSome(what) if self.is_left_out(what, kind, changes));
        let sync = || match self.disk.flaw {
            _ if left_out => Ok(()),
            Flaw::NoSyncOf(unsynced) if unsynced == kind => Ok(()),
            Flaw::MixedBatchSyncsWhatIsNew if kind == "put_many" => self.sync_only(changes),
            Flaw::SyncsFortyWrites if self.writes.load(Ordering::SeqCst) > 40 => Ok(()),
            _ => self.sync(),
        };
        sync()?;
        show();
        changes.iter().try_for_each(|each| self.write(each))?;
        sync()?;
        self.write(&(JOURNAL.to_vec(), None))
    }

    fn put_all(&self, kind: &'static str, blocks: &[(Cid, Bytes)]) -> Result<(), StoreError> {
        let is_long = kind == "put_many" && blocks.len() > 20;
        if is_long
            && self.has(Flaw::PresentBatchesSyncNothing)
            && self.absent(&lock(&self.disk.visible), blocks).is_empty()
        {
            return self.check_open("write");
        }
        self.transact(kind, |rows| Ok(self.absent(rows, blocks)))
    }

    /// The changes that add absent blocks.
    fn absent(&self, rows: &Rows, blocks: &[(Cid, Bytes)]) -> Vec<Change> {
        // A store that undoes by deleting does not look first. This is how it comes to delete a block of another
        // writer.
        let is_new = |cid: &Cid| self.has(Flaw::UndoesByDeleting) || !rows.contains_key(&block_key(cid));
        let new = blocks.iter().filter(|(cid, _)| is_new(cid));
        new.map(|(cid, data)| (block_key(cid), Some(Value::Row(data.clone())))).collect()
    }

    fn change_heads(&self, head: &HeadChange) -> Result<(), StoreError> {
        self.disk.updates.fetch_add(1, Ordering::SeqCst);
        self.transact("heads", |rows| Ok(vec![Self::heads_row(&head.apply(&Self::heads_of(rows))?)]))
    }
}

fn block_key(cid: &Cid) -> Key {
    [b"block ", &cid.to_bytes()[..]].concat()
}
