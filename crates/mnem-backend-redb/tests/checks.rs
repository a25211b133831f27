//! What an open verifies, depending on how the file was closed and on the options.

use mnem_backend_redb::{Check, CommitDurability, OpenOptions};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, RAW, Store, cid_of};

use crate::support::{Call, FakeMedium, block, kind_of, large_block};

const BLOCK_BYTES: usize = 60_000;

/// The bytes of a store just after a commit, and after a close.
struct Sample {
    unclean: Vec<u8>,
    clean: Vec<u8>,
    cids: Vec<Cid>,
}

fn sample(options: &OpenOptions) -> Sample {
    let medium = FakeMedium::default();
    let store = options.open_medium(medium.clone(), "medium").expect("create");
    let mut cids = Vec::new();
    for n in 1..6_u8 {
        let data = Bytes::from(vec![n; BLOCK_BYTES]);
        let cid = cid_of(RAW, &data);
        store.put(&cid, data).expect("put");
        cids.push(cid);
    }
    store.update(&block(0).0, &[]).expect("update");
    let unclean = medium.bytes();
    store.close().expect("close");
    let clean = medium.bytes();
    Sample { unclean, clean, cids }
}

/// Flips a bit in the middle of the third block.
fn flip(bytes: &mut [u8]) {
    let inside = bytes.windows(4_096).position(|window| window.iter().all(|byte| *byte == 3));
    bytes[inside.expect("the third block") + 4_096] ^= 1;
}

#[test]
fn a_file_opens_whatever_the_check() {
    let sample = sample(&FakeMedium::options());
    for bytes in [&sample.clean, &sample.unclean] {
        for (check, read_only) in [
            (Check::Auto, false),
            (Check::Auto, true),
            (Check::Never, true),
            (Check::Always, false),
            (Check::Pages, true),
        ] {
            let medium = FakeMedium::of(bytes.clone());
            let options = OpenOptions::new().check(check).read_only(read_only);
            let store = options.open_medium(medium.clone(), "medium").expect("open");
            assert_eq!(store.heads().expect("heads"), [block(0).0]);
            for cid in &sample.cids {
                assert_eq!(store.size(cid).expect("size"), Some(BLOCK_BYTES as u64));
            }
            store.close().expect("close");
            assert!(!read_only || medium.count(Call::Write) == 0);
        }
    }
}

#[test]
fn a_file_is_verified_only_when_unclean_or_asked() {
    for durability in [CommitDurability::TwoPhase, CommitDurability::OnePhase] {
        let mut sample = sample(&FakeMedium::options().durability(durability));
        flip(&mut sample.clean);
        flip(&mut sample.unclean);
        verified_when_unclean_or_asked(&sample);
    }
}

fn verified_when_unclean_or_asked(sample: &Sample) {
    for (bytes, check, verified) in [
        (&sample.clean, Check::Auto, false),
        (&sample.clean, Check::Never, false),
        (&sample.clean, Check::Always, true),
        (&sample.clean, Check::Pages, true),
        (&sample.unclean, Check::Auto, true),
        (&sample.unclean, Check::Never, true),
    ] {
        for read_only in [false, true] {
            let options = OpenOptions::new().check(check).read_only(read_only);
            let opened = options.open_medium(FakeMedium::of(bytes.clone()), "medium");
            match opened {
                Ok(store) => {
                    assert!(!verified, "{check:?}, read-only {read_only}");
                    assert!(store.has(&sample.cids[2]).expect("has"));
                    assert_eq!(kind_of(store.get(&sample.cids[2])), ErrorKind::Corrupt);
                }
                error => {
                    assert!(verified, "{check:?}, read-only {read_only}: {error:?}");
                    assert_eq!(kind_of(error), ErrorKind::Damaged);
                }
            }
        }
    }
}

/// A copy of a large store should cost little more than reading its pages once.
#[test]
fn the_check_for_readers_reads_each_page_once() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (0..2000).map(|n| Ok(large_block(n, 300)))).expect("put_many");
    store.close().expect("close");
    let [all, pages] = [Check::Always, Check::Pages].map(|check| {
        let medium = FakeMedium::of(medium.bytes());
        let options = OpenOptions::new().read_only(true).check(check).cache_bytes(64 * 1024);
        drop(options.open_medium(medium.clone(), "medium").expect("open"));
        medium.count(Call::Read)
    });
    assert!(pages > 150 && pages * 10 < all * 6, "{pages} reads; {all} with the tables of free pages");
}

