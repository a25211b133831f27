//! Subtle but plausible defects that were derived only from the prose of the contract, before reading the laws. Of the
//! first fourteen, eight had no law, and a random law alone caught two. Now a specific law catches each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use mnem_store_traits::{
    BatchPut, HeadChange, KeyIter, Outcome,
    backend::{check_block, check_size, check_table_write, drain_checked},
    conformance::Fault,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{
    disk::{Disk, DiskStore, Flaw, OnDisk},
    *,
};

/// The same batch without the puts that `keep` rejects.
pub(super) fn rebuild(batch: &WriteBatch, mut keep: impl FnMut(&Cid) -> bool) -> WriteBatch {
    let kept = batch.puts().iter().filter(|put| keep(&put.cid)).cloned();
    batch_of(kept, batch.required().to_vec(), batch.head().cloned())
}

/// A batch of these parts.
pub(super) fn batch_of(
    puts: impl IntoIterator<Item = BatchPut>,
    required: impl IntoIterator<Item = Cid>,
    head: Option<HeadChange>,
) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.extend(puts);
    batch.require_all(required);
    if let Some(change) = head {
        batch.change_heads(change);
    }
    batch
}

/// Remembers the CIDs of blocks that its commits wrote, to skip them next time. `delete` does not remove them from that
/// memory.
#[derive(Debug, Default)]
struct CommitRemembersDeleted {
    written: Mutex<HashSet<Cid>>,
}

impl Defect for CommitRemembersDeleted {
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(inner.capabilities().block_bytes_max)?;
        let puts: Vec<Cid> = batch.puts().iter().map(|put| put.cid).collect();
        let known = lock(&self.written).clone();
        inner.commit(&rebuild(batch, |cid| !known.contains(cid)))?;
        lock(&self.written).extend(puts);
        Ok(())
    }
}

/// Keeps blocks under keys of a fixed width, with digests padded with zeros. Identity digests that differ only in
/// trailing zeros share a key.
#[derive(Debug, Default)]
struct DigestsArePadded;

fn padded(cid: &Cid) -> Option<(u64, bool, [u8; 64])> {
    let digest = cid.hash().digest();
    let mut key = [0; 64];
    key[..digest.len()].copy_from_slice(digest);
    (cid.hash().code() == 0).then(|| (cid.codec(), cid.to_bytes()[0] == 0x12, key))
}

impl DigestsArePadded {
    /// Another block under the same key.
    fn twin(inner: &MemoryStore, cid: &Cid) -> Result<Option<Cid>, StoreError> {
        if padded(cid).is_none() || inner.has(cid)? {
            return Ok(None);
        }
        let cids: Vec<Cid> = inner.cids()?.collect::<Result<_, _>>()?;
        Ok(cids.into_iter().find(|other| padded(other) == padded(cid)))
    }
}

impl Defect for DigestsArePadded {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        match Self::twin(inner, cid)? {
            Some(_) => Err(StoreError::Corrupt { backend: "memory", cid: *cid }),
            None => inner.get(cid),
        }
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        if Self::twin(inner, cid)?.is_some() { Ok(()) } else { inner.put(cid, data) }
    }
    fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if Self::twin(inner, cid)?.is_some() { Ok(()) } else { inner.put_trusted(cid, data) }
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let mut kept = Vec::new();
        let mut keys = HashSet::new();
        for (cid, data) in drain_checked(blocks, inner.capabilities().block_bytes_max)? {
            let new_key = padded(&cid).is_none_or(|key| keys.insert(key));
            if new_key && Self::twin(inner, &cid)?.is_none() {
                kept.push(Ok((cid, data)));
            }
        }
        inner.put_many(&mut kept.into_iter())
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(inner.capabilities().block_bytes_max)?;
        let mut keys = HashSet::new();
        inner.commit(&rebuild(batch, |cid| {
            padded(cid).is_none_or(|key| keys.insert(key)) && matches!(Self::twin(inner, cid), Ok(None))
        }))
    }
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        Ok(inner.has(cid)? || Self::twin(inner, cid)?.is_some())
    }
    fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        inner.size(&Self::twin(inner, cid)?.unwrap_or(*cid))
    }
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let Some(data) = self.get(inner, cid)? else { return Ok(false) };
        f(&data);
        Ok(true)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(&Self::twin(inner, cid)?.unwrap_or(*cid))
    }
}

