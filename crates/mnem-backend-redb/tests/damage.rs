//! Altered files: reads return right bytes or a named error, and no panic escapes.

use std::{fs, panic};

use mnem_backend_redb::{Check, OpenOptions, Verify};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{FakeMedium, block, create, kind_of, large_block, next, place};

const SEED: u64 = 20_261_122;

/// The bit of the header that says which of two complete commits is the last. In an unclean file nothing else records
/// that, so flipping this bit equals a crash just before or after a commit took effect.
const LAST_COMMIT_BIT: u64 = 9 * 8;

/// Bit flips per test. `MNEM_REDB_TEST_FLIPS` sets another number.
fn flips() -> u64 {
    std::env::var("MNEM_REDB_TEST_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(200)
}

struct Sample {
    bytes: Vec<u8>,
    blocks: Vec<(Cid, Bytes)>,
    heads: Vec<Cid>,
}

/// A store after a clean close, or after a kill.
fn sample(clean: bool) -> Sample {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let mut blocks: Vec<_> = (0..60).map(block).collect();
    blocks.extend((0..6).map(|n| large_block(n, 9_000)));
    for chunk in blocks.chunks(20) {
        store.put_many(&mut chunk.iter().cloned().map(Ok)).expect("put_many");
    }
    let heads: Vec<Cid> = blocks.iter().take(5).map(|(cid, _)| *cid).collect();
    for head in &heads {
        store.update(head, &[]).expect("update");
    }
    let heads = store.heads().expect("heads");
    let bytes = if clean {
        store.close().expect("close");
        medium.bytes()
    } else {
        medium.bytes()
    };
    Sample { bytes, blocks, heads }
}

/// Opens altered bytes and reads everything. Every answer must be right or a named error.
fn probe(sample: &Sample, bytes: Vec<u8>, options: &OpenOptions, context: &str) -> bool {
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let store = match options.open_medium(FakeMedium::of(bytes), "medium") {
            Ok(store) => store,
            Err(error) => {
                let named =
                    [ErrorKind::Damaged, ErrorKind::NotAStore, ErrorKind::UnsupportedFormat, ErrorKind::Backend];
                assert!(named.contains(&error.kind()), "{context}: {error:?}");
                return false;
            }
        };
        for (cid, data) in &sample.blocks {
            match store.get(cid) {
                Ok(found) => assert_eq!(found.as_ref(), Some(data), "{context}: wrong answer for {cid}"),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Corrupt | ErrorKind::Backend),
                    "{context}: {error:?}"
                ),
            }
        }
        if let Ok(heads) = store.heads() {
            assert_eq!(heads, sample.heads, "{context}: wrong heads");
        }
        if let Ok(listed) = store.cids().expect("cids").collect::<Result<Vec<_>, _>>() {
            assert_eq!(listed.len(), sample.blocks.len(), "{context}: a listing that says it is complete");
        }
        let _ = store.close();
        true
    }));
    outcome.unwrap_or_else(|_| panic!("{context}: a panic got out"))
}

#[test]
fn flipped_bits_give_right_bytes_or_a_named_error() {
    for clean in [true, false] {
        let sample = sample(clean);
        let mut state = SEED;
        let (mut opened, mut refused) = (0, 0);
        for round in 0..flips() {
            let mut bytes = sample.bytes.clone();
            // Every fourth flip hits the header, on which all the structure depends.
            let within = if round % 4 == 0 { 320 } else { bytes.len() as u64 };
            let bit = next(&mut state) % (within * 8);
            if !clean && bit == LAST_COMMIT_BIT {
                continue;
            }
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            let context = format!("seed {SEED}, round {round}, clean {clean}, bit {bit}");
            if clean {
                let [all, pages] = [Check::Always, Check::Pages].map(|check| {
                    let options = OpenOptions::new().read_only(true).check(check);
                    probe(&sample, bytes.clone(), &options, &format!("{context}, {check:?}"))
                });
                assert_eq!(all, pages, "{context}: the check for readers must find what the full one finds");
            }
            match probe(&sample, bytes, &OpenOptions::new().check(Check::Always), &context) {
                true => opened += 1,
                false => refused += 1,
            }
        }
        assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
    }
}

#[test]
fn flipped_bits_give_the_same_read_only() {
    let sample = sample(false);
    let mut state = SEED + 1;
    for round in 0..flips() / 2 {
        let mut bytes = sample.bytes.clone();
        let bit = next(&mut state) % (bytes.len() as u64 * 8);
        if bit == LAST_COMMIT_BIT {
            continue;
        }
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        let context = format!("seed {}, round {round}, bit {bit}", SEED + 1);
        probe(&sample, bytes, &OpenOptions::new().read_only(true), &context);
    }
}

#[test]
fn a_cut_off_file_is_damaged() {
    for clean in [true, false] {
        let sample = sample(clean);
        let len = sample.bytes.len();
        let mut state = SEED + 2;
        let mut cuts = vec![9, 10, 63, 64, 192, 319, 320, 321, 4_095, 4_096, 4_097, len - 4_096, len - 1];
        cuts.extend((0..60).map(|_| 9 + (next(&mut state) as usize) % (len - 9)));
        for cut in cuts {
            let context = format!("clean {clean}, cut at {cut} of {len}");
            let bytes = sample.bytes[..cut].to_vec();
            for options in
                [OpenOptions::new(), OpenOptions::new().read_only(true), OpenOptions::new().check(Check::Always)]
            {
                probe(&sample, bytes.clone(), &options, &context);
            }
        }
    }
}

