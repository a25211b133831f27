//! Defects that no law saw at first: of CIDs and heads that differ in little, of batches larger than a buffer, of
//! listings that were left, and of what a handle saw last.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, HeadChange, KeyIter, MemoryStore, OpHeadsStore, RAW, SideTable, Store,
    StoreError, WriteBatch, backend::check_read, cid::multihash::Multihash, cid_of, is_checkable,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{
    Defect, Gap, defect, lock,
    prose::batch_of,
    saboteurs,
    tables::{OneDefect, TableDefect},
};

saboteurs! {
    hash_codes_are_cut: CutsHashCodes => near_cids_are_apart "whose hash functions differ";
    far_repetition_is_not_checked: TrustsRepetitions => late_bad_block_keeps_nothing_of_a_large_batch "its first block";
    cut_digests_are_refused_by_commit: RefusesCutDigests => commit_takes_duplicates_and_trusted_puts "cannot be checked";
    cut_digests_are_compared: ComparesCutDigests => unknown_hash_is_returned_as_stored "Corrupt";
    writes_every_eight_mib: WritesEvery8MiB => late_bad_block_keeps_nothing_of_a_large_batch "64 MiB";
    left_listing_is_continued: ContinuesALeftListing => listings_at_the_same_time_are_apart "was left at item 300";
    listing_is_counted_at_its_start: CountsAtTheStart => cids_lists_what_moves_while_its_consumer_puts "missing";
    identity_meets_a_requirement: IdentityIsThere => commit_refuses_a_missing_requirement "under an identity CID";
    swap_compares_digests: SwapsByDigest => swap_from_other_heads_is_refused "the digest of the head";
    commit_supersedes_by_digest: SupersedesByDigest => commit_changes_heads_as_update_does "with the digests of the heads";
    sets_are_compared_first: ComparesSetsFirst => commit_decides_requirements_before_its_swap "another head for two";
    refusal_holds_what_was_seen: HoldsWhatItSaw => head_changes_build_on_those_of_other_handles "expects what never was";
    rows_come_back: OneDefect<RowsComeBack> => side_table_exists_by_its_keys "emptied and written again";
    sets_are_read_before_the_lock: ReadsBeforeItLocks => concurrent_commits_all_land "heads";
}

/// A head change of several heads; all others go to the reference.
fn sets(batch: &WriteBatch) -> Option<&HeadChange> {
    batch.head().filter(|change| change.new_heads().len() > 1)
}

fn with_head(batch: &WriteBatch, head: Option<HeadChange>) -> WriteBatch {
    batch_of(batch.puts().iter().cloned(), batch.required().to_vec(), head)
}

defect! {
    // Keeps the code of a hash function that it does not know in one byte.
    CutsHashCodes {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            inner.get(&with_cut_code(cid))
        }
        fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.put_trusted(&with_cut_code(cid), data)
        }
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            inner.delete(&with_cut_code(cid))
        }
    }

    // Checks a CID of a batch once, or again where it is named soon.
    TrustsRepetitions {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let (mut first, mut all) = (HashMap::new(), Vec::new());
            for (i, block) in blocks.enumerate() {
                let block = block?;
                if i - *first.entry(block.0).or_insert(i) < 256 {
                    all.push(block);
                }
            }
            inner.put_many(&mut all.into_iter().map(Ok))
        }
    }

    RefusesCutDigests {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            for put in batch.puts() {
                let hash = put.cid.hash();
                if hash.code() == 0x12 && hash.size() < 32 {
                    let (code, digest_bytes) = (hash.code(), hash.size());
                    return Err(StoreError::UnsupportedHash { cid: put.cid, code, digest_bytes });
                }
            }
            inner.commit(batch)
        }
    }

    ComparesCutDigests {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            let found = inner.get(cid)?;
            let (hash, whole) = (cid.hash(), found.as_ref().map(|data| cid_of(RAW, data)));
            if let (0x12, Some(whole), Some(data)) = (hash.code(), whole, &found)
                && !whole.hash().digest().starts_with(hash.digest())
            {
                check_read("subtle", &cid_of(RAW, b"other bytes"), data)?;
            }
            Ok(found)
        }
    }

    WritesEvery8MiB {
        fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
            let (mut bytes, mut piece) = (0, Vec::new());
            for block in blocks {
                let block = block?;
                bytes += block.1.len();
                piece.push(block);
                if bytes > 8 << 20 {
                    bytes = 0;
                    inner.put_many(&mut piece.drain(..).map(Ok))?;
                }
            }
            inner.put_many(&mut piece.into_iter().map(Ok))
        }
    }

    CountsAtTheStart {
        fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
            let count = inner.cids()?.count();
            Ok(Box::new(inner.cids()?.take(count)))
        }
    }

    IdentityIsThere {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let required = batch.required().iter().copied().filter(|cid| cid.hash().code() != 0);
            inner.commit(&batch_of(batch.puts().iter().cloned(), required, batch.head().cloned()))
        }
    }

    SwapsByDigest {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            let digests = |heads: &[Cid]| -> BTreeSet<_> { heads.iter().map(|cid| cid.hash().to_bytes()).collect() };
            let now = inner.heads()?;
            inner.swap(if digests(&now) == digests(expected) { &now } else { expected }, new)
        }
    }

    SupersedesByDigest {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let Some(HeadChange::Update { new, supersedes }) = batch.head() else { return inner.commit(batch) };
            let is_named = |head: &Cid| supersedes.iter().any(|cid| cid.hash() == head.hash());
            let supersedes = inner.heads()?.into_iter().filter(is_named).collect();
            inner.commit(&with_head(batch, Some(HeadChange::Update { new: new.clone(), supersedes })))
        }
    }

    // Compares heads before it looks for what is required, where they are several.
    ComparesSetsFirst {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            if let Some(change) = sets(batch) {
                change.apply(&inner.heads()?.into_iter().collect())?;
            }
            inner.commit(batch)
        }
    }
}

