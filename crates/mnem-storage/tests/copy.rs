//! Copies from every backend to every backend.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use mnem_storage::{
    Blockstore, BlockstoreExt as _, Bytes, Capabilities, Cid, CidIter, CopyError, CopyOptions, ErrorKind, MemoryStore,
    OpHeadsStore, Promise, RAW, Stage, Store, StoreError, WriteBatch,
    car::{self, ImportOptions},
    copy, copy_with, unwatched,
};

use crate::fixtures::{car, family, raw, stores, unknown_hash};

fn cids(store: &dyn Store) -> Vec<Cid> {
    let mut cids: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
    cids.sort();
    cids
}

/// Two heads, an unreachable block, a block with an unknown hash function, and two side tables.
fn fill(store: &dyn Store) -> Cid {
    let (root, blocks) = family();
    let unreached = raw("unreached");
    let archive = car(&[root, unreached.0], &[&blocks[..], &[unreached.clone(), raw("loose")]].concat());
    car::import(store, &archive[..], &ImportOptions::new().heads(true), &mut unwatched).unwrap();
    let unknown = unknown_hash(4);
    store.put_trusted(&unknown, Bytes::from_static(b"who knows")).unwrap();
    for table in ["one", "two"] {
        let rows: Vec<_> = (0..3_u8).map(|n| (Bytes::from(vec![n, 0xff]), Bytes::from(vec![n; 10]))).collect();
        store.side_table(table).unwrap().write(&rows, &[]).unwrap();
    }
    unknown
}

#[test]
fn every_backend_copies_to_every_other() {
    for from in stores() {
        let unknown = fill(&*from.store);
        for to in stores() {
            let name = format!("{} to {}", from.name, to.name);
            let mut stages = Vec::new();
            let report = copy(&*from.store, &*to.store, &mut |progress| {
                stages.push(progress.stage);
                ControlFlow::Continue(())
            })
            .expect(&name);
            assert_eq!((report.blocks, report.new, report.present), (6, 6, 0), "{name}");
            assert_eq!(report.promise, Promise::Equal, "{name}");
            assert_eq!((report.unchecked, &report.unchecked_cids[..]), (1, &[unknown][..]));
            assert_eq!(cids(&*from.store), cids(&*to.store), "{name}");
            assert_eq!(to.store.heads().unwrap(), from.store.heads().unwrap());
            assert_eq!(report.heads, from.store.heads().unwrap());
            assert_eq!(to.store.get(&unknown).unwrap(), Some(Bytes::from_static(b"who knows")));
            assert_eq!(to.store.side_tables().unwrap(), ["one", "two"]);
            assert_eq!(report.tables.iter().map(|table| (table.keys, table.bytes)).collect::<Vec<_>>(), [(3, 30); 2]);
            let row = to.store.side_table("two").unwrap().get(&[2, 0xff]).unwrap();
            assert_eq!(row, Some(Bytes::from(vec![2; 10])));
            stages.dedup();
            assert_eq!(stages, [Stage::Blocks, Stage::Tables, Stage::Proof]);
            let again = copy(&*from.store, &*to.store, &mut unwatched).expect(&name);
            assert_eq!((again.new, again.present), (0, 6), "{name}");
        }
    }
}

#[test]
fn an_empty_store_is_copied() {
    for to in stores() {
        let report = copy(&MemoryStore::new(), &*to.store, &mut unwatched).unwrap();
        assert_eq!((report.blocks, report.heads.len()), (0, 0));
    }
}

#[test]
fn a_part_of_the_source_is_completed() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let head = from.heads().unwrap()[0];
    let data = from.get_required(&head).unwrap();
    to.commit(WriteBatch::new().put(head, data).update(head, [])).unwrap();
    let report = copy(&from, &to, &mut unwatched).unwrap();
    assert_eq!((report.new, report.present), (5, 1));
    assert_eq!(to.heads().unwrap(), from.heads().unwrap());
}

