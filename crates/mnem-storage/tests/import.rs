//! Imports into a store with content.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mnem_storage::{
    Blockstore, Bytes, Cause, Cid, CidIter, ErrorKind, MemoryStore, OpHeadsStore, Outcome, SalvageOptions, Store,
    StoreError, WriteBatch,
    car::{self, CarFault, ImportError, ImportErrorKind, ImportOptions},
    copy, salvage, unwatched,
};

use crate::fixtures::{ANIMALS_BLOCKS, animals, car, family, header, raw, stores, varint};

fn heads() -> ImportOptions {
    ImportOptions::new().heads(true)
}

#[test]
fn without_the_wish_no_root_becomes_a_head() {
    let (root, blocks) = family();
    for subject in stores() {
        car::import(&*subject.store, &car(&[root], &blocks)[..], &ImportOptions::new(), &mut unwatched).unwrap();
        assert_eq!(subject.store.heads().unwrap(), [], "{}", subject.name);
    }
}

#[test]
fn roots_become_heads_beside_those_that_are_there() {
    for subject in stores() {
        let store = &subject.store;
        let (before, one, two) = (raw("before"), raw("one"), raw("two"));
        store.commit(WriteBatch::new().put(before.0, before.1).update(before.0, [])).unwrap();
        let archive = car(&[two.0, one.0, two.0, before.0], &[one.clone(), two.clone()]);
        let report = car::import(&**store, &archive[..], &heads(), &mut unwatched).unwrap();
        assert_eq!(report.heads_set, [two.0, one.0], "in the order of the header, each once, none that was a head");
        assert_eq!(report.missing_roots, [before.0], "not in the archive, though in the store");
        let mut expected = vec![before.0, one.0, two.0];
        expected.sort();
        assert_eq!(store.heads().unwrap(), expected, "{}", subject.name);
    }
}

#[test]
fn a_root_whose_block_only_the_store_holds_becomes_a_head() {
    for subject in stores() {
        let (there, sent) = (raw("there"), raw("sent"));
        subject.store.put(&there.0, there.1).unwrap();
        let archive = car(&[there.0], std::slice::from_ref(&sent));
        let report = car::import(&*subject.store, &archive[..], &heads(), &mut unwatched).unwrap();
        assert_eq!((report.missing_roots, report.heads_set), (vec![there.0], vec![there.0]), "{}", subject.name);
        assert_eq!(subject.store.heads().unwrap(), [there.0]);
    }
}

#[test]
fn small_batches_give_the_same_store() {
    let archive = animals();
    for subject in stores().into_iter() {
        let options = heads().batch_bytes(100_000);
        let report = car::import(&*subject.store, &archive[..], &options, &mut unwatched).unwrap();
        assert_eq!((report.new, report.present), (ANIMALS_BLOCKS, 0), "{}", subject.name);
        assert_eq!(subject.store.cids().unwrap().count() as u64, ANIMALS_BLOCKS);
    }
}

#[test]
fn a_store_that_closes_meanwhile_ends_the_import() {
    let store = MemoryStore::new();
    let archive = animals();
    let error = car::import(&store, &archive[..], &heads().batch_bytes(10_000), &mut |progress| {
        if progress.blocks == 1000 {
            store.close().unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::Closed));
    assert!((900..=1000).contains(&error.kept().blocks), "{error}");
    assert!(error.offset().is_some_and(|offset| offset < archive.len() as u64));
}

#[test]
fn a_batch_has_a_bound_also_for_the_smallest_blocks() {
    let store = Watched::default();
    let blocks: Vec<_> = (0..10_000).map(|n| raw(n.to_string())).collect();
    car::import(&store, &car(&[], &blocks)[..], &heads().batch_bytes(400_000), &mut unwatched).unwrap();
    let commits = store.commits.into_inner().unwrap();
    assert_eq!(commits.iter().sum::<usize>(), blocks.len());
    // About 400 bytes each, including their CIDs.
    assert!(commits.iter().all(|blocks| (1..=1_100).contains(blocks)) && commits.len() >= 9, "{commits:?}");
}

/// In a store that keeps blocks sorted, this fills one page after the other.
#[test]
fn what_fits_a_batch_is_stored_in_the_order_of_its_names() {
    let store = Watched::default();
    let blocks: Vec<_> = (0..12_000).map(|n| raw(n.to_string())).collect();
    // If a slow machine hands over the first batch early, the second one contains all the rest.
    store.until_read.store(blocks.len() as u64, Ordering::SeqCst);
    car::import(&store, &car(&[], &blocks)[..], &heads(), &mut |progress| {
        store.read.store(progress.blocks, Ordering::SeqCst);
        ControlFlow::Continue(())
    })
    .unwrap();
    let (commits, came) = (store.commits.into_inner().unwrap(), store.came.into_inner().unwrap());
    assert!(commits.len() > 1 && came.len() == blocks.len(), "{commits:?}");
    assert!(came.windows(2).filter(|pair| pair[0] > pair[1]).count() <= 1);
}

#[test]
fn the_archive_is_read_on_while_a_batch_is_being_stored() {
    let store = Watched::default();
    let blocks: Vec<_> = (0..100).map(|n| raw(n.to_string())).collect();
    // One block per batch: the first one is not stored until the second one was read.
    store.until_read.store(2, Ordering::SeqCst);
    car::import(&store, &car(&[], &blocks)[..], &heads().batch_bytes(1), &mut |progress| {
        store.read.store(progress.blocks, Ordering::SeqCst);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(store.commits.into_inner().unwrap().len(), 100);
}

/// Forwards blocks and heads to the field `store`.
macro_rules! as_its_store {
    ($store:ty) => {
        impl Blockstore for $store {
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
                self.store.cids()
            }
        }

        impl OpHeadsStore for $store {
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
    };
}

/// Records the number of blocks of each commit, and delays the first one until this many blocks were read.
#[derive(Debug, Default)]
struct Watched {
    store: MemoryStore,
    commits: Mutex<Vec<usize>>,
    /// The blocks, in order of arrival.
    came: Mutex<Vec<Cid>>,
    read: AtomicU64,
    until_read: AtomicU64,
}

as_its_store!(Watched);

impl Store for Watched {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        let end = Instant::now() + Duration::from_secs(60);
        while self.read.load(Ordering::SeqCst) < self.until_read.load(Ordering::SeqCst) {
            assert!(Instant::now() < end, "nothing more is read while this waits");
            thread::yield_now();
        }
        self.commits.lock().unwrap().push(batch.puts().len());
        self.came.lock().unwrap().extend(batch.puts().iter().map(|put| put.cid));
        self.store.commit(batch)
    }
}

#[test]
fn the_stores_own_limit_counts_where_it_is_less() {
    let store = Stubborn { store: MemoryStore::new(), refuses: raw("").0 };
    let block_bytes_max = store.capabilities().block_bytes_max;
    // No data follows: the length alone must be refused.
    let archive = [header(&[]), varint(block_bytes_max + 1000)].concat();
    let options = heads().block_bytes_max(2 * block_bytes_max);
    let error = car::import(&store, &archive[..], &options, &mut unwatched).unwrap_err();
    let ImportError::Archive { source, .. } = &error else { panic!("{error:?}") };
    let expected = CarFault::BlockTooLarge { block_bytes: block_bytes_max + 1000, block_bytes_max };
    assert_eq!(source.fault(), Some(&expected));
}

/// Refuses to make this CID a head.
#[derive(Debug)]
struct Stubborn {
    store: MemoryStore,
    refuses: Cid,
}

impl Blockstore for Stubborn {
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
        self.store.cids()
    }
}

impl OpHeadsStore for Stubborn {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        if *new != self.refuses {
            return self.store.update(new, supersedes);
        }
        Err(StoreError::Backend {
            backend: "stubborn",
            operation: "sync the heads".to_owned(),
            outcome: Outcome::Unknown,
            source: Cause::new("no space left"),
        })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.store.swap(expected, new)
    }
}

