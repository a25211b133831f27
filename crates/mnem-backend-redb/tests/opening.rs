//! The calls to the medium of an open, of reads, of one write and of a close.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use mnem_backend_redb::{Check, OpenOptions, RedbStore};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::support::{Call, Change, FakeMedium, block, kind_of, large_block};

const CHANGES: [Call; 3] = [Call::Write, Call::Sync, Call::SetLen];

const PATIENCE: Duration = Duration::from_secs(20);

fn open(medium: &FakeMedium) -> RedbStore {
    OpenOptions::new().open_medium(medium.clone(), "medium").expect("open")
}

/// The bytes of a store, closed or left open, with room for small commits.
fn sample(closed: bool) -> FakeMedium {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    for n in 0..20 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
    }
    for n in 0..8 {
        let (cid, data) = large_block(n, 20_000);
        store.put(&cid, data).expect("put");
        store.delete(&cid).expect("delete");
    }
    if closed {
        store.close().expect("close");
    }
    FakeMedium::of(medium.bytes())
}

#[test]
fn a_handle_that_only_reads_changes_nothing_of_a_file_that_was_closed() {
    let medium = sample(true);
    let before = medium.bytes();
    for _ in 0..2 {
        let store = open(&medium);
        assert_eq!(store.heads().expect("heads").len(), 20);
        for n in 0..20 {
            assert_eq!(store.get(&block(n).0).expect("get"), Some(block(n).1));
        }
        assert_eq!(store.cids().expect("cids").count(), 20);
        store.close().expect("close");
        assert_eq!(CHANGES.map(|call| medium.count(call)), [0; 3]);
    }
    assert!(medium.bytes() == before && medium.closed() >= 2);
}

/// Syncs of a close: two, and a third after truncating pages that had been written.
fn closing_syncs(changes: &[Change]) -> usize {
    let first_sync = changes.iter().position(|change| matches!(change, Change::Sync)).expect("a sync");
    2 + usize::from(changes[first_sync..].iter().any(|change| matches!(change, Change::SetLen(_))))
}

fn syncs(changes: &[Change]) -> usize {
    changes.iter().filter(|change| matches!(change, Change::Sync)).count()
}

#[test]
fn a_handle_that_writes_once_makes_five_syncs_at_most() {
    let medium = sample(true);
    let (mut lengthened, mut cut) = (0, 0);
    for n in 100..130 {
        let before = medium.changes().len();
        let store = open(&medium);
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
        let committed = medium.changes().len();
        store.close().expect("close");
        let changes = medium.changes();
        let (commit, close) = (&changes[before..committed], &changes[committed..]);
        let longer = commit.iter().any(|change| matches!(change, Change::SetLen(_)));
        assert_eq!(syncs(commit), 2 + usize::from(longer), "{n}: one more for the length");
        assert_eq!(syncs(close), closing_syncs(close), "{n}");
        assert!(syncs(commit) + syncs(close) <= 5, "{n}");
        lengthened += usize::from(longer);
        cut += usize::from(syncs(close) > 2);
    }
    assert!(lengthened > 0 && cut > 0, "{lengthened} of the commits made the file longer, {cut} closings cut it");
    assert_eq!(open(&medium).heads().expect("heads").len(), 50);
}

/// What a power cut may leave of unsynced writes.
#[derive(Clone, Copy, Debug)]
enum Left {
    Headers,
    AllButHeaders,
    Lengths,
    AllButLengths,
}

const LEFT: [Left; 4] = [Left::Headers, Left::AllButHeaders, Left::Lengths, Left::AllButLengths];

impl Left {
    fn has(self, change: &Change) -> bool {
        match self {
            Self::Headers => matches!(change, Change::Write(0, _)),
            Self::AllButHeaders => !matches!(change, Change::Write(0, _)),
            Self::Lengths => matches!(change, Change::SetLen(_)),
            Self::AllButLengths => !matches!(change, Change::SetLen(_)),
        }
    }

    /// The file after these changes and a power cut.
    fn file(self, before: &[u8], changes: &[Change]) -> FakeMedium {
        let synced = changes.iter().rposition(|change| matches!(change, Change::Sync)).map_or(0, |n| n + 1);
        let mut bytes = before.to_vec();
        for (n, change) in changes.iter().enumerate() {
            if n < synced || self.has(change) {
                change.apply(&mut bytes);
            }
        }
        FakeMedium::of(bytes)
    }
}

