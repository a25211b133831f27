//! Defects that no law caught at first. They concern siblings, repetitions, late moments of long calls, and the content
//! of errors.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Mutex,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, Cids, DAG_PB, HeadChange, KeyIter, MemoryStore, OnBlock, OpHeadsStore,
    SideTable, Store, StoreError, WriteBatch,
};

use super::{
    Defect, Gap, defect, lock, saboteurs,
    tables::{OneDefect, TableDefect},
};

saboteurs! {
    trusted_name_covers_later_bytes: TrustsANameOnce => commit_keeps_nothing_of_a_bad_batch "commit of a trusted block and of wrong bytes";
    other_version_is_deleted_too: DeletesBothVersions => delete_takes_the_whole_cid "missing";
    first_of_many_values_stays: OneDefect<FirstOfManyStays> => side_table_write_applies_puts_then_deletes "puts it 101 times";
    table_is_made_by_a_delete: OneDefect<DeleteMakesATable> => side_table_exists_by_its_keys "delete of an absent key";
    break_ends_a_piece: BreakEndsAPiece => get_many_ends_when_it_is_told "of 1000 CIDs whose callback breaks at call 1";
    break_ends_a_later_piece: BreakEndsALaterPiece => get_many_ends_when_it_is_told "breaks at call 255";
    mismatch_names_itself: MismatchNamesItself => every_write_checks_every_hash "as the CID of the bytes";
    block_put_again_is_listed_again: ListsWhatIsPutAgain => cids_does_not_block_writers "repetitions";
    requirements_are_remembered: RemembersRequirements => delete_is_visible_through_a_second_handle "requires 40 blocks";
    swap_compares_the_ends: ComparesEnds => swap_from_other_heads_is_refused "another one of 11 heads";
    swap_to_the_same_is_done: SwapMayBeDone => swap_from_other_heads_is_refused "to the only head there is";
}

defect! {
    // After a trusted put under a CID, takes all bytes under that CID to be checked.
    TrustsANameOnce {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let trusted: HashSet<Cid> = batch.puts().iter().filter(|put| put.trusted).map(|put| put.cid).collect();
            let (again, rest): (Vec<_>, Vec<_>) =
                batch.puts().iter().cloned().partition(|put| !put.trusted && trusted.contains(&put.cid));
            if again.is_empty() {
                return inner.commit(batch);
            }
            let mut batch = WriteBatch::new();
            batch.extend(rest);
            inner.commit(&batch)
        }
    }

    DeletesBothVersions {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            let named = cids.collect::<Result<Vec<Cid>, _>>()?;
            let other = |cid: &Cid| {
                let v1 = (cid.codec() == DAG_PB).then(|| Cid::new_v1(DAG_PB, *cid.hash()));
                v1.into_iter().chain(v1.and_then(|cid| Cid::new_v0(*cid.hash()).ok()))
            };
            let both: Vec<Cid> = named.iter().flat_map(other).collect();
            inner.delete_many(&mut named.into_iter().chain(both).map(Ok))
        }
    }

    BreakEndsAPiece {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            in_pieces(inner, cids, 100, f)
        }
    }

    BreakEndsALaterPiece {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            let (first, rest) = cids.split_at(cids.len().min(128));
            let mut ended = false;
            inner.get_many(first, &mut |index, data| {
                let flow = f(index, data);
                ended |= flow.is_break();
                flow
            })?;
            if ended { Ok(()) } else { in_pieces(inner, rest, 128, &mut |index, data| f(index + 128, data)) }
        }
    }

    MismatchNamesItself {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            inner.commit(batch).map_err(|error| match error {
                StoreError::CidMismatch { cid, .. } => StoreError::CidMismatch { cid, actual: Box::new(cid) },
                other => other,
            })
        }
    }

    ComparesEnds {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            let now = inner.heads()?;
            let expected: BTreeSet<Cid> = expected.iter().copied().collect();
            let same = (expected.len(), expected.first(), expected.last()) == (now.len(), now.first(), now.last());
            if same { inner.swap(&now, new) } else { inner.swap(&expected.into_iter().collect::<Vec<_>>(), new) }
        }
    }

    // If the heads already equal the result of a swap, takes the swap for a repetition.
    SwapMayBeDone {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            if inner.heads()? == [*new] { Ok(()) } else { inner.swap(expected, new) }
        }
    }
}

/// Makes one request for each piece. A `Break` ends only the current one.
fn in_pieces(inner: &MemoryStore, cids: &[Cid], size: usize, f: &mut OnBlock<'_>) -> Result<(), StoreError> {
    let pieces = cids.chunks(size).enumerate();
    pieces.into_iter().try_for_each(|(n, piece)| inner.get_many(piece, &mut |index, data| f(n * size + index, data)))
}

#[derive(Debug, Default)]
struct FirstOfManyStays;

impl TableDefect for FirstOfManyStays {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        if puts.len() <= 100 {
            return inner.write(puts, deletes);
        }
        let mut seen = HashSet::new();
        inner.write(&puts.iter().filter(|(key, _)| seen.insert(key)).cloned().collect::<Vec<_>>(), deletes)
    }
}

/// Creates a table at the first write, even an empty one, by a row that no listing shows.
#[derive(Debug, Default)]
struct DeleteMakesATable;

impl DeleteMakesATable {
    const ROW: &[u8] = b"\0made";
}

impl TableDefect for DeleteMakesATable {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        inner.write(puts, deletes)?;
        if puts.is_empty() { inner.write(&[(Bytes::from_static(Self::ROW), Bytes::new())], &[]) } else { Ok(()) }
    }
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        Ok(Box::new(inner.keys(prefix)?.filter(|key| key.as_ref().map_or(true, |key| key != Self::ROW))))
    }
}

/// Appends blocks put during a listing to its end.
#[derive(Debug, Default)]
struct ListsWhatIsPutAgain(Mutex<Vec<Cid>>);

impl Defect for ListsWhatIsPutAgain {
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let all = blocks.collect::<Result<Vec<_>, _>>()?;
        lock(&self.0).extend(all.iter().map(|(cid, _)| *cid));
        inner.put_many(&mut all.into_iter().map(Ok))
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let mut places = lock(&self.0).len()..;
        let later = move || places.next().and_then(|place| lock(&self.0).get(place).copied()).map(Ok);
        Ok(Box::new(inner.cids()?.chain(std::iter::from_fn(later))))
    }
}

/// Looks up the requirements of a commit, unless there are many and the handle has seen them all.
#[derive(Debug, Default)]
struct RemembersRequirements(Mutex<HashSet<Cid>>);

impl Defect for RemembersRequirements {
    const PER_HANDLE: bool = true;

    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        let found = inner.has(cid)?;
        lock(&self.0).extend(found.then_some(*cid));
        Ok(found)
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let known = batch.required().len() > 16 && batch.required().iter().all(|cid| lock(&self.0).contains(cid));
        match batch.head() {
            Some(HeadChange::Update { new, supersedes }) if known => inner.update(&new[0], supersedes),
            _ => inner.commit(batch),
        }
    }
}