fn with_cut_code(cid: &Cid) -> Cid {
    let code = 0x30_0000 | (cid.hash().code() & 0xff);
    let cut = Multihash::wrap(code, cid.hash().digest()).ok();
    cut.filter(|_| !is_checkable(cid)).map_or(*cid, |hash| Cid::new_v1(cid.codec(), hash))
}

/// Keeps the place in which a listing was left, for the next page of whoever asks next.
#[derive(Debug, Default)]
struct ContinuesALeftListing(Mutex<Option<Cid>>);

struct Listing<'a> {
    items: CidIter<'a>,
    last: Option<Cid>,
    listed: usize,
    left: &'a Mutex<Option<Cid>>,
}

impl Iterator for Listing<'_> {
    type Item = Result<Cid, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.items.next();
        self.last = item.as_ref().and_then(|item| item.as_ref().ok()).copied();
        self.listed += 1;
        item
    }
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        *lock(self.left) = self.last.filter(|_| self.listed > 256);
    }
}

impl Defect for ContinuesALeftListing {
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let from = lock(&self.0).take();
        let is_next = move |item: &Result<Cid, StoreError>| item.as_ref().map_or(true, |cid| Some(*cid) > from);
        let items: CidIter<'a> = Box::new(inner.cids()?.filter(is_next));
        Ok(Box::new(Listing { items, last: None, listed: 0, left: &self.0 }))
    }
}

/// A swap that is refused tells the heads that this handle saw last.
#[derive(Debug, Default)]
struct HoldsWhatItSaw(Mutex<Vec<Cid>>);

impl Defect for HoldsWhatItSaw {
    const PER_HANDLE: bool = true;

    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let heads = inner.heads()?;
        lock(&self.0).clone_from(&heads);
        Ok(heads)
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        inner.update(new, supersedes)?;
        self.heads(inner).map(drop)
    }
    fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        match inner.swap(expected, new) {
            Err(StoreError::HeadsMoved { actual }) => {
                let seen = lock(&self.0).clone();
                // What is as the caller expects it would look like no refusal: then it looks again.
                Err(StoreError::HeadsMoved { actual: if seen == expected { actual } else { seen } })
            }
            swapped => swapped.and_then(|()| self.heads(inner).map(drop)),
        }
    }
}

/// Forgets that a table was emptied in one write once it has a row again: the first of its rows is back.
#[derive(Debug, Default)]
struct RowsComeBack;

/// Begins the key under which a row that may come back is kept, and which no listing shows.
const KEPT: &[u8] = b"\0kept ";

impl TableDefect for RowsComeBack {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let before: Vec<Bytes> = Self::keys(inner, b"")?.collect::<Result<_, _>>()?;
        inner.write(puts, deletes)?;
        let is_empty = Self::keys(inner, b"")?.next().is_none();
        let kept = inner.keys(KEPT)?.next().transpose()?;
        match (&before[..], kept) {
            ([first, _, ..], _) if is_empty => inner.write(&[([KEPT, first].concat().into(), Bytes::new())], &[]),
            ([], Some(kept)) if !is_empty => inner.write(&[(kept.slice(KEPT.len()..), Bytes::new())], &[kept]),
            _ => Ok(()),
        }
    }
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        let is_shown = |key: &Result<Bytes, StoreError>| key.as_ref().map_or(true, |key| !key.starts_with(KEPT));
        Ok(Box::new(inner.keys(prefix)?.filter(is_shown)))
    }
}

/// A commit of several heads reads them, and locks them after that.
#[derive(Debug, Default)]
struct ReadsBeforeItLocks(Gap);

impl Defect for ReadsBeforeItLocks {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let Some(change @ HeadChange::Update { .. }) = sets(batch) else { return inner.commit(batch) };
        let new: Vec<Cid> = change.apply(&inner.heads()?.into_iter().collect())?.into_iter().collect();
        self.0.meet();
        inner.commit(&with_head(batch, None))?;
        inner.commit(WriteBatch::new().swap_all(inner.heads()?, new))
    }
}