#[test]
fn a_grown_file_is_right_or_named() {
    let sample = sample(true);
    for extra in [1, 4_096, 1 << 20] {
        let mut bytes = sample.bytes.clone();
        bytes.resize(bytes.len() + extra, 0xff);
        probe(&sample, bytes, &OpenOptions::new(), &format!("{extra} bytes more"));
    }
}

#[test]
fn an_unchecked_open_contains_what_redb_throws() {
    let sample = sample(true);
    let mut state = SEED + 3;
    for round in 0..flips() {
        let mut bytes = sample.bytes.clone();
        let bit = next(&mut state) % (bytes.len() as u64 * 8);
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let Ok(store) = OpenOptions::new().check(Check::Never).open_medium(FakeMedium::of(bytes), "medium") else {
                return;
            };
            for (cid, data) in &sample.blocks {
                if let Ok(Some(found)) = store.get(cid) {
                    assert_eq!(found, data, "wrong bytes");
                }
            }
            let _ = store.heads();
            let _ = store.put(&block(1_000).0, block(1_000).1);
            let _ = store.commit(WriteBatch::new().update(block(1_000).0, []));
            let _ = store.close();
        }));
        assert!(caught.is_ok(), "round {round}, bit {bit}: a panic got out");
    }
}

/// Pages that point to each other form a tree without an end. An unchecked handle notices that its keys descend.
#[test]
fn a_listing_of_swapped_pages_ends() {
    const PAGE: usize = 4096;
    const ENDLESS: usize = 5_000;
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (0..400).map(|n| Ok(block(n)))).expect("put_many");
    let rows: Vec<_> = (0..400).map(|n| (Bytes::from(format!("key {n}")), block(n).1)).collect();
    store.side_table("rows").expect("a side table").write(&rows, &[]).expect("write rows");
    store.close().expect("close");
    let whole = medium.bytes();
    let used: Vec<usize> =
        (1..whole.len() / PAGE).filter(|n| whole[n * PAGE..(n + 1) * PAGE].iter().any(|byte| *byte != 0)).collect();
    let mut noticed = 0;
    for (n, &first) in used.iter().enumerate() {
        for &second in &used[..n] {
            let mut bytes = whole.clone();
            bytes[second * PAGE..][..PAGE].copy_from_slice(&whole[first * PAGE..][..PAGE]);
            bytes[first * PAGE..][..PAGE].copy_from_slice(&whole[second * PAGE..][..PAGE]);
            let medium = FakeMedium::of(bytes);
            let Ok(store) = OpenOptions::new().check(Check::Never).open_medium(medium, "medium") else { continue };
            let table = store.side_table("rows").expect("a side table");
            let items = store.cids().expect("cids").take(ENDLESS).map(|cid| cid.map(drop));
            let items: Vec<_> =
                items.chain(table.keys(b"").expect("keys").take(ENDLESS).map(|key| key.map(drop))).collect();
            assert!(items.len() < ENDLESS, "pages {first} and {second} swapped: the listing does not end");
            noticed += usize::from(items.iter().any(Result::is_err));
            drop(table);
            let _ = store.close();
        }
    }
    assert!(noticed > 0, "no swap was noticed");
}

#[test]
fn a_refused_file_stays_as_it_was() {
    let place = place();
    drop(create(&place.path));
    let mut bytes = fs::read(&place.path).expect("read");
    let mut state = SEED + 4;
    for _ in 0..200 {
        let at = 64 + (next(&mut state) as usize) % (bytes.len() - 64);
        bytes[at] ^= 0x55;
    }
    fs::write(&place.path, &bytes).expect("write");
    assert_eq!(kind_of(OpenOptions::new().create(true).open(&place.path)), ErrorKind::Damaged);
    assert!(fs::read(&place.path).expect("read") == bytes, "the file was changed");
}

#[test]
fn a_handle_that_verifies_each_block_once_notices_damage_at_the_first_read_and_after_a_delete() {
    let options = FakeMedium::options().verify(Verify::OncePerHandle);
    let store = options.open_medium(FakeMedium::default(), "medium").expect("create");
    let (cid, data) = block(1);
    store.put_trusted(&cid, Bytes::from_static(b"other bytes")).expect("a broken promise");
    assert_eq!(kind_of(store.get(&cid)), ErrorKind::Corrupt);
    assert_eq!(kind_of(store.get(&cid)), ErrorKind::Corrupt, "what failed is not taken for verified");
    store.delete(&cid).expect("delete");
    store.put(&cid, data.clone()).expect("put");
    for _ in 0..2 {
        assert_eq!(store.get(&cid).expect("get"), Some(data.clone()));
        assert!(store.with_block(&cid, &mut |lent| assert_eq!(lent, data)).expect("with_block"));
    }
    store.delete(&cid).expect("delete");
    assert_eq!(store.get(&cid).expect("get"), None);
    store.put_trusted(&cid, Bytes::from_static(b"other bytes")).expect("a broken promise");
    assert_eq!(kind_of(store.get(&cid)), ErrorKind::Corrupt, "a deleted block is not remembered");
}

#[test]
fn what_is_verified_once_is_told_apart_from_what_is_not() {
    let medium = FakeMedium::default();
    let options = FakeMedium::options().verify(Verify::OncePerHandle);
    let store = options.open_medium(medium, "medium").expect("create");
    store.put_many(&mut (0..500).map(|n| Ok(block(n)))).expect("put_many");
    for n in 500..1000 {
        store.put_trusted(&block(n).0, block(n - 500).1).expect("a broken promise");
    }
    for _ in 0..2 {
        for n in 0..1000 {
            let got = store.get(&block(n).0);
            if n < 500 {
                assert_eq!(got.expect("get"), Some(block(n).1));
            } else {
                assert_eq!(kind_of(got), ErrorKind::Corrupt);
            }
        }
    }
}
