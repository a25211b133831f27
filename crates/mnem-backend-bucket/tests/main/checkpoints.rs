//! Checkpoints: they save requests when a store is opened, and nothing else depends on them.

use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_store_traits::{
    Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch, conformance::Fault,
};

use crate::{
    medium::{Medium, quick},
    protocol::{block, open},
};

/// Commits, each of which replaces the head, deletes the block three before, and writes a row.
pub(crate) fn commit(store: &BucketStore, numbers: std::ops::Range<usize>) {
    let rows = store.side_table("rows").unwrap();
    for n in numbers {
        let (cid, data) = block(n);
        let heads = store.heads().unwrap();
        store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, heads)).unwrap();
        if n % 16 == 15 {
            store.delete(&block(n - 3).0).unwrap();
            rows.write(&[(Bytes::from(vec![(n / 16 % 5) as u8 + 1]), data)], &[]).unwrap();
        }
    }
}

/// What a store answers, in full: the number of entries, heads, names and bytes of blocks, keys and values of rows.
pub(crate) type Answers = (u64, Vec<Cid>, Vec<Cid>, Vec<Option<Bytes>>, Vec<Bytes>, Vec<Option<Bytes>>);

pub(crate) fn answers(store: &BucketStore) -> Answers {
    let cids: Vec<_> = store.cids().unwrap().map(Result::unwrap).collect();
    let blocks: Vec<_> = cids.iter().map(|cid| store.get(cid).unwrap()).collect();
    let rows = store.side_table("rows").unwrap();
    let keys: Vec<_> = rows.keys(b"").unwrap().map(Result::unwrap).collect();
    let values: Vec<_> = keys.iter().map(|key| rows.get(key).unwrap()).collect();
    (store.log_entries().unwrap(), store.heads().unwrap(), cids, blocks, keys, values)
}

pub(crate) fn checkpoints(medium: &Medium) -> Vec<String> {
    medium.names().into_iter().filter(|name| name.starts_with("ckpt/")).collect()
}

/// A store of about 340 entries, with its checkpoints; and what it answers without them.
fn stored() -> (Medium, Vec<String>, Answers) {
    let medium = Medium::default();
    commit(&open(&medium), 0..300);
    let names = checkpoints(&medium);
    assert!(names.len() >= 4, "{names:?}");
    let saved: Vec<_> = names.iter().map(|name| medium.read(name).unwrap()).collect();
    names.iter().for_each(|name| medium.remove(name));
    let expected = answers(&try_open(&medium).unwrap());
    names.iter().zip(saved).for_each(|(name, bytes)| medium.write(name, bytes));
    (medium, names, expected)
}

fn try_open(medium: &Medium) -> Result<BucketStore, StoreError> {
    quick().create(false).open_in(medium.connect(), "")
}

fn requests_of_opening(medium: &Medium) -> u64 {
    let before = medium.requests().0;
    drop(try_open(medium).unwrap());
    medium.requests().0 - before
}

#[test]
fn opening_a_long_log_reads_what_came_after_the_last_checkpoint() {
    let medium = Medium::default();
    let store = open(&medium);
    let mut most = 0;
    for n in 0..1000 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, (n > 0).then(|| block(n - 1).0))).unwrap();
        if n % 100 == 99 {
            most = most.max(requests_of_opening(&medium));
        }
    }
    // At most 63 entries, 16 names after the last one, a chain of checkpoints, and a few more.
    assert!(most <= 63 + 16 + 8 + 5, "{most}");
    // Of the 40 entries after the last checkpoint, 1 + 2 + 4 + 8 + 16 + 16 names are asked for.
    let last = requests_of_opening(&medium);
    assert!(last <= 47 + 6 + 4, "{last}");
    let checkpoints = checkpoints(&medium).len();
    assert!((10..=16).contains(&checkpoints), "{checkpoints}");
    let store = try_open(&medium).unwrap();
    assert_eq!((store.log_entries().unwrap(), store.cids().unwrap().count()), (1000, 1000));
    assert_eq!(store.heads().unwrap(), [block(999).0]);
}

#[test]
fn a_store_answers_the_same_with_and_without_checkpoints() {
    let (medium, names, expected) = stored();
    let store = try_open(&medium).unwrap();
    assert!(answers(&store) == expected);
    // Any of them may be missing.
    for missing in &names {
        let saved = medium.read(missing).unwrap();
        medium.remove(missing);
        assert!(answers(&try_open(&medium).unwrap()) == expected, "{missing}");
        medium.write(missing, saved);
    }
    // A handle that has begun with them goes on, and so does one that begins with its own.
    commit(&store, 300..450);
    let grown = checkpoints(&medium);
    assert!(grown.len() > names.len());
    let with = answers(&try_open(&medium).unwrap());
    grown.iter().for_each(|name| medium.remove(name));
    assert!(answers(&try_open(&medium).unwrap()) == with);
}

