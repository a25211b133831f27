//! A wrapper that repeats calls which the store refused with `Locked`.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cid::Cid;

use super::Handles;
use crate::{
    Blocks, Blockstore, Capabilities, CidIter, Cids, ErrorKind, HeadsCapabilities, IsDead, KeyIter, OnBlock,
    OpHeadsStore, SideTable, Store, StoreError, Swept, WriteBatch,
};

/// The same handles; each call that fails with `Locked` is repeated for up to `patience`.
pub(crate) fn patient(handles: Handles, patience: Duration) -> Handles {
    match handles.as_store().cloned() {
        Some(inner) => Handles::store(Arc::new(Patient { inner, patience })),
        None => {
            handles.map(|inner| Arc::new(Patient { inner, patience }), |inner| Arc::new(Patient { inner, patience }))
        }
    }
}

struct Patient<S: ?Sized> {
    patience: Duration,
    inner: Arc<S>,
}

impl<S: ?Sized> fmt::Debug for Patient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patient")
    }
}

impl<S: ?Sized> Patient<S> {
    fn repeat<T>(&self, mut call: impl FnMut(&S) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let begin = Instant::now();
        loop {
            match call(&self.inner) {
                Err(error) if error.kind() == ErrorKind::Locked && begin.elapsed() < self.patience => {
                    thread::sleep(Duration::from_millis(1));
                }
                result => return result,
            }
        }
    }
}

/// Repeats a call that takes an iterator. Items that the refused call consumed are passed first.
fn again<T: Clone>(
    items: &mut dyn Iterator<Item = Result<T, StoreError>>,
    taken: &mut Vec<T>,
    call: impl FnOnce(&mut dyn Iterator<Item = Result<T, StoreError>>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let before = taken.clone();
    let rest = items.inspect(|item| taken.extend(item.as_ref().ok().cloned()));
    call(&mut before.into_iter().map(Ok).chain(rest))
}

#[deny(clippy::missing_trait_methods)]
impl<S: Blockstore + ?Sized> Blockstore for Patient<S> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.repeat(|inner| inner.get(cid))
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.repeat(|inner| inner.put(cid, data.clone()))
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.repeat(|inner| inner.delete(cid))
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let begin = Instant::now();
        loop {
            match self.inner.cids() {
                Err(error) if error.kind() == ErrorKind::Locked && begin.elapsed() < self.patience => {
                    thread::sleep(Duration::from_millis(1));
                }
                listing => return listing,
            }
        }
    }
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.repeat(|inner| inner.has(cid))
    }
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.repeat(|inner| inner.size(cid))
    }
    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.repeat(|inner| inner.with_block(cid, f))
    }
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.repeat(|inner| inner.put_trusted(cid, data.clone()))
    }
    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        self.repeat(|inner| again(blocks, &mut taken, |items| inner.put_many(items)))
    }
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.repeat(|inner| inner.get_many(cids, f))
    }
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.repeat(|inner| inner.has_many(cids))
    }
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let mut taken = Vec::new();
        self.repeat(|inner| again(cids, &mut taken, |items| inner.delete_many(items)))
    }
    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        self.repeat(|inner| inner.sweep(after, up_to, is_dead))
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: OpHeadsStore + ?Sized> OpHeadsStore for Patient<S> {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.repeat(|inner| inner.heads())
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.repeat(|inner| inner.update(new, supersedes))
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.repeat(|inner| inner.swap(expected, new))
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.inner.heads_capabilities()
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Patient<S> {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.repeat(|inner| inner.commit(batch))
    }
    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        let inner = self.repeat(|inner| inner.side_table(name))?;
        Ok(Arc::new(Patient { inner, patience: self.patience }))
    }
    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.repeat(|inner| inner.side_tables())
    }
    fn close(&self) -> Result<(), StoreError> {
        self.repeat(|inner| inner.close())
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: SideTable + ?Sized> SideTable for Patient<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.repeat(|inner| inner.get(key))
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.repeat(|inner| inner.write(puts, deletes))
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.inner.keys(prefix)
    }
}
