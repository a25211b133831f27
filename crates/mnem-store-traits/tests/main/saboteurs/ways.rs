//! Defects of one way to write or read, while all other ways are correct.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use mnem_store_traits::{
    BatchPut, Blocks, Blockstore, Bytes, Cid, CidIter, Cids, ErrorKind, HeadChange, IsDead, KeyIter, MemoryStore,
    OnBlock, OpHeadsStore, SideTable, Store, StoreError, Swept, WriteBatch,
    backend::{check_block, pages},
    cid::multihash::Multihash,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{
    Defect, Gap, defect, lock,
    prose::{batch_of, rebuild},
    saboteurs,
    tables::{OneDefect, TableDefect},
};

saboteurs! {
    batch_trusts_blake3: BatchTrustsBlake3 => every_write_checks_every_hash "put_many of wrong bytes for blake3";
    batch_trusts_version_zero: BatchTrustsVersionZero => every_write_checks_every_hash "put_many of wrong bytes for sha2-256 under Qm";
    commit_trusts_identity: CommitTrustsIdentity => every_write_checks_every_hash "commit without a head of wrong bytes for identity";
    commit_takes_cut_digests: CommitTakesCutDigests => every_write_checks_every_hash "digest cut to";
    commit_trusts_what_is_there: CommitTrustsWhatIsThere => every_write_checks_every_hash "under a CID that is present";
    put_compares_what_it_computes: ComparesWhatItComputes => every_write_checks_every_hash "with a byte more";
    commit_trusts_the_size_of_trusted_puts: CommitTrustsTheSize => every_write_keeps_to_the_limit "commit of trusted puts";
    commit_trusts_what_it_has_trusted: CommitTrustsWhatItTrusted => commit_keeps_nothing_of_a_bad_batch "of a trusted block and of wrong bytes";
    batch_refuses_blake3: BatchRefusesBlake3 => every_write_takes_every_supported_hash "put_many of";
    commit_refuses_the_limit: CommitRefusesTheLimit => every_write_keeps_to_the_limit "commit without a head of a block of block_bytes_max";
    commit_takes_what_is_too_large: CommitTakesTooLarge => every_write_keeps_to_the_limit "commit without a head of a block above";
    commit_has_a_limit_of_blocks: CommitHasALimit => every_batch_may_be_large "commit without a head of 20000 blocks";
    batch_keeps_its_first_page: BatchKeepsItsFirstPage => every_batch_may_be_large "put_many of 4096 blocks";
    delete_many_has_a_limit: DeleteManyHasALimit => every_batch_may_be_large "delete_many of 20000 blocks";
    requirements_have_a_limit: RequirementsHaveALimit => commit_takes_thousands_of_requirements "requires 1500 blocks";
    requirements_are_looked_up_by_page: LooksAtOnePageOfRequirements => commit_takes_thousands_of_requirements "Ok: the call was accepted";
    superseded_ids_have_a_limit: SupersededHaveALimit => head_changes_may_be_large "update(new";
    longest_key_stays: OneDefect<LongestKeyStays> => side_table_takes_keys_of_the_limit "after its delete";
    rows_have_a_limit: OneDefect<RowsHaveALimit> => side_table_writes_may_be_large "after a write of 5000 rows";
    large_writes_delete_first: OneDefect<LargeWritesDeleteFirst> => side_table_writes_may_be_large "puts rows and deletes them";
    cids_are_paged_by_offset: CidsByOffset => cids_goes_on_when_its_cursor_is_deleted "missing";
    listing_ends_without_its_cursor: EndsWithoutItsCursor => cids_goes_on_when_its_cursor_is_deleted "missing";
    keys_are_paged_by_offset: OneDefect<KeysByOffset> => keys_goes_on_when_its_cursor_is_deleted "missing";
    batch_is_written_in_pieces: WritesInPieces => late_bad_block_keeps_nothing_of_a_large_batch "put_many of 300 blocks";
    commit_is_written_in_pieces: CommitsInPieces => late_bad_block_keeps_nothing_of_a_large_batch "commit without a head of 300 blocks";
    large_batch_is_drained_under_the_lock: DrainsUnderTheLock => large_batches_are_drained_before_anything_is_done "no end: a deadlock";
    batch_has_a_limit_of_bytes: BatchHasAByteLimit => batches_of_many_bytes_are_taken "commit without a head of 64 MiB";
    close_closes_every_opening: ClosesEveryOpening => close_leaves_other_openings_open "through another opening";
    reader_sees_nothing_new: ReaderSeesNothing => every_read_follows_every_write_for_a_reader "after put of it once";
    commit_swaps_in_two_steps: SwapsInTwoSteps => concurrent_commits_that_swap_let_one_win "that succeed";
    presence_outlives_a_delete_of_many: PresenceOutlivesDeleteMany => every_read_follows_every_write "after delete_many of it";
    absence_outlives_a_commit: AbsenceOutlivesCommits => every_read_follows_every_write "get_many: ";
    commit_skips_what_the_handle_put: CommitSkipsWhatTheHandlePut => every_read_follows_every_write_of_another_handle "through the handle that wrote it first";
}

