//! A store over a disk in memory that can fail, be damaged, and lose its power: sound, or with one flaw.
//!
//! Everything is written as one journal row, synced, then row by row, synced; opening carries out a journal that is still there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cause, Cid, CidIter, Durability, HeadChange, HeadsCapabilities, KeyIter,
    OpHeadsStore, Outcome, SideTable, Store, StoreError, WriteBatch, check_block, check_read, check_size,
    check_table_key, check_table_name, check_table_write, cid_from_bytes,
    conformance::{Fault, Fixture, FixtureError, Handles, Profile, obey},
    drain_checked,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::lock;

/// What is wrong with a store, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    FailedReadIsAbsence,
    FailedWriteIsAcknowledged,
    UndoesByDeleting,
    SyncsNothing,
    NoJournal,
    HeadFirst,
    SaysNotApplied,
    ForgetsPoison,
    PoisonedReadsFail,
    ReadersWaitForSyncs,
    CloseStaysOpen,
    DamageIsReturned,
    DamageIsAbsence,
    DamageEndsListings,
    DamageCannotBeDeleted,
    RecoversWithoutSync,
    SecondProcessIsBlind,
    SecondProcessKeepsItsOwnHeads,
}

type Key = Vec<u8>;
type Change = (Key, Option<Value>);

#[derive(Clone, Debug)]
enum Value {
    Row(Bytes),
    Journal(Vec<Change>),
}

/// The rows that are there.
type Rows = BTreeMap<Key, Value>;

const JOURNAL: &[u8] = b"journal";
const HEADS: &[u8] = b"heads";

/// The disk, and what all handles share of what is on it.
#[derive(Debug)]
pub(crate) struct Disk {
    flaw: Flaw,
    medium: Mutex<Medium>,
    released: Condvar,
    /// What readers see: changed in one step by each transaction.
    visible: Mutex<Rows>,
    /// One transaction at a time.
    writer: Mutex<()>,
    updates: AtomicUsize,
}

#[derive(Debug, Default)]
struct Medium {
    now: Rows,
    synced: Rows,
    fault: Option<Fault>,
    power: Option<u64>,
    outages: u64,
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
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// Puts the power on again, and carries out a journal that is still there.
    fn recover(&self) -> u64 {
        let mut medium = lock(&self.medium);
        if medium.power.take().is_some() {
            medium.now = medium.synced.clone();
            medium.outages += 1;
        }
        if let Some(Value::Journal(changes)) = medium.now.remove(JOURNAL) {
            changes.iter().for_each(|each| change(&mut medium.now, each));
            if !self.has(Flaw::RecoversWithoutSync) {
                medium.synced = medium.now.clone();
            }
        }
        *lock(&self.visible) = medium.now.clone();
        medium.outages
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
            (Some(Fault::WritesAfter(left)), Op::Write) | (Some(Fault::SyncsAfter(left)), Op::Sync) => left,
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
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        if self.has(Flaw::SyncsNothing) {
            return self.medium(Op::Sync).map(drop);
        }
        let mut medium = self.changing(Op::Sync)?;
        while medium.fault == Some(Fault::SyncsWait) {
            medium = self.disk.released.wait(medium).unwrap_or_else(|e| e.into_inner());
        }
        medium.synced = medium.now.clone();
        Ok(())
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        let closed = self.closed.load(Ordering::SeqCst);
        if closed { Err(StoreError::Closed { backend: "disk", operation }) } else { Ok(()) }
    }

    /// What readers see, if the disk can be read.
    fn view(&self, operation: &'static str) -> Result<Rows, StoreError> {
        self.check_open(operation)?;
        let _waits = self.has(Flaw::ReadersWaitForSyncs).then(|| lock(&self.disk.writer));
        if self.has(Flaw::PoisonedReadsFail) && self.poisoned.load(Ordering::SeqCst) {
            return Err(failed(Outcome::NotApplied, "an earlier write failed"));
        }
        match self.medium(Op::Read) {
            Ok(medium) => drop(medium),
            Err(_) if self.has(Flaw::FailedReadIsAbsence) => return Ok(Rows::new()),
            Err(error) => return Err(error),
        }
        Ok(lock(&self.disk.visible).clone())
    }

