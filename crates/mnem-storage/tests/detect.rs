//! Detecting what is at a path.

use std::fs;

use mnem_storage::{BACKENDS, DRIVERS, ErrorKind, OpenOptions, detect, enclosing_store};

#[cfg(any(feature = "redb", feature = "simple"))]
fn reason(path: &std::path::Path) -> String {
    match detect(path).expect_err("no store") {
        mnem_storage::StoreError::NotAStore { reason, location } => {
            assert_eq!(location, path.into());
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn stores_are_known_by_their_content_and_not_by_their_name() {
    let folder = tempfile::tempdir().unwrap();
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let path = folder.path().join(format!("{backend}.misleading"));
        drop(OpenOptions::new().create(true).backend(backend).open(&path).unwrap());
        assert_eq!(detect(&path).unwrap().map(|driver| driver.name()), Some(backend));
    }
}

#[test]
fn stores_of_every_backend_are_known_in_every_build() {
    let folder = tempfile::tempdir().unwrap();
    let (file, simple) = (folder.path().join("file"), folder.path().join("folder"));
    fs::write(&file, b"redb\x1a\x0a\xa9\x0d\x0a and more").unwrap();
    fs::create_dir(&simple).unwrap();
    fs::write(simple.join("format"), b"mnem-backend-simple 1\n").unwrap();
    for (path, backend) in [(file, "redb"), (simple, "simple")] {
        match detect(&path) {
            Ok(found) => assert_eq!(found.map(|driver| driver.name()), Some(backend)),
            Err(error) => {
                assert!(DRIVERS.iter().all(|driver| driver.name() != backend), "{error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains(&format!("feature `{backend}`")), "{error}");
            }
        }
    }
}

#[test]
fn nothing_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert!(detect(folder.path().join("absent")).unwrap().is_none());
    assert_eq!(detect(folder.path()).unwrap().map(|driver| driver.name()), None, "an empty folder");
}

#[test]
#[cfg(feature = "simple")]
fn a_simple_store_that_is_being_created_is_nothing_yet() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    fs::write(folder.path().join("lock"), b"").unwrap();
    assert!(detect(folder.path()).unwrap().is_none());
}

#[test]
#[cfg(any(feature = "redb", feature = "simple"))]
fn what_is_no_store_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty"), b"").unwrap();
    fs::write(path("text"), b"hello").unwrap();
    fs::write(path("short"), b"redb").unwrap();
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("folder").join("notes.txt"), b"mine").unwrap();
    for (name, redb, simple) in [
        ("empty", "it is an empty file", "it is a file, not a folder"),
        ("text", "the file does not start with a redb header", "it is a file, not a folder"),
        ("short", "the file does not start with a redb header", "it is a file, not a folder"),
        ("folder", "it is a folder, not a file", "the folder holds `notes.txt` and no `format` file"),
    ] {
        let said = reason(&path(name));
        for (backend, why) in [("redb", redb), ("simple", simple)] {
            assert_eq!(said.contains(why), DRIVERS.iter().any(|driver| driver.name() == backend), "{name}: {said}");
        }
    }
    assert_eq!(reason(&path("text/below")), "a part of the path is a file, not a folder", "all say the same, once");
    let url = std::path::Path::new("nowhere://x/y");
    assert!(reason(url).starts_with("no backend of this build supports URLs with the scheme `nowhere`"));
}

#[test]
#[cfg(all(unix, any(feature = "redb", feature = "simple")))]
fn links_are_followed_and_special_files_are_not_opened() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), b"redb\x1a\x0a\xa9\x0d\x0a").unwrap();
    symlink(path("file"), path("link")).unwrap();
    symlink(path("absent"), path("dangling")).unwrap();
    let _socket = UnixListener::bind(path("socket")).unwrap();
    if cfg!(feature = "redb") {
        assert_eq!(detect(path("link")).unwrap().map(|driver| driver.name()), Some("redb"));
    }
    assert_eq!(reason(&path("dangling")), "it is a dangling symbolic link");
    assert_eq!(reason(&path("socket")), "it is neither a file nor a folder");
    for special in ["dangling", "socket", "file/below"] {
        let error = mnem_storage::open_or_init(path(special)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAStore, "{special}");
    }
}

