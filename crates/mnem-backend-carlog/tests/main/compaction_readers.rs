//! Readers, listings and copies during a compaction.

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, Cid, ErrorKind, OpHeadsStore, Store};

use crate::{
    hooked::{Call, Hooked, is_run},
    support::{Content, Place, block, commits, small_runs},
};

fn options() -> OpenOptions {
    small_runs().create(true).segment_bytes(3_000).index_thread(false)
}

fn reader(path: &Path) -> CarlogStore {
    reader_with(100, path)
}

/// A reader that has at most so many segments open.
fn reader_with(open_segments: usize, path: &Path) -> CarlogStore {
    options().create(false).read_only(true).open_segments(open_segments).open(path).unwrap()
}

/// Blocks that stay, so every listing has each of them once.
const STEADY: u32 = 60;

/// Puts new blocks, deletes those of the previous turn, and compacts.
fn turn(store: &CarlogStore, n: u32) {
    let passing = |n: u32| (0..8).map(move |at| block(1_000 + 8 * n + at));
    store.put_many(&mut passing(n).map(Ok)).unwrap();
    store.update(&block(n % STEADY).0, &store.heads().unwrap()).unwrap();
    if n > 0 {
        store.delete_many(&mut passing(n - 1).map(|(cid, _)| Ok(cid))).unwrap();
        assert!(store.compact().unwrap().nothing_to_do.is_none());
    }
}

fn steady() -> BTreeSet<Cid> {
    (0..STEADY).map(|n| block(n).0).collect()
}

/// Commits the steady blocks in several segments.
fn begin(store: &CarlogStore) {
    (0..STEADY).for_each(|n| store.put(&block(n).0, block(n).1).unwrap());
    turn(store, 0);
}

/// Checks what a reader must see whatever happens meanwhile.
fn look(store: &CarlogStore) {
    (0..STEADY).for_each(|n| assert_eq!(store.get(&block(n).0).unwrap(), Some(block(n).1), "block {n}"));
    let heads = store.heads().unwrap();
    assert!(heads.len() == 1 && steady().contains(&heads[0]), "{heads:?}");
    assert!(!store.has(&block(999_999).0).unwrap());
    let mut listed = BTreeSet::new();
    for cid in store.cids().unwrap() {
        let cid = cid.unwrap();
        assert!(listed.insert(cid), "{cid} is listed twice");
    }
    assert!(listed.is_superset(&steady()), "{} of {STEADY}", listed.intersection(&steady()).count());
}

/// During the listing, the view changes to the new log, in the compacting handle and in a reader. Where only one segment
/// is open at a time, the rest of the listing's log is gone.
#[test]
fn a_listing_that_a_compaction_overtakes_ends_with_every_steady_block_once() {
    for (by_reader, open_segments) in [(false, 100), (true, 100), (false, 1), (true, 1)] {
        let place = Place::new();
        let store = options().open_segments(open_segments).open(place.store()).unwrap();
        begin(&store);
        store.delete(&block(1_000).0).unwrap();
        let reader = reader_with(open_segments, &place.store());
        let lister = if by_reader { &reader } else { &store };
        let mut listing = lister.cids().unwrap();
        let mut listed = vec![listing.next().unwrap().unwrap()];
        for n in 1..4 {
            turn(&store, n);
            assert!(lister.has(&block(0).0).unwrap());
            listed.extend(listing.by_ref().take(3).map(Result::unwrap));
        }
        listed.extend(listing.map(Result::unwrap));
        let set: BTreeSet<Cid> = listed.iter().copied().collect();
        assert_eq!(set.len(), listed.len(), "a block is listed twice");
        assert!(
            set.is_superset(&steady()) && !set.contains(&block(1_000).0),
            "by a reader: {by_reader}, {open_segments} open"
        );
        look(lister);
    }
}

#[test]
fn a_reader_that_slept_over_many_compactions_sees_the_last_one() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    begin(&store);
    let readers = [reader(&place.store()), reader(&place.store())];
    for n in 1..30 {
        turn(&store, n);
        if n % 7 == 0 {
            look(&readers[0]);
        }
    }
    let expected = Content::of(&store);
    readers.iter().for_each(|reader| assert_eq!(Content::of(reader), expected));
    // Without `state`, it learns this from the manifest.
    turn(&store, 30);
    fs::remove_file(place.file("state")).unwrap();
    readers.iter().for_each(|reader| assert_eq!(Content::of(reader), Content::of(&store)));
    store.close().unwrap();
}