    fn row(&self, operation: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(match self.view(operation)?.remove(key) {
            Some(Value::Row(row)) => Some(row),
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

    /// Decides what to change, and changes it in one step.
    fn transact(&self, decide: impl FnOnce(&Rows) -> Result<Vec<Change>, StoreError>) -> Result<(), StoreError> {
        self.check_open("write")?;
        let _alone = lock(&self.disk.writer);
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(StoreError::Poisoned { backend: "disk", source: Cause::new("an earlier write failed") });
        }
        let changes = decide(&lock(&self.disk.visible))?;
        if changes.is_empty() {
            return Ok(());
        }
        self.land(&changes).map_err(|error| {
            if !self.has(Flaw::ForgetsPoison) {
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

    fn land(&self, changes: &[Change]) -> Result<(), StoreError> {
        let show = || changes.iter().for_each(|each| change(&mut lock(&self.disk.visible), each));
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
        self.sync()?;
        show();
        changes.iter().try_for_each(|each| self.write(each))?;
        self.sync()?;
        self.write(&(JOURNAL.to_vec(), None))
    }

    fn put_all(&self, blocks: &[(Cid, Bytes)]) -> Result<(), StoreError> {
        self.transact(|rows| Ok(self.absent(rows, blocks)))
    }

    /// The changes that add what is not there.
    fn absent(&self, rows: &Rows, blocks: &[(Cid, Bytes)]) -> Vec<Change> {
        // One that undoes by deleting does not look first: that is how it comes to delete the block of another.
        let is_new = |cid: &Cid| self.has(Flaw::UndoesByDeleting) || !rows.contains_key(&block_key(cid));
        let new = blocks.iter().filter(|(cid, _)| is_new(cid));
        new.map(|(cid, data)| (block_key(cid), Some(Value::Row(data.clone())))).collect()
    }

    fn change_heads(&self, head: &HeadChange) -> Result<(), StoreError> {
        self.disk.updates.fetch_add(1, Ordering::SeqCst);
        self.transact(|rows| Ok(vec![Self::heads_row(&head.apply(&Self::heads_of(rows))?)]))
    }
}

fn block_key(cid: &Cid) -> Key {
    [b"block ", &cid.to_bytes()[..]].concat()
}

impl Blockstore for DiskStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(data) = self.0.row("get", &block_key(cid))? else { return Ok(None) };
        match check_read("disk", cid, &data) {
            Err(_) if self.0.has(Flaw::DamageIsAbsence) => Ok(None),
            Err(_) if self.0.has(Flaw::DamageIsReturned) => Ok(Some(data)),
            checked => checked.map(|()| Some(data)),
        }
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        check_block(cid, &data)?;
        self.0.put_all(&[(*cid, data)])
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        self.0.put_all(&[(*cid, data)])
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.0.put_all(&drain_checked(blocks, BLOCK_BYTES_EVERY_BACKEND)?)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        if self.0.has(Flaw::DamageCannotBeDeleted) {
            self.get(cid)?;
        }
        let key = block_key(cid);
        self.0.transact(|rows| Ok(rows.contains_key(&key).then(|| (key.clone(), None)).into_iter().collect()))
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let rows = self.0.view("list")?;
        let cids =
            rows.keys().filter_map(|key| key.strip_prefix(b"block ")).map(|cid| cid_from_bytes(cid).expect("a CID"));
        let sound = |cid: &Cid| !self.0.has(Flaw::DamageEndsListings) || self.get(cid).is_ok();
        let cids: Vec<Cid> = cids.take_while(sound).collect();
        Ok(Box::new(cids.into_iter().map(Ok)))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        if self.0.has(Flaw::DamageIsAbsence) {
            return Ok(self.get(cid)?.is_some());
        }
        Ok(self.0.row("has", &block_key(cid))?.is_some())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(Durability::Power)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}

impl OpHeadsStore for DiskStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        Ok(Handle::heads_of(&self.0.view("heads")?).into_iter().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.0.change_heads(&HeadChange::Update { new: *new, supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.0.change_heads(&HeadChange::Swap { expected: expected.to_vec(), new: *new })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power).with_atomic_heads(true)
    }
}

impl Store for DiskStore {
    fn commit(&self, batch: WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        let parts = batch.into_parts();
        let blocks: Vec<_> = parts.puts.into_iter().map(|put| (put.cid, put.data)).collect();
        self.0.transact(|rows| {
            let mut changes = self.0.absent(rows, &blocks);
            let there = |cid: &Cid| rows.contains_key(&block_key(cid)) || blocks.iter().any(|(put, _)| put == cid);
            if let Some(cid) = parts.required.iter().find(|cid| !there(cid)) {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
            if let Some(head) = &parts.head {
                changes.push(Handle::heads_row(&head.apply(&Handle::heads_of(rows))?));
            }
            Ok(changes)
        })
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        check_table_name(name)?;
        self.0.check_open("side_table")?;
        Ok(Arc::new(DiskTable { store: self.clone(), prefix: format!("table {name} ").into_bytes() }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.0.view("side_tables")?;
        let names = rows.keys().filter_map(|key| key.strip_prefix(b"table ")?.split(|byte| *byte == b' ').next());
        let names: BTreeSet<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(names.into_iter().collect())
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.0.closed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let synced = self.0.sync();
        self.0.closed.store(synced.is_ok() || !self.0.has(Flaw::CloseStaysOpen), Ordering::SeqCst);
        synced
    }
}

#[derive(Debug)]
struct DiskTable {
    store: DiskStore,
    prefix: Key,
}

impl DiskTable {
    fn key(&self, key: &[u8]) -> Key {
        [&self.prefix, key].concat()
    }
}

impl SideTable for DiskTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        self.store.0.row("get a row", &self.key(key))
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        let puts = puts.iter().map(|(key, value)| (self.key(key), Some(Value::Row(value.clone()))));
        let changes = puts.chain(deletes.iter().map(|key| (self.key(key), None))).collect();
        self.store.0.transact(|_| Ok(changes))
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let rows = self.store.0.view("list a table")?;
        let keys = rows.into_keys().filter_map(|key| key.strip_prefix(&self.prefix[..]).map(Bytes::copy_from_slice));
        let keys: Vec<Bytes> = keys.filter(|key| key.starts_with(prefix)).collect();
        Ok(Box::new(keys.into_iter().map(Ok)))
    }
}

/// Stores on disks with this flaw.
#[derive(Clone)]
pub(crate) struct OnDisk(pub(crate) Flaw);

impl OnDisk {
    fn handle(disk: &Arc<Disk>) -> DiskStore {
        let (closed, poisoned) = Default::default();
        DiskStore(Arc::new(Handle { disk: Arc::clone(disk), outage: disk.recover(), closed, poisoned }))
    }
}

impl Fixture for OnDisk {
    type Place = Arc<Disk>;

    fn name(&self) -> &str {
        "a disk in memory"
    }

    fn create(&self) -> Result<Arc<Disk>, FixtureError> {
        Ok(Arc::new(Disk::new(self.0)))
    }

    fn open(&self, disk: &Arc<Disk>) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(Self::handle(disk))))
    }

    fn profiles(&self) -> &[Profile] {
        use Profile::{Crash, Damage, Faults, Persistence, SecondHandle, SecondProcess};
        &[Persistence, SecondHandle, SecondProcess, Damage, Faults, Crash]
    }

    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_secs(if self.0 == Flaw::ReadersWaitForSyncs { 2 } else { 60 })
    }

    fn obey_in_second_process(&self, disk: &Arc<Disk>, script: &str) -> Result<String, FixtureError> {
        let other = match self.0 {
            Flaw::SecondProcessIsBlind => Arc::new(Disk::new(Flaw::None)),
            _ => Arc::clone(disk),
        };
        let before = Handle::heads_of(&lock(&disk.visible));
        let answer = obey(&self.open(&other)?, script);
        if self.0 == Flaw::SecondProcessKeepsItsOwnHeads {
            // Once the first process has made its changes too, writes what it took the heads to be.
            let begin = std::time::Instant::now();
            while disk.updates.load(Ordering::SeqCst) < 24 && begin.elapsed().as_secs() < 1 {
                std::thread::yield_now();
            }
            change(&mut lock(&disk.visible), &Handle::heads_row(&before));
        }
        Ok(answer)
    }

    fn damage(&self, disk: &Arc<Disk>, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let damaged = (block_key(cid), Some(Value::Row(Bytes::copy_from_slice(data))));
        let mut medium = lock(&disk.medium);
        change(&mut medium.now, &damaged);
        change(&mut medium.synced, &damaged);
        Ok(())
    }

    fn set_fault(&self, disk: &Arc<Disk>, fault: Option<Fault>) -> Result<(), FixtureError> {
        lock(&disk.medium).fault = fault;
        disk.released.notify_all();
        Ok(())
    }

    fn cut_power_after(&self, disk: &Arc<Disk>, operations: u64) -> Result<(), FixtureError> {
        lock(&disk.medium).power = Some(operations);
        Ok(())
    }
}