#[test]
fn fast_recovery_trusts_a_file_after_a_kill() {
    let options = OpenOptions::new().create(true).fast_recovery(true);
    let mut sample = sample(&options);
    flip(&mut sample.unclean);
    let store = options.open_medium(FakeMedium::of(sample.unclean), "medium").expect("open without reading it all");
    assert_eq!(store.heads().expect("heads"), [block(0).0]);
    store.put(&block(1).0, block(1).1).expect("put");
}

#[test]
fn a_check_finds_what_an_unchecked_open_let_pass() {
    let mut sample = sample(&FakeMedium::options());
    let mut store = OpenOptions::new().open_medium(FakeMedium::of(sample.clean.clone()), "medium").expect("open");
    store.check_integrity().expect("nothing is wrong");
    assert_eq!(store.get(&sample.cids[2]).expect("get").map(|data| data.len()), Some(BLOCK_BYTES));
    drop(store);
    flip(&mut sample.clean);
    let medium = FakeMedium::of(sample.clean);
    let mut store = OpenOptions::new().open_medium(medium.clone(), "medium").expect("open");
    assert!(store.has(&sample.cids[2]).expect("a sound block is found"));
    assert_eq!(kind_of(store.check_integrity()), ErrorKind::Damaged);
    // The handle is still open and must not report the block as absent: redb's repaired file may lack the commit.
    let (cid, data) = block(7);
    assert_eq!(kind_of(store.has(&sample.cids[0])), ErrorKind::Damaged);
    assert_eq!(kind_of(store.heads()), ErrorKind::Damaged);
    assert_eq!(kind_of(store.side_tables()), ErrorKind::Damaged);
    assert_eq!(kind_of(store.put(&cid, data)), ErrorKind::Poisoned);
    assert_eq!(kind_of(store.compact()), ErrorKind::Poisoned);
    assert_eq!(kind_of(store.check_integrity()), ErrorKind::Poisoned);
    drop(store);
    assert!(medium.closed() > 0, "the medium is free for who opens it again");
}

/// Makes each of a chain of pages name the next one twice, and puts the chain before the root of the tree with the free
/// pages. So a walk through that tree visits this page 2^`LEVELS` times.
fn make_walk_long(bytes: &mut [u8]) {
    const PAGE: usize = 4096;
    const LEVELS: usize = 11;
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let header_pages = u32::from_le_bytes(bytes[16..20].try_into().expect("four bytes")) as usize;
    let index = |number: u64| (number & 0xf_ffff) as usize * (1 << (number >> 59));
    let base = (1 + header_pages) * PAGE;
    // The root of the system tables, and in it the definition of the table. Its root comes 55 bytes before this name.
    let slot = 64 + 128 * usize::from(bytes[9] & 1);
    let system = base + index(number(bytes, slot + 40)) * PAGE;
    let name = b"redb::AllocatorStateKey";
    let found = bytes[system..system + PAGE].windows(name.len()).position(|window| window == name);
    let root = number(bytes, system + found.expect("the table") - 55);
    assert_eq!(root >> 59, 0, "the root is a single page");
    let root = base + index(root) * PAGE;
    // Pages in the middle of a block, which nothing reads here.
    let spare = bytes.windows(PAGE).position(|window| window.iter().all(|byte| *byte == 3)).expect("a block");
    let spare = spare.next_multiple_of(PAGE);
    let old_root = bytes[root..root + PAGE].to_vec();
    let pages: Vec<usize> = std::iter::once(root).chain((0..LEVELS).map(|n| spare + n * PAGE)).collect();
    for pair in pages.windows(2) {
        let next = (((pair[1] - base) / PAGE) as u64).to_le_bytes();
        let page = &mut bytes[pair[0]..pair[0] + PAGE];
        page.fill(0);
        // A branch with one key, two checksums, two pages, and the key of the first region.
        (page[0], page[2]) = (2, 1);
        page[40..48].copy_from_slice(&next);
        page[48..56].copy_from_slice(&next);
        page[56..61].copy_from_slice(&[3, 0, 0, 0, 0]);
    }
    bytes[pages[LEVELS]..pages[LEVELS] + PAGE].copy_from_slice(&old_root);
}

/// Otherwise a crafted file would keep a copy or an export busy for ever.
#[test]
fn the_check_for_readers_ends_where_the_full_one_ends() {
    let mut bytes = sample(&FakeMedium::options()).clean;
    make_walk_long(&mut bytes);
    let [all, pages] = [Check::Always, Check::Pages].map(|check| {
        let medium = FakeMedium::of(bytes.clone());
        let options = OpenOptions::new().read_only(true).check(check).cache_bytes(0);
        assert_eq!(kind_of(options.open_medium(medium.clone(), "medium")), ErrorKind::Damaged, "{check:?}");
        medium.count(Call::Read)
    });
    assert!(pages < 3 * all, "{pages} reads; {all} by the full check");
}
