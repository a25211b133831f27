//! Exported archives: complete, in a fixed order, with the same bytes from every backend.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, Bytes, Cid, MemoryStore, StoreError,
    car::{self, ExportError, ExportErrorKind, ExportOptions, ImportOptions},
    unwatched,
};

use crate::fixtures::{animals, car, cid_with_hash, family, header, node, raw, stores, unknown_hash};

fn export(store: &dyn mnem_storage::Store, options: &ExportOptions) -> Vec<u8> {
    let mut archive = Vec::new();
    let report = car::export(store, &mut archive, options, &mut unwatched).expect("a complete store");
    assert_eq!(report.archive_bytes, archive.len() as u64);
    archive
}

fn filled(archive: &[u8]) -> MemoryStore {
    let store = MemoryStore::new();
    car::import(&store, archive, &ImportOptions::new().heads(true), &mut unwatched).unwrap();
    store
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    assert_eq!(export(&filled(&archive), &ExportOptions::new()), archive);
}

#[test]
fn a_shared_block_comes_once_and_parents_come_first() {
    let (leaf, other) = (raw("leaf"), raw("other"));
    let (left, right) = (node(&[leaf.0]), node(&[leaf.0, other.0]));
    let top = node(&[left.0, right.0, leaf.0]);
    let blocks = [top.clone(), left, leaf.clone(), right, other];
    let store = filled(&car(&[top.0], &blocks));
    assert_eq!(export(&store, &ExportOptions::new()), car(&[top.0], &blocks));
}

#[test]
fn heads_are_named_ascending() {
    let mut heads = [raw("a"), raw("b"), raw("c")];
    let store = filled(&car(&[heads[2].0, heads[0].0, heads[1].0], &heads));
    heads.sort();
    assert_eq!(export(&store, &ExportOptions::new()), car(&heads.clone().map(|head| head.0), &heads));
}

#[test]
fn given_roots_keep_their_order_and_lose_repetitions() {
    let (root, blocks) = family();
    let store = filled(&car(&[root], &blocks));
    let (large, small) = (&blocks[1], &blocks[2]);
    let written = export(&store, &ExportOptions::new().roots([small.0, large.0, small.0]));
    assert_eq!(written, car(&[small.0, large.0], &[small.clone(), large.clone()]));
}

#[test]
fn an_empty_store_gives_an_archive_without_roots() {
    for subject in stores() {
        assert_eq!(export(&*subject.store, &ExportOptions::new()), header(&[]), "{}", subject.name);
    }
}

#[test]
fn a_missing_block_is_named_with_its_parent() {
    let (root, blocks) = family();
    let store = filled(&car(&[root], &blocks));
    store.delete(&blocks[2].0).unwrap();
    let error = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::MissingBlock);
    let ExportError::Block { cid, linked_from, blocks: written, .. } = &error else { panic!("{error:?}") };
    assert_eq!((**cid, linked_from.as_deref(), *written), (blocks[2].0, Some(&root), 2));
    assert!(matches!(error.store_error(), Some(StoreError::MissingBlock { .. })));
    assert!(error.to_string().contains(&format!("block {} (linked from {root})", blocks[2].0)), "{error}");
}

#[test]
fn a_missing_root_is_named() {
    let absent = raw("absent").0;
    let options = ExportOptions::new().roots([absent]);
    let error = car::export(&MemoryStore::new(), io::sink(), &options, &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::MissingBlock);
    assert!(error.to_string().contains(&format!("root {absent}")), "{error}");
}

#[test]
fn a_damaged_block_is_named_with_its_parent() {
    let (root, blocks) = family();
    let store = filled(&car(&[root], &blocks));
    store.delete(&blocks[2].0).unwrap();
    store.put_trusted(&blocks[2].0, Bytes::from_static(b"other bytes")).unwrap();
    let error = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::DamagedBlock);
    let ExportError::Block { cid, linked_from, .. } = &error else { panic!("{error:?}") };
    assert_eq!((**cid, linked_from.as_deref()), (blocks[2].0, Some(&root)));
    assert!(matches!(error.store_error(), Some(StoreError::Corrupt { .. })));
}

