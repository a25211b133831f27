//! The protocol where no law looks: requests are counted, and errors that cannot pass end at once.

use std::{
    io,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use mnem_backend_bucket::{BucketStore, Freshness, OpenOptions};
use mnem_store_traits::{
    Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Outcome, RAW, Retry, Store, StoreError, WriteBatch, cid_of,
    conformance::Fault, driver::ServiceFault,
};
use object_store::{Error, memory::InMemory};

use crate::medium::{Careless, Medium, Refusing, quick};

pub(crate) fn block(n: usize) -> (Cid, Bytes) {
    let data = Bytes::from(format!("block {n}"));
    (cid_of(RAW, &data), data)
}

pub(crate) fn open(medium: &Medium) -> BucketStore {
    quick().open_in(medium.connect(), "").unwrap()
}

fn put(store: &BucketStore, n: usize) -> Result<(), StoreError> {
    let (cid, data) = block(n);
    store.put(&cid, data)
}

#[test]
fn a_commit_is_one_request_and_a_walk_asks_for_nothing() {
    let medium = Medium::default();
    let store = quick().lease(Duration::from_secs(3600)).open_in(medium.connect(), "").unwrap();
    let (requests, puts) = medium.requests();
    for n in 0..10 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    }
    assert_eq!(medium.requests(), (requests + 10, puts + 10));
    (0..10).for_each(|n| assert_eq!(store.get(&block(n).0).unwrap(), Some(block(n).1)));
    assert_eq!(medium.requests(), (requests + 10, puts + 10));
    // What is absent, and the heads, are asked for.
    assert!(!store.has(&block(10).0).unwrap());
    assert_eq!(store.heads().unwrap().len(), 10);
    assert_eq!(medium.requests(), (requests + 12, puts + 10));
    assert_eq!(store.log_entries().unwrap(), 10);
}

#[test]
fn always_fresh_asks_at_each_read() {
    let medium = Medium::default();
    let options = quick().lease(Duration::from_secs(3600)).freshness(Freshness::Always);
    let store = options.open_in(medium.connect(), "").unwrap();
    put(&store, 1).unwrap();
    let (requests, _) = medium.requests();
    (0..5).for_each(|_| assert!(store.has(&block(1).0).unwrap()));
    assert_eq!(medium.requests().0, requests + 5);
}

#[test]
fn refused_calls_and_repeated_ones_write_nothing() {
    let medium = Medium::default();
    let store = open(&medium);
    let (cid, data) = block(1);
    store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).unwrap();
    let (_, puts) = medium.requests();
    let moved = store.swap(&[], &cid).unwrap_err();
    assert_eq!(moved.kind(), ErrorKind::HeadsMoved);
    let missing = store.commit(WriteBatch::new().require(block(2).0).update(cid, [])).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MissingBlock);
    assert_eq!(store.put(&cid, block(2).1).unwrap_err().kind(), ErrorKind::CidMismatch);
    store.put(&cid, data).unwrap();
    store.update(&cid, &[cid]).unwrap();
    store.delete(&block(3).0).unwrap();
    assert_eq!(medium.requests().1, puts);
}

/// What another handle did since is seen before the answer "there is nothing to do" or "no".
#[test]
fn a_call_that_writes_nothing_is_judged_by_the_end_of_the_log() {
    let medium = Medium::default();
    let lease = quick().lease(Duration::from_secs(1));
    let (one, two) = (lease.open_in(medium.connect(), "").unwrap(), lease.open_in(medium.connect(), "").unwrap());
    put(&one, 1).unwrap();
    assert!(two.has(&block(1).0).unwrap());
    let (cid, data) = block(1);
    one.delete(&cid).unwrap();
    two.put(&cid, data).unwrap();
    assert!(one.has(&cid).unwrap());
    one.update(&cid, &[]).unwrap();
    assert_eq!(two.swap(&[], &block(2).0).unwrap_err().kind(), ErrorKind::HeadsMoved);
    two.swap(&[cid], &block(2).0).unwrap();
}

/// A block that another handle deleted is sent again by the commit that thought it present.
#[test]
fn a_commit_that_skips_a_block_which_is_deleted_meanwhile_sends_it() {
    let medium = Medium::default();
    let (one, two) = (open(&medium), open(&medium));
    put(&one, 1).unwrap();
    assert!(two.has(&block(1).0).unwrap());
    one.delete(&block(1).0).unwrap();
    let mut batch = WriteBatch::new();
    batch.require(block(1).0).update(block(2).0, []);
    assert_eq!(two.commit(&batch).unwrap_err().kind(), ErrorKind::MissingBlock);
    let (cid, data) = block(1);
    two.commit(batch.put(cid, data)).unwrap();
    assert!(one.has(&cid).unwrap());
}

#[test]
fn many_handles_on_a_hostile_medium_lose_no_head() {
    let medium = Medium::hostile();
    let options = quick().give_up(Duration::from_secs(20));
    let (handles, commits) = (4, 6);
    let start = Barrier::new(handles);
    thread::scope(|scope| {
        for handle in 0..handles {
            let (medium, options, start) = (&medium, &options, &start);
            scope.spawn(move || {
                let store = options.open_in(medium.connect(), "").unwrap();
                start.wait();
                for n in 0..commits {
                    let (cid, data) = block(handle * commits + n);
                    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
                }
            });
        }
    });
    let store = options.open_in(medium.connect(), "").unwrap();
    assert_eq!(store.heads().unwrap().len(), handles * commits);
    // No commit landed twice.
    assert_eq!(store.log_entries().unwrap(), (handles * commits) as u64);
}

