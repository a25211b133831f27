//! Files that a copy or a sync client truncated or extended: the result of opening them.

use std::time::Duration;

use mnem_backend_redb::{Check, OpenOptions};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Store, StoreError};

use crate::support::{FakeMedium, block, kind_of, large_block, next, place};

const SHARED: [Sharing; 2] = [Sharing::SingleWriter, Sharing::MultiWriter];

struct Sample {
    bytes: Vec<u8>,
    blocks: Vec<(Cid, Bytes)>,
}

/// A store after a clean close, or after a kill.
fn sample(clean: bool) -> Sample {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let blocks: Vec<_> = (0..300).map(block).chain((0..40).map(|n| large_block(n, 9_000))).collect();
    for chunk in blocks.chunks(50) {
        store.put_many(&mut chunk.iter().cloned().map(Ok)).expect("put_many");
    }
    store.update(&blocks[0].0, &[]).expect("update");
    let unclean = medium.bytes();
    store.close().expect("close");
    Sample { bytes: if clean { medium.bytes() } else { unclean }, blocks }
}

/// Every way of opening, and its name.
fn ways() -> Vec<(String, OpenOptions)> {
    let mut ways = Vec::new();
    for concurrency in [Sharing::ExclusiveWriter, Sharing::SingleWriter, Sharing::MultiWriter] {
        for check in [Check::Auto, Check::Always, Check::Pages, Check::Never] {
            for read_only in [false, true] {
                let shared = concurrency != Sharing::ExclusiveWriter;
                if !(shared && read_only && matches!(check, Check::Always | Check::Pages)) {
                    let options = OpenOptions::new().sharing(concurrency).check(check).read_only(read_only);
                    ways.push((format!("{concurrency:?} {check:?} read-only {read_only}"), options));
                }
            }
        }
    }
    ways
}

/// Checks that every read returns the content of the sample, or fails.
fn check_content(sample: &Sample, store: &dyn Store, context: &str) -> Result<(), StoreError> {
    for (cid, data) in &sample.blocks {
        assert_eq!(store.get(cid)?.as_ref(), Some(data), "{context}");
    }
    assert_eq!(store.heads()?, [sample.blocks[0].0], "{context}");
    Ok(())
}

fn check_text(error: &StoreError, context: &str) -> String {
    let told = error.in_full().to_string();
    for word in ["panicked", "unreachable", "unwrap", "internal error", "index out of"] {
        assert!(!told.contains(word), "{context}: {told}");
    }
    told
}

/// Runs `f` without the output of redb's panics.
fn quietly<T>(f: impl FnOnce() -> T) -> T {
    mnem_crash_tests::quietly(f).unwrap_or_else(|panic| panic!("a panic got out: {panic}"))
}

#[test]
fn a_file_that_was_cut_says_by_how_much() {
    for clean in [true, false] {
        let sample = sample(clean);
        let len = sample.bytes.len();
        let mut cuts = vec![1, 100, 4_096, len / 2, len - 4_096, len - 320, len - 64, len - 63, len - 33, len - 32];
        cuts.extend([len - 31, len - 20, len - 9]);
        let mut state = 20_261_128;
        cuts.extend((0..8).map(|_| 1 + next(&mut state) as usize % (len - 9)));
        for (way, options) in ways() {
            for &cut in &cuts {
                let left = len - cut;
                let context = format!("clean {clean}, {way}, cut by {cut} of {len}");
                let medium = FakeMedium::of(sample.bytes[..left].to_vec());
                let opened = quietly(|| options.open_medium(medium.clone(), "medium"));
                let error = match opened {
                    // A killed store may end with pages that nothing needs.
                    Ok(store) if !clean => match quietly(|| check_content(&sample, &store, &context)) {
                        Ok(()) => continue,
                        Err(error) => panic!("{context}: opened, and then {error}"),
                    },
                    Ok(_) => panic!("{context}: opened"),
                    Err(error) => error,
                };
                let told = check_text(&error, &context);
                assert!(medium.bytes() == sample.bytes[..left], "{context}: it was changed");
                if error.kind() == ErrorKind::NeedsRecovery {
                    assert!(!clean, "{context}: {told}");
                    continue;
                }
                assert_eq!(error.kind(), ErrorKind::Damaged, "{context}: {told}");
                let expected = if left < 32 {
                    format!("it has {left} bytes")
                } else {
                    format!("shorter than its header says by {cut} bytes")
                };
                assert!(told.contains(&expected), "{context}: {told}");
            }
        }
    }
}

