//! Errors on their way to the engine.

use std::io;

use mnem_core::{
    error::StoreError as CoreError,
    id::{CODEC_DAG_CBOR, Cid as CoreCid, Multihash},
    store::{Blockstore as _, OpHeadsStore as _},
};
use mnem_core_bridge::{core_cid, core_error};
use mnem_store_traits::{Blockstore as _, Bytes, Cause, MemoryStore, RAW, StoreError, cid_of};

use crate::support::{Watched, block, full, ours, patient};

#[test]
fn wrong_bytes_are_a_mismatch() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let wrong = Bytes::from_static(b"other bytes");
    match bridge.put(block(1).0, wrong.clone()).unwrap_err() {
        CoreError::CidMismatch { claimed, computed } => {
            assert_eq!(claimed, block(1).0);
            assert_eq!(computed, core_cid(&cid_of(RAW, &wrong)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bridge.staged_bytes(), 0);
}

/// `put_trusted` trusts its caller; reading does not.
#[test]
fn damage_is_corruption_staged_and_landed() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let (cid, _) = block(1);
    bridge.put_trusted(cid.clone(), Bytes::from_static(b"other bytes")).unwrap();
    for _ in 0..2 {
        match bridge.get(&cid).unwrap_err() {
            CoreError::Corruption { cid: damaged, detail } => {
                assert_eq!(damaged, cid.to_string());
                assert!(detail.contains("damaged"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        bridge.flush().unwrap();
    }
}

#[test]
fn an_unknown_hash_is_refused_unless_trusted() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let cid = CoreCid::new(CODEC_DAG_CBOR, Multihash::wrap(0xb240, &[7; 32]).unwrap());
    let refused = bridge.put(cid.clone(), Bytes::from_static(b"data")).unwrap_err();
    assert!(matches!(&refused, CoreError::Io(text) if text.contains("hash function 0xb240")), "{refused}");
    bridge.put_trusted(cid.clone(), Bytes::from_static(b"data")).unwrap();
    assert_eq!(bridge.get(&cid).unwrap(), Some(Bytes::from_static(b"data")));
}

#[test]
fn the_text_of_every_cause_is_kept() {
    let cause = Cause::new(io::Error::other("the disk said no"));
    let poisoned = StoreError::Poisoned { backend: "redb", source: cause.clone() };
    let nested = StoreError::Poisoned { backend: "redb", source: Cause::new(full()) };
    let missing = StoreError::MissingBlock { cid: ours(&block(1).0), linked_from: Some(Box::new(ours(&block(2).0))) };
    let told = |error| match core_error(error) {
        CoreError::Io(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(poisoned), "redb store refuses writes after a failed write: close and reopen it: the disk said no");
    assert!(told(nested).ends_with(": watched store failed to commit: the disk is full"));
    let missing = told(missing);
    assert!(missing.contains(&block(1).0.to_string()) && missing.contains(&block(2).0.to_string()), "{missing}");
}

#[test]
fn an_absence_is_an_answer_and_an_error_of_a_walk() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let (cid, _) = block(1);
    assert_eq!(bridge.get(&cid).unwrap(), None);
    assert!(!bridge.has(&cid).unwrap());
    bridge.delete(&cid).unwrap();
    let walked: Vec<_> = bridge.iter_from_root(&cid).collect();
    assert!(matches!(&walked[..], [Err(CoreError::NotFound { cid: absent })] if *absent == cid), "{walked:?}");
}

#[test]
fn a_closed_store_is_an_error_of_every_call() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    bridge.close().unwrap();
    let (cid, data) = block(1);
    let texts = [
        bridge.get(&cid).unwrap_err(),
        bridge.has(&cid).unwrap_err(),
        bridge.put(cid.clone(), data.clone()).unwrap_err(),
        bridge.put_trusted(cid.clone(), data.clone()).unwrap_err(),
        bridge.batch_put(&mut [(cid.clone(), data)].into_iter()).unwrap_err(),
        bridge.delete(&cid).unwrap_err(),
        bridge.all_cids().unwrap_err(),
        bridge.current().unwrap_err(),
        bridge.update(cid, &[]).unwrap_err(),
    ]
    .map(|error| error.to_string());
    assert!(texts.iter().all(|text| text.contains("store is closed: cannot")), "{texts:#?}");
    assert!(MemoryStore::new().get(&ours(&block(1).0)).unwrap().is_none());
}