fn is_blake3(cid: &Cid) -> bool {
    cid.hash().code() == 0x1e
}

/// Puts some blocks of a batch unchecked.
fn put_many_trusting(
    inner: &MemoryStore,
    blocks: &mut Blocks<'_>,
    trusts: impl Fn(&Cid) -> bool,
) -> Result<(), StoreError> {
    let (trusted, checked): (Vec<_>, Vec<_>) =
        blocks.collect::<Result<Vec<_>, _>>()?.into_iter().partition(|(cid, _)| trusts(cid));
    inner.put_many(&mut checked.into_iter().map(Ok))?;
    trusted.into_iter().try_for_each(|(cid, data)| inner.put_trusted(&cid, data))
}

fn commit_trusting(inner: &MemoryStore, batch: &WriteBatch, trusts: impl Fn(&Cid) -> bool) -> Result<(), StoreError> {
    let mut puts = batch.puts().to_vec();
    puts.iter_mut().for_each(|put| put.trusted |= trusts(&put.cid));
    inner.commit(&batch_of(puts, batch.required().to_vec(), batch.head().cloned()))
}

fn refused(operation: &'static str) -> StoreError {
    StoreError::InvalidArgument { operation, reason: "too many".into() }
}

defect! {
    BatchTrustsBlake3 {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            put_many_trusting(inner, blocks, is_blake3)
        }
    }

    BatchTrustsVersionZero {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            put_many_trusting(inner, blocks, |cid| cid.version() == mnem_store_traits::cid::Version::V0)
        }
    }

    CommitTrustsIdentity {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            commit_trusting(inner, batch, |cid| cid.hash().code() == 0)
        }
    }

    CommitTakesCutDigests {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            commit_trusting(inner, batch, |cid| cid.hash().code() == 0x12 && cid.hash().size() < 32)
        }
    }

    CommitTrustsWhatIsThere {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            commit_trusting(inner, batch, |cid| inner.has(cid).unwrap_or(false))
        }
    }

    // Compares only as many bytes of the digest as it has computed.
    ComparesWhatItComputes {
        fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            let hash = cid.hash();
            if hash.code() != 0x12 || hash.digest().len() <= 32 {
                return inner.put(cid, data);
            }
            let compared = Multihash::wrap(hash.code(), &hash.digest()[..32]).expect("at most 64 bytes");
            check_block(&Cid::new_v1(cid.codec(), compared), &data)?;
            inner.put_trusted(cid, data)
        }
    }

    // Does not check the size of trusted blocks. This breaks "above it: `BlockTooLarge`".
    CommitTrustsTheSize {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let fits = |put: &&BatchPut| !put.trusted || put.data.len() as u64 <= BLOCK_BYTES_EVERY_BACKEND;
            let puts: Vec<BatchPut> = batch.puts().iter().filter(fits).cloned().collect();
            inner.commit(&batch_of(puts, batch.required().to_vec(), batch.head().cloned()))
        }
    }

    // Breaks "checks every block, also one whose CID came before".
    CommitTrustsWhatItTrusted {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let trusted: HashSet<Cid> = batch.puts().iter().filter(|put| put.trusted).map(|put| put.cid).collect();
            commit_trusting(inner, batch, |cid| trusted.contains(cid))
        }
    }

    BatchRefusesBlake3 {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let batch = blocks.collect::<Result<Vec<_>, _>>()?;
            if let Some((cid, _)) = batch.iter().find(|(cid, _)| is_blake3(cid)) {
                return Err(StoreError::UnsupportedHash { cid: *cid, code: 0x1e, digest_bytes: 32 });
            }
            inner.put_many(&mut batch.into_iter().map(Ok))
        }
    }

    CommitRefusesTheLimit {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND - 1)?;
            inner.commit(batch)
        }
    }

    CommitTakesTooLarge {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND + 1)?;
            let fits = |cid: &Cid| batch.puts().iter().any(|put| put.cid == *cid && put.data.len() as u64 <= BLOCK_BYTES_EVERY_BACKEND);
            inner.commit(&rebuild(batch, fits))
        }
    }

    CommitHasALimit {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if batch.puts().len() > 16_384 { Err(refused("commit")) } else { inner.commit(batch) }
        }
    }

    BatchKeepsItsFirstPage {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            inner.put_many(&mut blocks.take(4095))
        }
    }

    DeleteManyHasALimit {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            let cids = cids.collect::<Result<Vec<_>, _>>()?;
            if cids.len() > 10_000 { Err(refused("delete_many")) } else { inner.delete_many(&mut cids.into_iter().map(Ok)) }
        }
    }

    CidsByOffset {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            let mut offset = 0;
            Ok(pages(move |_: Option<Cid>| {
                let page: Vec<Cid> = inner.cids()?.skip(offset).take(500).collect::<Result<_, _>>()?;
                offset += page.len();
                Ok(page)
            }))
        }
    }

    EndsWithoutItsCursor {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            Ok(pages(move |after: Option<Cid>| {
                if after.is_some_and(|after| !inner.has(&after).unwrap_or(true)) {
                    return Ok(Vec::new());
                }
                let later = |cid: &Result<Cid, StoreError>| after.is_none_or(|after| cid.as_ref().is_ok_and(|cid| *cid > after));
                inner.cids()?.filter(later).take(200).collect()
            }))
        }
    }

    WritesInPieces {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            loop {
                let piece = blocks.take(256).collect::<Result<Vec<_>, _>>()?;
                if piece.is_empty() {
                    return Ok(());
                }
                inner.put_many(&mut piece.into_iter().map(Ok))?;
            }
        }
    }

    CommitsInPieces {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            for piece in batch.puts().chunks(256).take(batch.puts().len() / 256) {
                inner.put_many(&mut piece.iter().map(|put| Ok((put.cid, put.data.clone()))))?;
            }
            inner.commit(batch)
        }
    }

    BatchHasAByteLimit {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let bytes: usize = batch.puts().iter().map(|put| put.data.len()).sum();
            if bytes > 40 << 20 { Err(refused("commit")) } else { inner.commit(batch) }
        }
    }

    ClosesEveryOpening {
        fn opened(&self, inner: &MemoryStore, _: usize) -> MemoryStore {
            inner.clone()
        }
    }

    ReaderSeesNothing {
        fn opened(&self, inner: &MemoryStore, number: usize) -> MemoryStore {
            if number == 0 { inner.open_again() } else { MemoryStore::new() }
        }
    }

    RequirementsHaveALimit {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            match inner.commit(batch) {
                Ok(()) if batch.required().len() > 999 => Err(refused("commit")),
                committed => committed,
            }
        }
    }

    LooksAtOnePageOfRequirements {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let required: Vec<Cid> = batch.required().iter().take(1000).copied().collect();
            inner.commit(&batch_of(batch.puts().to_vec(), required, batch.head().cloned()))
        }
    }

    SupersededHaveALimit {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            if supersedes.len() > 1000 { Err(refused("update")) } else { inner.update(new, supersedes) }
        }
    }
}