impl Store for Stubborn {}

#[test]
fn roots_that_cannot_become_heads_are_named() {
    let (one, two, three) = (raw("one"), raw("two"), raw("three"));
    let store = Stubborn { store: MemoryStore::new(), refuses: two.0 };
    let archive = car(&[one.0, two.0, three.0], &[one.clone(), two.clone(), three]);
    let error = car::import(&store, &archive[..], &heads(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::Backend));
    assert_eq!((error.kept().blocks, error.offset()), (3, None));
    assert!(matches!(&error, ImportError::Heads { root, roots: 3, .. } if **root == one.0), "{error:?}");
    assert_eq!(error.to_string().split(" (").next(), Some(&*format!("cannot make root {} and 2 more heads", one.0)));
}

/// Counts the commits that change heads, and the blocks that they require.
#[derive(Debug, Default)]
struct Counting {
    store: MemoryStore,
    changes: Mutex<Vec<(usize, usize)>>,
}

as_its_store!(Counting);

impl Store for Counting {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        if let Some(change) = batch.head() {
            self.changes.lock().unwrap().push((change.new_heads().len(), batch.required().len()));
        }
        self.store.commit(batch)
    }
}

/// A crash between two commits would leave only some of the roots.
#[test]
fn all_roots_become_heads_in_one_commit_that_requires_their_blocks() {
    let store = Counting::default();
    let blocks: Vec<_> = (0..2000).map(|n| raw(n.to_string())).collect();
    let roots: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    store.store.update(&roots[7], &[]).unwrap();
    let report = car::import(&store, &car(&roots, &blocks)[..], &heads(), &mut unwatched).unwrap();
    assert_eq!(*store.changes.lock().unwrap(), [(1999, 1999)]);
    assert_eq!((report.heads_set.len(), store.heads().unwrap().len()), (1999, 2000));
    car::import(&store, &car(&roots, &blocks)[..], &heads(), &mut unwatched).unwrap();
    assert_eq!(store.changes.lock().unwrap().len(), 1, "all roots are heads already");
    let copied = Counting::default();
    copy(&store, &copied, &mut unwatched).unwrap();
    assert_eq!(*copied.changes.lock().unwrap(), [(2000, 2000)]);
    let salvaged = Counting::default();
    salvage(&store, &salvaged, &SalvageOptions::default(), &mut unwatched).unwrap();
    assert_eq!(*salvaged.changes.lock().unwrap(), [(2000, 2000)]);
}

/// A store without free space.
#[derive(Debug, Default)]
struct Full {
    store: MemoryStore,
}

as_its_store!(Full);

impl Store for Full {
    fn commit(&self, _: &WriteBatch) -> Result<(), StoreError> {
        Err(StoreError::Backend {
            backend: "full",
            operation: "commit".to_owned(),
            outcome: Outcome::Unknown,
            source: Cause::new("no space left"),
        })
    }
}

/// The store refused the first batch before the faulty byte of the archive.
#[test]
fn a_store_that_failed_before_the_archive_did_is_what_is_reported() {
    let store = Full::default();
    let (one, two) = (raw("one"), raw("two"));
    let bad = (raw("three").0, raw("other").1);
    let archive = car(&[], &[one, two, bad]);
    // One block per batch: the first is handed over when the second was read, and refused before the third is read.
    let error = car::import(&store, &archive[..], &heads().batch_bytes(1), &mut unwatched).unwrap_err();
    assert_eq!(error.kept().blocks, 0);
    assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::Backend), "{error}");
}
