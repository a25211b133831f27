//! Export, copy, salvage and verify request many blocks at once, with the same results as block by block.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};

use mnem_storage::{
    Blockstore, Bytes, Capabilities, Cid, CidIter, CopyError, CopyOptions, MemoryStore, OnBlock, OpHeadsStore,
    ReachableOptions, SalvageOptions, Store, StoreError, VerifyError, VerifyOptions, WriteBatch,
    car::{self, ExportError, ExportOptions, ImportOptions},
    copy, copy_reachable, copy_with, unwatched,
};

use crate::fixtures::{car, node, raw, unknown_hash};

/// A store that answers several blocks per request, or only one, and expects `get` only when that is necessary.
#[derive(Debug, Default)]
struct Watched {
    store: MemoryStore,
    /// Answers only the first block of a request.
    alone: bool,
    /// Some blocks are damaged, so requests fail and blocks are read one by one.
    get_is_fine: bool,
    requests: AtomicUsize,
    largest: AtomicUsize,
    /// Blocks that it was asked for one by one and does not have.
    absences: AtomicUsize,
    /// Questions about the presence of many blocks.
    questions: AtomicUsize,
}

impl Blockstore for Watched {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities().with_batched_reads(true)
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        assert!(self.get_is_fine, "one block was asked for: {cid}");
        let found = self.store.get(cid)?;
        self.absences.fetch_add(usize::from(found.is_none()), Ordering::Relaxed);
        Ok(found)
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(cids.len(), Ordering::Relaxed);
        self.store.get_many(if self.alone { &cids[..1] } else { cids }, f)
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

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let has = self.store.has(cid)?;
        self.absences.fetch_add(usize::from(!has), Ordering::Relaxed);
        Ok(has)
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.store.has_many(cids)
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.store.size(cid)
    }
}

impl OpHeadsStore for Watched {
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

impl Store for Watched {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.store.commit(batch)
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.store.side_tables()
    }
}

const BRANCHES: usize = 20;
const LEAVES: usize = 30;

/// The number of blocks that the head reaches.
const REACHED: usize = BRANCHES * (LEAVES + 1) + 1;

/// The number of blocks that nothing reaches.
const LOOSE: usize = 200;

/// A head that reaches branches with leaves, and unreachable blocks. Returns the leaves first.
fn filled(alone: bool) -> (Watched, Vec<Cid>) {
    let store = Watched { alone, ..Watched::default() };
    let leaf = |n: usize| raw(format!("leaf {n}"));
    let leaves: Vec<_> = (0..BRANCHES * LEAVES).map(leaf).collect();
    let branches: Vec<_> =
        leaves.chunks(LEAVES).map(|some| node(&some.iter().map(|l| l.0).collect::<Vec<_>>())).collect();
    let root = node(&branches.iter().map(|branch| branch.0).collect::<Vec<_>>());
    let loose = (0..LOOSE).map(|n| raw(format!("loose {n}")));
    let cids = leaves.iter().map(|leaf| leaf.0).collect();
    let head = root.0;
    for (cid, data) in leaves.into_iter().chain(branches).chain([root]).chain(loose) {
        store.put(&cid, data).unwrap();
    }
    store.update(&head, &[]).unwrap();
    (store, cids)
}

/// With damaged and missing leaves.
fn damaged(alone: bool) -> Watched {
    let (mut store, leaves) = filled(alone);
    for (n, cid) in leaves.iter().enumerate() {
        if n % 40 == 25 {
            store.store.delete(cid).unwrap();
            store.store.put_trusted(cid, Bytes::from_static(b"damage")).unwrap();
        } else if n % 40 == 26 {
            store.store.delete(cid).unwrap();
        }
    }
    store.get_is_fine = true;
    store
}

fn assert_many_at_once(store: &Watched, blocks: usize) {
    let (requests, largest) = (store.requests.load(Ordering::Relaxed), store.largest.load(Ordering::Relaxed));
    assert!(requests <= blocks / 8, "{requests} requests for {blocks} blocks");
    assert!((2..=64).contains(&largest), "a request of {largest} blocks");
}