#[test]
fn heads_of_an_earlier_copy_are_replaced() {
    for subject in stores() {
        let (from, to, name) = (MemoryStore::new(), &*subject.store, subject.name);
        fill(&from);
        let before = copy(&from, to, &mut unwatched).unwrap().heads;
        let next = raw("next");
        from.commit(WriteBatch::new().put(next.0, next.1.clone()).update(next.0, before.iter().copied())).unwrap();
        let gone = raw("loose");
        from.delete(&gone.0).unwrap();
        let report = copy(&from, to, &mut unwatched).expect(name);
        assert_eq!((report.blocks, report.new, report.present), (6, 1, 5), "{name}");
        assert_eq!((report.heads, report.heads_replaced), (vec![next.0], before), "{name}");
        assert_eq!((to.heads().unwrap(), to.get(&gone.0).unwrap()), (vec![next.0], Some(gone.1)), "{name}");
        assert_eq!(report.promise, Promise::HoldsAll, "{name}: it holds a block that the source has no more");
        to.delete(&gone.0).unwrap();
        let report = copy(&from, to, &mut unwatched).expect(name);
        assert_eq!((report.new, report.promise, report.heads_replaced), (0, Promise::Equal, vec![]), "{name}");
    }
}

#[test]
fn a_head_that_the_source_does_not_know_is_refused_by_name_or_kept() {
    for subject in stores() {
        let (from, to, name) = (MemoryStore::new(), &*subject.store, subject.name);
        fill(&from);
        let other = raw("of another store");
        to.commit(WriteBatch::new().put(other.0, other.1.clone()).update(other.0, [])).unwrap();
        let error = copy(&from, to, &mut unwatched).unwrap_err();
        assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument), "{name}");
        assert!(error.to_string().contains(&other.0.to_string()), "{name}: {error}");
        assert_eq!((cids(to), to.heads().unwrap(), to.side_tables().unwrap()), (vec![other.0], vec![other.0], vec![]));
        let report = copy_with(&from, to, &CopyOptions::new().merge_heads(true), &mut unwatched).expect(name);
        assert_eq!((report.heads_merged, report.promise), (vec![other.0], Promise::HoldsAll), "{name}");
        let mut heads = [from.heads().unwrap(), vec![other.0]].concat();
        heads.sort();
        assert_eq!(to.heads().unwrap(), heads, "{name}");
    }
}

#[test]
fn a_source_without_heads_takes_none_from_its_copy() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    for head in from.heads().unwrap() {
        to.commit(WriteBatch::new().put(head, from.get(&head).unwrap().unwrap()).update(head, [])).unwrap();
    }
    let without = MemoryStore::new();
    copy(&from, &without, &mut unwatched).unwrap();
    let bare = MemoryStore::new();
    cids(&without).iter().for_each(|cid| bare.put_trusted(cid, without.get(cid).unwrap().unwrap()).unwrap());
    let error = copy(&bare, &to, &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::InvalidArgument));
    assert_eq!(to.heads().unwrap(), from.heads().unwrap());
}

#[test]
fn a_row_that_is_the_same_is_not_written_again_and_another_is() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    copy(&from, &to, &mut unwatched).unwrap();
    let key = Bytes::from_static(&[1, 0xff]);
    from.side_table("one").unwrap().write(&[(key.clone(), "other".into())], &[]).unwrap();
    to.side_table("two").unwrap().write(&[("mine".into(), "stays".into())], &[]).unwrap();
    copy(&from, &to, &mut unwatched).unwrap();
    assert_eq!(to.side_table("one").unwrap().get(&key).unwrap(), Some("other".into()));
    assert_eq!(to.side_table("two").unwrap().get(b"mine").unwrap(), Some("stays".into()));
}

#[test]
fn a_damaged_block_stops_the_copy_before_any_head() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let head = from.heads().unwrap()[0];
    from.delete(&head).unwrap();
    from.put_trusted(&head, Bytes::from_static(b"damage")).unwrap();
    let error = copy(&from, &to, &mut unwatched).unwrap_err();
    assert!(matches!(error.store_error(), Some(StoreError::Corrupt { cid, .. }) if *cid == head), "{error:?}");
    assert!(matches!(error, CopyError::Source(_)), "{error:?}");
    assert_eq!(to.heads().unwrap(), []);
}

