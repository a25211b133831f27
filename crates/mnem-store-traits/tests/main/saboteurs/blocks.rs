//! Defects of block stores.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, Durability, MemoryStore, StoreError, check_block, check_read,
    conformance::Profile,
};

use super::{Defect, Gap, defect, lock, saboteurs};

saboteurs! {
    replaces_before_it_checks: ReplacesBeforeItChecks => put_of_wrong_bytes_leaves_the_present_block "after wrong bytes for it were refused";
    checks_as_much_as_there_is: ChecksPrefix => put_rejects_truncated_digest "Ok: the call was accepted";
    decodes_what_it_stores: DecodesWhatItStores => put_does_not_check_the_codec "Err(Malformed";
    accepts_wrong_bytes: AcceptsWrongBytes => put_rejects_wrong_bytes "Ok: the call was accepted";
    keeps_what_it_refuses: KeepsWhatItRefuses => put_rejects_wrong_bytes "after a refused put of bytes that hash to another CID";
    checks_sha2_256_only: ChecksSha2Only => put_checks_every_supported_hash "wrong bytes for blake3";
    trusts_unknown_hashes: TrustsUnknownHashes => put_rejects_unsupported_hash "Err(UnsupportedHash)";
    second_put_fails: SecondPutFails => put_twice_is_ok "already there";
    truncates_at_64_kib: TruncatesAt64KiB => blocks_of_every_size_are_returned_whole "of a block of 65536 bytes";
    drops_empty_blocks: DropsEmptyBlocks => empty_block_is_a_block "after the put of a block of 0 bytes";
    returns_corrupt_bytes: ReturnsCorruptBytes => get_never_returns_wrong_bytes "Err(Corrupt)";
    size_limit_below_16_mib: SmallLimit => block_of_16_mib_is_taken "Err(BlockTooLarge";
    lends_twice: LendsTwice => with_block_lends_what_get_returns "the bytes lent";
    has_lies: HasLies => absent_is_none "Ok(true)";
    size_lies: SizeLies => has_and_size_agree_with_get "size(";
    loses_last_of_batch: LosesLastOfBatch => put_many_stores_every_block "Ok(None)";
    keeps_good_part_of_a_bad_batch: KeepsGoodPart => put_many_keeps_nothing_of_a_bad_batch "never put";
    keeps_prefix_of_a_failed_iterator: KeepsGoodPart => put_many_keeps_nothing_when_the_iterator_fails "never put";
    deletes_to_undo: DeletesToUndo => failed_put_many_leaves_present_blocks "Ok(None)";
    locks_while_draining: LocksWhileDraining => put_many_iterator_may_use_the_store "no end: a deadlock";
    readers_wait_for_a_batch: LocksWhileDraining => reader_does_not_wait_for_a_batch "readers wait for a batch";
    reads_stale_after_delete: StaleAfterDelete => delete_removes_only_its_block "after its delete";
    remembers_absence: RemembersAbsence => has_and_size_agree_with_get "after its put";
    deletes_neighbours: DeletesNeighbours => delete_removes_only_its_block "after the delete of others";
    delete_of_absent_fails: DeleteOfAbsentFails => delete_of_absent_is_ok "Err(MissingBlock";
    reopen_forgets: ReopenForgets => acknowledged_blocks_survive_reopen "after reopening";
    second_handle_is_blind: SecondHandleIsBlind => put_is_visible_through_a_second_handle "through a second handle";
    seen_in_part: SeenInPart => block_is_never_seen_in_part "while another thread puts it";
}

