//! A rename in two steps, as in user space: between them the name is gone. No reader takes that for damage or absence.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use mnem_backend_simple::{OpenOptions, SimpleStore, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, StoreError};

use crate::support::{Home, block, create, head, lacking::Lacking, traced::Traced, whole};

/// Stops a rename between its two steps until a reader has missed the file.
#[derive(Debug, Default)]
struct Window {
    state: Mutex<(bool, bool, bool)>,
    changed: Condvar,
}

const OPEN: fn(&mut (bool, bool, bool)) -> &mut bool = |state| &mut state.0;
const MISSED: fn(&mut (bool, bool, bool)) -> &mut bool = |state| &mut state.1;
const CLOSED: fn(&mut (bool, bool, bool)) -> &mut bool = |state| &mut state.2;

impl Window {
    fn set(&self, which: fn(&mut (bool, bool, bool)) -> &mut bool) {
        *which(&mut self.state.lock().unwrap()) = true;
        self.changed.notify_all();
    }

    fn wait(&self, which: fn(&mut (bool, bool, bool)) -> &mut bool) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| !*which(state)).unwrap());
    }
}

fn row(value: &'static [u8]) -> [(Bytes, Bytes); 1] {
    [(Bytes::from_static(b"k"), Bytes::from_static(value))]
}

fn write_row(store: &SimpleStore, value: &'static [u8]) {
    store.side_table("t").unwrap().write(&row(value), &[]).unwrap();
}

type Write = fn(&SimpleStore);
/// Whether the reader finds the old state or the new one.
type Read = fn(&SimpleStore) -> Result<bool, StoreError>;

/// What replaces a file, the call with which a reader looks for that file, and the reader.
const REPLACED: [(&str, Write, &str, Read); 3] = [
    ("heads", update, "read op_heads", |store| Ok(store.heads()?.contains(&head(1)))),
    (
        "a row",
        |store| write_row(store, b"new"),
        "read tables/t/6b",
        |store| Ok(store.side_table("t")?.get(b"k")?.is_some()),
    ),
    (AT_OPENING, update, "metadata op_heads", |store| Ok(store.heads()?.contains(&head(1)))),
];

const AT_OPENING: &str = "heads at opening";

fn update(store: &SimpleStore) {
    store.update(&head(2), &[]).unwrap();
}

#[test]
fn a_reader_between_the_two_steps_looks_again() {
    for (name, write, look, read) in REPLACED {
        let home = Home::new();
        let store = create(&home.path);
        store.update(&head(1), &[]).unwrap();
        write_row(&store, b"old");
        drop(store);
        let window = Arc::new(Window::default());
        let held = window.clone();
        let writer = Lacking::new(Arc::new(StdFileSystem), &[]).in_two_steps(move |_| {
            held.set(OPEN);
            held.wait(MISSED);
        });
        // In the reader, the call after the one that missed the file waits until the rename is done.
        let reader = Traced::new(Arc::new(Lacking::new(Arc::new(StdFileSystem), &[]).in_two_steps(|_| ())), &home.path);
        let open_reader = || OpenOptions::new().read_only(true).open_on(Arc::new(reader.clone()), &home.path);
        let early = (name != AT_OPENING).then(|| open_reader().unwrap());
        let after = window.clone();
        reader.meanwhile_after(look, 1, move || {
            after.set(MISSED);
            after.wait(CLOSED);
        });
        let found = std::thread::scope(|scope| {
            let (window, path) = (&window, &home.path);
            scope.spawn(move || {
                let store = OpenOptions::new().open_on(Arc::new(writer), path).unwrap();
                write(&store);
                window.set(CLOSED);
            });
            window.wait(OPEN);
            let found = early.map_or_else(open_reader, Ok).and_then(|store| read(&store));
            // If the reader gave up at once, let the writer continue.
            window.set(MISSED);
            found
        });
        assert!(found.unwrap_or_else(|error| panic!("{name}: {}", whole(&error))), "{name} was not found");
        assert!(reader.all_plans_used(), "{name}: nobody looked again");
    }
}

#[test]
fn a_file_that_is_really_missing_is_damage_all_the_same() {
    let home = Home::new();
    let store = create(&home.path);
    std::fs::remove_file(home.file("op_heads")).unwrap();
    let fs = || Arc::new(Lacking::new(Arc::new(StdFileSystem), &[]).in_two_steps(|_| ()));
    assert_eq!(store.heads().unwrap_err().kind(), ErrorKind::Damaged);
    for options in [OpenOptions::new(), OpenOptions::new().read_only(true), OpenOptions::new().create(true)] {
        assert_eq!(options.open_on(fs(), &home.path).unwrap_err().kind(), ErrorKind::Damaged);
    }
    assert_eq!(store.side_table("t").unwrap().get(b"k").unwrap(), None);
}

#[test]
fn a_block_that_was_acknowledged_is_never_gone_for_a_moment() {
    let home = Home::new();
    let (cid, data) = block(1);
    drop(create(&home.path));
    let gone = Arc::new(AtomicUsize::new(0));
    let count = gone.clone();
    let lacking = Lacking::new(Arc::new(StdFileSystem), &[]).in_two_steps(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let fs = Traced::new(Arc::new(lacking.clone()), &home.path);
    let second = OpenOptions::new().open_on(Arc::new(fs.clone()), &home.path).unwrap();
    let first = move |path: &std::path::Path| -> Result<(), StoreError> {
        let store = OpenOptions::new().open_on(Arc::new(lacking.clone()), path)?;
        store.put(&cid, block(1).1)
    };
    // The second put has looked for the block and not found it; the first is acknowledged before the second gives it a
    // name.
    let path = home.path.clone();
    fs.meanwhile("create file", move || first(&path).unwrap());
    second.put(&cid, data.clone()).unwrap();
    assert!(fs.all_plans_used());
    assert_eq!(gone.load(Ordering::SeqCst), 0, "the block was gone for a moment");
    assert_eq!(second.get(&cid).unwrap(), Some(data));
}