#[test]
fn a_damaged_block_of_the_target_is_found_by_comparing_and_can_be_healed() {
    for subject in stores() {
        let (from, to) = (MemoryStore::new(), &*subject.store);
        fill(&from);
        let head = from.heads().unwrap()[0];
        to.put_trusted(&head, Bytes::from_static(b"damage")).unwrap();
        let compare = CopyOptions::new().compare(true);
        let error = copy_with(&from, to, &compare, &mut unwatched).unwrap_err();
        assert!(matches!(error, CopyError::Target(_)), "{}: {error:?}", subject.name);
        assert!(matches!(error.store_error(), Some(StoreError::Corrupt { cid, .. }) if *cid == head), "{error:?}");
        assert_eq!(to.heads().unwrap(), []);
        assert!(to.has(&head).unwrap(), "a copy deletes nothing");
        to.delete(&head).unwrap();
        copy_with(&from, to, &compare, &mut unwatched).unwrap();
        assert_eq!(to.get(&head).unwrap(), from.get(&head).unwrap(), "{}", subject.name);
    }
}

#[test]
fn a_block_of_an_unknown_hash_with_other_bytes_is_found_by_comparing() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let unknown = fill(&from);
    to.put_trusted(&unknown, Bytes::from_static(b"who else")).unwrap();
    let error = copy_with(&from, &to, &CopyOptions::new().compare(true), &mut unwatched).unwrap_err();
    let cause = error.to_string();
    assert!(cause.contains(&format!("block {unknown} has other bytes in the target")), "{cause}");
}

/// The target has the block from an earlier copy. The source has lost it since, and gets it again after the listing has
/// passed.
#[test]
fn a_block_that_comes_again_makes_no_copy_fail() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    copy(&from, &to, &mut unwatched).unwrap();
    let loose = raw("loose");
    from.delete(&loose.0).unwrap();
    let report = copy(&from, &to, &mut |progress| {
        if progress.stage == Stage::Tables {
            from.put(&loose.0, loose.1.clone()).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().promise, Promise::HoldsAll, "the source did not list it");
}

/// A store that lists in another order, counts its listings, and records how many blocks each commit required.
#[derive(Debug, Default)]
struct Lists {
    store: MemoryStore,
    descending: bool,
    /// Whether it claims that one write covers everything before it.
    covers: bool,
    listings: AtomicUsize,
    required: Mutex<Vec<usize>>,
}

impl Blockstore for Lists {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let mut cids: Vec<_> = self.store.cids()?.collect();
        if self.descending {
            cids.reverse();
        }
        Ok(Box::new(cids.into_iter()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST.with_cumulative_durability(self.covers)
    }
}

impl OpHeadsStore for Lists {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.store.update(new, supersedes)
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.store.swap(expected, new)
    }
}

impl Store for Lists {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.required.lock().unwrap().push(batch.required().len());
        self.store.commit(batch)
    }
}

/// Blocks in both stores, blocks only in the source, and on request a block only in the target: at the beginning, the
/// middle or the end.
fn overlapping(descending: [bool; 2], more_in_target: Option<usize>) -> [Lists; 2] {
    let [from, to] = descending.map(|descending| Lists { descending, ..Lists::default() });
    let mut blocks: Vec<_> = (0..40).map(|n| raw(format!("block {n}"))).collect();
    blocks.sort();
    let alone = more_in_target.map(|place| blocks.remove(place));
    for (place, (cid, data)) in blocks.into_iter().enumerate() {
        from.put(&cid, data.clone()).unwrap();
        if place % 3 != 0 {
            to.put(&cid, data).unwrap();
        }
    }
    if let Some((cid, data)) = alone {
        to.put(&cid, data).unwrap();
    }
    [from, to]
}

#[test]
fn both_listings_are_followed_once_and_tell_whether_the_stores_are_equal() {
    for descending in [[false, false], [false, true], [true, false], [true, true]] {
        for more_in_target in [None, Some(0), Some(20), Some(39)] {
            let [from, to] = overlapping(descending, more_in_target);
            let report = copy(&from, &to, &mut unwatched).unwrap();
            let promise = if more_in_target.is_none() { Promise::Equal } else { Promise::HoldsAll };
            assert_eq!(report.promise, promise, "{descending:?}, {more_in_target:?}");
            let blocks = cids(&from);
            assert_eq!((report.blocks, report.present), (blocks.len() as u64, blocks.len() as u64 * 2 / 3));
            assert!(blocks.iter().all(|cid| to.has(cid).unwrap()));
            // Neither store is listed a second time. The test itself has listed the source.
            let listings = [&from, &to].map(|store| store.listings.load(Ordering::Relaxed));
            assert_eq!(listings, [2, 1], "{descending:?}");
        }
    }
}

