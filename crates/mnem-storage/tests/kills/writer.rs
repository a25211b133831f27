//! The code of the process that is killed.

use std::{env, fs::File, io::BufReader, path::Path, path::PathBuf, sync::Arc};

use mnem_storage::{
    OpenOptions, Store,
    car::{self, ImportOptions},
    copy, unwatched,
};

use super::{
    collection, jobs, operations,
    process::{BACKEND, FIRST, SOURCE, STORE, WORK, say},
};

/// The number of operations after which the writer closes and reopens the store.
const OPEN_FOR: u64 = 40;

/// Not a test: the other tests of this module run it in another process.
#[test]
fn child() {
    let Ok(work) = env::var(WORK) else { return };
    let path = |name| PathBuf::from(env::var_os(name).expect("set by the parent"));
    let (store, source) = (path(STORE), path(SOURCE));
    let backend = env::var(BACKEND).expect("set by the parent");
    let backend = mnem_storage::DRIVERS.iter().map(|driver| driver.name()).find(|name| *name == backend);
    let backend = backend.expect("a backend");
    let first: u64 = env::var(FIRST).expect("set by the parent").parse().expect("a number");
    say("begin");
    match work.as_str() {
        "stream" => stream(&store, backend, first),
        "lie" => lie(&store, backend, first),
        "create" => say_done(&*open(&store, backend)),
        "import" => import(&store, backend, &source),
        "copy" => copy_from(&store, backend, &source),
        "collect" => collect(&store, collection::collect_all),
        "collect_early" => collect(&store, collection::collect_early),
        "knn" => knn(&store, backend, first),
        #[cfg(feature = "redb")]
        "compact" => compact(&store, first),
        other => panic!("there is no work called {other}"),
    }
}

pub(super) fn open(path: &Path, backend: &'static str) -> Arc<dyn Store> {
    OpenOptions::new().create(true).backend(backend).open(path).expect("open or create")
}

fn say_done(store: &dyn Store) {
    say("0");
    store.close().expect("close");
    say("done");
}

fn stream(path: &Path, backend: &'static str, first: u64) {
    let mut operation = first;
    loop {
        let store = open(path, backend);
        for _ in 0..OPEN_FOR {
            operations::perform(&*store, operation).expect("perform");
            say(&operation.to_string());
            operation += 1;
        }
        store.close().expect("close");
    }
}

fn lie(path: &Path, backend: &'static str, first: u64) {
    let store = open(path, backend);
    for operation in first.. {
        say(&operation.to_string());
        operations::perform(&*store, operation).expect("perform");
    }
}

#[cfg(feature = "redb")]
fn compact(path: &Path, first: u64) {
    let mut store = mnem_backend_redb::OpenOptions::new().create(true).open(path).expect("open or create");
    for operation in first.. {
        operations::perform(&store, operation).expect("perform");
        say(&operation.to_string());
        if operation % 6 == 5 {
            store.compact().expect("compact");
        }
    }
}

fn import(path: &Path, backend: &'static str, archive: &Path) {
    let store = open(path, backend);
    let archive = BufReader::new(File::open(archive).expect("the archive"));
    let options = ImportOptions::new().heads(true).batch_bytes(jobs::BATCH_BYTES);
    car::import(&*store, archive, &options, &mut unwatched).expect("import");
    say_done(&*store);
}

fn copy_from(path: &Path, backend: &'static str, source: &Path) {
    let source = OpenOptions::new().read_only(true).open(source).expect("the source");
    let store = open(path, backend);
    copy(&*source, &*store, &mut unwatched).expect("copy");
    say_done(&*store);
}

fn collect(path: &Path, work: fn(&dyn Store)) {
    let store = OpenOptions::new().exclusive(true).open(path).expect("open alone");
    work(&*store);
    say_done(&*store);
}

fn knn(path: &Path, backend: &'static str, first: u64) {
    let store = open(path, backend);
    for operation in first.. {
        jobs::perform_knn(&*store, operation).expect("perform");
        say(&operation.to_string());
    }
}