#[test]
fn a_beginning_of_a_few_bytes_is_called_one() {
    for left in 1..9 {
        let sample = &sample(true).bytes[..left];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("test.redb");
        std::fs::write(&path, sample).expect("write");
        let error = OpenOptions::new().open(&path).expect_err("a refusal");
        assert!(error.to_string().contains(&format!("it is truncated to {left} bytes")), "{error}");
    }
}

#[test]
fn a_file_that_grew_says_by_how_much_or_holds_what_it_held() {
    for clean in [true, false] {
        let sample = sample(clean);
        for appended in [1, 100, 4_096, 65_536, 1 << 20] {
            for zeros in [true, false] {
                let mut grown = sample.bytes.clone();
                let mut state = appended as u64;
                grown.extend((0..appended).map(|_| if zeros { 0 } else { 1 | (next(&mut state) >> 32) as u8 }));
                for (way, options) in ways() {
                    let context = format!("clean {clean}, {way}, {appended} bytes more, zeros {zeros}");
                    let medium = FakeMedium::of(grown.clone());
                    let reads = way.contains("read-only true") || way.contains("read-only") && !way.contains("false");
                    let alone = !way.contains("Single") && !way.contains("Multi");
                    match quietly(|| options.open_medium(medium.clone(), "medium")) {
                        Ok(store) => {
                            assert!(!clean || zeros || reads, "{context}: bytes of somebody else's would be lost");
                            check_content(&sample, &store, &context).expect("its content");
                            store.close().expect("close");
                        }
                        Err(error) => {
                            let told = check_text(&error, &context);
                            assert!(medium.bytes() == grown, "{context}: it was changed");
                            let sound = clean && if reads { alone } else { zeros };
                            assert!(!sound, "{context}: a sound file was refused: {told}");
                            if error.kind() != ErrorKind::NeedsRecovery {
                                let expected = format!("longer than its header says by {appended} bytes");
                                assert!(told.contains(&expected), "{context}: {told}");
                            }
                            // A power cut leaves zeros, which a writer removes.
                            let expected = if zeros { ErrorKind::NeedsRecovery } else { ErrorKind::Damaged };
                            assert!(!clean || error.kind() == expected, "{context}: {told}");
                        }
                    }
                }
            }
        }
    }
}

/// A file that was not closed may be longer than its header says at any moment, because redb extends it first.
#[test]
fn a_file_that_was_not_closed_is_not_said_to_be_appended_to_and_the_advised_cut_keeps_all() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let mut blocks = Vec::new();
    let mut advised = 0;
    for round in 0..40 {
        let (cid, data) = large_block(round, 60_000);
        store.put(&cid, data.clone()).expect("put");
        blocks.push((cid, data));
        let mut unclean = medium.bytes();
        unclean.push(7);
        let medium = FakeMedium::of(unclean.clone());
        let Err(error) = quietly(|| OpenOptions::new().open_medium(medium, "medium")) else { continue };
        let told = error.in_full().to_string();
        assert!(told.contains("longer than its header says by ") && !told.contains("appended"), "{round}: {told}");
        let cut = told.split_once("`truncate -s ").and_then(|(_, rest)| rest.split_once('`')).expect("an advice").0;
        unclean.truncate(cut.parse().expect("a number"));
        let cut = OpenOptions::new().open_medium(FakeMedium::of(unclean), "medium").expect("it opens");
        for (cid, data) in &blocks {
            assert_eq!(cut.get(cid).expect("get").as_ref(), Some(data), "{round}");
        }
        advised += 1;
    }
    assert!(advised > 0, "no file was refused");
}

