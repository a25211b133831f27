//! Blocks: the index in memory says in which object each one stands.

use std::time::Instant;

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, IsDead, OnBlock, StoreError, Swept,
    backend::{check_block, check_size, drain_checked, pages},
};

use crate::{
    BucketStore,
    engine::{
        blocks::Position,
        queue::{Work, submit},
        reading::{Batch, Fetched, Read},
    },
    error::BACKEND,
    handle::Handle,
    limits::{BLOCK_BYTES_MAX, DELETES_MAX, READ_TOGETHER},
};

/// Names that one page of a listing holds.
const PAGE: usize = 1024;

#[deny(clippy::missing_trait_methods)]
impl Blockstore for BucketStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        match self.handle.place("get", cid)? {
            Some(_) => block(&self.handle, cid, &mut Fetched::new()),
            None => Ok(None),
        }
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
        // What is added from now on is not listed, so that a block which is deleted and put again is not listed twice,
        // and a caller who does that with each block comes to an end.
        let state = self.handle.current("list blocks")?;
        let (end, turn) = (state.objects(), state.blocks.begin_listing());
        drop(state);
        let listing = pages(move |after: Option<(Position, Cid)>| {
            let state = self.handle.state();
            Ok(state.blocks.listed(after.map(|(position, _)| position), end).take(PAGE).collect())
        });
        let cids = move |listed: Result<(Position, Cid), StoreError>| {
            let _turn = &turn;
            listed.map(|(_, cid)| cid)
        };
        Ok(Box::new(listing.map(cids)))
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
        let (mut begin, since) = (0, Instant::now());
        while begin < cids.len() {
            let mut batch = Batch::default();
            let mut present = Vec::new();
            for cid in cids.get(begin..).unwrap_or_default() {
                let place = self.handle.place_since("get_many", cid, since)?;
                present.push(place.is_some());
                batch.add(place);
                if present.len() >= READ_TOGETHER || batch.is_full() {
                    break;
                }
            }
            let mut fetched = self.handle.fetch(&batch)?;
            for ((at, cid), is_present) in cids.iter().enumerate().skip(begin).zip(&present) {
                let data = if *is_present { block(&self.handle, cid, &mut fetched)? } else { None };
                if f(at, data).is_break() {
                    return Ok(());
                }
            }
            begin += present.len();
        }
        Ok(())
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.handle.are_present("look for blocks", cids)
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        for deletes in cids.chunks(DELETES_MAX) {
            submit(&self.handle, "delete_many", Work { deletes: deletes.to_vec(), ..Work::default() })?;
        }
        Ok(())
    }

    /// A delete is a record of the log, so a pass over the blocks would save nothing.
    fn sweep(
        &self,
        _after: Option<&Cid>,
        _up_to: Option<&Cid>,
        _is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        Ok(None)
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

/// Reads a block that was present a moment ago.
fn block(handle: &Handle, cid: &Cid, fetched: &mut Fetched) -> Result<Option<Bytes>, StoreError> {
    match handle.read(|| Some((*cid, handle.state().block(cid)?)), fetched)? {
        Read::Found(bytes) => Ok(Some(bytes)),
        Read::Absent => Ok(None),
        Read::Mismatch(cid, _) => Err(StoreError::Corrupt { backend: BACKEND, cid }),
    }
}