/// Compares the heads, and changes them in a separate step.
#[derive(Debug, Default)]
struct SwapsInTwoSteps(Gap);

impl Defect for SwapsInTwoSteps {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let Some(HeadChange::Swap { expected, new }) = batch.head() else { return inner.commit(batch) };
        let actual = inner.heads()?;
        if actual.iter().collect::<HashSet<_>>() != expected.iter().collect() {
            return Err(StoreError::HeadsMoved { actual });
        }
        self.0.meet();
        let change = HeadChange::Update { new: new.clone(), supersedes: expected.clone() };
        inner.commit(&batch_of(batch.puts().to_vec(), batch.required().to_vec(), Some(change)))
    }
}

/// Above 1 MiB, streams the batch into the store, which stays locked meanwhile.
#[derive(Debug, Default)]
struct DrainsUnderTheLock(Mutex<()>);

impl Defect for DrainsUnderTheLock {
    const DEADLINE: Duration = Duration::from_secs(5);

    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let mut bytes = 0;
        let mut first = Vec::new();
        for item in &mut *blocks {
            let (cid, data) = item?;
            bytes += data.len();
            first.push((cid, data));
            if bytes > 1 << 20 {
                break;
            }
        }
        let _alone = lock(&self.0);
        let rest = blocks.collect::<Result<Vec<_>, _>>()?;
        inner.put_many(&mut first.into_iter().chain(rest).map(Ok))
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let _alone = lock(&self.0);
        inner.put(cid, data)
    }
}

#[derive(Debug, Default)]
struct KeysByOffset;

impl TableDefect for KeysByOffset {
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        let (mut offset, prefix) = (0, prefix.to_vec());
        Ok(pages(move |_: Option<Bytes>| {
            let page: Vec<Bytes> = inner.keys(&prefix)?.skip(offset).take(500).collect::<Result<_, _>>()?;
            offset += page.len();
            Ok(page)
        }))
    }
}

#[derive(Debug, Default)]
struct LongestKeyStays;