/// After many new blocks, only a listing in CID order tells what else the target holds.
#[test]
fn listings_in_another_order_are_read_again_after_many_new_blocks() {
    for descending in [[false, false], [true, true]] {
        for more_in_target in [false, true] {
            let [from, to] = overlapping(descending, more_in_target.then_some(20));
            for n in 0..11_000 {
                let (cid, data) = raw(format!("new block {n}"));
                from.put(&cid, data).unwrap();
            }
            let report = copy(&from, &to, &mut unwatched).unwrap();
            assert_eq!(report.promise, if more_in_target { Promise::HoldsAll } else { Promise::Equal });
            let again = usize::from(descending != [false, false]);
            let listings = [&from, &to].map(|store| store.listings.load(Ordering::Relaxed));
            assert_eq!(listings, [1 + again, 1 + again], "{descending:?}");
        }
    }
}

/// A block that is in the target already may never have been synced: the copy has it made durable.
#[test]
fn present_blocks_are_required_each_or_one_for_all_if_a_write_covers_the_others() {
    for covers in [false, true] {
        let [from, mut to] = overlapping([false, false], None);
        to.covers = covers;
        let report = copy(&from, &to, &mut unwatched).unwrap();
        assert_eq!((report.present, report.new), (26, 14));
        let report = copy(&from, &to, &mut unwatched).unwrap();
        assert_eq!((report.present, report.new), (40, 0));
        assert_eq!(*to.required.lock().unwrap(), if covers { [1, 1] } else { [26, 40] });
    }
}

/// A block is deleted after it was listed and before it is read.
#[test]
fn a_copy_of_a_source_that_lost_a_listed_block_is_not_equal() {
    let [from, to] = overlapping([false, false], None);
    let first = cids(&from)[0];
    let report = copy(&from, &to, &mut |progress| {
        if progress.blocks == 1 {
            from.delete(&first).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((report.promise, report.blocks, to.has(&first).unwrap()), (Promise::HoldsAll, 39, false));
}

/// A store without side tables that also loses a block on request.
#[derive(Debug, Default)]
struct Poor {
    store: MemoryStore,
    loses: Option<Cid>,
}

impl Blockstore for Poor {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        if self.loses == Some(*cid) { Ok(()) } else { self.store.put(cid, data) }
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
    }
}

impl OpHeadsStore for Poor {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.store.update(new, supersedes)
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.store.swap(expected, new)
    }
}

impl Store for Poor {}

#[test]
fn a_target_without_side_tables_is_refused_untouched() {
    let from = MemoryStore::new();
    fill(&from);
    let to = Poor::default();
    assert_eq!(copy(&from, &to, &mut unwatched).unwrap_err().kind(), Some(ErrorKind::Unsupported));
    assert_eq!(cids(&to), []);
}

#[test]
fn the_proof_finds_a_block_that_the_target_lost() {
    let from = MemoryStore::new();
    let lost = from.put_as(RAW, Bytes::from_static(b"will be lost")).unwrap();
    from.put_as(RAW, Bytes::from_static(b"will be kept")).unwrap();
    let to = Poor { loses: Some(lost), ..Poor::default() };
    let error = copy(&from, &to, &mut unwatched).unwrap_err();
    assert!(matches!(error, CopyError::Differs { .. }), "{error:?}");
    let cause = error.to_string();
    assert!(cause.contains(&format!("the target lacks block {lost}")), "{cause}");
}

#[test]
fn a_source_that_is_written_to_is_copied_as_it_was() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    fill(&from);
    let (before, heads) = (cids(&from), from.heads().unwrap());
    let report = copy(&from, &to, &mut |progress| {
        if progress.stage == Stage::Tables {
            let late = raw("late");
            from.commit(WriteBatch::new().put(late.0, late.1.clone()).update(late.0, [heads[0]])).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((report.promise, &report.heads), (Promise::HoldsAll, &heads));
    assert_eq!((cids(&to), to.heads().unwrap()), (before, heads));
}
