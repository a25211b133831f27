//! Adoption: the verdicts and the content of an import, in the order of the archive.

use std::{
    fs::{self, File},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    ops::ControlFlow,
};

use mnem_storage::{
    Blockstore, Cid, DRIVERS, ErrorKind, MemoryStore, OpHeadsStore, OpenOptions, Store, WriteBatch,
    car::{self, ImportError, ImportErrorKind, ImportOptions, ImportReport, Kept},
    driver::ManagedStore,
    unwatched, verify,
};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use crate::fixtures::{ANIMALS_BLOCKS, Block, animals, animals_root, car, car_v2, family, framed, raw, unknown_hash};

fn heads() -> ImportOptions {
    ImportOptions::new().heads(true)
}

/// A new log in a folder of its own.
fn log() -> (Box<dyn ManagedStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = OpenOptions::new().create(true).open_managed(folder.path().join("s.carlog")).unwrap();
    (store, folder)
}

/// Everything that a caller is told.
type Told = Result<ImportReport, (ImportErrorKind, Kept, Option<u64>, String)>;

fn told(result: Result<ImportReport, ImportError>) -> Told {
    result.map_err(|error| (error.kind(), error.kept(), error.offset(), error.to_string()))
}

fn content(store: &dyn Store) -> (Vec<Cid>, Vec<Cid>) {
    let mut cids: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
    cids.sort();
    // Reading checks the bytes.
    cids.iter().for_each(|cid| drop(store.get(cid).unwrap().expect("a listed block")));
    (cids, store.heads().unwrap())
}

/// Imports into one store and adopts into another, both with these blocks and the first of them as a head, and
/// checks that result and content are the same.
pub(crate) fn is_as_imported(before: &[Block], archive: &[u8], options: &ImportOptions) -> Told {
    let (imported, (adopted, _folder)) = (MemoryStore::new(), log());
    if let [(head, _), ..] = before {
        let mut batch = WriteBatch::new();
        for (cid, data) in before {
            batch.put_trusted(*cid, data.clone());
        }
        batch.update(*head, []);
        imported.commit(&batch).unwrap();
        adopted.commit(&batch).unwrap();
    }
    let expected = told(car::import(&imported, archive, options, &mut unwatched));
    let result = told(car::adopt(&*adopted, archive, options, &mut unwatched));
    assert_eq!(result, expected);
    assert_eq!(content(&*adopted), content(&imported));
    result
}

#[test]
fn an_adopted_archive_is_stored_as_an_imported_one_in_its_own_order() {
    let report = is_as_imported(&[], &animals(), &heads()).unwrap();
    assert_eq!((report.new, report.heads_set), (ANIMALS_BLOCKS, vec![animals_root()]));
    // A log lists its blocks in their order.
    let in_archive = {
        let archive = animals();
        let mut reader = car::Reader::new(&archive[..], car::BLOCK_BYTES_MAX).unwrap();
        std::iter::from_fn(|| reader.next_offsets().unwrap()).map(|section| section.cid).collect::<Vec<_>>()
    };
    for batch_bytes in [30_000, u64::MAX] {
        let (store, _folder) = log();
        let options = heads().complete(true).batch_bytes(batch_bytes);
        car::adopt(&*store, &animals()[..], &options, &mut unwatched).unwrap();
        let listed: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
        assert!(listed == in_archive, "by {batch_bytes}");
        assert_eq!(verify(&*store, &Default::default(), &mut unwatched).unwrap().fault_count, 0);
    }
}

