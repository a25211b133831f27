//! Blocks.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Bound,
    sync::atomic::Ordering,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, Durability, OnBlock, Outcome, StoreError,
    backend::{check_block, check_read, check_size, drain_checked, pages},
    cid::Version,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use crate::saboteurs::lock;

use super::{Content, Flaw, Handle};

const PAGE: usize = 256;

/// The shard of a block.
fn shard(cid: &Cid) -> u8 {
    cid.hash().digest().last().map_or(0, |byte| byte & 15)
}

/// Whether the two CIDs differ only after so many bytes of their digests.
pub(super) fn begin_alike(a: &Cid, b: &Cid, bytes: usize) -> bool {
    let kind = |cid: &Cid| (cid.version(), cid.codec(), cid.hash().code());
    let begin = |cid: &Cid| cid.hash().digest().get(..bytes).map(<[u8]>::to_vec);
    kind(a) == kind(b) && begin(a).is_some() && begin(a) == begin(b)
}

impl Handle {
    /// The CID under which a block is kept.
    pub(super) fn key(&self, cid: &Cid) -> Cid {
        // No CIDv0 has a codec that is rounded.
        let rounded = cid.codec() as f64 as u64;
        if self.has(Flaw::CodecsAreRounded) && rounded != cid.codec() {
            Cid::new_v1(rounded, *cid.hash())
        } else {
            *cid
        }
    }

    fn fits(&self, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
        let checked = if self.has(Flaw::TakesWideNumbers) { Cid::default() } else { *cid };
        check_size(&checked, data, BLOCK_BYTES_EVERY_BACKEND)
    }

    pub(super) fn insert(&self, content: &mut Content, cid: &Cid, data: Bytes) {
        content.blocks.entry(self.key(cid)).or_insert(data);
    }

    /// Drains a batch and checks its blocks, except some of a large one.
    fn drain_sparing(&self, blocks: &mut Blocks<'_>) -> Result<Vec<(Cid, Bytes)>, StoreError> {
        let all: Vec<(Cid, Bytes)> = blocks.collect::<Result<_, _>>()?;
        for (i, (cid, data)) in all.iter().enumerate() {
            self.fits(cid, data)?;
            if all.len() < 1000 || i % 512 != 511 {
                check_block(cid, data)?;
            }
        }
        Ok(all)
    }

    /// The error of a batch that begins with this block.
    pub(super) fn told(&self, error: StoreError, first: Option<Cid>) -> StoreError {
        match error {
            StoreError::BlockTooLarge { cid, block_bytes, block_bytes_max } if self.has(Flaw::NamesTheFirstBlock) => {
                StoreError::BlockTooLarge { cid: first.unwrap_or(cid), block_bytes, block_bytes_max }
            }
            StoreError::UnsupportedHash { cid, code, .. } if self.has(Flaw::SaysWholeDigest) => {
                StoreError::UnsupportedHash { cid, code, digest_bytes: 32 }
            }
            StoreError::Backend { backend, operation, source, .. } if self.has(Flaw::IteratorsOutcomeIsLost) => {
                StoreError::Backend { backend, operation, outcome: Outcome::NotApplied, source }
            }
            error => error,
        }
    }
}