#[test]
fn no_store_is_made_inside_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.simple");
    fs::create_dir_all(store.join("tables/deep")).unwrap();
    fs::write(store.join("format"), b"mnem-backend-simple 1\n").unwrap();
    assert_eq!(enclosing_store(&store), None, "the folder itself");
    for inside in ["inner.redb", "tables/inner.simple", "tables/deep", "tables/deep/inner", "tables/../inner.redb"] {
        let inside = store.join(inside);
        assert_eq!(enclosing_store(&inside), Some(fs::canonicalize(&store).unwrap()), "{inside:?}");
        let existed = inside.exists();
        for options in [OpenOptions::new().create(true), OpenOptions::new().create_new(true)] {
            let error = options.open(&inside).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{inside:?}");
            assert!(error.to_string().contains("is inside the store"), "{error}");
        }
        assert_eq!(inside.exists(), existed);
    }
    // A `format` file of another program does not make a store.
    fs::write(folder.path().join("format"), b"A4, landscape\n").unwrap();
    assert_eq!(enclosing_store(&folder.path().join("new.redb")), None);
}

#[test]
#[cfg(feature = "simple")]
fn no_store_is_made_inside_of_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("a.simple");
    let made = OpenOptions::new().create(true).open(&store).unwrap();
    let (cid, data) = crate::fixtures::raw("a block");
    made.put(&cid, data).unwrap();
    drop(made);
    let format = store.join("format");
    let damages: [&dyn Fn(); 2] = [&|| fs::write(&format, "").unwrap(), &|| fs::remove_file(&format).unwrap()];
    for damage in damages {
        damage();
        for inside in ["inner.redb", "objects/inner.simple"] {
            let inside = store.join(inside);
            let error = OpenOptions::new().create(true).open(&inside).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            let store = fs::canonicalize(&store).unwrap();
            assert!(error.to_string().contains(&format!("is inside the store {}", store.display())), "{error}");
            assert!(!inside.exists());
        }
    }
}

#[test]
#[cfg(feature = "simple")]
fn a_store_whose_format_file_says_nothing_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.simple");
    drop(OpenOptions::new().create(true).open(&path).unwrap());
    for content in ["", "something else\n"] {
        fs::write(path.join("format"), content).unwrap();
        let error = OpenOptions::new().open(&path).unwrap_err();
        assert!(
            matches!(&error, mnem_storage::StoreError::Damaged { what, .. } if what.ends_with("format")),
            "{error:?}"
        );
        let report =
            mnem_storage::verify_at(&path, &mnem_storage::VerifyOptions::new(), &mut mnem_storage::unwatched).unwrap();
        assert_eq!(report.fault_count, 1);
    }
    // Without the other parts of a store, the folder belongs to another program.
    fs::remove_dir(path.join("tables")).unwrap();
    assert_eq!(OpenOptions::new().open(&path).unwrap_err().kind(), ErrorKind::NotAStore);
}

#[test]
#[cfg(all(unix, any(feature = "redb", feature = "simple")))]
fn what_cannot_be_looked_at_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let asked = DRIVERS.iter().map(|driver| (format!(".{}", driver.name()), driver.name()));
    // Nobody asked for a backend, so any name does.
    for (extension, backend) in asked.chain([(String::new(), DRIVERS[0].name())]) {
        let path = folder.path().join("x".repeat(300) + &extension);
        let said = format!("{backend} store failed to inspect {}", path.display());
        assert_eq!(detect(&path).unwrap_err().to_string(), said);
        for options in [OpenOptions::new(), OpenOptions::new().create(true)] {
            assert_eq!(options.open(&path).unwrap_err().to_string(), said);
        }
    }
}

/// The extension asks for one backend, and the separator or the folder for another.
#[test]
fn a_path_that_contradicts_itself_makes_no_store_unless_a_backend_is_named() {
    for backend in BACKENDS.iter().filter(|_| !DRIVERS.is_empty()).map(|backend| backend.name) {
        for (name, has_folder) in [("x", false), ("x", true), ("x/", false), ("x/", true)] {
            let folder = tempfile::tempdir().unwrap();
            let name = name.replace('x', &format!("x.{backend}"));
            let path = folder.path().join(&name);
            if has_folder {
                fs::create_dir(&path).unwrap();
            }
            let made = OpenOptions::new().create(true).open_managed(&path).map(|store| store.driver().name());
            let has_driver = DRIVERS.iter().any(|driver| driver.name() == backend);
            if has_driver && backend == "redb" && (has_folder || name.ends_with('/')) {
                let error = made.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
                assert!(error.to_string().contains("asks for a redb store, which is not a folder"), "{error}");
                assert_eq!(path.is_dir(), has_folder, "nothing was made");
                assert!(!path.exists() || fs::read_dir(&path).unwrap().next().is_none(), "nothing was made");
                if cfg!(feature = "simple") {
                    OpenOptions::new().create(true).backend("simple").open(&path).unwrap();
                }
            } else if has_driver {
                assert_eq!(made.unwrap(), backend, "{name}, {has_folder}");
            } else {
                assert_eq!(made.unwrap_err().kind(), ErrorKind::Unsupported, "{name}, {has_folder}");
            }
        }
    }
}