/// Ends the range of a prefix at the prefix followed by one byte 0xff, and so misses keys that continue with 0xff.
#[derive(Debug, Default)]
struct PrefixEndsAtFf;

#[derive(Debug)]
struct TableOfPrefixes(Arc<dyn SideTable>);

impl Defect for PrefixEndsAtFf {
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(TableOfPrefixes(inner.side_table(name)?)))
    }
}

impl SideTable for TableOfPrefixes {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.0.write(puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let end = (!prefix.is_empty()).then(|| [prefix, &[0xff]].concat());
        let in_range = move |key: &Bytes| end.as_ref().is_none_or(|end| key[..] < end[..]);
        Ok(Box::new(self.0.keys(prefix)?.filter(move |item| item.as_ref().map_or(true, &in_range))))
    }
}

/// Lists by offset. A delete shifts the next page, which then skips a key.
#[derive(Debug, Default)]
struct PagesByOffset;

impl Defect for PagesByOffset {
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        const PAGE: usize = 256;
        let (mut page, mut offset) = (VecDeque::new(), 0);
        drop(inner.cids()?);
        Ok(Box::new(std::iter::from_fn(move || {
            if page.is_empty() {
                let cids = inner.cids().and_then(Iterator::collect::<Result<BTreeSet<Cid>, _>>);
                match cids {
                    Ok(cids) => page.extend(cids.into_iter().skip(offset).take(PAGE)),
                    Err(error) => return Some(Err(error)),
                }
                offset += page.len();
            }
            page.pop_front().map(Ok)
        })))
    }
}

/// Has a smaller limit on the size of blocks in batches than in single puts.
#[derive(Debug, Default)]
struct BatchesTakeLess;

impl Defect for BatchesTakeLess {
    fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
        inner.capabilities().with_block_bytes_max(BLOCK_BYTES_EVERY_BACKEND + 1024)
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND + 1024)?;
        inner.put(cid, data)
    }
    fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND + 1024)?;
        inner.put_trusted(cid, data)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        inner.put_many(&mut drain_checked(blocks, BLOCK_BYTES_EVERY_BACKEND)?.into_iter().map(Ok))
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND + 1024)?;
        inner.commit(batch)
    }
}

/// A put of a block that another thread is putting returns at once, before the other put is done.
#[derive(Debug, Default)]
pub(super) struct InFlightIsThere {
    in_flight: Mutex<HashSet<Cid>>,
    gap: Gap,
}

impl Defect for InFlightIsThere {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, inner.capabilities().block_bytes_max)?;
        check_block(cid, &data)?;
        if inner.has(cid)? || !lock(&self.in_flight).insert(*cid) {
            return Ok(());
        }
        // Waits until a caller whose put returned at once has looked for the block.
        self.gap.wait_for(1);
        let put = inner.put(cid, data);
        lock(&self.in_flight).remove(cid);
        put
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let found = inner.get(cid);
        self.gap.look();
        found
    }
}

/// A commit that leaves the heads unchanged does nothing, not even store its blocks.
#[derive(Debug, Default)]
struct SameHeadsAreNoCommit;

impl Defect for SameHeadsAreNoCommit {
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(inner.capabilities().block_bytes_max)?;
        let heads: BTreeSet<Cid> = inner.heads()?.into_iter().collect();
        if let Some(head) = batch.head()
            && head.apply(&heads).is_ok_and(|after| after == heads)
        {
            for cid in batch.required() {
                if !inner.has(cid)? && !batch.puts().iter().any(|put| put.cid == *cid) {
                    return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
                }
            }
            return Ok(());
        }
        inner.commit(batch)
    }
}

/// Trusted puts in a commit replace present blocks, so wrong bytes may replace right ones.
#[derive(Debug, Default)]
struct TrustedPutsReplace;

impl Defect for TrustedPutsReplace {
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let puts: Vec<_> = batch.puts().iter().filter(|put| put.trusted).cloned().collect();
        inner.commit(batch)?;
        for put in puts {
            if inner.get(&put.cid).is_ok_and(|data| data.as_ref() != Some(&put.data)) {
                inner.delete(&put.cid)?;
                inner.put_trusted(&put.cid, put.data)?;
            }
        }
        Ok(())
    }
}