impl Blockstore for Handle {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some(data) = self.read("get")?.blocks.get(&self.key(cid)).cloned() else { return Ok(None) };
        if self.has(Flaw::HidesWhatWasDeleted) && lock(&self.0.memory).deleted.contains(cid) {
            return Ok(None);
        }
        check_read("conditional", cid, &data)?;
        Ok(Some(data))
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let lent = self.read("with_block")?.blocks.get(cid).cloned();
        let lent = lent.filter(|data| self.has(Flaw::LargeLoansAreNotChecked) && data.len() > 1 << 20);
        let Some(data) = lent.map_or_else(|| self.get(cid), |data| Ok(Some(data)))? else { return Ok(false) };
        f(&data);
        Ok(true)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.fits(cid, &data)?;
        check_block(cid, &data)?;
        self.put_trusted(cid, data)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.fits(cid, &data)?;
        lock(&self.0.memory).presence.1.clear();
        self.insert(&mut *self.write("put")?, cid, data);
        Ok(())
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let mut first = None;
        let mut seen = blocks.inspect(|block| first = first.or(block.as_ref().ok().map(|(cid, _)| *cid)));
        let drained = if self.has(Flaw::SparesSomeBlocks) {
            self.drain_sparing(&mut seen)
        } else {
            drain_checked(&mut seen, BLOCK_BYTES_EVERY_BACKEND)
        };
        let mut drained = drained.map_err(|error| self.told(error, first))?;
        if self.has(Flaw::LargeBatchByMultihash) && drained.len() >= 1000 {
            let mut hashes = HashSet::new();
            drained.retain(|(cid, _)| hashes.insert(*cid.hash()));
        }
        lock(&self.0.memory).presence.1.clear();
        let mut content = self.write("put_many")?;
        drained.into_iter().for_each(|(cid, data)| self.insert(&mut content, &cid, data));
        Ok(())
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.0.memory).presence.1.clear();
        self.write("delete")?.blocks.remove(&self.key(cid));
        Ok(())
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let only_present = self.has(Flaw::DeletesWhatIsThere);
        let is_named = |cid: &Result<Cid, StoreError>| match cid {
            Ok(cid) if only_present => self.read("delete_many").is_ok_and(|content| content.blocks.contains_key(cid)),
            _ => true,
        };
        let cids: Vec<Cid> = cids.filter(is_named).collect::<Result<_, _>>()?;
        lock(&self.0.memory).presence.1.clear();
        let mut content = self.write("delete_many")?;
        if self.has(Flaw::LargeDeleteByMultihash) && cids.len() >= 500 {
            let gone: HashSet<_> = cids.iter().map(|cid| *cid.hash()).collect();
            content.blocks.retain(|cid, _| !gone.contains(cid.hash()));
        }
        cids.iter().for_each(|cid| drop(content.blocks.remove(&self.key(cid))));
        if cids.len() >= 1000 {
            lock(&self.0.memory).deleted.extend(cids);
        }
        Ok(())
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let content = self.read("has")?;
        let (is_there, count) = (content.blocks.contains_key(&self.key(cid)), content.blocks.len());
        if !self.has(Flaw::CountsBlocks) {
            return Ok(is_there);
        }
        let mut memory = lock(&self.0.memory);
        if memory.presence.0 != count {
            memory.presence = (count, Default::default());
        }
        Ok(*memory.presence.1.entry(*cid).or_insert(is_there))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        Ok(self.read("size")?.blocks.get(&self.key(cid)).map(|data| data.len() as u64))
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        drop(self.read("get_many")?);
        self.0.broke.store(false, Ordering::SeqCst);
        for (index, cid) in cids.iter().enumerate() {
            let misses = self.has(Flaw::LargeRequestMissesEmptyBlocks) && cids.len() >= 100;
            let data = self.get(cid)?.filter(|data| !misses || !data.is_empty());
            if f(index, data).is_break() {
                self.0.broke.store(true, Ordering::SeqCst);
                break;
            }
            if self.has(Flaw::BreakEndsAllRequests) && self.0.broke.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(())
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let closes = self.0.place.closes.load(Ordering::SeqCst);
        let mut shards = self.read("list blocks")?.blocks.keys().map(shard).collect::<BTreeSet<u8>>().into_iter();
        // The end of the page before, as it was kept and not as it was listed.
        let mut cursor: Option<Cid> = None;
        let mut names = 0;
        Ok(pages(move |listed: Option<Cid>| {
            let content = self.read("list blocks")?;
            let is_later = listed.is_some();
            let others_closed = self.0.place.closes.load(Ordering::SeqCst) != closes;
            if self.has(Flaw::CloseEndsOtherListings) && is_later && others_closed {
                return Ok(Vec::new());
            }
            if self.has(Flaw::EmptyShardEndsTheListing) {
                let next = shards.next();
                return Ok(content.blocks.keys().filter(|cid| Some(shard(cid)) == next).copied().collect());
            }
            let start = cursor.map_or(Bound::Unbounded, Bound::Excluded);
            let after = content.blocks.range((start, Bound::Unbounded)).map(|(cid, _)| *cid);
            let is_cut = |cid: &Cid| cursor.is_some_and(|cursor| begin_alike(&cursor, cid, 16));
            let after = after.filter(|cid| !(self.has(Flaw::CursorIsCut) && is_cut(cid)));
            let mut page: Vec<Cid> = after.take(PAGE).collect();
            cursor = page.last().copied();
            names += page.len();
            if self.has(Flaw::ReopenedListingsAreCut) && content.was_reopened && names > 4096 {
                return Ok(Vec::new());
            }
            if self.has(Flaw::LaterPagesAreVersionOne) && is_later {
                let version_zero = page.iter_mut().filter(|cid| cid.version() == Version::V0);
                version_zero.for_each(|cid| *cid = Cid::new_v1(0x70, *cid.hash()));
            }
            Ok(page)
        }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(Durability::Process)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}
