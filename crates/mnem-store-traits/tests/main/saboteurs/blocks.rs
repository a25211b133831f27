//! Defects of block stores.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, DAG_CBOR, Durability, MemoryStore, RAW, StoreError, Walk,
    check_block, check_read,
    cid::multihash::Multihash,
    cid_of,
    conformance::{BlockIter, Profile},
    links,
};

use super::{Defect, Gap, saboteurs};

saboteurs! {
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
    ignores_codec: Renamed<ByCodec> => codec_is_part_of_the_key "equal but for the codec";
    ignores_version: Renamed<ByVersion> => version_is_part_of_the_key "equal but for the version";
    ignores_hash_function: Renamed<ByDigest> => equal_digests_of_other_hash_functions_are_others "under two hash functions";
    folds_case: Renamed<FoldsCase> => near_cids_are_apart "different in one byte";
    keys_by_prefix: Renamed<ByPrefix> => near_cids_are_apart "different in one byte";
    lossy_text: Renamed<LossyText> => digests_that_are_not_text_are_kept "digests that are not text";
    synthesises_identity: SynthesisesIdentity => identity_is_not_synthesised "before the put of an identity block";
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
    lists_a_thousand: ListsAThousand => cids_lists_every_block_once "1000 items; missing";
    lists_twice: ListsTwice => cids_lists_every_block_once "repeated";
    lists_without_codec: ListsWithoutCodec => cids_lists_whole_cids "repeated";
    lists_foreign_names: ListsForeignNames => cids_of_an_empty_store_is_empty "never put";
    listing_locks_writers_out: ListingLocksWritersOut => cids_does_not_block_writers "no end: a deadlock";
    walk_skips_missing: WalkSkipsMissing => walk_reports_a_missing_child_with_its_parent "gone missing, linked from a";
    walk_repeats: WalkRepeats => walk_yields_a_shared_block_once "shared → right → shared";
    walk_ends_early: WalkEndsEarly => walk_of_a_deep_chain_ends "100000";
    walk_decodes_raw: WalkDecodesRaw => walk_takes_other_codecs_as_leaves "as raw → below";
    reopen_forgets: ReopenForgets => acknowledged_blocks_survive_reopen "after reopening";
    second_handle_is_blind: SecondHandleIsBlind => put_is_visible_through_a_second_handle "through a second handle";
    seen_in_part: SeenInPart => block_is_never_seen_in_part "while another thread puts it";
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Declares a defect without state.
macro_rules! defect {
    ($($name:ident { $($body:tt)* })*) => {$(
        #[derive(Debug, Default)]
        struct $name;

        impl Defect for $name {
            $($body)*
        }
    )*};
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

    SynthesisesIdentity {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            if cid.hash().code() == 0 {
                return Ok(Some(Bytes::copy_from_slice(cid.hash().digest())));
            }
            inner.get(cid)
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

    ListsAThousand {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.take(1000)))
        }
    }

    ListsTwice {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.enumerate().flat_map(|(i, item)| vec![item; if i == 300 { 2 } else { 1 }])))
        }
    }

    ListsWithoutCodec {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.map(|item| item.map(|cid| Cid::new_v1(RAW, *cid.hash())))))
        }
    }

    ListsForeignNames {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(Box::new(inner.cids()?.chain([Ok(cid_of(RAW, b"a temporary file"))])))
        }
    }

    WalkSkipsMissing {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(Walk::new(store, root).filter(|item| !matches!(item, Err(StoreError::MissingBlock { .. }))))
        }
    }

    WalkRepeats {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(naive_walk(store, root, usize::MAX, |_| true))
        }
    }

    WalkEndsEarly {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            Box::new(Walk::new(store, root).take(50_000))
        }
    }

    WalkDecodesRaw {
        fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
            let mut seen = BTreeSet::new();
            Box::new(naive_walk(store, root, usize::MAX, move |cid| seen.insert(*cid)))
        }
    }
}

/// A walk that takes every block for DAG-CBOR where it can, and follows those links that `wanted` lets through.
fn naive_walk(
    store: &dyn Blockstore,
    root: Cid,
    at_most: usize,
    mut wanted: impl FnMut(&Cid) -> bool,
) -> impl Iterator<Item = Result<(Cid, Bytes), StoreError>> {
    let mut pending = vec![root];
    std::iter::from_fn(move || {
        let cid = pending.pop()?;
        let data = match store.get(&cid) {
            Ok(Some(data)) => data,
            Ok(None) => return Some(Err(StoreError::MissingBlock { cid, linked_from: None })),
            Err(error) => return Some(Err(error)),
        };
        let found = links(&Cid::new_v1(DAG_CBOR, *cid.hash()), &data).unwrap_or_default();
        pending.extend(found.into_iter().rev().filter(|cid| wanted(cid)));
        Some(Ok((cid, data)))
    })
    .take(at_most)
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

/// How a store that does not use whole CIDs names its blocks.
trait Key: std::fmt::Debug + Default + Send + Sync + 'static {
    fn of(cid: &Cid) -> Cid;
}

fn unchecked(digest: &[u8]) -> Cid {
    Cid::new_v1(RAW, Multihash::wrap(0x13, &digest[..digest.len().min(64)]).expect("at most 64 bytes"))
}

macro_rules! key {
    ($($name:ident |$cid:ident| $key:expr;)*) => {$(
        #[derive(Debug, Default)]
        struct $name;

        impl Key for $name {
            fn of($cid: &Cid) -> Cid {
                $key
            }
        }
    )*};
}

key! {
    ByCodec |cid| Cid::new_v1(RAW, *cid.hash());
    ByVersion |cid| Cid::new_v1(cid.codec(), *cid.hash());
    ByDigest |cid| unchecked(cid.hash().digest());
    ByPrefix |cid| unchecked(&cid.hash().digest()[..cid.hash().digest().len().min(16)]);
    FoldsCase |cid| unchecked(&cid.hash().digest().to_ascii_lowercase());
    LossyText |cid| unchecked(String::from_utf8_lossy(cid.hash().digest()).as_bytes());
}

/// Keeps blocks under a name that several CIDs share.
#[derive(Debug, Default)]
struct Renamed<K>(K);

impl<K: Key> Defect for Renamed<K> {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        inner.get(&K::of(cid))
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        inner.put_trusted(&K::of(cid), data)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(&K::of(cid))
    }
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        inner.has(&K::of(cid))
    }
    fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        inner.size(&K::of(cid))
    }
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        inner.with_block(&K::of(cid), f)
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

/// Holds its only lock for the length of a listing.
#[derive(Debug, Default)]
struct ListingLocksWritersOut(Mutex<()>);

impl Defect for ListingLocksWritersOut {
    const DEADLINE: Duration = Duration::from_secs(2);

    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let _held = lock(&self.0);
        inner.put(cid, data)
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        // A spinning lock in place of a guard, which may not travel with the iterator.
        std::mem::forget(lock(&self.0));
        inner.cids()
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