/// Taken for that of another writer, its own entry would make the swap fail.
#[test]
fn a_swap_whose_answer_is_lost_has_landed_once() {
    let medium = Medium::default();
    let store = open(&medium);
    let mut heads = Vec::new();
    for (n, fault) in [Fault::AnswerLost(0), Fault::RequestRefused(0), Fault::FalseConflict(0)].into_iter().enumerate()
    {
        medium.set_fault(Some(fault));
        let (new, _) = block(n);
        store.swap(&heads, &new).unwrap();
        heads = vec![new];
        assert_eq!(store.log_entries().unwrap(), n as u64 + 1);
        assert_eq!(open(&medium).heads().unwrap(), heads);
    }
}

#[test]
fn an_unknown_outcome_poisons_and_reads_go_on() {
    let medium = Medium::default();
    let store = open(&medium);
    put(&store, 1).unwrap();
    medium.set_fault(Some(Fault::WritesAfter(0)));
    let error = put(&store, 2).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown));
    medium.set_fault(None);
    let refused = put(&store, 3).unwrap_err();
    assert_eq!((refused.kind(), refused.retry()), (ErrorKind::Poisoned, Some(Retry::Reopen)));
    assert!(store.has(&block(1).0).unwrap());
    put(&open(&medium), 3).unwrap();
    assert!(store.has(&block(3).0).unwrap());
}

/// A repetition would end with an outcome that is unknown.
#[test]
fn an_error_that_cannot_pass_ends_at_once() {
    fn of_folder(kind: io::ErrorKind) -> Error {
        Error::Generic { store: "LocalFileSystem", source: io::Error::from(kind).into() }
    }
    let refusals: [fn() -> Error; 7] = [
        || Error::PermissionDenied { path: "log".into(), source: "403".into() },
        || Error::Unauthenticated { path: "log".into(), source: "401".into() },
        || Error::NotImplemented { operation: "put".into(), implementer: "planted".into() },
        || of_folder(io::ErrorKind::PermissionDenied),
        || of_folder(io::ErrorKind::ReadOnlyFilesystem),
        || of_folder(io::ErrorKind::StorageFull),
        || of_folder(io::ErrorKind::QuotaExceeded),
    ];
    for refusal in refusals {
        let service = Arc::new(Refusing::default());
        let options = quick().give_up(Duration::from_secs(5));
        let store = options.open_in(service.clone(), "").unwrap();
        put(&store, 1).unwrap();
        service.refuse_writes(Some(refusal));
        let error = put(&store, 2).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied));
        assert!(store.has(&block(1).0).unwrap());
        service.refuse_writes(None);
        put(&store, 2).unwrap();
    }
}

#[test]
fn a_service_that_ignores_the_condition_is_refused() {
    // Also if the answers to the first writes of the probe are lost.
    for lost in 0..4 {
        let service = Arc::new(Careless::losing(lost));
        let error = quick().give_up(Duration::from_secs(5)).open_in(service.clone(), "a").unwrap_err();
        let StoreError::Backend { source, .. } = &error else { panic!("{error}") };
        assert!(matches!(source.downcast_ref(), Some(ServiceFault::NoCreateIfAbsent)), "{source}");
        assert!(source.to_string().contains("If-None-Match"), "{source}");
        assert_eq!(OpenOptions::new().open_in(service, "a").unwrap_err().kind(), ErrorKind::NotAStore);
    }
}

/// The request may have gone out before.
#[test]
fn a_request_whose_thread_panics_has_an_unknown_outcome() {
    let service = Arc::new(Refusing::default());
    let store = quick().open_in(service.clone(), "").unwrap();
    service.refuse_writes(Some(|| panic!("planted")));
    let error = put(&store, 1).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown));
    assert_eq!(put(&store, 1).unwrap_err().kind(), ErrorKind::Poisoned);
}

/// A handle blocks its thread only, whatever that thread runs.
#[test]
fn it_works_inside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = quick().open_in(Arc::new(InMemory::new()), "").unwrap();
        put(&store, 1).unwrap();
        assert!(store.has(&block(1).0).unwrap());
    });
}

/// A delete returns only after every lease that began before it.
#[test]
fn a_delete_waits_for_leases_also_when_another_handle_has_just_deleted() {
    let medium = Medium::default();
    let options = quick().lease(Duration::from_millis(300));
    let [deleter, reader, late] = [(); 3].map(|()| options.open_in(medium.connect(), "").unwrap());
    put(&deleter, 1).unwrap();
    let (cid, _) = block(1);
    assert!(reader.has(&cid).unwrap());
    deleter.delete(&cid).unwrap();
    assert!(!reader.has(&cid).unwrap());
    put(&deleter, 1).unwrap();
    assert!(reader.has(&cid).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| deleter.delete(&cid).unwrap());
        while late.has(&cid).unwrap() {
            thread::yield_now();
        }
        // It finds nothing to delete, and the reader's lease has begun before.
        late.delete(&cid).unwrap();
        assert!(!reader.has(&cid).unwrap());
    });
}

#[test]
fn a_call_above_the_limits_is_refused() {
    let store = open(&Medium::default());
    let data = Bytes::from(vec![0; 64 << 20]);
    let mut batch = WriteBatch::new();
    (0..17).for_each(|n| {
        batch.put_trusted(block(n).0, data.clone());
    });
    assert_eq!(store.commit(&batch).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let many = (0..=1 << 18).map(|n| Ok(block(n)));
    assert_eq!(store.put_many(&mut { many }).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(store.log_entries().unwrap(), 0);
}

#[test]
fn a_medium_without_answers_is_a_named_error() {
    let medium = Medium::default();
    let store = open(&medium);
    medium.set_fault(Some(Fault::Reads));
    let error = store.heads().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Backend);
    assert!(error.to_string().contains("log/00000000000000000000.car"), "{error}");
    assert!(io::Error::other(error).to_string().contains("bucket"));
}
