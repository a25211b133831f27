//! Running a workload on a recorded file system, and knowing at each moment what may be there after a crash.

use std::{collections::BTreeSet, sync::Arc};

use mnem_backend_simple::{OpenOptions, SimpleStore, medium::FileSystem};
use mnem_store_traits::{
    Blockstore, Bytes, Cid, Durability, ErrorKind, HeadChange, OpHeadsStore, Store, StoreError, WriteBatch,
};

use super::{
    ROOT, block,
    breaks::Break,
    expected::Expected,
    observed::{Found, Observed, told, value},
    process::{Fault, Kill, Process, Task},
    workload::{Act, TABLES, Visible},
};
use crate::support::memory_fs::MemoryFs;

/// Processes that have the store open at once.
pub(crate) const PROCESSES: usize = 2;

/// A process that has the store open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) process: Process,
    pub(crate) store: SimpleStore,
    durable: bool,
}

#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) fs: MemoryFs,
    pub(crate) opened: [Option<Opened>; PROCESSES],
    pub(crate) expected: Expected,
    /// What may be there once so much was recorded.
    pub(crate) steps: Vec<(usize, Expected)>,
    pub(crate) visible: Visible,
    /// A call of the next process that opens the store is going to fail.
    pub(crate) next_fault: Option<Fault>,
    /// The calls made.
    pub(crate) log: Vec<String>,
    whole_sync_from: usize,
    planted: Option<&'static Break>,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Done {
    Ok,
    /// The process that made it is dead.
    Killed,
    Failed(StoreError),
}

impl Runner {
    pub(crate) fn new(
        fs: MemoryFs,
        expected: Expected,
        whole_sync_from: usize,
        planted: Option<&'static Break>,
    ) -> Self {
        let kept = expected.closures.values().flatten().copied().collect();
        let visible = Visible { kept, ..Visible::default() };
        let steps = vec![(0, expected.clone())];
        Self {
            fs,
            opened: [None, None],
            expected,
            steps,
            visible,
            next_fault: None,
            log: Vec::new(),
            whole_sync_from,
            planted,
        }
    }

    /// Makes a call in a process, which may be killed meanwhile.
    pub(crate) fn run(&mut self, who: usize, act: &Act, kill: Option<Kill>) -> Done {
        let durable = match (act, &self.opened[who]) {
            (Act::Open { durable }, _) => *durable,
            (_, Some(opened)) => opened.durable,
            (_, None) => return Done::Ok,
        };
        self.log.push(format!("{who}: {act:?}{}", kill.map_or(String::new(), |kill| format!(", killed {kill:?}"))));
        let heads = self.heads_after(act);
        self.expected.may_be(act, &heads, durable);
        self.steps.push((self.fs.recorded() + 1, self.expected.clone()));
        let (process, result) = self.call(who, act, kill);
        process.before_acknowledging();
        let done = match result {
            _ if process.is_dead() => Done::Killed,
            Ok(()) => Done::Ok,
            Err(error) => Done::Failed(error),
        };
        match &done {
            Done::Ok if durable || matches!(act, Act::Open { .. }) => {
                self.expected.is(act, &heads);
            }
            _ => self.expected.is_still(),
        }
        self.steps.push((self.fs.recorded(), self.expected.clone()));
        process.acknowledged();
        if matches!(done, Done::Killed) {
            self.opened[who] = None;
        }
        self.see(act, heads, matches!(done, Done::Ok));
        done
    }

    /// Makes a call that is not refused, so that the one that opens comes first.
    pub(crate) fn must_run(&mut self, who: usize, act: &Act, kill: Option<Kill>) -> Result<Done, String> {
        match self.run(who, act, kill) {
            Done::Failed(error) => Err(told("a call that may not fail", &error)),
            done => Ok(done),
        }
    }

    fn call(&mut self, who: usize, act: &Act, kill: Option<Kill>) -> (Process, Result<(), StoreError>) {
        if let Act::Open { durable } = act {
            self.opened[who] = None;
            let process = Process::new(&self.fs, self.planted);
            process.begin(Task::Open, kill);
            if let Some(fault) = self.next_fault.take() {
                process.fail(fault);
            }
            let opened = self.open(Arc::new(process.clone()), *durable);
            let result = opened.map(|store| {
                self.opened[who] = Some(Opened { process: process.clone(), store, durable: *durable });
            });
            return (process, result);
        }
        let Some(Opened { process, store, .. }) = &self.opened[who] else { unreachable!("it is open") };
        process.begin(task(act), kill);
        (process.clone(), make(store, act, &self.visible.heads))
    }

