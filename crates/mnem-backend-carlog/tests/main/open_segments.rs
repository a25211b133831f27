//! Stores with more segments than may be open at once.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, Cid, ErrorKind, OpHeadsStore, Store};

use crate::{
    hooked::{Call, Hooked, is_segment},
    support::{Content, Place, block, small_runs},
};

/// Each commit of [`filled`] has a segment of its own.
fn options(open_segments: usize) -> OpenOptions {
    small_runs().segment_bytes(1).open_segments(open_segments).index_thread(false)
}

const BLOCKS: u32 = 40;

/// A store of [`BLOCKS`] segments and a row.
fn filled(place: &Place) -> CarlogStore {
    let store = options(3).create(true).open(place.store()).unwrap();
    (0..BLOCKS).for_each(|n| store.put(&block(n).0, block(n).1).unwrap());
    store.update(&block(0).0, &[]).unwrap();
    store.side_table("t").unwrap().write(&[("key".into(), "value".into())], &[]).unwrap();
    store
}

fn all() -> BTreeSet<Cid> {
    (0..BLOCKS).map(|n| block(n).0).collect()
}

/// Counts the segments that are open, and remembers the most.
#[derive(Clone, Default)]
struct Count(Arc<(AtomicUsize, AtomicUsize)>);

impl Count {
    fn see(&self, call: Call, path: &Path) -> usize {
        let (open, most) = &*self.0;
        match call {
            Call::Opened if is_segment(path) => {
                most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
            }
            Call::Closed if is_segment(path) => {
                open.fetch_sub(1, SeqCst);
            }
            _ => {}
        }
        open.load(SeqCst)
    }

    fn hook(&self) -> Arc<Hooked> {
        let count = self.clone();
        Hooked::new(move |call, path| {
            count.see(call, path);
            Ok(())
        })
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }

    fn open(&self) -> usize {
        self.0.0.load(SeqCst)
    }
}

/// Reads everything in several ways.
fn read_all(store: &CarlogStore) {
    assert_eq!(Content::of(store).blocks, all());
    for n in (0..BLOCKS).map(|n| n * 7 % BLOCKS) {
        let (cid, data) = block(n);
        assert!(store.has(&cid).unwrap());
        assert_eq!(store.size(&cid).unwrap(), Some(data.len() as u64));
        assert!(store.with_block(&cid, &mut |seen| assert_eq!(seen, data)).unwrap());
    }
    assert!(!store.has(&block(BLOCKS).0).unwrap());
    assert_eq!(store.side_table("t").unwrap().get(b"key").unwrap().unwrap(), "value");
    assert_eq!(store.info().unwrap().blocks, u64::from(BLOCKS));
}

#[test]
fn no_more_segments_are_open_than_allowed() {
    let place = Place::new();
    let store = filled(&place);
    let segments = place.files().keys().filter(|name| name.ends_with(".car")).count();
    assert!(segments > BLOCKS as usize);
    drop(store);
    // One more is open for a moment when another is opened.
    let allowed = 3 + 1;
    for read_only in [true, false] {
        let count = Count::default();
        let store = options(3).read_only(read_only).open_on(count.hook(), place.store()).unwrap();
        read_all(&store);
        assert!(store.get(&block(0).0).unwrap().is_some());
        let writes_to = usize::from(!read_only);
        assert!((3..=allowed + writes_to).contains(&count.most()), "{} open, read_only: {read_only}", count.most());
    }
    // The writer has a segment of its own, and a compaction one of each log.
    let count = Count::default();
    let store = options(3).open_on(count.hook(), place.store()).unwrap();
    (BLOCKS..2 * BLOCKS).for_each(|n| store.put(&block(n).0, block(n).1).unwrap());
    (BLOCKS..2 * BLOCKS).for_each(|n| store.delete(&block(n).0).unwrap());
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    read_all(&store);
    store.close().unwrap();
    assert!(count.most() <= allowed + 2, "{} open", count.most());
}

#[test]
fn the_segment_that_was_not_read_for_longest_is_closed() {
    let place = Place::new();
    drop(filled(&place));
    let opened = Arc::new(Mutex::new(Vec::new()));
    let seen = opened.clone();
    let files = Hooked::new(move |call, path| {
        if call == Call::Opened && is_segment(path) {
            seen.lock().unwrap().push(path.file_name().unwrap().to_owned());
        }
        Ok(())
    });
    let reader = options(2).read_only(true).open_on(files, place.store()).unwrap();
    let opens = |n: u32| {
        opened.lock().unwrap().clear();
        assert!(reader.get(&block(n).0).unwrap().is_some());
        let opened = opened.lock().unwrap();
        assert!(opened.len() <= 1, "{opened:?}");
        opened.len() == 1
    };
    let all_opens: Vec<bool> = [1, 2, 1, 3, 1, 2, 1, 3].map(opens).to_vec();
    assert_eq!(all_opens, [true, true, false, true, false, true, false, true]);
}