/// A second walk looks for the block that links to the damaged one. By then the source has lost a block.
#[test]
fn a_damaged_block_is_named_also_if_the_source_loses_its_parent_meanwhile() {
    let (_, blocks) = family();
    let hurt = blocks[2].clone();
    let parent = node(&[hurt.0]);
    let top = node(&[parent.0]);
    let store = filled(&car(&[top.0], &[top.clone(), parent.clone(), hurt.clone()]));
    store.delete(&hurt.0).unwrap();
    store.put_trusted(&hurt.0, Bytes::from_static(b"other bytes")).unwrap();
    let error = car::export(&store, io::sink(), &ExportOptions::new(), &mut |progress| {
        if progress.blocks == 2 {
            store.delete(&parent.0).unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::DamagedBlock);
    let ExportError::Block { cid, linked_from, blocks: written, .. } = &error else { panic!("{error:?}") };
    assert_eq!((**cid, linked_from.as_deref(), *written), (hurt.0, None, 2));
    assert!(error.to_string().contains(&hurt.0.to_string()), "{error}");
}

/// Imitates a collection during the export. Nothing that the roots reach is left out silently.
#[test]
fn a_block_that_goes_before_it_is_reached_is_named() {
    let (root, blocks) = family();
    for lost in &blocks[1..] {
        let store = filled(&car(&[root], &blocks));
        let error = car::export(&store, io::sink(), &ExportOptions::new(), &mut |progress| {
            if progress.blocks == 0 {
                store.delete(&lost.0).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap_err();
        assert_eq!(error.kind(), ExportErrorKind::MissingBlock);
        assert!(matches!(&error, ExportError::Block { cid, .. } if **cid == lost.0), "{error:?}");
    }
}

#[test]
fn a_block_that_is_no_dag_cbor_is_named() {
    let store = MemoryStore::new();
    let bad = store.put_as(mnem_storage::DAG_CBOR, Bytes::from_static(b"\xff\xff")).unwrap();
    let top = node(&[bad]);
    store.put(&top.0, top.1).unwrap();
    let error = car::export(&store, io::sink(), &ExportOptions::new().roots([top.0]), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::DamagedBlock);
    assert!(matches!(&error, ExportError::Block { linked_from: Some(parent), .. } if **parent == top.0), "{error:?}");
}

#[test]
fn an_identity_link_is_exported_if_it_was_stored() {
    let data = Bytes::from_static(b"inline");
    let identity = cid_with_hash(0x55, 0x00, &data);
    let top = node(&[identity]);
    let store = filled(&car(&[top.0], std::slice::from_ref(&top)));
    let error = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::MissingBlock);
    store.put(&identity, data.clone()).unwrap();
    assert_eq!(export(&store, &ExportOptions::new()), car(&[top.0], &[top, (identity, data)]));
}

#[test]
fn a_block_of_an_unknown_hash_is_written_as_stored() {
    let store = MemoryStore::new();
    let unknown = unknown_hash(4);
    store.put_trusted(&unknown, Bytes::from_static(b"who knows")).unwrap();
    let options = ExportOptions::new().roots([unknown]);
    let report = car::export(&store, io::sink(), &options, &mut unwatched).unwrap();
    assert_eq!((report.blocks, report.unchecked), (1, 1));
}

#[test]
fn more_roots_than_are_read_are_refused() {
    let many = (0..=car::ROOTS_MAX).map(|n| raw(n.to_string()).0);
    let options = ExportOptions::new().roots(many);
    let error = car::export(&MemoryStore::new(), io::sink(), &options, &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::TooManyRoots);
}

/// An import accepts every exported archive. With the maximum number of roots, the longest header is within its limit.
#[test]
fn as_many_roots_as_an_export_writes_are_read() {
    let store = MemoryStore::new();
    // The longest digest, with the longest hash code.
    let longest = |n: usize| {
        let mut digest = [7; 64];
        digest[..8].copy_from_slice(&n.to_be_bytes());
        cid_with_hash(0x55, (1 << 63) - 1, &digest)
    };
    let roots: Vec<Cid> = (0..car::ROOTS_MAX).map(longest).collect();
    roots.iter().for_each(|root| store.put_trusted(root, Bytes::from_static(b"any")).unwrap());
    let mut archive = Vec::new();
    car::export(&store, &mut archive, &ExportOptions::new().roots(roots.iter().copied()), &mut unwatched).unwrap();
    let mut reader = car::Reader::new(&archive[..], car::BLOCK_BYTES_MAX).unwrap();
    assert_eq!(reader.roots().len(), roots.len());
    assert!(reader.roots() == roots);
    assert!(reader.next_section().is_ok());
}

/// Accepts this many bytes and then fails.
struct Full(usize, io::ErrorKind);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(self.1.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_is_an_error_wherever_it_fails() {
    let archive = animals();
    let store = filled(&archive);
    for room in [0, 1, 60, 100_000, archive.len() - 1] {
        let kinds = [
            (io::ErrorKind::StorageFull, ExportErrorKind::Write),
            (io::ErrorKind::BrokenPipe, ExportErrorKind::BrokenPipe),
        ];
        for (failure, expected) in kinds {
            let output = Full(room, failure);
            let error = car::export(&store, output, &ExportOptions::new(), &mut unwatched).unwrap_err();
            assert_eq!(error.kind(), expected, "with room for {room} bytes");
        }
    }
}