#[test]
fn odd_and_faulty_archives_get_the_verdict_of_an_import_and_leave_the_same() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    let twice: Vec<Block> = blocks.iter().chain(&blocks).cloned().collect();
    let wrong = [blocks[0].clone(), (blocks[1].0, "other bytes".into()), blocks[2].clone()];
    let unknown = [raw("known"), (unknown_hash(1), "unchecked".into()), raw("known too")];
    let other_bytes = [unknown[1].clone(), raw("between"), (unknown_hash(1), "other bytes".into())];
    let after = |rest: &[u8]| [&archive[..], rest].concat();
    let archives = [
        ("an ordinary one", archive.clone(), true),
        ("CARv2", car_v2(&archive), true),
        ("duplicates", car(&[root], &twice), true),
        ("a root without a block", car(&[raw("absent").0], &blocks), false),
        ("no archive", b"hello, world".to_vec(), false),
        ("nothing", Vec::new(), false),
        ("another version", framed(b"\xa1\x67version\x03"), false),
        ("cut off", archive[..archive.len() - 1].to_vec(), false),
        ("CARv2 of one that is cut off", car_v2(&archive[..archive.len() - 1]), false),
        ("trailing zero", after(b"\0"), false),
        ("trailing bytes", after(b"\n"), false),
        ("a second archive", after(&archive), false),
        ("a length without an end", after(b"\x80\0"), false),
        ("a large length", after(b"\xff\xff\xff\x7f"), false),
        ("wrong bytes", car(&[root], &wrong), false),
        ("an unknown hash function", car(&[root], &unknown), false),
        ("other bytes under one unknown hash", car(&[], &other_bytes), false),
    ];
    for before in [vec![], vec![raw("there before"), blocks[1].clone(), unknown[1].clone()]] {
        for (what, archive, is_legal) in &archives {
            for batch_bytes in [1, u64::MAX] {
                let options = heads().batch_bytes(batch_bytes);
                assert_eq!(is_as_imported(&before, archive, &options).is_ok(), *is_legal, "{what}");
            }
            let _ = is_as_imported(&before, archive, &heads().keep_unknown_hashes(true).allow_padding(true));
            let _ = is_as_imported(&before, archive, &ImportOptions::new().complete(true).block_bytes_max(8));
        }
    }
    // The unknown hash decides nothing: other bytes under it are refused, whatever came first.
    let keep = ImportOptions::new().keep_unknown_hashes(true);
    assert_eq!(is_as_imported(&[], &car(&[], &unknown), &keep).unwrap().unchecked, 1);
    for (before, blocks) in [(&[][..], &other_bytes[..]), (&unknown[1..2], &other_bytes[2..])] {
        for batch_bytes in [1, u64::MAX] {
            let error = is_as_imported(before, &car(&[], blocks), &keep.clone().batch_bytes(batch_bytes)).unwrap_err();
            assert_eq!(error.0, ImportErrorKind::Store(ErrorKind::InvalidArgument));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_archive_gets_the_verdict_of_an_import_and_leaves_the_same(
        changes in vec((prop_oneof![0..200_usize, 0..20_000_usize], any::<u8>()), 0..4),
        keep in prop_oneof![3 => Just(20_000), 1 => 0..20_000_usize],
    ) {
        let mut archive = animals();
        archive.truncate(20_000);
        for (at, byte) in changes {
            archive[at] = byte;
        }
        archive.truncate(keep);
        let _ = is_as_imported(&[], &archive, &heads());
    }
}

/// Reads a file a little at a time, so that most of it is read after it was changed.
struct Slow(File);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = buffer.len().min(4096);
        self.0.read(&mut buffer[..bytes])
    }
}

#[test]
fn an_archive_that_changes_while_it_is_taken_leaves_only_blocks_that_were_checked() {
    for cuts_off in [true, false] {
        let (store, folder) = log();
        let path = folder.path().join("changing.car");
        fs::write(&path, animals()).unwrap();
        let options = heads().batch_bytes(20_000);
        let error = car::adopt(&*store, Slow(File::open(&path).unwrap()), &options, &mut |progress| {
            if progress.blocks == 1000 {
                let mut file = File::options().write(true).open(&path).unwrap();
                if cuts_off {
                    file.set_len(400_000).unwrap();
                } else {
                    file.seek(SeekFrom::Start(500_000)).unwrap();
                    file.write_all(&[0x55; 5000]).unwrap();
                }
            }
            ControlFlow::Continue(())
        });
        let error = error.unwrap_err();
        let (kept, (cids, heads)) = (error.kept(), content(&*store));
        assert!(kept.blocks > 1000 && kept.blocks < ANIMALS_BLOCKS, "{error}");
        assert_eq!((kept.new, heads), (cids.len() as u64, vec![]), "{error}");
        // The whole archive finishes it.
        let report = car::adopt(&*store, &animals()[..], &self::heads(), &mut unwatched).unwrap();
        assert_eq!((report.new, report.heads_set), (ANIMALS_BLOCKS - kept.new, vec![animals_root()]));
    }
}

#[test]
fn an_adoption_that_is_stopped_keeps_what_it_says_and_goes_on_from_there() {
    let ((store, _folder), mut before) = (log(), 0);
    for stop_at in [0, 1, 1000, ANIMALS_BLOCKS] {
        let stop = &mut |progress: mnem_storage::Progress| match progress.blocks < stop_at {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let error = car::adopt(&*store, &animals()[..], &heads(), stop).unwrap_err();
        let ImportError::Stopped { kept, .. } = error else { panic!("{error}") };
        assert_eq!((kept.blocks, kept.new), (stop_at, stop_at - before), "in one commit");
        before += kept.new;
        assert_eq!((store.cids().unwrap().count() as u64, store.heads().unwrap()), (before, vec![]));
    }
}

#[test]
fn another_backend_refuses_before_anything_is_read() {
    struct Unread;
    impl Read for Unread {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("the archive is read")
        }
    }
    for driver in DRIVERS {
        let folder = tempfile::tempdir().unwrap();
        let options = OpenOptions::new().create(true).backend(driver.name());
        let path = folder.path().join("store");
        assert_eq!(options.driver_at(&path).unwrap().name(), driver.name());
        let store = options.open_managed(&path).unwrap();
        if driver.adopts() {
            assert_eq!(driver.name(), "carlog");
            continue;
        }
        let error = car::adopt(&*store, Unread, &heads(), &mut unwatched).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::Unsupported), "{}", driver.name());
        let text = error.store_error().unwrap().to_string();
        assert!(text.contains(driver.name()) && text.contains("order of an archive"), "{text}");
    }
}
