//! Defects that no law caught at first. They concern what follows a refused write, CIDs that have two parts in one batch,
//! races of swaps to several heads, and iterators that change what they name.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Mutex,
    time::Duration,
};

use mnem_store_traits::{
    BatchPut, Blocks, Blockstore, Bytes, Cid, Cids, ErrorKind, HeadChange, IsDead, MemoryStore, OpHeadsStore,
    SideTable, Store, StoreError, Swept, WriteBatch, backend::check_block, limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{
    Defect, Gap, defect, lock,
    prose::batch_of,
    saboteurs,
    tables::{OneDefect, TableDefect},
};

saboteurs! {
    blocks_of_a_refused_commit_are_skipped: SkipsWhatWasRefused => refused_write_is_forgotten "after a refused commit that swaps other heads";
    required_block_is_not_hashed: TrustsWhatItRequires => commit_keeps_nothing_of_a_bad_batch "under a CID that it requires";
    many_heads_are_cut_in_the_error: CutsHeadsInTheError => commit_takes_thousands_of_heads "all heads in the error";
    many_tables_are_not_sorted: ListsTablesAsTheyCame => side_tables_whose_names_begin_alike_are_separate "side_tables() of many";
    commit_refuses_a_long_identity: RefusesLongIdentities => every_write_takes_every_supported_hash "commit without a head";
    commit_that_changes_nothing_is_done: TakesIdleCommits => commit_refuses_a_missing_requirement "that requires an absent block";
    delete_looks_up_while_it_drains: LooksUpWhileItDrains => delete_many_iterator_may_use_the_store "whose iterator put";
    pair_of_cid_and_length_is_checked_once: ChecksAPairOnce => every_write_checks_every_hash "of a block that was deleted";
    thousand_tables_are_listed: ListsAThousandTables => side_table_writes_may_be_large "side_tables() of many";
    rows_become_visible_in_two_steps: OneDefect<ShowsRowsInTwoSteps> => side_table_write_is_seen_as_one_step "at least";
    sweep_removes_in_pieces: SweepsInPieces => panicking_sweep_removes_nothing "missing";
    readers_wait_for_a_sweep: LocksWhileItSweeps => reader_does_not_wait_for_a_sweep "readers wait for a sweep";
    swap_to_several_heads_compares_first: ComparesFirst => concurrent_commits_that_swap_let_one_win "that succeed";
}

defect! {
    // Leaves the check of a block that it requires to the step that looks for it.
    TrustsWhatItRequires {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let required: HashSet<&Cid> = batch.required().iter().collect();
            let puts = batch.puts().iter().cloned().map(|mut put| {
                put.trusted |= required.contains(&put.cid);
                put
            });
            inner.commit(&batch_of(puts, batch.required().to_vec(), batch.head().cloned()))
        }
    }

    CutsHeadsInTheError {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            inner.commit(batch).map_err(|error| match error {
                StoreError::HeadsMoved { mut actual } => {
                    actual.truncate(256);
                    StoreError::HeadsMoved { actual }
                }
                other => other,
            })
        }
    }

    ListsTablesAsTheyCame {
        fn side_tables(&self, inner: &MemoryStore) -> Result<Vec<String>, StoreError> {
            let mut tables = inner.side_tables()?;
            let half = if tables.len() > 16 { tables.len() / 2 } else { 0 };
            tables.rotate_left(half);
            Ok(tables)
        }
    }

    RefusesLongIdentities {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let is_long = |cid: &Cid| cid.hash().code() == 0 && cid.hash().size() > 36;
            if let Some(put) = batch.puts().iter().find(|put| is_long(&put.cid)) {
                let cid = put.cid;
                return Err(StoreError::UnsupportedHash { cid, code: 0, digest_bytes: cid.hash().size() });
            }
            inner.commit(batch)
        }
    }
}

