//! Defects of lookups and capabilities.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use mnem_store_traits::{
    Blockstore, Bytes, Capabilities, Cause, Cid, MemoryStore, Outcome, StoreError, backend::check_block,
};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    forgets_old_blocks: ForgetsOldBlocks => put_then_get_returns_the_bytes "after other puts";
    absence_is_an_error: AbsenceIsAnError => absent_is_none "Err(Backend";
    absence_is_an_error_to_its_caller: AbsenceIsAnError => get_required_names_the_missing_block "Err(MissingBlock)";
    takes_unknown_hashes_for_damage: TakesUnknownHashesForDamage => unknown_hash_is_returned_as_stored "Err(Corrupt";
    lends_nothing_for_absence: LendsNothingForAbsence => with_block_is_not_called_for_absent "calls of the callback";
    locks_while_lending: LocksWhileLending => with_block_callback_may_use_the_store "no end: a deadlock";
    poisoned_by_a_callback: PoisonedByAPanic => panicking_callback_leaves_the_store_usable "after a callback panicked";
    claims_small_blocks: ClaimsSmallBlocks => capabilities_are_at_least_the_weakest "capabilities().block_bytes_max";
    claims_atomic_writes_of_no_tables: ClaimsAtomicWritesOfNoTables => capabilities_are_at_least_the_weakest "without side_tables";
    claims_as_it_likes: ClaimsAsItLikes => capabilities_are_at_least_the_weakest "after a put";
    claims_other_things_through_a_pointer: ClaimsAsItLikes => blocks_are_the_same_through_every_pointer "capabilities() through";
    claims_other_things_below_buffered: ClaimsAsItLikes => buffered_claims_no_put_durability "atomic_commit of Buffered";
    damaged_blocks_cannot_be_deleted: DeleteReadsFirst => damaged_block_is_healed_by_delete_and_put "delete of the damaged block";
    returns_corrupt_bytes: ReturnsCorruptBytes => get_never_returns_wrong_bytes "Err(Corrupt)";
    truncates_at_64_kib: TruncatesAt64KiB => blocks_of_every_size_are_returned_whole "of a block of 65536 bytes";
    lends_twice: LendsTwice => with_block_lends_what_get_returns "the bytes lent";
    has_lies: HasLies => absent_is_none "Ok(true)";
    size_of_large_blocks_is_that_of_their_pages: SizeIsThatOfPages => block_of_16_mib_is_taken "size(";
    size_lies: SizeLies => has_and_size_agree_with_get "size(";
    remembers_absence: RemembersAbsence => has_and_size_agree_with_get "after its put";
}

defect! {
    SizeIsThatOfPages {
        fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
            Ok(inner.size(cid)?.map(|bytes| if bytes > 1 << 20 { bytes.next_multiple_of(4096) } else { bytes }))
        }
    }

    AbsenceIsAnError {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            let absent = || StoreError::Backend {
                backend: "this",
                operation: format!("open {cid}"),
                outcome: Outcome::NotApplied,
                source: Cause::new(std::io::Error::from(std::io::ErrorKind::NotFound)),
            };
            inner.get(cid)?.ok_or_else(absent).map(Some)
        }
    }

    TakesUnknownHashesForDamage {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            let Some(data) = inner.get(cid)? else { return Ok(None) };
            check_block(cid, &data).map_err(|_| StoreError::Corrupt { backend: "this", cid: *cid })?;
            Ok(Some(data))
        }
    }

    LendsNothingForAbsence {
        fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
            let found = inner.with_block(cid, f)?;
            if !found {
                f(&[]);
            }
            Ok(found)
        }
    }

    ClaimsSmallBlocks {
        fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
            inner.capabilities().with_block_bytes_max(1024 * 1024)
        }
    }

    ClaimsAtomicWritesOfNoTables {
        fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
            inner.capabilities().with_side_tables(false)
        }
    }

    DeleteReadsFirst {
        fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
            inner.get(cid)?;
            inner.delete(cid)
        }
    }

    TruncatesAt64KiB {
        fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            Ok(inner.get(cid)?.map(|data| data.slice(..data.len().min(65_535))))
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
}

/// Does not hash the bytes that it reads.
#[derive(Debug, Default)]
struct ReturnsCorruptBytes(Mutex<BTreeMap<Cid, Bytes>>);

impl Defect for ReturnsCorruptBytes {
    fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        lock(&self.0).insert(*cid, data.clone());
        inner.put_trusted(cid, data)
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let vouched_for = lock(&self.0).get(cid).cloned();
        vouched_for.map_or_else(|| inner.get(cid), |data| Ok(Some(data)))
    }
}

/// Caches absences and does not remove them when the block is put.
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

/// Holds only the last ten blocks, like a cache.
#[derive(Debug, Default)]
struct ForgetsOldBlocks(Mutex<Vec<Cid>>);

impl Defect for ForgetsOldBlocks {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let mut kept = lock(&self.0);
        if kept.len() == 10 {
            inner.delete(&kept.remove(0))?;
        }
        kept.push(*cid);
        inner.put(cid, data)
    }
}

/// Holds its only lock while a callback runs.
#[derive(Debug, Default)]
struct LocksWhileLending(Mutex<()>);

impl Defect for LocksWhileLending {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let _held = lock(&self.0);
        inner.get(cid)
    }
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let _held = lock(&self.0);
        inner.with_block(cid, f)
    }
}

/// Takes a panic of a callback for its own.
#[derive(Debug, Default)]
struct PoisonedByAPanic(Mutex<()>);

impl PoisonedByAPanic {
    fn refusal<E>(_: E) -> StoreError {
        StoreError::Poisoned { backend: "this", source: Cause::new("a thread panicked") }
    }
}

impl Defect for PoisonedByAPanic {
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let _held = self.0.lock().map_err(Self::refusal)?;
        inner.get(cid)
    }
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let _held = self.0.lock().map_err(Self::refusal)?;
        inner.with_block(cid, f)
    }
}

/// Returns a different value every time.
#[derive(Debug, Default)]
struct ClaimsAsItLikes(Mutex<bool>);

impl Defect for ClaimsAsItLikes {
    fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
        let mut atomic = lock(&self.0);
        *atomic = !*atomic;
        inner.capabilities().with_atomic_commit(*atomic)
    }
}
