//! Blocks: one row each, CID bytes → block bytes.

use std::{ops::Bound, sync::Arc};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, StoreError,
    backend::{check_block, check_read, check_size, drain_checked, pages},
};
use redb::{CursorError, OwnedAccessGuard, ReadableTable, Table, TableHandle};

use crate::{
    BACKEND, Check,
    engine::{
        as_it_is::Listing,
        change::{Commit, What},
        keys::{self, Ascending, Key},
        snapshot::{Era, Snapshot},
    },
    error::At,
    handle::Handle,
    limits::{BLOCK_BYTES_MAX, CURSOR_ROWS_MIN, PAGE_NAMES},
};

/// The table of blocks in a write transaction.
pub(crate) type ObjectsMut<'a> = Table<'a, &'static [u8], &'static [u8]>;

/// A block to be stored.
pub(crate) type Row = (Key, Bytes);

/// The blocks of a store, as a view that keeps it open. See [`RedbStore::blockstore`](crate::RedbStore::blockstore).
#[derive(Clone, Debug)]
pub struct RedbBlockstore {
    pub(crate) handle: Arc<Handle>,
}

impl Handle {
    /// The stored bytes of a block, checked, in a guard that keeps its page.
    fn lend(&self, operation: &'static str, cid: &Cid) -> Result<Option<OwnedAccessGuard<&'static [u8]>>, StoreError> {
        let at = self.at(operation);
        let key = Key::of(cid);
        self.read(operation, |snapshot| {
            let objects = snapshot.objects(at, self.layout)?;
            let Some(guard) = objects.get_owned(&*key).map_err(|error| at.redb(error))? else { return Ok(None) };
            self.verify(cid, &key, guard.value(), snapshot.era())?;
            Ok(Some(guard))
        })
    }

    /// Hashes the bytes of a block that is about to be handed out, unless that was done and this handle hashes each block once.
    fn verify(&self, cid: &Cid, key: &Key, data: &[u8], era: Option<Era>) -> Result<(), StoreError> {
        let (Some(verified), Some(era)) = (&self.verified, era) else { return check_read(BACKEND, cid, data) };
        if !verified.contains(key, era) {
            check_read(BACKEND, cid, data)?;
            verified.insert(key, era);
        }
        Ok(())
    }

    /// Of these keys, whether each is there, in one snapshot.
    pub(crate) fn all_present<'a>(
        &self,
        operation: &'static str,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<bool, StoreError> {
        let at = self.at(operation);
        self.read(operation, |snapshot| {
            for key in keys.clone() {
                if !self.is_present(at, snapshot, key)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Whether there is a block of this key.
    fn is_present(&self, at: At<'_>, snapshot: &Snapshot, key: &[u8]) -> Result<bool, StoreError> {
        if snapshot.era().is_some_and(|era| self.present.contains(key, era)) {
            return Ok(true);
        }
        let objects = snapshot.objects(at, self.layout)?;
        let found = ReadableTable::get(objects, key).map_err(|error| at.redb(error))?.is_some();
        if let (true, Some(era)) = (found, snapshot.era()) {
            self.present.insert(key, era);
        }
        Ok(found)
    }

    /// [`all_present`](Self::all_present), to acknowledge a write that needs no transaction: redb shows a commit only once it is durable, unless
    /// the store was opened with less; and a handle that reads on after a failed sync is poisoned before it does.
    pub(crate) fn all_present_and_durable<'a>(
        &self,
        operation: &'static str,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<bool, StoreError> {
        let present = self.all_present(operation, keys)?;
        self.gate.check_writable(operation)?;
        Ok(present)
    }

    /// Stores checked rows durably: nothing is written when all are there.
    fn put_rows(&self, operation: &'static str, rows: Vec<Row>) -> Result<(), StoreError> {
        self.gate.check_writable(operation)?;
        if self.all_present_and_durable(operation, rows.iter().map(|(key, _)| &**key))? {
            return Ok(());
        }
        self.commit(operation, Commit { rows, ..Commit::default() })
    }

    /// One page of a listing.
    fn cid_page(&self, after: Option<Cid>) -> Result<Vec<Cid>, StoreError> {
        let at = self.at("list blocks");
        let after = after.as_ref().map(Key::of);
        let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.read(at.operation, |snapshot| {
            let objects = snapshot.objects(at, self.layout)?;
            let range = ReadableTable::range::<&[u8]>(objects, (start, Bound::Unbounded));
            let mut cids = Vec::with_capacity(PAGE_NAMES);
            let mut keys = Ascending::after(after.as_deref());
            for row in range.map_err(|error| at.redb(error))?.take(PAGE_NAMES) {
                let (key, _) = row.map_err(|error| at.redb(error))?;
                keys.next(at, TableHandle::name(&self.layout.objects()), key.value())?;
                cids.push(self.block_cid(at, key.value())?);
            }
            Ok(cids)
        })
    }

    /// A listing that goes on behind what it cannot read.
    fn cids_as_they_are(&self) -> CidIter<'_> {
        let at = self.at("list blocks");
        let table = self.layout.objects();
        let keys = Listing::new(Box::new(move |start, rows, found| {
            self.read(at.operation, |snapshot| {
                let objects = snapshot.objects(at, self.layout)?;
                let range = ReadableTable::range::<&[u8]>(objects, (start, Bound::Unbounded));
                read_keys(at, TableHandle::name(&table), start, range.map_err(|error| at.redb(error))?, rows, found)
            })
        }));
        Box::new(keys.map(move |key| self.block_cid(at, &key?)))
    }

    /// The CID that the key of a block is.
    fn block_cid(&self, at: At<'_>, key: &[u8]) -> Result<Cid, StoreError> {
        keys::decode(key).map_err(|error| at.damaged_row(TableHandle::name(&self.layout.objects()), key, error))
    }
}

/// Adds the keys of these rows, up to a number of them, each as it is read.
pub(crate) fn read_keys(
    at: At<'_>,
    table: &str,
    start: Bound<&[u8]>,
    range: redb::Range<'_, &'static [u8], &'static [u8]>,
    rows: usize,
    found: &mut Vec<Bytes>,
) -> Result<(), StoreError> {
    let mut order = Ascending::after(match start {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    });
    for row in range.take(rows) {
        let (key, _) = row.map_err(|error| at.redb(error))?;
        order.next(at, table, key.value())?;
        found.push(Bytes::copy_from_slice(key.value()));
    }
    Ok(())
}

/// Rows in the order in which they are stored, each key once. Sorted keys fill the pages of the tree better: 1.17 bytes on disk for each byte,
/// against 1.8.
pub(crate) fn sorted_rows(blocks: impl Iterator<Item = (Cid, Bytes)>) -> Vec<Row> {
    let mut rows: Vec<Row> = blocks.map(|(cid, data)| (Key::of(&cid), data)).collect();
    rows.sort_by_key(|(key, _)| *key);
    rows.dedup_by(|(key, _), (before, _)| key == before);
    rows
}

/// Stores those of the rows that are not there yet, and says whether there were any. The rows are sorted, each key once.
pub(crate) fn insert_absent(at: At<'_>, objects: &mut ObjectsMut<'_>, rows: &[Row]) -> Result<bool, StoreError> {
    let mut inserted = false;
    let mut rest = rows;
    while !rest.is_empty() {
        let run = absent_run(at, objects, rest)?;
        // Of nothing but a present row, only that one is passed over.
        let (absent, after) = rest.split_at(run.max(1));
        rest = after;
        if run > 0 {
            insert_run(at, objects, absent)?;
            inserted = true;
        }
    }
    Ok(inserted)
}

/// How many of the first rows lie, absent, in one gap of the table.
fn absent_run(at: At<'_>, objects: &ObjectsMut<'_>, rows: &[Row]) -> Result<usize, StoreError> {
    let Some((first, _)) = rows.first() else { return Ok(0) };
    let mut cursor = objects.lower_bound(Bound::Included(&**first)).map_err(|error| at.redb(error))?;
    Ok(match cursor.next().map_err(|error| at.redb(error))? {
        Some((next, _)) => rows.partition_point(|(key, _)| &**key < next.value()),
        None => rows.len(),
    })
}

/// Stores rows that lie in one gap of the table.
fn insert_run(at: At<'_>, objects: &mut ObjectsMut<'_>, rows: &[Row]) -> Result<(), StoreError> {
    let [(first, _), ..] = rows else { return Ok(()) };
    if rows.len() < CURSOR_ROWS_MIN {
        for (key, data) in rows {
            objects.insert(&**key, data.as_ref()).map_err(|error| at.redb(error))?;
        }
        return Ok(());
    }
    let mut cursor = objects.lower_bound_mut(Bound::Included(&**first)).map_err(|error| at.redb(error))?;
    for (key, data) in rows {
        match cursor.insert_before(&**key, data.as_ref()) {
            Ok(()) => {}
            Err(CursorError::Storage(error)) => return Err(at.redb(error)),
            // The gap was found a moment ago: only a tree whose own keys are out of order can disagree.
            Err(error) => return Err(at.damaged(error)),
        }
    }
    cursor.close().map_err(|error| at.redb(error))
}

impl Blockstore for Handle {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let at = self.at("get");
        let key = Key::of(cid);
        self.read(at.operation, |snapshot| {
            let objects = snapshot.objects(at, self.layout)?;
            let Some(guard) = ReadableTable::get(objects, &*key).map_err(|error| at.redb(error))? else {
                return Ok(None);
            };
            self.verify(cid, &key, guard.value(), snapshot.era())?;
            Ok(Some(Bytes::copy_from_slice(guard.value())))
        })
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        check_block(cid, &data)?;
        self.put_rows("put", vec![(Key::of(cid), data)])
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        let operation = "delete";
        let key = Key::of(cid);
        self.gate.check_writable(operation)?;
        if !self.all_present_and_durable(operation, std::iter::once(&*key))? {
            return Ok(());
        }
        self.write(operation, What::Delete(vec![key]))
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.gate.check_open("list blocks")?;
        if self.options.check == Check::AsItIs {
            return Ok(self.cids_as_they_are());
        }
        Ok(pages(|after| self.cid_page(after)))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.all_present("has", std::iter::once(&*Key::of(cid)))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let at = self.at("size");
        let key = Key::of(cid);
        self.read(at.operation, |snapshot| {
            let objects = snapshot.objects(at, self.layout)?;
            let found = ReadableTable::get(objects, &*key).map_err(|error| at.redb(error))?;
            Ok(found.map(|guard| guard.value().len() as u64))
        })
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let Some(guard) = self.lend("with_block", cid)? else { return Ok(false) };
        f(guard.value());
        Ok(true)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        self.put_rows("put_trusted", vec![(Key::of(cid), data)])
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let drained = drain_checked(blocks, BLOCK_BYTES_MAX)?;
        self.put_rows("put_many", sorted_rows(drained.into_iter()))
    }

    /// One transaction. The keys are removed in the order in which they are stored, so that each page of the tree is visited once.
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let operation = "delete_many";
        let mut keys: Vec<Key> = cids.map(|cid| Ok(Key::of(&cid?))).collect::<Result<_, StoreError>>()?;
        keys.sort_unstable();
        self.gate.check_writable(operation)?;
        if keys.is_empty() { Ok(()) } else { self.write(operation, What::Delete(keys)) }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(self.claim())
            .with_block_bytes_max(BLOCK_BYTES_MAX)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}

/// [`Blockstore`] for a type with a `handle`: every method, since a default would undo an override.
macro_rules! forward_blockstore {
    ($store:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl mnem_store_traits::Blockstore for $store {
            fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
                self.handle.get(cid)
            }
            fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
                self.handle.put(cid, data)
            }
            fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
                self.handle.delete(cid)
            }
            fn cids(&self) -> Result<mnem_store_traits::CidIter<'_>, StoreError> {
                self.handle.cids()
            }
            fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
                self.handle.has(cid)
            }
            fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
                self.handle.size(cid)
            }
            fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
                self.handle.with_block(cid, f)
            }
            fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
                self.handle.put_trusted(cid, data)
            }
            fn put_many(&self, blocks: &mut mnem_store_traits::Blocks<'_>) -> Result<(), StoreError> {
                self.handle.put_many(blocks)
            }
            fn get_many(&self, cids: &[Cid], f: &mut mnem_store_traits::OnBlock<'_>) -> Result<(), StoreError> {
                self.handle.get_many(cids, f)
            }
            fn delete_many(&self, cids: &mut mnem_store_traits::Cids<'_>) -> Result<(), StoreError> {
                self.handle.delete_many(cids)
            }
            fn capabilities(&self) -> mnem_store_traits::Capabilities {
                self.handle.capabilities()
            }
        }
    };
}
pub(crate) use forward_blockstore;

forward_blockstore!(RedbBlockstore);