/// Caches blocks under the multihash alone, so a block under one codec is found under every codec.
#[derive(Debug, Default)]
struct CacheByDigest {
    read: Mutex<HashMap<Vec<u8>, Bytes>>,
}

impl Defect for CacheByDigest {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let key = cid.hash().to_bytes();
        if let Some(data) = lock(&self.read).get(&key) {
            return Ok(Some(data.clone()));
        }
        let data = inner.get(cid)?;
        if let Some(data) = &data {
            lock(&self.read).insert(key, data.clone());
        }
        Ok(data)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(cid)?;
        lock(&self.read).remove(&cid.hash().to_bytes());
        Ok(())
    }
}

/// Keeps all tables in one map under the key `name_key`, although names may contain underscores.
#[derive(Debug, Default)]
struct UnderscoreEndsNames {
    rows: Arc<Mutex<TableRows>>,
}

/// Name of the table and value, by the joined key.
type TableRows = BTreeMap<Vec<u8>, (String, Bytes)>;

#[derive(Debug)]
struct JoinedTable {
    /// Used to find out whether the store is closed.
    inner: Arc<dyn SideTable>,
    name: String,
    rows: Arc<Mutex<TableRows>>,
}

impl JoinedTable {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [self.name.as_bytes(), b"_", key].concat()
    }
}

impl Defect for UnderscoreEndsNames {
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        let inner = inner.side_table(name)?;
        Ok(Arc::new(JoinedTable { inner, name: name.into(), rows: Arc::clone(&self.rows) }))
    }
    fn side_tables(&self, inner: &MemoryStore) -> Result<Vec<String>, StoreError> {
        inner.side_tables()?;
        let names: BTreeSet<String> = lock(&self.rows).values().map(|(name, _)| name.clone()).collect();
        Ok(names.into_iter().collect())
    }
}

impl SideTable for JoinedTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(key)?;
        Ok(lock(&self.rows).get(&self.key(key)).map(|(_, value)| value.clone()))
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        self.inner.write(&[], &[])?;
        let mut rows = lock(&self.rows);
        for (key, value) in puts {
            rows.insert(self.key(key), (self.name.clone(), value.clone()));
        }
        deletes.iter().for_each(|key| drop(rows.remove(&self.key(key))));
        Ok(())
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        // Has no key to yield, only an error.
        self.inner.keys(prefix)?.try_for_each(|item| item.map(drop))?;
        let (begin, table) = (self.key(prefix), self.key(b""));
        let rows = lock(&self.rows);
        let rows = rows.keys().filter(|key| key.starts_with(&begin));
        let keys: Vec<Bytes> = rows.map(|key| Bytes::copy_from_slice(&key[table.len()..])).collect();
        Ok(Box::new(keys.into_iter().map(Ok)))
    }
}

/// If a commit's swap is refused, reports the expected heads as the found ones.
#[derive(Debug, Default)]
struct RefusedCommitEchoes;

impl Defect for RefusedCommitEchoes {
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let head = batch.head().cloned();
        inner.commit(batch).map_err(|error| match (error, head) {
            (StoreError::HeadsMoved { .. }, Some(HeadChange::Swap { expected, .. })) => {
                let actual: BTreeSet<Cid> = expected.into_iter().collect();
                StoreError::HeadsMoved { actual: actual.into_iter().collect() }
            }
            (error, _) => error,
        })
    }
}

/// Sorts heads by their bytes, so that CIDv0s come last.
#[derive(Debug, Default)]
struct HeadsSortedAsBytes;

impl Defect for HeadsSortedAsBytes {
    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        let mut heads = inner.heads()?;
        heads.sort_by_key(Cid::to_bytes);
        Ok(heads)
    }
}

/// A store on a disk whose tables have a defect.
#[derive(Debug)]
struct Tables {
    inner: DiskStore,
    disk: Arc<Disk>,
    defect: TableDefect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableDefect {
    /// Tables have their own connection, which `close` does not close.
    OutliveClose,
    /// Reports `NotApplied` for a write that failed midway, although the write is there after reopening.
    SayNotApplied,
}

#[derive(Debug)]
struct NotApplied(Arc<dyn SideTable>);

impl SideTable for NotApplied {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.0.write(puts, deletes).map_err(|error| match error {
            StoreError::Backend { backend, operation, source, .. } => {
                StoreError::Backend { backend, operation, outcome: Outcome::NotApplied, source }
            }
            error => error,
        })
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.0.keys(prefix)
    }
}

