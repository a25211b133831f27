//! Defects that only another thread or another handle can see.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread::{self, ThreadId},
};

use mnem_store_traits::{
    Blockstore, Bytes, Cid, CidIter, MemoryStore, Store, StoreError,
    backend::{check_block, check_read, pages},
};

use super::{Defect, Gap, lock, saboteurs};

saboteurs! {
    second_handle_sees_no_head: SecondHandleIsBlind => heads_are_visible_through_a_second_handle "through a second handle";
    second_handle_sees_no_commit: SecondHandleIsBlind => commit_is_visible_through_a_second_handle "through a second handle";
    second_handle_sees_no_row: SecondHandleIsBlind => side_tables_are_visible_through_a_second_handle "get through a second handle";
    opening_sweeps_up: OpeningSweepsUp => openings_disturb_no_write "put after the store was opened meanwhile";
    opening_applies_deletes_again: DeletesAreAppliedAgain => opening_undoes_nothing "through a second handle";
    put_beside_close_is_lost: PutBesideCloseIsLost => writes_beside_close_stand_or_are_refused "put beside a close()";
    caches_per_handle: CachesPerHandle => delete_is_visible_through_a_second_handle "after a delete through one of two handles";
    shows_its_own_thread_only: ShowsItsOwnThreadOnly => put_is_visible_to_another_thread "in a thread that was told of its put";
    refuses_a_racing_put: RefusesARacingPut => concurrent_puts_of_one_block_all_succeed "Err(Locked";
    lists_by_position: ListsByPosition => cids_keeps_steady_blocks_under_writes "cids() while another thread writes and deletes";
    second_handle_is_blind: SecondHandleIsBlind => put_is_visible_through_a_second_handle "through a second handle";
    seen_in_part: SeenInPart => block_is_never_seen_in_part "while another thread puts it";
}

/// A second handle sees the state at its opening.
#[derive(Debug, Default)]
struct SecondHandleIsBlind;

impl Defect for SecondHandleIsBlind {
    fn opened(&self, inner: &MemoryStore, number: usize) -> MemoryStore {
        if number == 0 { inner.clone() } else { MemoryStore::new() }
    }
}
/// Makes a block visible before it is completely written.
#[derive(Debug, Default)]
pub(super) struct SeenInPart {
    parts: Mutex<BTreeMap<Cid, Bytes>>,
    gap: Gap,
}

impl Defect for SeenInPart {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
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

/// Each handle caches what it has read or written, and never looks again.
#[derive(Debug, Default)]
struct CachesPerHandle(MemoryStore);

impl Defect for CachesPerHandle {
    fn opened(&self, _: &MemoryStore, _: usize) -> MemoryStore {
        MemoryStore::new()
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(data) = self.0.get(cid)? {
            inner.put(cid, data)?;
        }
        inner.get(cid)
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.put(cid, data.clone())?;
        inner.put(cid, data)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        self.0.delete(cid)?;
        inner.delete(cid)
    }
}

/// Shows a block only to the thread that put it.
#[derive(Debug, Default)]
struct ShowsItsOwnThreadOnly(Mutex<BTreeMap<Cid, ThreadId>>);

impl Defect for ShowsItsOwnThreadOnly {
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        lock(&self.0).insert(*cid, thread::current().id());
        inner.put(cid, data)
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let by_another = lock(&self.0).get(cid).is_some_and(|thread| *thread != thread::current().id());
        if by_another { Ok(None) } else { inner.get(cid) }
    }
}

/// Locks the block's file without waiting.
#[derive(Debug, Default)]
pub(super) struct RefusesARacingPut {
    being_put: Mutex<BTreeSet<Cid>>,
    gap: Gap,
}

impl Defect for RefusesARacingPut {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if !lock(&self.being_put).insert(*cid) {
            self.gap.look();
            return Err(StoreError::Locked { location: cid.to_string().into() });
        }
        self.gap.wait_for(1);
        let put = inner.put(cid, data);
        lock(&self.being_put).remove(cid);
        put
    }
}

/// Keeps the position of a listing as a number.
#[derive(Debug, Default)]
pub(super) struct ListsByPosition {
    pages: Gap,
    writes: Gap,
}

impl Defect for ListsByPosition {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.pages, &self.writes]
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let mut position = 0;
        Ok(pages(move |_| {
            let page: Vec<Cid> = inner.cids()?.skip(position).take(16).collect::<Result<_, _>>()?;
            position += page.len();
            // Writers wait for pages and pages for writers, so that they take turns.
            self.pages.look();
            self.writes.wait_for(1);
            Ok(page)
        }))
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(cid)?;
        self.writes.look();
        self.pages.wait_for(1);
        Ok(())
    }
}

/// An opening removes all unfinished files, even one of a running writer, which then takes the file to be renamed
/// already.
#[derive(Debug, Default)]
struct OpeningSweepsUp {
    unfinished: Mutex<BTreeSet<Cid>>,
    opened: Gap,
}

impl Defect for OpeningSweepsUp {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.opened]
    }
    fn opened(&self, inner: &MemoryStore, _: usize) -> MemoryStore {
        lock(&self.unfinished).clear();
        self.opened.look();
        inner.open_again()
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        lock(&self.unfinished).insert(*cid);
        self.opened.wait_for(1);
        if lock(&self.unfinished).remove(cid) { inner.put(cid, data) } else { Ok(()) }
    }
}

/// An opening repeats the deletes in its log, even of blocks that were put again later.
#[derive(Debug, Default)]
struct DeletesAreAppliedAgain(Mutex<BTreeSet<Cid>>);

impl Defect for DeletesAreAppliedAgain {
    fn opened(&self, inner: &MemoryStore, _: usize) -> MemoryStore {
        let deleted = std::mem::take(&mut *lock(&self.0));
        inner.delete_many(&mut deleted.into_iter().map(Ok)).expect("the place is open");
        inner.open_again()
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.0).insert(*cid);
        inner.delete(cid)
    }
}

/// A put checks that the store is open, and then adds to a buffer that `close` may already have written.
#[derive(Debug, Default)]
struct PutBesideCloseIsLost(Gap);

impl Defect for PutBesideCloseIsLost {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        inner.has(cid)?;
        self.0.wait_for(1);
        match inner.put(cid, data) {
            Err(StoreError::Closed { .. }) => Ok(()),
            put => put,
        }
    }
    fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        inner.close()?;
        self.0.look();
        Ok(())
    }
}