#[test]
fn a_checkpoint_that_is_damaged_or_of_another_store_is_passed_over() {
    let (medium, names, expected) = stored();
    let (other, other_names, _) = stored();
    assert_eq!(names, other_names);
    let cheap = requests_of_opening(&medium);
    for (at, name) in names.iter().enumerate() {
        let sound = medium.read(name).unwrap();
        let mut changed = sound.to_vec();
        changed[sound.len() / 2] ^= 1;
        let wrong: [Bytes; 5] = [
            changed.into(),
            sound.slice(..sound.len() - 1),
            Bytes::new(),
            other.read(name).unwrap(),
            medium.read(&names[(at + 1) % names.len()]).unwrap(),
        ];
        for (number, bytes) in wrong.into_iter().enumerate() {
            medium.write(name, bytes);
            assert!(answers(&try_open(&medium).unwrap()) == expected, "{name}, {number}");
        }
        medium.write(name, sound);
    }
    // All of them: the log alone is left.
    names.iter().for_each(|name| medium.write(name, "rubbish"));
    assert!(answers(&try_open(&medium).unwrap()) == expected);
    assert!(requests_of_opening(&medium) > cheap + 100);
    medium.write("ckpt/00000000000000099999-00000000000000000000", "rubbish");
    medium.write("ckpt/notes.txt", "notes");
    assert!(answers(&try_open(&medium).unwrap()) == expected);
}

/// The log was cut: what a checkpoint has seen was acknowledged.
#[test]
fn a_checkpoint_that_is_ahead_of_the_log_is_damage() {
    let (medium, ..) = stored();
    let entries: Vec<_> = medium.names().into_iter().filter(|name| name.starts_with("log/")).collect();
    entries[100..].iter().for_each(|name| medium.remove(name));
    let error = try_open(&medium).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("log/"), "{error}");
    assert!(error.in_full().to_string().contains("checkpoint"), "{}", error.in_full());
}

/// The log was replaced by an older copy of itself, and has gone on from there.
#[test]
fn a_checkpoint_of_another_past_is_passed_over() {
    let (medium, names, _) = stored();
    let entries: Vec<_> = medium.names().into_iter().filter(|name| name.starts_with("log/")).collect();
    let saved: Vec<_> = names.iter().map(|name| medium.read(name).unwrap()).collect();
    entries[40..].iter().for_each(|name| medium.remove(name));
    names.iter().for_each(|name| medium.remove(name));
    commit(&open(&medium), 500..800);
    checkpoints(&medium).iter().for_each(|name| medium.remove(name));
    let expected = answers(&try_open(&medium).unwrap());
    names.iter().zip(saved).for_each(|(name, bytes)| medium.write(name, bytes));
    assert!(answers(&try_open(&medium).unwrap()) == expected);
}

#[test]
fn a_hole_after_a_checkpoint_is_named() {
    let (medium, names, _) = stored();
    let last: u64 = names.last().unwrap()["ckpt/".len()..][..20].parse().unwrap();
    let name = format!("log/{:020}.car", last + 1);
    medium.remove(&name);
    let error = try_open(&medium).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains(&name), "{error}");
}

/// A commit has landed, whatever becomes of the checkpoint after it.
#[test]
fn a_checkpoint_that_cannot_be_written_is_no_error() {
    let medium = Medium::default();
    let store = open(&medium);
    for n in 0..63 {
        let (cid, data) = block(n);
        store.put(&cid, data).unwrap();
    }
    medium.set_fault(Some(Fault::WritesAfter(1)));
    let (cid, data) = block(63);
    store.put(&cid, data).unwrap();
    medium.set_fault(None);
    assert!(checkpoints(&medium).is_empty());
    commit(&store, 64..140);
    assert_eq!(checkpoints(&medium).len(), 1);
    assert_eq!(try_open(&medium).unwrap().cids().unwrap().count(), 136);
}

/// Handles that write in turn share their checkpoints.
#[test]
fn several_writers_write_no_more_checkpoints_than_one() {
    let medium = Medium::default();
    let handles = [open(&medium), open(&medium), open(&medium)];
    for n in 0..300 {
        let (cid, data) = block(n);
        handles[n % 3].put(&cid, data).unwrap();
    }
    assert!(checkpoints(&medium).len() <= 5, "{:?}", checkpoints(&medium));
    let reader = OpenOptions::new().read_only(true).open_in(medium.connect(), "").unwrap();
    assert_eq!(reader.cids().unwrap().count(), 300);
}
