//! What a commit makes of the answers of a service, through the whole client but for the connection.

use std::time::Duration;

use mnem_store_traits::{Blockstore, Bytes, ErrorKind, Outcome, Store, StoreError};

use super::queue::value_cid;
use crate::{
    BucketStore, OpenOptions,
    scripted::{Fate, Scripted},
};

fn open(service: &Scripted) -> BucketStore {
    let options = OpenOptions::new().create(true).lease(Duration::from_millis(2)).retry_pause(Duration::ZERO);
    options.give_up(Duration::from_millis(10)).open_in(service.connect(), "").unwrap()
}

fn put(store: &BucketStore, data: &'static [u8]) -> Result<(), StoreError> {
    store.put(&value_cid(data), Bytes::from_static(data))
}

#[test]
fn a_commit_that_landed_is_acknowledged_whatever_the_answers_say() {
    for fates in [
        vec![Fate::Lands(503), Fate::Fails(403)],
        vec![Fate::Lands(503), Fate::Fails(404)],
        vec![Fate::Lands(500), Fate::Fails(400)],
        vec![Fate::Lands(303)],
        vec![Fate::Lands(408), Fate::Fails(501)],
        vec![Fate::Garbled],
        vec![Fate::Fails(503), Fate::Garbled, Fate::Fails(400)],
    ] {
        let service = Scripted::default();
        let store = open(&service);
        service.then(fates);
        put(&store, b"a").unwrap();
        assert_eq!(store.log_entries().unwrap(), 1, "{:?}", service.names());
        assert!(open(&service).has(&value_cid(b"a")).unwrap());
    }
}

#[test]
fn a_refusal_of_the_first_request_is_final_and_nothing_was_written() {
    for status in [400, 403, 404, 405, 501] {
        let service = Scripted::default();
        let store = open(&service);
        service.then([Fate::Fails(status)]);
        let error = put(&store, b"a").unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied), "{status}: {error}");
        assert!(!store.has(&value_cid(b"a")).unwrap());
        put(&store, b"a").unwrap();
    }
}

/// The request may have landed, and what is in its slot now does not tell.
#[test]
fn a_slot_that_cannot_be_decoded_leaves_the_outcome_unknown() {
    let service = Scripted::default();
    let store = open(&service);
    service.then([Fate::Replaced("rubbish")]);
    let error = put(&store, b"a").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown), "{error}");
    assert!(error.in_full().to_string().contains("damaged"), "{}", error.in_full());
    assert_eq!(put(&store, b"b").unwrap_err().kind(), ErrorKind::Poisoned);
    store.close().unwrap();
}

/// A console makes such an object when somebody makes a folder with it.
#[test]
fn the_object_of_a_folder_is_not_that_of_another_program() {
    let open = |listed| {
        let service = Scripted::default();
        service.list(listed);
        OpenOptions::new().create(true).open_in(service.connect(), "team/mem").map(|_| service.names())
    };
    assert!(open(&["team/mem/"]).unwrap().contains(&"team/mem/mnem".to_owned()));
    assert_eq!(open(&["team/mem/", "team/mem/notes"]).unwrap_err().kind(), ErrorKind::NotAStore);
}