#[test]
fn a_power_cut_in_the_life_of_a_handle_loses_nothing() {
    cut_everywhere(&OpenOptions::new());
    // Without a cache, pages reach the medium before the header does.
    cut_everywhere(&OpenOptions::new().cache_bytes(0));
}

/// Cuts the power at every point of small and large writes of one handle and its close.
fn cut_everywhere(options: &OpenOptions) {
    let medium = sample(true);
    let before = medium.bytes();
    let store = options.open_medium(medium.clone(), "medium").expect("open");
    let mut acknowledged = vec![(0, block(0))];
    for (cid, data) in [large_block(1, 60_000), block(100), large_block(2, 400_000)] {
        store.put(&cid, data.clone()).expect("put");
        acknowledged.push((medium.changes().len(), (cid, data)));
    }
    // Closing truncates these pages, which recovery of the last commit still reads.
    store.delete(&large_block(2, 400_000).0).expect("delete");
    acknowledged.pop();
    store.close().expect("close");
    let changes = medium.changes();
    for (cut, left) in (0..=changes.len()).flat_map(|cut| LEFT.map(|left| (cut, left))) {
        let context = format!("{left:?} after {cut} of {}", changes.len());
        let store = OpenOptions::new().open_medium(left.file(&before, &changes[..cut]), "medium").expect(&context);
        for (_, (cid, data)) in acknowledged.iter().filter(|(since, _)| *since <= cut) {
            assert_eq!(store.get(cid).expect(&context).as_ref(), Some(data), "{context}");
        }
        assert_eq!(store.heads().expect(&context).len(), 20, "{context}");
        store.put(&block(102).0, block(102).1).expect(&context);
    }
}

/// The next handle finds unsynced writes of the last one, trusts a file that looks closed, and writes to pages that
/// this file has free.
#[test]
fn a_file_that_looks_closed_is_durable_wherever_its_last_handle_was_killed() {
    let medium = sample(true);
    let before = medium.bytes();
    let (cid, data) = large_block(1, 60_000);
    let store = open(&medium);
    store.put(&cid, data.clone()).expect("put");
    let acknowledged = medium.changes().len();
    store.close().expect("close");
    let first = medium.changes();
    let mut looked_closed = 0;
    for killed in acknowledged..=first.len() {
        let mut found = before.clone();
        first[..killed].iter().for_each(|change| change.apply(&mut found));
        let medium = FakeMedium::of(found);
        let store = open(&medium);
        looked_closed += usize::from(medium.changes().is_empty());
        store.put(&block(100).0, block(100).1).expect("put");
        let second = medium.changes();
        for cut in 0..=second.len() {
            let changes = [&first[..killed], &second[..cut]].concat();
            for left in LEFT {
                let context = format!("killed after {killed}, {left:?} after {cut}");
                let store = OpenOptions::new().open_medium(left.file(&before, &changes), "medium").expect(&context);
                assert_eq!(store.get(&cid).expect(&context).as_ref(), Some(&data), "{context}");
                assert_eq!(store.heads().expect(&context).len(), 20, "{context}");
                store.put(&block(101).0, block(101).1).expect(&context);
            }
        }
    }
    assert_eq!(looked_closed, 1, "only the last change makes it look closed");
}

#[test]
fn what_an_unclean_file_holds_is_durable_before_it_is_read() {
    for check in [Check::Auto, Check::Always, Check::Pages, Check::Never] {
        for fast_recovery in [false, true] {
            let medium = sample(false);
            let options = OpenOptions::new().check(check).fast_recovery(fast_recovery);
            let store = options.open_medium(medium.clone(), "medium").expect("open");
            assert!(medium.count(Call::Sync) > 0, "{check:?}");
            assert_eq!(store.heads().expect("heads").len(), 20);
        }
    }
}

#[test]
fn what_is_acknowledged_without_a_commit_is_durable() {
    // Another program may have written the file and synced nothing.
    type Write = fn(&RedbStore) -> Result<(), StoreError>;
    let writes: [(&str, Write, u64); 4] = [
        ("a put of a block that is there", |store| store.put(&block(3).0, block(3).1), 0),
        ("an update to a head that is there", |store| store.update(&block(3).0, &[]), 1),
        ("a delete of a block that is not there", |store| store.delete(&block(500).0), 0),
        ("a commit of what is there", |store| store.commit(WriteBatch::new().put(block(3).0, block(3).1)), 0),
    ];
    for (name, write, changes) in writes {
        let medium = sample(true);
        let store = open(&medium);
        write(&store).expect(name);
        assert_eq!(medium.count(Call::Sync), 1, "{name}");
        assert_eq!(medium.count(Call::Write), changes, "{name}");
        write(&store).expect(name);
        assert_eq!(medium.count(Call::Sync), 1, "{name}, again");
        store.close().expect("close");
        assert_eq!(open(&medium).heads().expect("heads").len(), 20);
    }
}

