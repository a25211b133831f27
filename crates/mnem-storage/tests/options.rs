//! Which backend opens a store, in builds with and without it.

use std::{fs, path::Path, time::Duration};

use mnem_storage::{
    BACKENDS, DRIVERS, ErrorKind, OpHeadsStore as _, OpenOptions, StoreError, VerifyOptions, WriteBatch, compact_at,
    detect, info_at, open_or_init, unwatched, verify_at,
};

use mnem_storage::driver::TableInfo;

use crate::fixtures::raw;

/// Whether this is the error for a store whose backend is not compiled in.
fn is_missing_feature(error: &StoreError, backend: &'static str) -> bool {
    let text = error.to_string();
    error.kind() == ErrorKind::Unsupported && text.contains(&format!("feature `{}`", backend))
}

fn has(backend: &str) -> bool {
    DRIVERS.iter().any(|driver| driver.name() == backend)
}

fn creates(path: &Path, options: &OpenOptions, expected: &'static str) {
    match options.open(path) {
        Ok(_) => assert_eq!(detect(path).unwrap().map(|driver| driver.name()), Some(expected), "{}", path.display()),
        Err(error) => assert!(!has(expected) && is_missing_feature(&error, expected), "{error}"),
    }
}

/// The store on disk determines the format in which edges are stored.
#[test]
#[cfg(all(feature = "redb", feature = "simple"))]
fn the_published_layout_is_for_new_redb_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let published = OpenOptions::new().create(true).format("mnem-backend-redb 0.1");
    let format = |name: &str, options: &OpenOptions| options.open_managed(path(name)).map(|store| store.format());
    assert_eq!(format("theirs.redb", &published).unwrap(), "mnem-backend-redb 0.1");
    assert_eq!(format("theirs.redb", &published).unwrap(), "mnem-backend-redb 0.1");
    assert_eq!(
        format("theirs.redb", &OpenOptions::new()).unwrap(),
        "mnem-backend-redb 0.1",
        "found without being asked for"
    );
    assert_eq!(format("ours.redb", &OpenOptions::new().create(true)).unwrap(), "mnem-backend-redb 1");
    for name in ["ours.redb", "a.simple"] {
        let error = format(name, &published).unwrap_err();
        assert!(
            error.kind() == ErrorKind::InvalidArgument && error.to_string().contains("mnem-backend-redb 0.1"),
            "{error}"
        );
    }
    assert_eq!(detect(path("a.simple")).unwrap().map(|driver| driver.name()), None, "nothing was made");
}

#[test]
fn the_build_says_what_it_has() {
    assert_eq!(has("redb"), cfg!(feature = "redb"));
    assert_eq!(has("simple"), cfg!(feature = "simple"));
    for backend in BACKENDS {
        assert_eq!(backend.is_compiled_in(), has(backend.name));
    }
    let error = OpenOptions::new().create(true).backend("tape").open("nowhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("no backend `tape`"), "{error}");
}

#[test]
fn the_wish_then_the_path_then_the_default_decides_about_a_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let create = || OpenOptions::new().create(true);
    creates(&path("a.redb"), &create(), "redb");
    creates(&path("a.simple"), &create(), "simple");
    creates(&path("slash/"), &create(), "simple");
    creates(&path("b.redb"), &create().backend("simple"), "simple");
    creates(&path("b.simple"), &create().backend("redb"), "redb");
    fs::create_dir(path("empty")).unwrap();
    creates(&path("empty"), &create(), "simple");
    match DRIVERS.first().map(|driver| driver.name()) {
        Some(backend) => {
            creates(&path("plain"), &create(), backend);
            creates(&path("other.db"), &create(), backend);
        }
        None => {
            let error = create().open(path("plain")).unwrap_err();
            assert!(
                is_missing_feature(&error, "redb")
                    || error.to_string().contains("any of its features `redb`, `simple`")
            );
        }
    }
}

#[test]
fn a_path_that_asks_for_what_the_build_lacks_says_so_and_what_else_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for backend in BACKENDS.iter().map(|backend| backend.name).filter(|name| !has(name)) {
        let path = folder.path().join(format!("new.{backend}"));
        let error = open_or_init(&path).unwrap_err();
        assert!(is_missing_feature(&error, backend), "{error}");
        let text = error.to_string();
        let advice = "which the path selects; enable it, give another path or name another backend";
        assert!(text.contains(advice), "{text}");
        assert!(!path.exists());
    }
}

#[test]
fn every_backend_says_the_same_of_a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let path = missing.join("store");
        let error = OpenOptions::new().create(true).backend(backend).open(&path).unwrap_err();
        let (path, missing) = (path.display(), missing.display());
        assert_eq!(error.to_string(), format!("no store at {path}: folder {missing} does not exist; create it first"));
        assert_eq!(error.kind(), ErrorKind::NotAStore);
    }
}