    pub(crate) fn open(&self, fs: Arc<dyn FileSystem>, durable: bool) -> Result<SimpleStore, StoreError> {
        let durability = if durable { Durability::Power } else { Durability::Process };
        let options = OpenOptions::new().create(!self.expected.created).whole_sync_from(self.whole_sync_from);
        options.durability(durability).open_on(fs, ROOT)
    }

    fn heads_after(&self, act: &Act) -> BTreeSet<Cid> {
        let heads = &self.visible.heads;
        let update = |new: Cid, gone: Vec<Cid>| HeadChange::Update { new: vec![new], supersedes: gone };
        let change = match act {
            Act::Commit { head, supersedes, .. } => update(block(*head).0, supersedes.among(heads)),
            Act::Update { new, supersedes } => update(*new, supersedes.among(heads)),
            Act::Swap { new, stale: false } => return [*new].into(),
            _ => return heads.clone(),
        };
        change.apply(heads).unwrap()
    }

    /// Keeps account of what readers see.
    fn see(&mut self, act: &Act, heads: BTreeSet<Cid>, done: bool) {
        self.visible.kept.extend(act.relied_on());
        if !done {
            return self.look();
        }
        self.visible.blocks.extend(act.puts());
        if let Act::Delete(n) = act {
            self.visible.blocks.remove(n);
        }
        self.visible.heads = heads;
    }

    /// Looks at what is there after a call that failed.
    pub(crate) fn look(&mut self) {
        let Ok(reader) = OpenOptions::new().read_only(true).open_on(Arc::new(self.fs.clone()), ROOT) else { return };
        let there = |n: &usize| reader.has(&block(*n).0).unwrap_or(false);
        self.visible.blocks = self.expected.blocks.keys().copied().filter(there).collect();
        self.visible.heads = reader.heads().map(|heads| heads.into_iter().collect()).unwrap_or_default();
    }

    /// Compares what a store shows with what may be there.
    pub(crate) fn check(&mut self, store: &SimpleStore, listings: bool) -> Result<(), String> {
        let blocks = self.expected.blocks.keys().copied();
        let observed = Observed::of(store, blocks, self.expected.rows.keys().copied())?;
        self.expected.check(&observed)?;
        if listings {
            observed.check_listings(store)?;
        }
        let there = observed.blocks.iter().filter(|(_, found)| **found != Found::Absent);
        self.visible.blocks = there.map(|(n, _)| *n).collect();
        self.visible.heads.clone_from(&observed.heads);
        self.expected.settle(observed);
        Ok(())
    }
}

fn task(act: &Act) -> Task {
    match act {
        Act::Open { .. } => Task::Open,
        Act::Put(_) | Act::PutMany(_) => Task::Put,
        Act::Commit { .. } => Task::Commit,
        Act::Update { .. } | Act::Swap { .. } => Task::ChangeHeads,
        Act::Delete(_) => Task::Delete,
        Act::Rows { .. } => Task::WriteRows,
    }
}

fn make(store: &SimpleStore, act: &Act, heads: &BTreeSet<Cid>) -> Result<(), StoreError> {
    match act {
        Act::Open { .. } => Ok(()),
        Act::Put(n) => store.put(&block(*n).0, block(*n).1.clone()),
        Act::PutMany(blocks) => store.put_many(&mut blocks.iter().map(|n| Ok(block(*n).clone()))),
        Act::Commit { puts, required, head, supersedes } => {
            let batch = puts.iter().fold(WriteBatch::new(), |batch, n| batch.put(block(*n).0, block(*n).1.clone()));
            let batch = required.iter().fold(batch, |batch, n| batch.require(block(*n).0));
            store.commit(batch.update(block(*head).0, supersedes.among(heads)))
        }
        Act::Update { new, supersedes } => store.update(new, &supersedes.among(heads)),
        Act::Swap { new, stale: false } => store.swap(&heads.iter().copied().collect::<Vec<_>>(), new),
        Act::Swap { new, stale: true } => {
            let mut stale: Vec<Cid> = heads.iter().copied().collect();
            let never = block(0).0;
            if !heads.contains(&never) {
                stale.push(never);
            } else {
                stale.clear();
            }
            match store.swap(&stale, new) {
                Ok(()) => panic!("a swap of heads that are not there"),
                Err(error) if error.kind() == ErrorKind::HeadsMoved => Ok(()),
                Err(error) => Err(error),
            }
        }
        Act::Delete(n) => store.delete(&block(*n).0),
        Act::Rows { table, puts, deletes } => {
            let key = |key: &u8| Bytes::copy_from_slice(&[*key]);
            let puts: Vec<_> = puts.iter().map(|(k, v)| (key(k), value(*v))).collect();
            let deletes: Vec<_> = deletes.iter().map(key).collect();
            store.side_table(TABLES[*table])?.write(&puts, &deletes)
        }
    }
}
