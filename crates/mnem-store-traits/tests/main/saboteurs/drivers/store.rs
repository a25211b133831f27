//! The stores of the flawed drivers.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::{
    Blockstore, Bytes, Capabilities, Cid, CidIter, Durability, HeadsCapabilities, KeyIter, MemoryStore, OpHeadsStore,
    SideTable, Store, StoreError, WriteBatch,
    driver::{Driver, Location, ManagedStore, RawFind, RawScan, Reclaimed, Requested, StoreInfo, Stray, TableInfo},
};

use super::{Flaw, Flawed};

/// The content of a place, and its writers.
#[derive(Debug, Default)]
pub(super) struct State {
    store: MemoryStore,
    writers: Mutex<Writers>,
    /// The largest count reported so far.
    counted: AtomicU64,
}

#[derive(Debug, Default)]
struct Writers {
    shared: usize,
    alone: bool,
}

static STATES: Mutex<Option<HashMap<PathBuf, Arc<State>>>> = Mutex::new(None);

fn states<R>(f: impl FnOnce(&mut HashMap<PathBuf, Arc<State>>) -> R) -> R {
    f(STATES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// The content at the path, and whether this call created its file.
pub(super) fn content(path: &Path, file: impl FnOnce() -> String) -> (Arc<State>, bool) {
    states(|states| {
        let made = !path.exists();
        if made {
            // Others may look during the creation, and must find either nothing or the whole file.
            let unfinished = path.with_extension("unfinished");
            fs::write(&unfinished, file()).and_then(|()| fs::rename(unfinished, path)).expect("written");
        }
        (Arc::clone(states.entry(path.to_owned()).or_default()), made)
    })
}

/// Whether an exclusive handle is open.
pub(super) fn is_held(path: &Path) -> bool {
    let alone = |state: &Arc<State>| state.writers.lock().unwrap_or_else(PoisonError::into_inner).alone;
    states(|states| states.get(path).is_some_and(alone))
}

/// Empties the content at the path.
pub(super) fn clear(path: &Path) {
    states(|states| states.remove(path));
}

/// Removes the content, as if nothing had been there.
pub(super) fn forget(path: &Path) {
    clear(path);
    let _ = fs::remove_file(path);
}

/// An open store.
#[derive(Debug)]
pub(super) struct Opened {
    flaw: Flaw,
    state: Arc<State>,
    format: &'static str,
    read_only: bool,
    closed: AtomicBool,
    alone: bool,
}

impl Opened {
    pub(super) fn open(
        flaw: Flaw,
        at: &Location,
        state: Arc<State>,
        format: &'static str,
        requested: &Requested,
    ) -> Result<Self, StoreError> {
        let (read_only, alone) = (requested.never_writes(), requested.exclusive);
        let opened = Self { flaw, state, format, read_only, closed: AtomicBool::new(read_only), alone };
        let begin = Instant::now();
        while !read_only && !opened.enter() {
            if begin.elapsed() >= requested.lock_wait.unwrap_or_default() {
                // Dropping it must not affect the other handles.
                opened.closed.store(true, Ordering::Relaxed);
                return Err(StoreError::Locked { location: at.clone() });
            }
            thread::sleep(Duration::from_millis(1));
        }
        opened.closed.store(false, Ordering::Relaxed);
        Ok(opened)
    }

    /// Whether this handle may write from now on.
    fn enter(&self) -> bool {
        let mut writers = self.state.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let beside_alone = writers.alone && (self.flaw != Flaw::ExclusiveLetsWritersIn || self.alone);
        let beside_shared = writers.shared > 0 && self.alone && self.flaw != Flaw::ExclusiveBesideWriters;
        if beside_alone || beside_shared {
            return false;
        }
        if self.alone {
            writers.alone = true
        } else {
            writers.shared += 1
        }
        true
    }

    fn leave(&self) {
        if self.closed.swap(true, Ordering::Relaxed) || self.read_only {
            return;
        }
        let mut writers = self.state.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.alone { writers.alone = false } else { writers.shared -= 1 }
    }

    fn open_for(&self, operation: &'static str) -> Result<&MemoryStore, StoreError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::Closed { backend: "test", operation });
        }
        Ok(&self.state.store)
    }

    fn writable(&self, operation: &'static str) -> Result<&MemoryStore, StoreError> {
        let store = self.open_for(operation)?;
        if self.read_only && self.flaw != Flaw::ReadOnlyWrites {
            return Err(StoreError::ReadOnly { backend: "test", operation });
        }
        Ok(store)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.leave();
    }
}

impl ManagedStore for Opened {
    fn driver(&self) -> &'static dyn Driver {
        static SOUND: Flawed = Flawed(Flaw::None);
        &SOUND
    }

    fn format(&self) -> &'static str {
        if self.flaw == Flaw::NamesAnotherFormat { "test 1" } else { self.format }
    }

    fn info(&self) -> Result<StoreInfo, StoreError> {
        let store = self.open_for("count")?;
        let mut info = StoreInfo::default();
        for cid in store.cids()? {
            let cid = cid?;
            info.blocks += 1;
            let is_in_its_name = self.flaw == Flaw::CountsNoIdentityBlocks && cid.hash().code() == 0;
            info.block_bytes += store.size(&cid)?.filter(|_| !is_in_its_name).unwrap_or(0);
            if self.flaw == Flaw::CountsKeys {
                info.block_bytes += cid.to_bytes().len() as u64;
            }
        }
        if self.flaw == Flaw::CountsWhatWasDeleted {
            info.blocks = self.state.counted.fetch_max(info.blocks, Ordering::Relaxed).max(info.blocks);
        }
        info.heads = store.heads()?.len() as u64;
        for name in store.side_tables()? {
            let table = store.side_table(&name)?;
            let (mut keys, mut bytes) = (0, 0);
            for key in table.keys(b"")? {
                let key = key?;
                keys += 1;
                bytes += (key.len() + table.get(&key)?.map_or(0, |value| value.len())) as u64;
            }
            info.tables.push(TableInfo { name, keys, bytes });
        }
        info.file_bytes = info.block_bytes;
        Ok(info)
    }

    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        let file_bytes = self.info()?.file_bytes;
        match self.flaw {
            Flaw::CompactLosesHeads => {
                let mut heads = self.state.store.heads()?;
                heads.push(mnem_store_traits::cid_of(mnem_store_traits::RAW, b"compacted"));
                self.state.store.update(&heads[heads.len() - 1], &heads[..heads.len() - 1])?;
            }
            Flaw::CompactKeepsAPageOfHeads => {
                let heads = self.state.store.heads()?;
                if let Some((kept, gone)) = heads.split_at_checked(100) {
                    self.state.store.update(&kept[0], gone)?;
                }
            }
            Flaw::CompactCloses => self.leave(),
            Flaw::CompactLosesEmptyRows => {
                for name in self.state.store.side_tables()? {
                    let table = self.state.store.side_table(&name)?;
                    let keys = table.keys(b"")?.collect::<Result<Vec<Bytes>, _>>()?;
                    for key in keys {
                        if table.get(&key)?.is_some_and(|value| value.is_empty()) {
                            table.write(&[], &[key])?;
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(Reclaimed::nothing(file_bytes, "it is in memory"))
    }

    fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        let stray = Stray { path: "somebody's".into(), unfinished: false };
        Ok(if self.flaw == Flaw::HasStrays { vec![stray] } else { Vec::new() })
    }

    fn into_store(self: Box<Self>) -> Arc<dyn Store> {
        Arc::<Self>::from(self)
    }
}

impl Blockstore for Opened {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.open_for("get")?.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if self.flaw == Flaw::ReadOnlyTakesWhatIsThere && self.read_only && self.state.store.has(cid)? {
            return Ok(());
        }
        self.writable("put")?.put(cid, data)
    }
    fn put_many(&self, blocks: &mut mnem_store_traits::Blocks<'_>) -> Result<(), StoreError> {
        self.writable("put_many")?.put_many(blocks)
    }
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.writable("put_trusted")?.put_trusted(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.writable("delete")?.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.open_for("cids")?.cids()
    }
    fn capabilities(&self) -> Capabilities {
        // The content survives the handles, but not the process.
        self.state.store.capabilities().with_put_durability(Durability::Process)
    }
}

impl OpHeadsStore for Opened {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.open_for("heads")?.heads()
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.writable("update")?.update(new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.writable("swap")?.swap(expected, new)
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.state.store.heads_capabilities().with_durability(Durability::Process)
    }
}

impl Store for Opened {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.writable("commit")?.commit(batch)
    }
    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        let table = self.open_for("side_table")?.side_table(name)?;
        if self.read_only && self.flaw != Flaw::ReadOnlyWrites { Ok(Arc::new(ReadOnlyTable(table))) } else { Ok(table) }
    }
    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.open_for("side_tables")?.side_tables()
    }
    fn close(&self) -> Result<(), StoreError> {
        self.leave();
        Ok(())
    }
}