#[test]
fn a_writer_cuts_off_zeros_that_were_appended() {
    let sample = sample(true);
    let mut grown = sample.bytes.clone();
    grown.resize(grown.len() + 5_000, 0);
    let medium = FakeMedium::of(grown);
    for _ in 0..2 {
        let store = OpenOptions::new().open_medium(medium.clone(), "medium").expect("open");
        check_content(&sample, &store, "a writer").expect("its content");
        store.close().expect("close");
        assert_eq!(medium.bytes().len(), sample.bytes.len());
    }
    let (cid, data) = block(1_000);
    let store = OpenOptions::new().open_medium(medium, "medium").expect("open");
    store.put(&cid, data.clone()).expect("put");
    assert_eq!(store.get(&cid).expect("get"), Some(data));
}

/// Stores as a power cut may leave them: the file system kept a new length and lost the header written with it. The
/// missing pages are free ones.
fn too_short() -> (Sample, Vec<Vec<u8>>) {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let blocks: Vec<_> = (0..300).map(block).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("put_many");
    store.update(&blocks[0].0, &[]).expect("update");
    let last: Vec<_> = (0..40).map(|n| large_block(n, 9_000)).collect();
    store.put_many(&mut last.iter().cloned().map(Ok)).expect("put_many");
    store.delete_many(&mut last.iter().map(|(cid, _)| Ok(*cid))).expect("delete_many");
    // Deleted pages become free two commits later.
    for _ in 0..4 {
        store.put(&last[0].0, last[0].1.clone()).expect("put");
        store.delete(&last[0].0).expect("delete");
    }
    let bytes = medium.bytes();
    let cut_by = |pages: usize| bytes[..bytes.len() - pages * 4_096].to_vec();
    let opens = |bytes: &Vec<u8>| OpenOptions::new().open_medium(FakeMedium::of(bytes.clone()), "medium").is_ok();
    let files: Vec<_> = (1..100).step_by(7).map(cut_by).filter(opens).collect();
    assert!(files.len() > 1, "the file ends with pages in use");
    (Sample { bytes, blocks }, files)
}

#[test]
fn a_shared_mode_recovers_a_file_that_was_not_closed_and_is_too_short() {
    let (sample, files) = too_short();
    for (concurrency, before) in SHARED.into_iter().flat_map(|mode| files.iter().map(move |file| (mode, file))) {
        let context = format!("{concurrency:?}, {} bytes", before.len());
        let options = OpenOptions::new().sharing(concurrency);
        let medium = FakeMedium::of(before.clone());
        let read = options.clone().read_only(true).open_medium(medium.clone(), "medium");
        assert_eq!(kind_of(read), ErrorKind::NeedsRecovery, "{context}");
        assert!(medium.bytes() == *before, "{context}: a reader changed it");
        let store = options.open_medium(medium.clone(), "medium").expect(&context);
        check_content(&sample, &store, &context).expect("its content");
        let (cid, data) = block(1_000);
        store.put(&cid, data.clone()).expect("put");
        store.close().expect("close");
        let reader = options.read_only(true).open_medium(medium, "medium").expect(&context);
        assert_eq!(reader.get(&cid).expect("get"), Some(data), "{context}");
    }
}

#[test]
fn a_file_that_is_too_short_is_recovered_under_exclusive_locks() {
    let (sample, files) = too_short();
    for concurrency in SHARED {
        let place = place();
        std::fs::write(&place.path, &files[0]).expect("write");
        let options = OpenOptions::new().sharing(concurrency).lock_wait(Duration::from_millis(1));
        let reader = OpenOptions::new().read_only(true).open(&place.path).expect("a reader that repairs in memory");
        assert_eq!(kind_of(options.open(&place.path)), ErrorKind::Locked, "{concurrency:?}");
        assert!(std::fs::read(&place.path).expect("read") == files[0], "{concurrency:?}: it was changed");
        reader.close().expect("close");
        let store = options.open(&place.path).expect("open");
        check_content(&sample, &store, "a file that nobody else has open").expect("its content");
        let beside = options.open(&place.path).map(drop).map_err(|error| error.kind());
        let shares = concurrency == Sharing::MultiWriter;
        assert_eq!(beside, if shares { Ok(()) } else { Err(ErrorKind::Locked) }, "{concurrency:?}");
    }
}
