//! Blocks: one row each, from CID bytes to block bytes.

use std::{iter, ops::Bound, sync::Arc};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, IsDead, StoreError, Swept,
    backend::{check_block, check_size, drain_checked, pages},
};
use redb::{ReadableTable, TableHandle};

use crate::{
    Check,
    engine::{
        change::{Change, Commit},
        keys::{self, Ascending, Key},
        lenient::{Listing, read_keys},
        nearby::Stored,
        rows::{Row, sorted_rows},
        sweep::Sweep,
    },
    error::At,
    handle::Handle,
    limits::{BLOCK_BYTES_MAX, PAGE_NAMES},
};

/// A view of a store's blocks that keeps the store open. See [`RedbStore::blockstore`](crate::RedbStore::blockstore).
#[derive(Clone, Debug)]
pub struct RedbBlockstore {
    pub(crate) handle: Arc<Handle>,
}

impl Handle {
    /// Reads and verifies a block, and returns its stored bytes in a guard that pins their page.
    fn lend(&self, operation: &'static str, cid: &Cid) -> Result<Option<Stored>, StoreError> {
        let at = self.file().at(operation);
        let key = Key::of(cid);
        self.reader().read(operation, |snapshot| {
            let Some(guard) = self.reader().find(at, snapshot, &key)? else { return Ok(None) };
            self.reader().verify(cid, &key, guard.value(), snapshot.generation())?;
            Ok(Some(guard))
        })
    }

    /// Stores verified rows durably. Writes nothing if all of them are present.
    fn put_rows(&self, operation: &'static str, rows: Vec<Row>) -> Result<(), StoreError> {
        if self.writer.has_all(operation, rows.iter().map(|(key, _)| &**key))? {
            return Ok(());
        }
        self.writer.write(operation, Change::Commit(Commit { rows, ..Commit::default() }))
    }

    /// Reads one page of a listing: the CIDs that follow `after`.
    fn cid_page(&self, after: Option<Cid>) -> Result<Vec<Cid>, StoreError> {
        let at = self.file().at("list blocks");
        let after = after.as_ref().map(Key::of);
        let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.reader().read(at.operation, |snapshot| {
            let objects = snapshot.objects(at, self.file().layout)?;
            let range = ReadableTable::range::<&[u8]>(objects, (start, Bound::Unbounded));
            let mut cids = Vec::with_capacity(PAGE_NAMES);
            let mut keys = Ascending::after(after.as_deref());
            for row in range.map_err(|error| at.redb(error))?.take(PAGE_NAMES) {
                let (key, _) = row.map_err(|error| at.redb(error))?;
                keys.next(at, TableHandle::name(&self.file().layout.objects()), key.value())?;
                cids.push(self.block_cid(at, key.value())?);
            }
            Ok(cids)
        })
    }

    /// A listing of a damaged file that skips what it cannot read.
    fn cids_lenient(&self) -> CidIter<'_> {
        let at = self.file().at("list blocks");
        let table = self.file().layout.objects();
        let keys = Listing::new(Box::new(move |start, rows, found| {
            self.reader().read(at.operation, |snapshot| {
                let objects = snapshot.objects(at, self.file().layout)?;
                let range = ReadableTable::range::<&[u8]>(objects, (start, Bound::Unbounded));
                read_keys(at, TableHandle::name(&table), start, range.map_err(|error| at.redb(error))?, rows, found)
            })
        }));
        Box::new(keys.map(move |key| self.block_cid(at, &key?)))
    }

    /// Decodes the key of a block.
    fn block_cid(&self, at: At<'_>, key: &[u8]) -> Result<Cid, StoreError> {
        keys::decode(key).map_err(|error| at.damaged_row(TableHandle::name(&self.file().layout.objects()), key, error))
    }
}

impl Blockstore for Handle {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let at = self.file().at("get");
        let key = Key::of(cid);
        self.reader().read(at.operation, |snapshot| {
            let Some(guard) = self.reader().find(at, snapshot, &key)? else { return Ok(None) };
            self.reader().verify(cid, &key, guard.value(), snapshot.generation())?;
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
        self.file().gate.check_writable(operation)?;
        if self.reader().all_present(operation, iter::once(&*key))? {
            return self.writer.write(operation, Change::Delete(vec![key]));
        }
        self.writer.acknowledge(operation)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.file().gate.check_open("list blocks")?;
        if self.file().options.check == Check::AsItIs {
            return Ok(self.cids_lenient());
        }
        Ok(pages(|after| self.cid_page(after)))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.reader().all_present("has", iter::once(&*Key::of(cid)))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let at = self.file().at("size");
        let key = Key::of(cid);
        self.reader().read(at.operation, |snapshot| {
            Ok(self.reader().find(at, snapshot, &key)?.map(|guard| guard.value().len() as u64))
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

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.reader().are_present("has_many", &cids.iter().map(Key::of).collect::<Vec<_>>())
    }

    /// Deletes in one transaction, in key order, so that each page of the tree is visited once.
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let operation = "delete_many";
        let mut keys: Vec<Key> = cids.map(|cid| Ok(Key::of(&cid?))).collect::<Result<_, StoreError>>()?;
        keys.sort_unstable();
        if keys.is_empty() {
            self.file().gate.check_writable(operation)?;
            return self.writer.acknowledge(operation);
        }
        self.writer.write(operation, Change::Delete(keys))
    }

    /// Sweeps in one transaction: a scan that rewrites each page once. Ends early after 32 MiB.
    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        let keys = [after, up_to].map(|cid| cid.map(Key::of));
        let part = keys.each_ref().map(Option::as_deref);
        let table = self.file().layout.objects();
        let at = self.file().at("sweep");
        let mut sweep = Sweep::new(is_dead);
        let swept = self.writer.alone(at.operation, |transaction| {
            let mut objects = transaction.open_table(table).map_err(|error| at.redb(error))?;
            sweep.run(at, TableHandle::name(&table), &mut objects, part)?;
            sweep.outcome(at, TableHandle::name(&table))
        });
        sweep.resume_panic();
        swept.map(Some)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(self.claim())
            .with_block_bytes_max(BLOCK_BYTES_MAX)
            .with_cumulative_durability(true)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}

/// Implements [`Blockstore`] for a type with a `handle`. It forwards every method, because a default would undo an
/// override.
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
            fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
                self.handle.has_many(cids)
            }
            fn delete_many(&self, cids: &mut mnem_store_traits::Cids<'_>) -> Result<(), StoreError> {
                self.handle.delete_many(cids)
            }
            fn sweep(
                &self,
                after: Option<&Cid>,
                up_to: Option<&Cid>,
                is_dead: &mut mnem_store_traits::IsDead<'_>,
            ) -> Result<Option<mnem_store_traits::Swept>, StoreError> {
                self.handle.sweep(after, up_to, is_dead)
            }
            fn capabilities(&self) -> mnem_store_traits::Capabilities {
                self.handle.capabilities()
            }
        }
    };
}
pub(crate) use forward_blockstore;

forward_blockstore!(RedbBlockstore);