defect! {
    AcceptsWrongBytes {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.put_trusted(cid, data)
        }
    }

    KeepsWhatItRefuses {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.put_trusted(cid, data.clone())?;
            inner.put(cid, data)
        }
    }

    ReplacesBeforeItChecks {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.delete(cid)?;
            inner.put(cid, data)
        }
    }

    ChecksPrefix {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            let whole = mnem_store_traits::cid_of(cid.codec(), &data);
            let (hash, whole) = (cid.hash(), whole.hash());
            if hash.code() == whole.code() && whole.digest().starts_with(hash.digest()) {
                return inner.put_trusted(cid, data);
            }
            inner.put(cid, data)
        }
    }

    DecodesWhatItStores {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            mnem_store_traits::links(cid, &data)?;
            inner.put(cid, data)
        }
    }

    ChecksSha2Only {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if cid.hash().code() == 0x12 { inner.put(cid, data) } else { inner.put_trusted(cid, data) }
        }
    }

    TrustsUnknownHashes {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            match inner.put(cid, data.clone()) {
                Err(StoreError::UnsupportedHash { .. }) => inner.put_trusted(cid, data),
                result => result,
            }
        }
    }

    SecondPutFails {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            if inner.has(cid)? {
                return Err(StoreError::InvalidArgument { operation: "put", reason: format!("{cid} is already there") });
            }
            inner.put(cid, data)
        }
    }

    TruncatesAt64KiB {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            Ok(inner.get(cid)?.map(|data| data.slice(..data.len().min(65_535))))
        }
    }

    DropsEmptyBlocks {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            check_block(cid, &data)?;
            if data.is_empty() { Ok(()) } else { inner.put(cid, data) }
        }
    }

    SmallLimit {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            mnem_store_traits::check_size(cid, &data, 2 * 1024 * 1024)?;
            inner.put(cid, data)
        }
    }

    LendsTwice {
        fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
            inner.with_block(cid, f)?;
            inner.with_block(cid, f)
        }
    }

    HasLies {
        fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
            inner.has(cid).map(|_| true)
        }
    }

    SizeLies {
        fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
            Ok(inner.size(cid)?.map(|bytes| bytes.next_multiple_of(256)))
        }
    }

    LosesLastOfBatch {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut batch: Vec<_> = blocks.collect::<Result<_, _>>()?;
            batch.pop();
            inner.put_many(&mut batch.into_iter().map(Ok))
        }
    }

    KeepsGoodPart {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            for block in blocks {
                let (cid, data) = block?;
                inner.put(&cid, data)?;
            }
            Ok(())
        }
    }

    DeletesToUndo {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let mut written = Vec::new();
            for block in blocks {
                let (cid, data) = block?;
                if let Err(error) = inner.put(&cid, data) {
                    written.iter().try_for_each(|cid| inner.delete(cid))?;
                    return Err(error);
                }
                written.push(cid);
            }
            Ok(())
        }
    }

    DeletesNeighbours {
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            let next = inner.cids()?.filter_map(Result::ok).find(|other| other > cid);
            next.map_or(Ok(()), |next| inner.delete(&next))?;
            inner.delete(cid)
        }
    }

    DeleteOfAbsentFails {
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            if inner.has(cid)? { inner.delete(cid) } else { Err(StoreError::MissingBlock { cid: *cid, linked_from: None }) }
        }
    }
}

/// Does not hash what it reads.
#[derive(Debug, Default)]
struct ReturnsCorruptBytes(Mutex<BTreeMap<Cid, Bytes>>);

impl Defect for ReturnsCorruptBytes {
    fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        lock(&self.0).insert(*cid, data.clone());
        inner.put_trusted(cid, data)
    }
    fn get(&self, _: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        Ok(lock(&self.0).get(cid).cloned())
    }
}

/// Holds its only lock while it drains the iterator of a batch.
#[derive(Debug, Default)]
struct LocksWhileDraining(Mutex<()>);

impl Defect for LocksWhileDraining {
    const DEADLINE: Duration = Duration::from_secs(2);

    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let _held = lock(&self.0);
        inner.get(cid)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.put_many(blocks)
    }
}

/// Caches blocks and forgets to drop deleted ones.
#[derive(Debug, Default)]
struct StaleAfterDelete(Mutex<BTreeMap<Cid, Bytes>>);

impl Defect for StaleAfterDelete {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(data) = lock(&self.0).get(cid) {
            return Ok(Some(data.clone()));
        }
        inner.get(cid)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let batch: Vec<_> = blocks.collect::<Result<_, _>>()?;
        lock(&self.0).extend(batch.iter().cloned());
        inner.put_many(&mut batch.into_iter().map(Ok))
    }
}

/// Caches absences and forgets to drop them when the block is put.
#[derive(Debug, Default)]
struct RemembersAbsence(Mutex<BTreeSet<Cid>>);

impl Defect for RemembersAbsence {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if lock(&self.0).contains(cid) {
            return Ok(None);
        }
        let data = inner.get(cid)?;
        if data.is_none() {
            lock(&self.0).insert(*cid);
        }
        Ok(data)
    }
}

/// Makes a block visible before all of it is written.
#[derive(Debug, Default)]
struct SeenInPart {
    parts: Mutex<BTreeMap<Cid, Bytes>>,
    gap: Gap,
}

impl Defect for SeenInPart {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        lock(&self.parts).insert(*cid, data.slice(..data.len() / 2));
        self.gap.wait_for(24);
        inner.put(cid, data)?;
        lock(&self.parts).remove(cid);
        Ok(())
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.gap.look();
        let part = lock(&self.parts).get(cid).cloned();
        match part {
            Some(part) => check_read("seen in part", cid, &part).map(|()| Some(part)),
            None => inner.get(cid),
        }
    }
}

#[derive(Debug, Default)]
struct ReopenForgets;

impl Defect for ReopenForgets {
    const PROFILES: &'static [Profile] = &[Profile::Persistence];

    fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
        inner.capabilities().with_put_durability(Durability::Power)
    }
    fn close(&self, _: &MemoryStore) -> Result<(), StoreError> {
        Ok(())
    }
    fn opened(&self, inner: &MemoryStore, number: usize) -> MemoryStore {
        if number == 0 { inner.clone() } else { MemoryStore::new() }
    }
}

/// A second handle sees what was there when it was opened.
#[derive(Debug, Default)]
struct SecondHandleIsBlind;

impl Defect for SecondHandleIsBlind {
    fn opened(&self, inner: &MemoryStore, number: usize) -> MemoryStore {
        if number == 0 { inner.clone() } else { MemoryStore::new() }
    }
}
