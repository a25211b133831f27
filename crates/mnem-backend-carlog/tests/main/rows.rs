//! Many rows in one commit, and rows beside the index thread.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use mnem_backend_carlog::CarlogStore;
use mnem_store_traits::{Blockstore, Bytes, Store};

use crate::{
    hooked::{Call, Hooked, is_run},
    support::{Place, block, small_runs},
};

/// Takes minutes if each row searches the values of all others.
#[test]
fn a_commit_of_200_000_rows_is_written_and_read() {
    let place = Place::new();
    let store = place.open();
    let row = |n: u32| (Bytes::copy_from_slice(&n.to_be_bytes()), Bytes::from_static(b"v"));
    let rows: Vec<_> = (0..200_000).map(row).collect();
    store.side_table("t").unwrap().write(&rows, &[]).unwrap();
    // Nothing but a bound on the length of a record ends a commit of a compaction here.
    let records = |place: &Place| {
        let logs = place.files().into_iter().filter(|(name, _)| name.ends_with(".car"));
        logs.map(|(_, log)| log.windows(8).filter(|bytes| bytes == b"mnemC\0\0\x01").count()).collect::<Vec<_>>()
    };
    assert_eq!(records(&place), [1]);
    store.side_table("t").unwrap().write(&rows[..1], &[]).unwrap();
    store.compact().unwrap();
    assert_eq!(records(&place), [2]);
    // A reader reads the commit from the log.
    let table = place.read_only().side_table("t").unwrap();
    assert_eq!(table.keys(b"").unwrap().count(), rows.len());
    assert_eq!(table.get(&rows[199_999].0).unwrap().unwrap(), "v");
}

/// Rows are written and deleted after the run was begun and before the file of rows is encoded.
#[test]
fn rows_written_beside_a_run_are_there_after_a_kill() {
    let place = Place::new();
    let shared: Arc<OnceLock<CarlogStore>> = Arc::default();
    let (writer, is_done) = (shared.clone(), AtomicBool::new(false));
    let copied: Arc<OnceLock<BTreeMap<String, Vec<u8>>>> = Arc::default();
    let (to, from) = (copied.clone(), place.store());
    let files = Hooked::new(move |call, path| {
        if call == Call::Renamed && path.ends_with("manifest") {
            let entries = fs::read_dir(&from).unwrap().map(|entry| entry.unwrap());
            let read =
                |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
            let files: BTreeMap<_, _> = entries.map(read).collect();
            if files.keys().any(|name| name.starts_with("rows-")) {
                to.get_or_init(|| files);
            }
        }
        if call == Call::Write && is_run(path) && !is_done.swap(true, Ordering::SeqCst) {
            let table = writer.get().expect("it is open").side_table("t").unwrap();
            table.write(&[("a".into(), "new".into()), ("c".into(), "more".into())], &["b".into()]).unwrap();
        }
        Ok(())
    });
    let store = small_runs().create(true).open_on(files, place.store()).unwrap();
    let store = shared.get_or_init(|| store);
    store.side_table("t").unwrap().write(&[("a".into(), "old".into()), ("b".into(), "gone".into())], &[]).unwrap();
    (0..6).for_each(|n| store.put(&block(n).0, block(n).1).unwrap());
    while copied.get().is_none() {
        thread::yield_now();
    }
    let copy = Place::new();
    copy.restore(copied.get().unwrap());
    for read_only in [true, false] {
        let table = small_runs().read_only(read_only).open(copy.store()).unwrap().side_table("t").unwrap();
        let keys: Vec<_> = table.keys(b"").unwrap().map(Result::unwrap).collect();
        assert_eq!(keys, ["a", "c"]);
        assert_eq!(table.get(b"a").unwrap().unwrap(), "new");
    }
}