impl Blockstore for Tables {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.inner.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.inner.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.inner.cids()
    }
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.inner.has(cid)
    }
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.inner.put_trusted(cid, data)
    }
    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.inner.put_many(blocks)
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

impl OpHeadsStore for Tables {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.inner.heads()
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.inner.update(new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.inner.swap(expected, new)
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.inner.heads_capabilities()
    }
}

impl Store for Tables {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.inner.commit(batch)
    }
    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        let table = self.inner.side_table(name)?;
        match self.defect {
            TableDefect::OutliveClose => OnDisk::handle(&self.disk)?.side_table(name),
            TableDefect::SayNotApplied => Ok(Arc::new(NotApplied(table))),
        }
    }
    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.inner.side_tables()
    }
    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

impl Fixture for TableDefect {
    type Place = Arc<Disk>;

    fn name(&self) -> &str {
        "a disk in memory with defective tables"
    }
    fn create(&self) -> Result<Arc<Disk>, FixtureError> {
        OnDisk(Flaw::None).create()
    }
    fn open(&self, disk: &Arc<Disk>) -> Result<Handles, FixtureError> {
        let store = Tables { inner: OnDisk::handle(disk)?, disk: Arc::clone(disk), defect: *self };
        Ok(Handles::from(Arc::new(store)))
    }
    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::Faults]
    }
    fn set_fault(&self, disk: &Arc<Disk>, fault: Option<Fault>) -> Result<(), FixtureError> {
        OnDisk(Flaw::None).set_fault(disk, fault)
    }
}

/// Checks that the law is not declined and catches the defect.
fn sees(defect: TableDefect, id: &str, text: &str) {
    match law(id).unwrap_or_else(|| panic!("there is no law {id}")).run(defect) {
        Verdict::Failed(failure) => {
            assert!(failure.to_string().contains(text), "{id} does not say {text:?}:\n{failure}")
        }
        verdict => panic!("{id} does not see {defect:?}: {verdict:?}"),
    }
}

#[test]
fn tables_outlive_close() {
    sees(TableDefect::OutliveClose, "closed_store_refuses_side_tables", "Err(Closed)");
}

/// At first, no law caught this.
#[test]
fn tables_say_not_applied() {
    sees(TableDefect::SayNotApplied, "failed_side_table_write_is_as_its_outcome_says", "none after NotApplied");
}

// At first, no law caught these. Each led to a new or a stricter law.
saboteurs! {
    digests_are_padded: DigestsArePadded => identity_cids_of_every_length_are_kept "that differ in zeros at their end";
    pages_by_offset: PagesByOffset => cids_keeps_steady_blocks_while_listed_ones_are_deleted "while its consumer deletes";
    batches_take_less: BatchesTakeLess => put_many_takes_a_block_of_the_limit "Err(BlockTooLarge";
    in_flight_is_there: InFlightIsThere => concurrent_puts_of_one_block_all_succeed "after a put that raced";
    trusted_puts_of_a_commit_replace: TrustedPutsReplace => trusted_puts_of_a_commit_leave_present_blocks "after a commit with a trusted put";
    trusted_put_replaces: TrustedPutReplaces => trusted_put_leaves_the_present_block "after a trusted put of other bytes";
    underscore_ends_names: UnderscoreEndsNames => side_tables_whose_names_begin_alike_are_separate "when only table a_b has a row";
    refused_commit_echoes: RefusedCommitEchoes => commit_with_a_failed_swap_moves_no_head "the heads that were found";
    commit_remembers_deleted: CommitRemembersDeleted => commit_writes_a_deleted_block_again "Ok(None)";
    same_heads_are_no_commit: SameHeadsAreNoCommit => commit_under_the_same_head_lands_blocks "Ok(None)";
    prefix_ends_at_ff: PrefixEndsAtFf => side_table_keys_are_sorted_and_filtered "keys(";
    cache_by_digest: CacheByDigest => codec_is_part_of_the_key "equal but for the codec";
    heads_sorted_as_bytes: HeadsSortedAsBytes => heads_are_sorted_and_unique "heads() after";
}

defect! {
    TrustedPutReplaces {
        fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            inner.delete(cid)?;
            inner.put_trusted(cid, data)
        }
    }
}