/// Breaks after this many blocks.
fn stop_at(blocks: u64) -> impl FnMut(mnem_storage::Progress) -> ControlFlow<()> {
    move |progress| if progress.blocks == blocks { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

#[test]
fn export() {
    let written = |store: &Watched| {
        let mut archive = Vec::new();
        let result = car::export(store, &mut archive, &ExportOptions::new(), &mut unwatched);
        (archive, result.map_err(|error| error.to_string()))
    };
    let (store, _) = filled(false);
    let expected = written(&filled(true).0);
    assert_eq!(expected.1.as_ref().map(|report| report.blocks), Ok(REACHED as u64));
    assert!(written(&store) == expected, "the same bytes");
    assert_many_at_once(&store, REACHED);
    let expected = written(&damaged(true));
    assert!(expected.1.as_ref().is_err_and(|error| error.contains("cannot export")), "{:?}", expected.1);
    assert!(written(&damaged(false)) == expected, "the same bytes up to the same error");
    let stopped = car::export(&filled(false).0, &mut Vec::new(), &ExportOptions::new(), &mut stop_at(100));
    assert!(matches!(stopped, Err(ExportError::Stopped { blocks: 100 })), "{stopped:?}");
}

#[test]
fn verify() {
    let verified = |store: &Watched, progress: &mut dyn FnMut(mnem_storage::Progress) -> ControlFlow<()>| {
        mnem_storage::verify(store, &VerifyOptions::new(), progress)
    };
    let (store, _) = filled(false);
    let report = verified(&store, &mut unwatched).unwrap();
    assert_eq!((report.blocks, report.reached, report.fault_count), ((REACHED + LOOSE) as u64, REACHED as u64, 0));
    assert_many_at_once(&store, REACHED + LOOSE);
    let (report, expected) =
        (verified(&damaged(false), &mut unwatched).unwrap(), verified(&damaged(true), &mut unwatched).unwrap());
    assert_eq!((report.fault_count, &report.faults), (30, &expected.faults));
    assert_eq!(report, expected);
    let Err(VerifyError::Stopped(report)) = verified(&filled(false).0, &mut stop_at(100)) else { panic!("it went on") };
    assert_eq!(report.blocks, 100);
}

#[test]
fn copies() {
    let ((from, _), (to, leaves)) = (filled(false), filled(false));
    // Some blocks are in the target already, so they are not read.
    leaves.iter().step_by(3).for_each(|cid| to.delete(cid).unwrap());
    let absent = leaves.iter().step_by(3).count() as u64;
    let report = copy(&from, &to, &mut unwatched).unwrap();
    let blocks = (REACHED + LOOSE) as u64;
    assert_eq!((report.blocks, report.new, report.present), (blocks, absent, blocks - absent));
    assert_many_at_once(&from, leaves.iter().step_by(3).count());
    assert_eq!(to.requests.load(Ordering::Relaxed), 0);
    let asked = [&to.absences, &to.questions].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(asked, [0, 2], "before the new blocks are written, and after");
    let to = Watched::default();
    let stopped = copy(&from, &to, &mut stop_at(100)).unwrap_err();
    assert!(matches!(stopped, CopyError::Stopped { blocks: 100, new: 100 }), "{stopped:?}");
    assert_eq!(to.cids().unwrap().count(), 100, "what was counted is there, and no more");
}

#[test]
fn salvage() {
    let salvaged = |from: &Watched| {
        let to = MemoryStore::new();
        mnem_storage::salvage(from, &to, &SalvageOptions::new(), &mut unwatched).unwrap()
    };
    let (from, _) = filled(false);
    let report = salvaged(&from);
    assert_eq!((report.blocks, report.fault_count), ((REACHED + LOOSE) as u64, 0));
    assert_many_at_once(&from, REACHED + LOOSE);
    let report = salvaged(&damaged(false));
    assert_eq!(report.fault_count, 30);
    assert_eq!(report, salvaged(&damaged(true)));
    // A target over a network is not asked for each absent block.
    let to = Watched { get_is_fine: true, ..Watched::default() };
    assert_eq!(mnem_storage::salvage(&damaged(false), &to, &SalvageOptions::new(), &mut unwatched).unwrap(), report);
    assert_eq!(to.absences.load(Ordering::Relaxed), 0);
    assert!(to.questions.load(Ordering::Relaxed) <= BRANCHES + 4, "one for the links of each block, and the heads");
}

#[test]
fn copies_of_what_the_heads_reach() {
    let copied = |from: &Watched| {
        let to = Watched { get_is_fine: from.get_is_fine, ..Watched::default() };
        let result = copy_reachable(from, &to, &ReachableOptions::new(), &mut unwatched);
        if result.is_ok() {
            assert_many_at_once(&to, REACHED);
        }
        result.map_err(|error| error.to_string())
    };
    let (from, _) = filled(false);
    assert_eq!(copied(&from).map(|report| report.copied.new), Ok(REACHED as u64));
    assert_many_at_once(&from, REACHED);
    let expected = copied(&damaged(true));
    assert!(expected.is_err());
    assert_eq!(copied(&damaged(false)), expected);
}

#[test]
fn a_damaged_block_of_either_store_ends_a_copy_with_its_name() {
    let error = copy(&damaged(false), &Watched::default(), &mut unwatched).unwrap_err();
    assert!(matches!(&error, CopyError::Source(error) if matches!(**error, StoreError::Corrupt { .. })), "{error:?}");
    let mut from = filled(false).0;
    from.get_is_fine = true;
    let error = copy_with(&from, &damaged(false), &CopyOptions::new().compare(true), &mut unwatched).unwrap_err();
    assert!(matches!(&error, CopyError::Target(error) if matches!(**error, StoreError::Corrupt { .. })), "{error:?}");
}

/// A store over a network must ask the service before it says that a block is absent.
#[test]
fn no_block_is_asked_for_alone_that_a_remote_target_lacks() {
    let (target, blocks): (_, Vec<_>) = (Watched::default(), (0..200).map(|n| raw(format!("block {n}"))).collect());
    let archive = car(&[blocks[0].0], &blocks);
    for new in [blocks.len() as u64, 0] {
        let report = car::import(&target, &archive[..], &ImportOptions::new(), &mut unwatched).unwrap();
        assert_eq!((report.blocks, report.new), (blocks.len() as u64, new));
    }
    let asked = [&target.absences, &target.requests, &target.questions].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(asked, [0, 0, 2], "one question for each import, and nothing is read");

    // A block that cannot be read is present.
    let target = Watched { get_is_fine: true, ..Watched::default() };
    target.store.put_trusted(&blocks[7].0, Bytes::from_static(b"damage")).unwrap();
    let report = car::import(&target, &archive[..], &ImportOptions::new(), &mut unwatched).unwrap();
    assert_eq!(report.new, blocks.len() as u64 - 1);

    let source = MemoryStore::new();
    source.put_many(&mut blocks.iter().cloned().map(Ok)).unwrap();
    source.update(&blocks[0].0, &[]).unwrap();
    let copies = [
        |source: &MemoryStore, target: &Watched| copy(source, target, &mut unwatched).unwrap().new,
        |source: &MemoryStore, target: &Watched| {
            copy_reachable(source, target, &ReachableOptions::new(), &mut unwatched).unwrap().copied.new
        },
    ];
    for (copy, new) in copies.into_iter().zip([blocks.len() as u64, 1]) {
        let target = Watched::default();
        assert_eq!(copy(&source, &target), new);
        assert_eq!(target.absences.load(Ordering::Relaxed), 0);
    }
}

/// What an import keeps of a block whose hash this build cannot compute must be what the archive says.
#[test]
fn a_remote_target_with_other_bytes_under_an_unknown_hash_is_refused() {
    let target = Watched::default();
    let cid = unknown_hash(1);
    target.store.put_trusted(&cid, Bytes::from_static(b"one")).unwrap();
    let options = ImportOptions::new().keep_unknown_hashes(true);
    let import = |data| car::import(&target, &car(&[], &[(cid, data), raw("beside")])[..], &options, &mut unwatched);
    assert!(matches!(import("other".into()).unwrap_err().store_error(), Some(StoreError::InvalidArgument { .. })));
    assert!(!target.store.has(&raw("beside").0).unwrap());
    assert_eq!(import("one".into()).unwrap().new, 1);
}
