//! The store on the disk.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, Durability, ErrorKind, HeadChange, HeadsCapabilities,
    IsDead, KeyIter, OnBlock, OpHeadsStore, SideTable, Store, StoreError, Swept, WriteBatch,
    backend::{
        check_block, check_read, check_size, check_table_key, check_table_name, check_table_write, drain_checked,
    },
    cid_from_bytes,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{DiskStore, Flaw, Handle, Key, Op, Rows, Value, block_key, lock};

impl Blockstore for DiskStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(data) = self.0.row("get", &block_key(cid))? else { return Ok(None) };
        if self.0.has(Flaw::RemembersVerified) && lock(&self.0.disk.verified).contains(&block_key(cid)) {
            return Ok(Some(data));
        }
        match check_read("disk", cid, &data) {
            Ok(()) if self.0.has(Flaw::RemembersVerified) => {
                lock(&self.0.disk.verified).insert(block_key(cid));
                Ok(Some(data))
            }
            Err(_) if self.0.has(Flaw::DamageIsAbsence) => Ok(None),
            Err(_) if self.0.has(Flaw::DamageIsReturned) => Ok(Some(data)),
            checked => checked.map(|()| Some(data)),
        }
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        check_block(cid, &data)?;
        self.0.put_all("put", &[(*cid, data)])
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        self.0.put_all("put_trusted", &[(*cid, data)])
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.0.put_all("put_many", &drain_checked(blocks, BLOCK_BYTES_EVERY_BACKEND)?)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        if self.0.has(Flaw::DamageCannotBeDeleted) {
            self.get(cid)?;
        }
        let key = block_key(cid);
        let is_known = lock(&self.0.seen).contains_key(&key);
        if self.0.has(Flaw::DeletesWhatItKnows) && !is_known && self.0.medium(Op::Read).is_err() {
            return Ok(());
        }
        if self.0.has(Flaw::DeletesInMemoryOnly) {
            lock(&self.0.disk.visible).remove(&key);
            return Ok(());
        }
        self.0.transact("delete", |rows| Ok(rows.contains_key(&key).then(|| (key.clone(), None)).into_iter().collect()))
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        if self.0.has(Flaw::DamageCannotBeDeletedInABatch) {
            let cids = cids.collect::<Result<Vec<Cid>, _>>()?;
            cids.iter().try_for_each(|cid| self.get(cid).map(drop))?;
            return cids.iter().try_for_each(|cid| self.delete(cid));
        }
        let keys: Vec<Key> = cids.map(|cid| Ok(block_key(&cid?))).collect::<Result<_, StoreError>>()?;
        if self.0.has(Flaw::DeletesManyInMemoryOnly) {
            lock(&self.0.disk.visible).retain(|key, _| !keys.contains(key));
            return Ok(());
        }
        self.0.transact("delete_many", |rows| {
            let present: BTreeSet<&Key> = keys.iter().filter(|key| rows.contains_key(*key)).collect();
            Ok(present.into_iter().map(|key| (key.clone(), None)).collect())
        })
    }

    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        let (after, up_to) = (after.map(block_key), up_to.map(block_key));
        let is_in = |key: &Key| {
            after.as_ref().is_none_or(|after| after < key) && up_to.as_ref().is_none_or(|up_to| key <= up_to)
        };
        let (mut swept, mut dead) = (Swept::default(), Vec::new());
        let mut decide = |rows: &Rows| {
            for (key, value) in rows.iter().filter(|(key, _)| is_in(key)) {
                let (Some(cid), Value::Row(row)) = (key.strip_prefix(b"block "), value) else { continue };
                let removed = is_dead(&cid_from_bytes(cid).expect("a CID"));
                swept.count(row.len() as u64, removed);
                dead.extend(removed.then(|| (key.clone(), None)));
            }
            Ok(dead.clone())
        };
        if self.0.has(Flaw::SweepsInMemoryOnly) {
            let dead = decide(&lock(&self.0.disk.visible))?;
            lock(&self.0.disk.visible).retain(|key, _| !dead.iter().any(|(gone, _)| gone == key));
        } else {
            self.0.transact("sweep", decide)?;
        }
        Ok(Some(swept))
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let cid = |key: &Key| Some(cid_from_bytes(key.strip_prefix(b"block ")?).expect("a CID"));
        if self.0.has(Flaw::ListingFailsForEver) && self.0.check_open("list").is_ok() {
            let mut cids = None;
            // Tries again at each call.
            return Ok(Box::new(std::iter::from_fn(move || {
                if cids.is_none() {
                    match self.0.view("list", |rows| rows.keys().filter_map(cid).collect::<Vec<Cid>>()) {
                        Ok(listed) => cids = Some(listed.into_iter()),
                        Err(error) => return Some(Err(error)),
                    }
                }
                cids.as_mut()?.next().map(Ok)
            })));
        }
        let cids: Vec<Cid> = self.0.view("list", |rows| rows.keys().filter_map(cid).collect())?;
        let sound = |cid: &Cid| !self.0.has(Flaw::DamageEndsListings) || self.get(cid).is_ok();
        Ok(Box::new(cids.into_iter().take_while(sound).map(Ok)))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.0.row("size", &block_key(cid))?.map(|data| data.len() as u64))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        if self.0.has(Flaw::DamageIsAbsence) {
            return Ok(self.get(cid)?.is_some());
        }
        Ok(self.0.row("has", &block_key(cid))?.is_some())
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        if self.0.has(Flaw::LongRequestsWait) && cids.len() > 16 {
            drop(lock(&self.0.disk.writer));
        }
        for (index, cid) in cids.iter().enumerate() {
            if f(index, self.get(cid)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        let has = |cid: &Cid| match self.has(cid) {
            Err(error) if self.0.has(Flaw::UnreadPresenceIsAbsence) && error.kind() == ErrorKind::Backend => Ok(false),
            found => found,
        };
        cids.iter().map(has).collect()
    }

    fn capabilities(&self) -> Capabilities {
        let less = self.0.has(Flaw::PoisonedClaimsLess) && self.0.poisoned.load(Ordering::SeqCst);
        Capabilities::WEAKEST
            .with_put_durability(if less { Durability::Process } else { Durability::Power })
            .with_cumulative_durability(true)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}

impl OpHeadsStore for DiskStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        Ok(self.0.view("heads", Handle::heads_of)?.into_iter().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.0.change_heads(&HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.0.change_heads(&HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power).with_atomic_heads(true)
    }
}

impl Store for DiskStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        if self.0.has(Flaw::DropsHeadlessCommits) && batch.head().is_none() {
            return Ok(());
        }
        if self.0.has(Flaw::HeadsInSteps) {
            let new = batch.head().map_or(&[][..], HeadChange::new_heads);
            new.iter().skip(1).try_for_each(|new| self.update(new, &[]))?;
        }
        let blocks: Vec<_> = batch.puts().iter().map(|put| (put.cid, put.data.clone())).collect();
        self.0.transact("commit", |rows| {
            let mut changes = self.0.absent(rows, &blocks);
            let unread = self.0.has(Flaw::UnreadIsMet) && self.0.medium(Op::Read).is_err();
            let there =
                |cid: &Cid| unread || rows.contains_key(&block_key(cid)) || blocks.iter().any(|(put, _)| put == cid);
            if let Some(cid) = batch.required().iter().find(|cid| !there(cid)) {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
            if let Some(head) = batch.head() {
                changes.push(Handle::heads_row(&head.apply(&Handle::heads_of(rows))?));
            }
            Ok(changes)
        })
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        check_table_name(name)?;
        self.0.check_open("side_table")?;
        if self.0.has(Flaw::OpeningATableHeals) {
            self.0.poisoned.store(false, Ordering::SeqCst);
        }
        Ok(Arc::new(DiskTable { store: self.clone(), prefix: format!("table {name} ").into_bytes() }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        let name = |key: &Key| {
            let name = key.strip_prefix(b"table ")?.split(|byte| *byte == b' ').next()?;
            Some(String::from_utf8_lossy(name).into_owned())
        };
        let names: BTreeSet<String> = self.0.view("side_tables", |rows| rows.keys().filter_map(name).collect())?;
        Ok(names.into_iter().collect())
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.0.closed.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.0.has(Flaw::PoisonedStaysOpen) && self.0.poisoned.load(Ordering::SeqCst) {
            return self.0.sync();
        }
        let synced = if self.0.has(Flaw::CloseRewrites) { self.0.rewrite() } else { self.0.sync() };
        let stays_open = self.0.has(Flaw::CloseStaysOpen) || self.0.has(Flaw::CloseSwallows);
        self.0.closed.store(synced.is_ok() || !stays_open, Ordering::SeqCst);
        if self.0.has(Flaw::CloseSwallows) { Ok(()) } else { synced }
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
        let changes: Vec<_> = puts.chain(deletes.iter().map(|key| (self.key(key), None))).collect();
        let store = &self.store.0;
        let is_spared = store.has(Flaw::EqualRowsSyncNothing)
            || (store.has(Flaw::PoisonedTakesEqualRows) && store.poisoned.load(Ordering::SeqCst));
        if is_spared && store.is_seen(&changes) {
            return store.check_open("write");
        }
        store.transact("row", |_| Ok(changes))
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let wanted = [&self.prefix, prefix].concat();
        let key = move |key: &Key| key.starts_with(&wanted).then(|| Bytes::copy_from_slice(&key[self.prefix.len()..]));
        let list = move || -> Result<Vec<Bytes>, StoreError> {
            self.store.0.view("list a table", |rows| rows.keys().filter_map(&key).collect())
        };
        if self.store.0.has(Flaw::KeysGoOnAfterAnError) && self.store.0.check_open("list a table").is_ok() {
            let (mut keys, mut errors) = (None::<std::vec::IntoIter<Bytes>>, 0);
            return Ok(Box::new(std::iter::from_fn(move || {
                if keys.is_none() && errors < 3 {
                    match list() {
                        Ok(listed) => keys = Some(listed.into_iter()),
                        Err(error) => {
                            errors += 1;
                            return Some(Err(error));
                        }
                    }
                }
                keys.as_mut()?.next().map(Ok)
            })));
        }
        Ok(Box::new(list()?.into_iter().map(Ok)))
    }
}