impl TableDefect for LongestKeyStays {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let shorter: Vec<Bytes> = deletes.iter().filter(|key| key.len() < 100).cloned().collect();
        inner.write(puts, &shorter)
    }
}

#[derive(Debug, Default)]
struct LargeWritesDeleteFirst;

impl TableDefect for LargeWritesDeleteFirst {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        if puts.len() < 1000 {
            return inner.write(puts, deletes);
        }
        inner.write(&[], deletes)?;
        inner.write(puts, &[])
    }
}

#[derive(Debug, Default)]
struct RowsHaveALimit;

impl TableDefect for RowsHaveALimit {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        inner.write(&puts[..puts.len().min(4096)], deletes)
    }
}

/// Caches that a block is present, and removes it from the cache only in `delete`.
#[derive(Debug, Default)]
struct PresenceOutlivesDeleteMany(Mutex<HashSet<Cid>>);

impl Defect for PresenceOutlivesDeleteMany {
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        if lock(&self.0).contains(cid) {
            return Ok(true);
        }
        let there = inner.has(cid)?;
        if there {
            lock(&self.0).insert(*cid);
        }
        Ok(there)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.0).remove(cid);
        inner.delete(cid)
    }
}

/// Caches what a `get_many` did not find. Puts remove it from the cache, but commits do not.
#[derive(Debug, Default)]
struct AbsenceOutlivesCommits(Mutex<HashSet<Cid>>);

impl Defect for AbsenceOutlivesCommits {
    fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        inner.get_many(cids, &mut |index, data| {
            let mut absent = lock(&self.0);
            if data.is_none() {
                absent.insert(cids[index]);
            }
            let known = absent.contains(&cids[index]);
            drop(absent);
            f(index, data.filter(|_| !known))
        })
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        lock(&self.0).remove(cid);
        inner.put(cid, data)
    }
    fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        lock(&self.0).remove(cid);
        inner.put_trusted(cid, data)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let batch = blocks.collect::<Result<Vec<_>, _>>()?;
        lock(&self.0).retain(|known| batch.iter().all(|(cid, _)| cid != known));
        inner.put_many(&mut batch.into_iter().map(Ok))
    }
}

/// Each handle remembers the CIDs of blocks that it committed, in a store of its own. This type holds the real one.
#[derive(Debug, Default)]
struct CommitSkipsWhatTheHandlePut(MemoryStore);

impl CommitSkipsWhatTheHandlePut {
    fn forget(known: &MemoryStore, cids: &[Cid]) -> Result<(), StoreError> {
        cids.iter().try_for_each(|cid| known.delete(cid))
    }
}

impl Defect for CommitSkipsWhatTheHandlePut {
    fn opened(&self, _: &MemoryStore, _: usize) -> MemoryStore {
        MemoryStore::new()
    }
    fn commit(&self, known: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        for put in batch.puts() {
            check_block(&put.cid, &put.data)?;
        }
        let put: Vec<Cid> = batch.puts().iter().map(|put| put.cid).collect();
        let batch = rebuild(batch, |cid| !known.has(cid).unwrap_or(false));
        let new = batch.puts().to_vec();
        match self.0.commit(&batch) {
            Err(error) if error.kind() == ErrorKind::MissingBlock && put.is_empty() => return Err(error),
            committed => committed?,
        }
        new.into_iter().try_for_each(|put| known.put_trusted(&put.cid, put.data))
    }
    fn sweep(
        &self,
        _: &MemoryStore,
        _: Option<&Cid>,
        _: Option<&Cid>,
        _: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        Ok(None)
    }
    fn delete(&self, known: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        Self::forget(known, &[*cid])?;
        self.0.delete(cid)
    }
    fn delete_many(&self, known: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        Self::forget(known, &cids)?;
        self.0.delete_many(&mut cids.into_iter().map(Ok))
    }
    fn get(&self, _: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.0.get(cid)
    }
    fn has(&self, _: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        self.0.has(cid)
    }
    fn size(&self, _: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.0.size(cid)
    }
    fn with_block(&self, _: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.0.with_block(cid, f)
    }
    fn cids<'a>(&'a self, _: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        self.0.cids()
    }
    fn put(&self, _: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.put(cid, data)
    }
    fn put_trusted(&self, _: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.put_trusted(cid, data)
    }
    fn put_many(&self, _: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.0.put_many(blocks)
    }
    fn heads(&self, _: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        self.0.heads()
    }
    fn update(&self, _: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.0.update(new, supersedes)
    }
    fn swap(&self, _: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.0.swap(expected, new)
    }
    fn side_table(&self, _: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        self.0.side_table(name)
    }
    fn side_tables(&self, _: &MemoryStore) -> Result<Vec<String>, StoreError> {
        self.0.side_tables()
    }
}
