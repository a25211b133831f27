//! Blocks: the index in memory says in which entry each one stands.

use std::{collections::BTreeSet, ops::Bound};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, OnBlock, StoreError,
    backend::{check_block, check_size, drain_checked, pages},
};

use crate::{
    BucketStore,
    engine::{
        queue::{Work, submit},
        state::Place,
    },
    error::BACKEND,
    handle::{Fetched, Handle},
    limits::{BLOCK_BYTES_MAX, DELETES_MAX, READ_TOGETHER, WHOLE_BYTES, WINDOW},
    tables::slot,
};

/// Names that one page of a listing holds.
const PAGE: usize = 1024;

#[deny(clippy::missing_trait_methods)]
impl Blockstore for BucketStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(place) = self.handle.place("get", cid)? else { return Ok(None) };
        block_at(&self.handle, place, cid, &Fetched::new()).map(Some)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        check_block(cid, &data)?;
        self.put_trusted(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        submit(&self.handle, "delete", Work { deletes: vec![*cid], ..Work::default() })
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        drop(self.handle.current("list blocks")?);
        Ok(pages(|after: Option<Cid>| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            Ok(self.handle.state().blocks.range((from, Bound::Unbounded)).map(|(cid, _)| *cid).take(PAGE).collect())
        }))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.handle.place("look for a block", cid)?.is_some())
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.handle.place("size a block", cid)?.map(|place| place.bytes))
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let Some(data) = self.get(cid)? else { return Ok(false) };
        f(&data);
        Ok(true)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        submit(&self.handle, "put", Work { puts: vec![(*cid, data)], ..Work::default() })
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let puts = drain_checked(blocks, BLOCK_BYTES_MAX)?;
        submit(&self.handle, "put_many", Work { puts, ..Work::default() })
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        for (number, cids) in cids.chunks(READ_TOGETHER).enumerate() {
            let places = cids.iter().map(|cid| self.handle.place("get_many", cid));
            let places = places.collect::<Result<Vec<_>, _>>()?;
            let fetched = fetch_together(&self.handle, places.iter().flatten());
            for (at, (cid, place)) in cids.iter().zip(&places).enumerate() {
                let block = place.map(|place| block_at(&self.handle, place, cid, &fetched)).transpose()?;
                if f(number * READ_TOGETHER + at, block).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        for deletes in cids.chunks(DELETES_MAX) {
            submit(&self.handle, "delete_many", Work { deletes: deletes.to_vec(), ..Work::default() })?;
        }
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(self.handle.durability)
            .with_block_bytes_max(BLOCK_BYTES_MAX)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
            .with_batched_reads(true)
    }
}

fn block_at(handle: &Handle, place: Place, cid: &Cid, fetched: &Fetched) -> Result<Bytes, StoreError> {
    let bytes = handle.bytes_at(place, cid, fetched)?;
    bytes.ok_or(StoreError::Corrupt { backend: BACKEND, cid: *cid })
}

/// Fetches the short entries of these places that are not in memory, several at once. An entry that cannot be
/// fetched is left out; reading a block from it then reports the error.
fn fetch_together<'a>(handle: &Handle, places: impl Iterator<Item = &'a Place>) -> Fetched {
    let short = places.filter(|place| place.entry_bytes <= WHOLE_BYTES).map(|place| place.entry);
    let wanted: Vec<u64> =
        short.collect::<BTreeSet<_>>().into_iter().filter(|entry| handle.cache.get(*entry).is_none()).collect();
    let mut fetched = Fetched::new();
    if wanted.len() < 2 {
        return fetched;
    }
    for numbers in wanted.chunks(WINDOW as usize) {
        let names: Vec<String> = numbers.iter().copied().map(slot).collect();
        let Ok(starts) = handle.objects.starts(&names) else { return fetched };
        for (number, start) in numbers.iter().zip(starts) {
            if let Ok(Some(start)) = start {
                handle.cache.insert(*number, start.bytes.clone());
                fetched.insert(*number, start.bytes);
            }
        }
    }
    fetched
}