defect! {
    // A commit that would change nothing is done before its requirements are looked up.
    TakesIdleCommits {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let heads: BTreeSet<Cid> = inner.heads()?.into_iter().collect();
            let changes_heads = match batch.head() {
                Some(change) => change.apply(&heads)? != heads,
                None => false,
            };
            let is_there = |put: &BatchPut| inner.has(&put.cid).is_ok_and(|there| there);
            if !changes_heads && !batch.puts().is_empty() && batch.puts().iter().all(is_there) {
                return batch.check(BLOCK_BYTES_EVERY_BACKEND);
            }
            inner.commit(batch)
        }
    }

    LooksUpWhileItDrains {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            // Looks up a name when it has the one before.
            let mut found = BTreeSet::from_iter(inner.cids()?.collect::<Result<Vec<_>, _>>()?);
            let mut present = Vec::new();
            for cid in cids {
                let cid = cid?;
                present.extend(found.contains(&cid).then_some(cid));
                found = inner.cids()?.collect::<Result<_, _>>()?;
            }
            inner.delete_many(&mut present.into_iter().map(Ok))
        }
    }

    ListsAThousandTables {
        fn side_tables(&self, inner: &MemoryStore) -> Result<Vec<String>, StoreError> {
            Ok(inner.side_tables()?.into_iter().take(1000).collect())
        }
    }

    SweepsInPieces {
        fn sweep(
            &self,
            inner: &MemoryStore,
            after: Option<&Cid>,
            up_to: Option<&Cid>,
            is_dead: &mut IsDead<'_>,
        ) -> Result<Option<Swept>, StoreError> {
            let (mut all, mut after) = (Swept::default(), after.copied());
            loop {
                let begin = after;
                let part = inner.cids()?.skip_while(|cid| cid.as_ref().is_ok_and(|cid| begin.is_some_and(|after| *cid <= after)));
                let part: Vec<Cid> = part.take(256).collect::<Result<_, _>>()?;
                let Some(last) = part.last().copied() else { return Ok(Some(all)) };
                let is_last = up_to.is_some_and(|up_to| *up_to <= last);
                let end = if is_last { up_to } else { Some(&last) };
                if let Some(swept) = inner.sweep(begin.as_ref(), end, is_dead)? {
                    all.blocks += swept.blocks;
                    all.removed += swept.removed;
                    all.removed_bytes += swept.removed_bytes;
                }
                if is_last {
                    return Ok(Some(all));
                }
                after = Some(last);
            }
        }
    }
}

/// Does not hash bytes whose CID and length it has checked before.
#[derive(Debug, Default)]
struct ChecksAPairOnce(Mutex<HashSet<(Cid, usize)>>);

impl Defect for ChecksAPairOnce {
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let all = blocks.collect::<Result<Vec<_>, _>>()?;
        let known = |cid: &Cid, data: &Bytes| lock(&self.0).contains(&(*cid, data.len()));
        for (cid, data) in &all {
            if inner.has(cid)? || !known(cid, data) {
                check_block(cid, data)?;
                lock(&self.0).insert((*cid, data.len()));
            }
        }
        all.into_iter().try_for_each(|(cid, data)| inner.put_trusted(&cid, data))
    }
}

#[derive(Debug, Default)]
struct ShowsRowsInTwoSteps;

impl TableDefect for ShowsRowsInTwoSteps {
    fn write(inner: &dyn SideTable, gap: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let (first, rest) = puts.split_at(puts.len().min(256));
        inner.write(first, deletes)?;
        if rest.is_empty() {
            return Ok(());
        }
        gap.wait_for(4);
        inner.write(rest, deletes)
    }
}

/// Holds a lock of all readers while its callback runs.
#[derive(Debug, Default)]
struct LocksWhileItSweeps(Mutex<()>);

impl Defect for LocksWhileItSweeps {
    const DEADLINE: Duration = Duration::from_secs(4);

    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        drop(lock(&self.0));
        inner.get(cid)
    }
    fn sweep(
        &self,
        inner: &MemoryStore,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        let _alone = lock(&self.0);
        inner.sweep(after, up_to, is_dead)
    }
}

/// Notes the blocks of a commit before its swap is decided, and takes them to be there from then on.
#[derive(Debug, Default)]
struct SkipsWhatWasRefused(Mutex<HashSet<Cid>>);

impl Defect for SkipsWhatWasRefused {
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let refused = inner.commit(batch);
        if refused.as_ref().is_err_and(|error| error.kind() == ErrorKind::HeadsMoved) {
            lock(&self.0).extend(batch.puts().iter().map(|put| put.cid));
        }
        refused
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        if lock(&self.0).contains(cid) { Ok(()) } else { inner.put(cid, data) }
    }
}

/// Compares the heads before it takes its lock, if a swap has several new heads.
#[derive(Debug, Default)]
struct ComparesFirst(Gap);

impl Defect for ComparesFirst {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let Some(HeadChange::Swap { expected, new }) = batch.head().filter(|change| change.new_heads().len() > 1)
        else {
            return inner.commit(batch);
        };
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        let heads = inner.heads()?;
        if heads.iter().collect::<BTreeSet<_>>() != expected.iter().collect::<BTreeSet<_>>() {
            return Err(StoreError::HeadsMoved { actual: heads });
        }
        self.0.meet();
        let change = HeadChange::Update { new: new.clone(), supersedes: expected.clone() };
        inner.commit(&batch_of(batch.puts().iter().cloned(), batch.required().to_vec(), Some(change)))
    }
}