/// While a call of a reader or of the writer runs, another log replaces the one that it reads. It answers from that one.
#[test]
fn a_call_that_finds_its_segment_removed_asks_the_new_log() {
    type Read = fn(&CarlogStore);
    let reads: [Read; 6] = [
        |store| assert_eq!(store.get(&block(1).0).unwrap(), Some(block(1).1)),
        |store| assert!(store.has(&block(1).0).unwrap()),
        |store| assert!(store.size(&block(1).0).unwrap().is_some()),
        |store| assert_eq!(store.side_table("t").unwrap().get(b"key").unwrap().unwrap(), "value"),
        |store| assert_eq!(store.info().unwrap().blocks, u64::from(BLOCKS) - 1),
        |store| {
            let listed: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
            let set: BTreeSet<Cid> = listed.iter().copied().collect();
            assert_eq!(listed.len(), set.len(), "a block is listed twice");
            // The deleted block may be listed.
            assert!((1..BLOCKS).all(|n| n == 9 || set.contains(&block(n).0)), "{}", set.len());
        },
    ];
    for (at, read) in reads.into_iter().enumerate() {
        let place = Place::new();
        let store = filled(&place);
        let store = Arc::new(Mutex::new(Some(store)));
        let writer = store.clone();
        // Armed when the reader is open.
        let (is_armed, was_hit) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (armed, hit) = (is_armed.clone(), was_hit.clone());
        let files = Hooked::new(move |call, path| {
            if call == Call::Open && is_segment(path) && armed.load(SeqCst) > 0 {
                let Some(store) = writer.lock().unwrap().take() else { return Ok(()) };
                store.delete(&block(9).0).unwrap();
                assert!(store.compact().unwrap().nothing_to_do.is_none());
                assert!(!path.exists());
                hit.store(1, SeqCst);
            }
            Ok(())
        });
        let reader = options(1).read_only(true).open_on(files, place.store()).unwrap();
        // Opens another segment, so that those of the next read are closed.
        assert!(reader.has(&block(BLOCKS - 1).0).unwrap());
        is_armed.store(1, SeqCst);
        read(&reader);
        assert_eq!(was_hit.load(SeqCst), 1, "read {at} opened no segment");
        assert!(!reader.has(&block(9).0).unwrap());
    }
}

/// A writer that opens the store after an interrupted compaction removes the old log before it writes `state`. Until then,
/// `state` tells readers nothing new.
#[test]
fn a_reader_whose_log_is_gone_asks_the_new_log_although_state_is_unchanged() {
    type Read = fn(&CarlogStore);
    let reads: [Read; 5] = [
        |store| assert_eq!(store.get(&block(1).0).unwrap(), Some(block(1).1)),
        |store| assert!(store.size(&block(1).0).unwrap().is_some()),
        |store| assert_eq!(store.side_table("t").unwrap().get(b"key").unwrap().unwrap(), "value"),
        |store| assert_eq!(store.info().unwrap().blocks, u64::from(BLOCKS) - 1),
        |store| assert_eq!(Content::of(store).blocks.len(), BLOCKS as usize - 1),
    ];
    let place = Place::new();
    let store = filled(&place);
    store.delete(&block(9).0).unwrap();
    let readers = reads.map(|read| (read, options(1).read_only(true).open(place.store()).unwrap()));
    let state = fs::read(place.file("state")).unwrap();
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    store.close().unwrap();
    drop(store);
    assert!(!place.file("seg-000002.car").exists());
    fs::write(place.file("state"), state).unwrap();
    for (read, reader) in &readers {
        read(reader);
        read(reader);
    }
    let store = options(3).open(place.store()).unwrap();
    store.put(&block(BLOCKS).0, block(BLOCKS).1).unwrap();
    for (_, reader) in &readers {
        assert!(reader.has(&block(BLOCKS).0).unwrap());
        assert!(!reader.has(&block(9).0).unwrap());
    }
}

