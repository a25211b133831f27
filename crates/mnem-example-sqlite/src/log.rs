//! A second example: a store in one log, over media that tests can make fail. Every write appends one record and syncs
//! it; opening reads the log and truncates an incomplete record.
//!
//! A log for production also needs a checksum in each record, and a way to reclaim the space of deleted blocks.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::{Mutex, MutexGuard},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cause, Cid, CidIter, Durability, HeadChange, HeadsCapabilities,
    OpHeadsStore, Outcome, Store, StoreError, WriteBatch,
    backend::{Gate, check_block, check_read, check_size, drain_checked, pages},
    cid_from_bytes,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

/// The input and output of a [`LogStore`]: a file in production, a failing medium in tests.
pub trait Medium: fmt::Debug + Send + Sync + 'static {
    /// The length of the log, in bytes.
    fn log_len(&self) -> io::Result<usize>;
    /// Reads `len` bytes from `offset` on.
    fn read(&self, offset: usize, len: usize) -> io::Result<Vec<u8>>;
    /// Writes at `offset`, and extends the log as needed.
    fn write(&self, offset: usize, data: &[u8]) -> io::Result<()>;
    /// Truncates the log.
    fn truncate(&self, len: usize) -> io::Result<()>;
    /// Makes everything durable.
    fn sync(&self) -> io::Result<()>;
    /// Keeps other writers out until the returned guard is dropped. Returns `None` if another writer has the lock.
    fn try_lock(&self) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
}

/// A store in one log.
#[derive(Debug)]
pub struct LogStore<M> {
    medium: M,
    gate: Gate,
    index: Mutex<Index>,
    /// Offset of the next record. Locked by the one writer; readers lock only `index`, and never wait for a sync.
    end: Mutex<usize>,
    lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

#[derive(Debug, Default)]
struct Index {
    /// Offset and length of each block's bytes.
    blocks: BTreeMap<Vec<u8>, (usize, usize)>,
    heads: BTreeSet<Cid>,
}

/// A change in a record. In the log: the kind, both lengths, key, data.
enum Change {
    Put(Cid, Bytes),
    Delete(Cid),
    Heads(BTreeSet<Cid>),
}

const HEADER: usize = 9;

impl Change {
    fn write_to(&self, record: &mut Vec<u8>) {
        let heads;
        let (kind, key, data): (u8, Vec<u8>, &[u8]) = match self {
            Self::Put(cid, data) => (1, cid.to_bytes(), data),
            Self::Delete(cid) => (2, cid.to_bytes(), &[]),
            Self::Heads(cids) => {
                heads = cids.iter().map(Cid::to_string).collect::<Vec<_>>().join(" ");
                (3, Vec::new(), heads.as_bytes())
            }
        };
        record.push(kind);
        record.extend((key.len() as u32).to_le_bytes());
        record.extend((data.len() as u32).to_le_bytes());
        record.extend([&key, data].concat());
    }
}

impl Index {
    /// Applies the changes of a record whose first byte is at `offset` in the log. Returns `None` if a store cannot
    /// have written it.
    fn apply(&mut self, record: &[u8], offset: usize) -> Option<()> {
        let mut at = 0;
        while at < record.len() {
            let header = record.get(at..at + HEADER)?;
            let key_at = at + HEADER;
            let data_at = key_at + number(&header[1..])?;
            at = data_at + number(&header[5..])?;
            let (key, data) = (record.get(key_at..data_at)?, record.get(data_at..at)?);
            match header[0] {
                1 => drop(self.blocks.insert(key.to_vec(), (offset + data_at, data.len()))),
                2 => drop(self.blocks.remove(key)),
                3 => {
                    let cids = std::str::from_utf8(data).ok()?.split_whitespace();
                    self.heads = cids.map(|cid| cid.parse().ok()).collect::<Option<_>>()?;
                }
                _ => return None,
            }
        }
        Some(())
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize)
}

fn failed(operation: &str, outcome: Outcome, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    let source = Cause::new(error);
    StoreError::Backend { backend: "log", operation: operation.to_owned(), outcome, source }
}

/// A caller's panic must leave the store usable, and no state here is ever half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<M: Medium> LogStore<M> {
    /// Opens the store on this medium, and creates it if the log is empty.
    ///
    /// # Errors
    /// - [`StoreError::Locked`]: another handle has it open.
    /// - [`StoreError::Damaged`]: the log does not belong to such a store.
    /// - [`StoreError::Backend`]: the medium failed, or has no locks.
    pub fn open(medium: M) -> Result<Self, StoreError> {
        let not_opened = |what: &'static str| move |error| failed(what, Outcome::NotApplied, error);
        let lock = medium.try_lock().map_err(not_opened("lock the log"))?;
        let lock = lock.ok_or_else(|| StoreError::Locked { location: "log".into() })?;
        let len = medium.log_len().map_err(not_opened("read the log"))?;
        let log = medium.read(0, len).map_err(not_opened("read the log"))?;
        let (mut index, mut end) = (Index::default(), 0);
        while let Some(record) = log.get(end + 4..).zip(number(&log[end..])).and_then(|(rest, len)| rest.get(..len)) {
            let wrong = || StoreError::Damaged {
                component: "log".into(),
                what: format!("the record at byte {end}"),
                source: Cause::new("it is not one of this store"),
            };
            index.apply(record, end + 4).ok_or_else(wrong)?;
            end += 4 + record.len();
        }
        if end < len {
            medium.truncate(end).map_err(not_opened("cut off a record that is not whole"))?;
        }
        // A killed process may have left unsynced records.
        medium.sync().map_err(not_opened("sync the log"))?;
        let (index, end, lock) = (Mutex::new(index), Mutex::new(end), Mutex::new(Some(lock)));
        Ok(Self { medium, gate: Gate::new("log", false), index, end, lock })
    }