/// Readers in threads with handles of their own. One is reopened again and again, one has no `state`, and one has at
/// most one segment open.
#[test]
fn readers_beside_compactions_never_miss_a_block() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    begin(&store);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for kind in 0..4 {
            let (path, is_done) = (place.store(), &is_done);
            scope.spawn(move || {
                let kept = reader_with(if kind == 3 { 1 } else { 100 }, &path);
                while !is_done.load(Ordering::SeqCst) {
                    match kind {
                        0 | 3 => look(&kept),
                        1 => look(&reader(&path)),
                        _ => {
                            let _ = fs::write(path.join("state"), b"torn");
                            look(&kept);
                        }
                    }
                }
            });
        }
        let done = Done(&is_done);
        (1..120).for_each(|n| turn(&store, n));
        drop(done);
    });
    look(&store);
}

/// Ends the readers, even if the writer panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The store that a child process of this binary reads until the file `end` exists beside it.
const READ: &str = "MNEM_CARLOG_READ";

/// Not a test: the body of the child processes of the next test.
#[test]
fn read_in_another_process() {
    let Some(path) = env::var_os(READ) else { return };
    let path = Path::new(&path);
    let kept = [100, 1].map(|open_segments| reader_with(open_segments, path));
    for n in 0.. {
        kept.iter().for_each(look);
        look(&reader(path));
        if path.with_extension("end").exists() {
            assert!(n > 0, "the writer was too fast");
            break;
        }
    }
}

#[test]
fn readers_in_other_processes_never_miss_a_block() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    begin(&store);
    let read = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "compaction_readers::read_in_another_process", "--nocapture"]);
        command.env(READ, place.store()).stdout(Stdio::null()).spawn().unwrap()
    };
    let readers: Vec<Child> = (0..3).map(|_| read()).collect();
    (1..150).for_each(|n| turn(&store, n));
    fs::write(place.store().with_extension("end"), "").unwrap();
    readers.into_iter().for_each(|mut reader| assert!(reader.wait().unwrap().success(), "see its message above"));
}

/// After the index has reported a damaged run, and before the log is read, a compaction removes the names of the log.
/// The log is read through the open files.
#[test]
fn an_index_is_rebuilt_from_a_log_whose_names_are_gone() {
    let place = Place::new();
    let store = options().open(place.store()).unwrap();
    begin(&store);
    turn(&store, 1);
    let store = Arc::new(Mutex::new(Some(store)));
    let writer = store.clone();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = is_armed.clone();
    let files = Hooked::new(move |call, path| {
        if matches!(call, Call::Read(_)) && is_run(path) && armed.swap(false, Ordering::SeqCst) {
            let store = writer.lock().unwrap().take().unwrap();
            store.delete(&block(1_008).0).unwrap();
            assert!(store.compact().unwrap().nothing_to_do.is_none());
        }
        Ok(())
    });
    let reader = options().create(false).read_only(true).open_on(files, place.store()).unwrap();
    for name in place.files().into_keys().filter(|name| name.starts_with("run-")) {
        let mut bytes = fs::read(place.file(&name)).unwrap();
        bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x10);
        fs::write(place.file(&name), bytes).unwrap();
    }
    is_armed.store(true, Ordering::SeqCst);
    assert_eq!(reader.get(&block(5).0).unwrap(), Some(block(5).1));
    assert!(!is_armed.load(Ordering::SeqCst), "no run was read");
    look(&reader);
}