#[test]
#[cfg(feature = "redb")]
fn a_redb_store_is_never_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().create(true).backend("redb");
    assert_eq!(options.open(folder.path()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_lies_on_disk_decides_about_an_existing_store() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        // The name suggests the other backend.
        let path = folder.path().join(if backend == "redb" { "x.simple" } else { "x.redb" });
        let create = OpenOptions::new().create(true);
        drop(create.clone().backend(backend).open(&path).unwrap());
        drop(open_or_init(&path).unwrap());
        drop(OpenOptions::new().backend(backend).open(&path).unwrap());
        for other in BACKENDS.iter().map(|other| other.name).filter(|other| *other != backend) {
            let error = create.clone().backend(other).open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(&format!("is a {backend} store, not {other}")), "{error}");
        }
        let error = OpenOptions::new().create_new(true).open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("is already a"), "{error}");
    }
}

#[test]
fn a_store_whose_backend_is_not_compiled_in_names_the_feature() {
    let folder = tempfile::tempdir().unwrap();
    let (file, simple) = (folder.path().join("file"), folder.path().join("folder"));
    fs::write(&file, b"redb\x1a\x0a\xa9\x0d\x0a").unwrap();
    fs::create_dir(&simple).unwrap();
    fs::write(simple.join("format"), b"mnem-backend-simple 1\n").unwrap();
    for (path, backend) in [(&file, "redb"), (&simple, "simple")] {
        if has(backend) {
            continue;
        }
        let errors = [
            open_or_init(path).unwrap_err(),
            info_at(path, &OpenOptions::new()).unwrap_err(),
            compact_at(path, &OpenOptions::new()).unwrap_err(),
            verify_at(path, &VerifyOptions::new(), &mut unwatched).unwrap_err().store_error().unwrap().clone(),
        ];
        assert!(errors.iter().all(|error| is_missing_feature(error, backend)), "{errors:?}");
    }
}

#[test]
fn nothing_is_created_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["absent", "absent.redb", "absent.simple", "absent/"] {
        let path = folder.path().join(name);
        for options in [OpenOptions::new(), OpenOptions::new().read_only(true)] {
            let error = options.open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotAStore, "{name}");
        }
        let contradiction = OpenOptions::new().create(true).read_only(true).open(&path).unwrap_err();
        assert_eq!(contradiction.kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(OpenOptions::new().open(folder.path()).unwrap_err().kind(), ErrorKind::NotAStore);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn create_new_creates() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        drop(OpenOptions::new().create_new(true).backend(backend).open(&path).unwrap());
        assert_eq!(detect(&path).unwrap().map(|driver| driver.name()), Some(backend));
    }
}

#[test]
fn every_option_reaches_the_backend() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let head = raw("head");
        let store = OpenOptions::new().create(true).backend(backend).open(&path).unwrap();
        store.commit(WriteBatch::new().put(head.0, head.1.clone()).update(head.0, [])).unwrap();
        if backend == "redb" {
            let impatient = OpenOptions::new().lock_wait(Duration::ZERO);
            assert_eq!(impatient.open(&path).unwrap_err().kind(), ErrorKind::Locked);
        }
        store.close().unwrap();
        drop(store);
        let reader =
            OpenOptions::new().read_only(true).check(true).cache_bytes(1 << 20).lock_wait(Duration::from_secs(1));
        let store = reader.open(&path).unwrap();
        assert_eq!(store.heads().unwrap(), [head.0], "{backend}");
        let other = raw("other");
        assert_eq!(store.put(&other.0, other.1).unwrap_err().kind(), ErrorKind::ReadOnly);
    }
}

#[test]
fn info_counts_what_is_there() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let head = raw("12345");
        let store = OpenOptions::new().create(true).backend(backend).open(&path).unwrap();
        store.commit(WriteBatch::new().put(head.0, head.1.clone()).update(head.0, [])).unwrap();
        let table = store.side_table("rows").unwrap();
        table.write(&[("key".into(), "value".into()), ("key2".into(), "value".into())], &[]).unwrap();
        drop(table);
        store.close().unwrap();
        drop(store);
        let found = info_at(&path, &OpenOptions::new()).unwrap();
        assert_eq!(
            (found.backend, found.counts.blocks, found.counts.block_bytes, found.counts.heads),
            (backend, 1, 5, 1)
        );
        assert!(found.counts.file_bytes > 5 && !found.format.is_empty());
        let [TableInfo { name, keys: 2, bytes, .. }] = &found.counts.tables[..] else { panic!("{found:?}") };
        assert_eq!((name.as_str(), *bytes >= 10), ("rows", true));
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["backend"], backend);
        assert_eq!(json["tables"][0]["row_bytes"], *bytes);
    }
}

#[test]
fn many_creators_of_one_path_share_one_store() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        // redb allows one handle at a time; the others wait for it.
        let options = OpenOptions::new().create(true).backend(backend).lock_wait(Duration::from_secs(60));
        std::thread::scope(|scope| {
            for n in 0..8_u8 {
                let (path, options) = (&path, &options);
                scope.spawn(move || {
                    let head = raw(vec![n]);
                    let store = options.open(path).expect("the one store");
                    store.commit(WriteBatch::new().put(head.0, head.1).update(head.0, [])).unwrap();
                    store.close().unwrap();
                });
            }
        });
        let store = OpenOptions::new().open(&path).unwrap();
        assert_eq!(store.heads().unwrap().len(), 8, "{backend}");
        assert_eq!(store.cids().unwrap().count(), 8, "{backend}");
    }
}