/// A closed segment is gone although no compaction removed it, or its name leads to another file.
#[test]
fn a_segment_that_was_removed_or_replaced_is_damage_and_no_absence() {
    // Windows tells files apart only by name.
    for is_replaced in [false, true].into_iter().filter(|is_replaced| cfg!(unix) || !is_replaced) {
        let place = Place::new();
        let store = filled(&place);
        assert!(store.has(&block(BLOCKS - 1).0).unwrap());
        let segment = place.file("seg-000002.car");
        if is_replaced {
            fs::copy(&segment, place.file("copy")).unwrap();
            fs::rename(place.file("copy"), &segment).unwrap();
        } else {
            fs::remove_file(&segment).unwrap();
        }
        let (cid, _) = block(1);
        let found = [
            store.get(&cid).map(|found| found.is_some()),
            store.has(&cid),
            store.info().map(|_| true),
            store.cids().unwrap().collect::<Result<Vec<_>, _>>().map(|_| true),
            store.delete(&cid).map(|_| true),
            store.compact().map(|_| true),
        ];
        for error in found.map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
            assert!(error.to_string().contains("seg-000002.car"), "{error}");
        }
        assert!(store.get(&block(2).0).unwrap().is_some());
    }
}

/// The reader has closed the segment that the log goes on in when that segment is removed.
#[test]
fn a_reader_that_cannot_go_on_in_its_last_segment_reports_damage() {
    let place = Place::new();
    let store = options(3).segment_bytes(1 << 20).create(true).open(place.store()).unwrap();
    store.put(&block(0).0, block(0).1).unwrap();
    drop(store);
    let store = options(3).open(place.store()).unwrap();
    store.put(&block(1).0, block(1).1).unwrap();
    drop(store);
    let store = options(3).segment_bytes(1 << 20).open(place.store()).unwrap();
    let reader = options(1).read_only(true).open(place.store()).unwrap();
    // Closes the second segment.
    assert!(reader.get(&block(0).0).unwrap().is_some());
    store.put(&block(2).0, block(2).1).unwrap();
    fs::remove_file(place.file("seg-000002.car")).unwrap();
    let error = reader.has(&block(2).0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(error.to_string().contains("seg-000002.car"), "{error}");
}

/// The process may have only a few more files open than the store has already.
#[test]
fn fewer_segments_are_open_where_the_system_allows_fewer() {
    const EMFILE: i32 = 24;
    let place = Place::new();
    drop(filled(&place));
    for read_only in [true, false] {
        let count = Count::default();
        let seen = count.clone();
        let files = Hooked::new(move |call, path| match (call, seen.see(call, path)) {
            (Call::Open, open) if open >= 6 && is_segment(path) => Err(io::Error::from_raw_os_error(EMFILE)),
            _ => Ok(()),
        });
        let store = options(100).read_only(read_only).open_on(files, place.store()).unwrap();
        read_all(&store);
        assert!(count.most() <= 6, "{}", count.most());
    }
}

/// Whatever needs a file open when no more may be open, a segment is closed for it. Later, as many are open as before.
#[test]
fn segments_make_room_for_every_other_file() {
    const EMFILE: i32 = 24;
    let place = Place::new();
    drop(filled(&place));
    for read_only in [true, false] {
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (seen, allowed, count) = (open.clone(), most.clone(), Count::default());
        let segments = count.clone();
        let files = Hooked::new(move |call, path| {
            segments.see(call, path);
            let asks = match call {
                Call::Open | Call::Create | Call::List => true,
                Call::Sync => path.is_dir(),
                _ => false,
            };
            seen.fetch_add(usize::from(call == Call::Opened), SeqCst);
            seen.fetch_sub(usize::from(call == Call::Closed), SeqCst);
            let is_full = asks && seen.load(SeqCst) >= allowed.load(SeqCst);
            if is_full { Err(io::Error::from_raw_os_error(EMFILE)) } else { Ok(()) }
        });
        let fill = || most.store(open.load(SeqCst), SeqCst);
        let store = options(100).read_only(read_only).open_on(files, place.store()).unwrap();
        let is_read = |store: &CarlogStore| (0..BLOCKS).all(|n| store.get(&block(n).0).unwrap().is_some());
        assert!(is_read(&store));
        let before = count.open();
        assert!(before > BLOCKS as usize, "{before}");
        fill();
        if read_only {
            // Another inode of `state` makes the reader open it, and without it, the manifest.
            fs::copy(place.file("state"), place.file("copy")).unwrap();
            fs::rename(place.file("copy"), place.file("state")).unwrap();
            assert!(is_read(&store));
            most.store(usize::MAX, SeqCst);
            assert!(is_read(&store));
            fill();
            fs::remove_file(place.file("state")).unwrap();
            assert!(is_read(&store));
        } else {
            // A new segment, and a new run and a manifest now and then.
            for n in BLOCKS..BLOCKS + 12 {
                store.put(&block(n).0, block(n).1).unwrap();
                most.store(usize::MAX, SeqCst);
                assert!(is_read(&store));
                fill();
            }
        }
        most.store(usize::MAX, SeqCst);
        (0..2).for_each(|_| assert!(is_read(&store)));
        assert!(count.open() >= BLOCKS as usize, "{} of {before} are open", count.open());
        if !read_only {
            fill();
            store.delete(&block(BLOCKS).0).unwrap();
            assert!(store.compact().unwrap().nothing_to_do.is_none());
            assert!(is_read(&store));
        }
    }
}

/// A reader asks `state` in each call, and does not open it for that. If another file takes its place, it reads that.
#[test]
fn a_reader_keeps_state_open_and_notices_another_file() {
    let place = Place::new();
    let store = place.open();
    store.put(&block(1).0, block(1).1).unwrap();
    let opens = Arc::new(AtomicUsize::new(0));
    let counted = opens.clone();
    let files = Hooked::new(move |call, path| {
        counted.fetch_add(usize::from(call == Call::Open && path.ends_with("state")), SeqCst);
        Ok(())
    });
    let reader = OpenOptions::new().read_only(true).open_on(files, place.store()).unwrap();
    assert!(reader.has(&block(1).0).unwrap());
    let before = opens.load(SeqCst);
    for n in 2..40 {
        store.put(&block(n).0, block(n).1).unwrap();
        assert!(reader.has(&block(n).0).unwrap(), "{n}");
        assert!(!reader.has(&block(n + 1).0).unwrap(), "{n}");
    }
    let more = opens.load(SeqCst) - before;
    assert!(!cfg!(unix) || more == 0, "{more} times");
    store.close().unwrap();
    drop(store);
    // The next writer creates the file again; the reader has the old one open.
    for (n, kind) in (50..).zip(["removed", "replaced", "replaced, but it has another name"]) {
        let state = place.file("state");
        if kind == "removed" {
            fs::remove_file(&state).unwrap();
        } else {
            fs::copy(&state, place.file("copy")).unwrap();
            if kind != "replaced" {
                fs::hard_link(&state, place.file("link")).unwrap();
            }
            fs::rename(place.file("copy"), &state).unwrap();
        }
        let store = place.open();
        store.put(&block(n).0, block(n).1).unwrap();
        assert!(reader.has(&block(n).0).unwrap(), "{kind}");
        store.update(&block(n).0, &store.heads().unwrap()).unwrap();
        assert_eq!(reader.heads().unwrap(), [block(n).0], "{kind}");
        store.close().unwrap();
    }
}

/// The store was moved while a reader had it open, and is written to at its new place.
#[cfg(unix)]
#[test]
fn a_reader_of_a_store_that_was_moved_away_fails_until_it_is_back() {
    let (place, other) = (Place::new(), Place::new());
    let store = place.open();
    store.put(&block(1).0, block(1).1).unwrap();
    store.close().unwrap();
    drop(store);
    let reader = place.read_only();
    assert!(reader.has(&block(1).0).unwrap());
    fs::rename(place.store(), other.store()).unwrap();
    let store = other.open();
    store.put(&block(2).0, block(2).1).unwrap();
    drop(store);
    let error = reader.has(&block(2).0).unwrap_err();
    assert!(error.to_string().contains(place.store().to_str().unwrap()), "{error}");
    fs::rename(other.store(), place.store()).unwrap();
    assert!(reader.has(&block(2).0).unwrap());
}

/// A listing goes on after `close`, and another handle compacts.
#[test]
fn a_listing_of_a_closed_handle_whose_log_is_gone_fails_with_closed() {
    let place = Place::new();
    let store = filled(&place);
    let mut listing = store.cids().unwrap();
    assert!(listing.next().unwrap().is_ok());
    store.close().unwrap();
    let other = options(3).open(place.store());
    let other = other.unwrap();
    other.delete(&block(9).0).unwrap();
    assert!(other.compact().unwrap().nothing_to_do.is_none());
    assert_eq!(listing.find_map(Result::err).unwrap().kind(), ErrorKind::Closed);
    assert!(listing.next().is_none());
}