/// A scan of the content that imitates a scan of raw files.
#[derive(Debug)]
pub(super) struct Scan {
    flaw: Flaw,
    store: MemoryStore,
    steps: std::vec::IntoIter<RawFind>,
    last: Option<Cid>,
}

impl Scan {
    pub(super) fn of(flaw: Flaw, path: &Path) -> Result<Self, StoreError> {
        let (state, _) = content(path, String::new);
        let store = state.store.open_again();
        let passed_over = usize::from(flaw == Flaw::ScanPassesABlockOver);
        let cids = store.cids()?.skip(passed_over).collect::<Result<Vec<_>, _>>()?;
        let heads = if flaw == Flaw::ScanForgetsHeads { Vec::new() } else { store.heads()? };
        let blocks = cids.into_iter().map(RawFind::Block);
        let steps: Vec<_> = blocks.chain(heads.into_iter().map(RawFind::Head)).chain([RawFind::Scanned(1)]).collect();
        Ok(Self { flaw, store, steps: steps.into_iter(), last: None })
    }
}

impl Iterator for Scan {
    type Item = Result<RawFind, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.steps.next()?;
        self.last = if let RawFind::Block(cid) = step { Some(cid) } else { None };
        Some(Ok(step))
    }
}

impl RawScan for Scan {
    fn read(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(cid) = self.last else { return Ok(None) };
        if self.flaw == Flaw::ScanGivesOtherBytes {
            return Ok(Some(Bytes::from_static(b"something else")));
        }
        self.store.get(&cid)
    }

    fn total_bytes(&self) -> u64 {
        1
    }
}

#[derive(Debug)]
struct ReadOnlyTable(Arc<dyn SideTable>);

impl SideTable for ReadOnlyTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }
    fn write(&self, _: &[(Bytes, Bytes)], _: &[Bytes]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { backend: "test", operation: "write" })
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.0.keys(prefix)
    }
}