    /// Decides what to change, appends it as one record, syncs it, and then makes it visible to readers.
    fn write(
        &self,
        operation: &'static str,
        decide: impl FnOnce(&Index) -> Result<Vec<Change>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut end = lock(&self.end);
        self.gate.check_writable(operation)?;
        let changes = decide(&lock(&self.index))?;
        if changes.is_empty() {
            return Ok(()); // present blocks were synced before they became visible
        }
        let mut record = vec![0; 4];
        changes.iter().for_each(|change| change.write_to(&mut record));
        let len = (record.len() - 4) as u32;
        record[..4].copy_from_slice(&len.to_le_bytes());
        self.medium.write(*end, &record).and_then(|()| self.medium.sync()).map_err(|error| {
            let cause = Cause::new(error);
            self.gate.poison(cause.clone());
            let (backend, operation) = ("log", operation.to_owned());
            StoreError::Backend { backend, operation, outcome: Outcome::Unknown, source: cause }
        })?;
        lock(&self.index).apply(&record[4..], *end + 4).expect("a record that was just made");
        *end += record.len();
        Ok(())
    }

    fn change_heads(&self, change: &HeadChange) -> Result<(), StoreError> {
        self.write("change heads", |index| Ok(vec![Change::Heads(change.apply(&index.heads)?)]))
    }
}

/// The absent ones of these blocks, each once.
fn absent(index: &Index, blocks: impl IntoIterator<Item = (Cid, Bytes)>) -> Vec<Change> {
    let mut seen = BTreeSet::new();
    let new = blocks.into_iter().filter(|(cid, _)| !index.blocks.contains_key(&cid.to_bytes()) && seen.insert(*cid));
    new.map(|(cid, data)| Change::Put(cid, data)).collect()
}

impl<M: Medium> Blockstore for LogStore<M> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.gate.check_open("get")?;
        let Some((offset, len)) = lock(&self.index).blocks.get(&cid.to_bytes()).copied() else { return Ok(None) };
        let data = self.medium.read(offset, len).map_err(|error| failed("get", Outcome::NotApplied, error))?;
        check_read("log", cid, &data)?;
        Ok(Some(data.into()))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        check_block(cid, &data)?;
        self.write("put", |index| Ok(absent(index, [(*cid, data)])))
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let blocks = drain_checked(blocks, BLOCK_BYTES_EVERY_BACKEND)?;
        self.write("put_many", |index| Ok(absent(index, blocks)))
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.write("delete", |index| {
            let there = index.blocks.contains_key(&cid.to_bytes());
            Ok(there.then_some(Change::Delete(*cid)).into_iter().collect())
        })
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        Ok(pages(|after: Option<Cid>| {
            self.gate.check_open("list")?;
            let after = after.map(|cid| cid.to_bytes()).unwrap_or_default();
            let index = lock(&self.index);
            let page = index.blocks.keys().filter(|key| **key > after).take(256);
            page.map(|key| cid_from_bytes(key).map_err(|error| failed("list", Outcome::NotApplied, error))).collect()
        }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST.with_put_durability(Durability::Power).with_atomic_put_many(true).with_atomic_commit(true)
    }
}

impl<M: Medium> OpHeadsStore for LogStore<M> {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.gate.check_open("heads")?;
        Ok(lock(&self.index).heads.iter().copied().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change_heads(&HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.change_heads(&HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power).with_atomic_heads(true)
    }
}

impl<M: Medium> Store for LogStore<M> {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        self.write("commit", |index| {
            let puts: BTreeMap<Cid, Bytes> = batch.puts().iter().rev().map(|put| (put.cid, put.data.clone())).collect();
            let there = |cid: &&Cid| puts.contains_key(cid) || index.blocks.contains_key(&cid.to_bytes());
            if let Some(cid) = batch.required().iter().find(|cid| !there(cid)) {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
            let mut changes = absent(index, puts);
            if let Some(head) = batch.head() {
                changes.push(Change::Heads(head.apply(&index.heads)?));
            }
            Ok(changes)
        })
    }

    fn close(&self) -> Result<(), StoreError> {
        let _last_write = lock(&self.end);
        self.gate.close();
        drop(lock(&self.lock).take());
        Ok(())
    }
}