#[test]
fn a_write_that_finds_its_work_done_and_cannot_make_it_durable_fails() {
    let medium = sample(true);
    let store = open(&medium);
    medium.fail(Call::Sync, 0);
    assert_eq!(kind_of(store.put(&block(3).0, block(3).1)), ErrorKind::Backend);
    assert_eq!(kind_of(store.put(&block(3).0, block(3).1)), ErrorKind::Poisoned);
    assert_eq!(store.get(&block(3).0).expect("reads go on"), Some(block(3).1));
}

#[test]
fn a_first_write_that_cannot_begin_poisons_the_handle_and_reads_go_on() {
    for (call, n) in [(Call::Write, 0), (Call::Sync, 0), (Call::Sync, 1)] {
        let medium = sample(true);
        let store = open(&medium);
        medium.fail(call, n);
        let error = store.put(&block(100).0, block(100).1).expect_err("a planted failure");
        assert_eq!(error.kind(), ErrorKind::Backend, "{call:?}: {error:?}");
        assert_eq!(kind_of(store.put(&block(101).0, block(101).1)), ErrorKind::Poisoned, "{call:?}");
        for n in 0..20 {
            assert_eq!(store.get(&block(n).0).expect("reads go on"), Some(block(n).1), "{call:?}");
        }
        drop(store);
        let store = open(&medium);
        assert_eq!(store.heads().expect("heads").len(), 20, "{call:?}");
        store.put(&block(100).0, block(100).1).expect("good as new");
    }
}

#[test]
fn closing_that_fails_is_told_and_loses_nothing() {
    for call in CHANGES {
        for n in 0.. {
            let medium = sample(true);
            let store = open(&medium);
            let (cid, data) = large_block(1, 100_000);
            store.put(&cid, data.clone()).expect("put");
            medium.fail(call, n);
            let closed = store.close();
            assert_eq!(closed.is_err(), medium.has_fired(call), "{call:?} {n}: {closed:?}");
            drop(store);
            medium.fail(call, -1);
            let store = open(&medium);
            assert_eq!(store.get(&cid).expect("get"), Some(data), "{call:?} {n}");
            assert_eq!(store.heads().expect("heads").len(), 20, "{call:?} {n}");
            if closed.is_ok() {
                assert!(n > 0 || call == Call::SetLen, "no {call:?} ever failed");
                break;
            }
        }
    }
}

/// Concurrent writes of a handle that has not written yet, during each sync of its first write.
#[test]
fn reads_go_on_while_a_handle_begins_to_write() {
    let medium = FakeMedium::of(sample(true).bytes());
    // Without a cache, every read reaches the medium.
    let options = OpenOptions::new().cache_bytes(0);
    let store = options.open_medium(medium.clone(), "medium").expect("open");
    let blocks: Vec<_> = (0..20).map(|n| large_block(n, 20_000)).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("put");
    store.close().expect("close");
    let syncs = medium.count(Call::Sync);
    let store = Arc::new(options.open_medium(medium.clone(), "medium").expect("open"));
    let (ask, asked) = mpsc::channel::<mpsc::Sender<usize>>();
    let reader = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            for answer in asked {
                let there = blocks.iter().filter(|(cid, _)| store.get(cid).is_ok_and(|data| data.is_some())).count();
                answer.send(there).expect("somebody asked");
            }
        })
    };
    let ask = Mutex::new(ask);
    medium.at_sync(move || {
        let (answer, answered) = mpsc::channel();
        ask.lock().expect("no panic").send(answer).expect("a reader");
        assert_eq!(answered.recv_timeout(PATIENCE).expect("no read waits for a sync"), 20);
    });
    let (cid, data) = large_block(100, 400_000);
    store.put(&cid, data).expect("put");
    medium.at_sync(|| ());
    reader.join().expect("no panic");
    assert!(medium.count(Call::Sync) >= syncs + 3, "the length, and the commit's two");
}