/// A reader knows of a commit in the next segment, and before it opens that segment, a compaction removes it.
#[test]
fn a_reader_whose_next_segment_is_removed_reads_the_new_log() {
    let place = Place::new();
    // One manifest names the first segment alone until a compaction.
    let options = || OpenOptions::new().segment_bytes(3_000).index_thread(false);
    let store = options().create(true).open(place.store()).unwrap();
    store.put(&block(0).0, block(0).1).unwrap();
    let store = Arc::new(Mutex::new(store));
    let (writer, is_armed) = (store.clone(), Arc::new(AtomicBool::new(false)));
    let armed = is_armed.clone();
    let files = Hooked::new(move |call, path| {
        let is_log = path.extension().is_some_and(|extension| extension == "car");
        if matches!(call, Call::Read(_)) && is_log && armed.swap(false, Ordering::SeqCst) {
            let store = writer.lock().unwrap();
            store.delete(&block(1).0).unwrap();
            assert!(store.compact().unwrap().nothing_to_do.is_none());
        }
        Ok(())
    });
    let reader = options().read_only(true).open_on(files, place.store()).unwrap();
    assert!(reader.has(&block(0).0).unwrap());
    (1..STEADY).for_each(|n| store.lock().unwrap().put(&block(n).0, block(n).1).unwrap());
    is_armed.store(true, Ordering::SeqCst);
    assert_eq!(reader.get(&block(STEADY - 1).0).unwrap(), Some(block(STEADY - 1).1));
    assert!(!is_armed.load(Ordering::SeqCst), "the log was not read");
    (0..STEADY).for_each(|n| assert_eq!(reader.has(&block(n).0).unwrap(), n != 1, "{n}"));
}

/// Copies the folder of an open store in the order that `docs/OPERATIONS.md` describes. If a compaction made the copy
/// useless, it is damaged; otherwise it contains everything acknowledged before.
#[test]
fn a_copy_made_beside_compactions_is_whole_or_damaged() {
    let (place, copy) = (Place::new(), Place::new());
    let store = options().open(place.store()).unwrap();
    begin(&store);
    let (turns, is_done) = (AtomicU32::new(0), AtomicBool::new(false));
    let (mut whole, mut damaged) = (0, 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 1.. {
                if is_done.load(Ordering::SeqCst) {
                    return;
                }
                turn(&store, n);
                turns.store(n, Ordering::SeqCst);
            }
        });
        let done = Done(&is_done);
        for at in 0..400 {
            let before = turns.load(Ordering::SeqCst);
            let _ = fs::remove_dir_all(copy.store());
            fs::create_dir(copy.store()).unwrap();
            let take = |name: &str| fs::copy(place.file(name), copy.file(name)).is_ok();
            assert!(take("format") && take("manifest"));
            let names = fs::read_dir(place.store()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.iter().filter(|name| name.starts_with("run-") || name.starts_with("rows-")).for_each(|name| {
                take(name);
            });
            names.iter().rev().filter(|name| name.ends_with(".car")).for_each(|name| {
                // Some copies are slow.
                if at % 3 == 0 {
                    thread::sleep(std::time::Duration::from_millis(2));
                }
                take(name);
            });
            match options().create(false).read_only(at % 2 == 0).open(copy.store()) {
                Ok(copied) => {
                    look(&copied);
                    let head = (0..STEADY).position(|n| copied.heads().unwrap() == [block(n).0]).unwrap() as u32;
                    let age = (before % STEADY + STEADY - head) % STEADY;
                    assert!(age == 0 || age > STEADY / 2, "the copy has head {head}, before it began it was {before}");
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                    damaged += 1;
                }
            }
        }
        drop(done);
        writer.join().unwrap();
    });
    assert!(whole > 0 && damaged > 0, "{whole} whole, {damaged} damaged");
}

/// Commits of other threads wait, and are there afterwards.
#[test]
fn commits_wait_for_a_compaction_and_are_made() {
    let place = Place::new();
    let store = small_runs().create(true).segment_bytes(3_000).open(place.store()).unwrap();
    let expected = commits(&store, 30);
    thread::scope(|scope| {
        let put = |from: u32| (from..from + 40).for_each(|n| store.put(&block(n).0, block(n).1).unwrap());
        scope.spawn(move || put(2_000));
        scope.spawn(move || put(3_000));
        for n in 0..20 {
            store.put(&block(4_000 + n).0, block(4_000 + n).1).unwrap();
            store.delete(&block(4_000 + n).0).unwrap();
            store.compact().unwrap();
        }
    });
    let there = (2_000..2_040).chain(3_000..3_040).map(|n| block(n).0).chain(expected.blocks).collect::<BTreeSet<_>>();
    assert_eq!(Content::of(&store).blocks, there);
    store.close().unwrap();
    assert_eq!(Content::of(&place.read_only()).blocks, there);
    assert_eq!(place.open().compact().unwrap().nothing_to_do, Some("no blocks were deleted"));
}
