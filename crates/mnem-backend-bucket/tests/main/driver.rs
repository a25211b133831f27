//! The laws of drivers, and URLs of folders.

use std::fs;

use mnem_backend_bucket::DRIVER;
use mnem_store_traits::{
    Blockstore, Durability, ErrorKind, OpHeadsStore, Store, WriteBatch,
    conformance::{self, DriverFixture, Options},
    driver::{Driver, Location, ManagedStore, OpenOptions, Probe},
};
use tempfile::TempDir;

use crate::protocol::block;

/// A delete waits for the lease.
fn quick() -> OpenOptions {
    OpenOptions::new().set("lease_ms", "5")
}

/// The other laws are those of `laws::folder`.
#[test]
fn the_laws_of_drivers() {
    let fixture = DriverFixture::new(&DRIVER).options(quick());
    let report = conformance::run(fixture, &Options::default().only("driver::"));
    assert!(report.is_ok(), "{report}");
    assert!(report.entries.len() > 15 && report.counts().passed > 15, "{report}");
}

fn url(folder: &TempDir, name: &str) -> Location {
    Location::from(format!("file://{}/{name}", folder.path().display()))
}

#[test]
fn a_file_url_is_the_store_in_its_folder() {
    let folder = TempDir::new().unwrap();
    let at = url(&folder, "a%20b");
    assert!(DRIVER.suits(&at));
    assert_eq!(DRIVER.probe(&at).unwrap(), Probe::Absent);
    let store = DRIVER.open(&at, &quick().create_new(true)).unwrap();
    let (cid, data) = block(1);
    store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).unwrap();
    assert_eq!(DRIVER.probe(&at).unwrap(), Probe::Store);
    let path = Location::from(folder.path().join("a b"));
    assert_eq!(DRIVER.probe(&path).unwrap(), Probe::Store);
    let same = DRIVER.open(&path, &OpenOptions::new()).unwrap();
    assert_eq!(same.get(&cid).unwrap(), Some(data));
    assert_eq!(same.heads().unwrap(), [cid]);
    assert_eq!(same.identity(), store.identity());
    assert!(cfg!(not(unix)) || same.identity().is_some());
    // Errors print the URL as it was given.
    let error = DRIVER.open(&url(&folder, "none"), &OpenOptions::new()).unwrap_err();
    assert!(error.to_string().contains(&url(&folder, "none").to_string()), "{error}");
}

#[test]
fn a_folder_is_probed_by_its_names() {
    let folder = TempDir::new().unwrap();
    let put = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        DRIVER.probe(&url(&folder, name.split_once('/').unwrap().0)).unwrap()
    };
    assert_eq!(put("cut/probe#1", "mnem-backend"), Probe::Unfinished);
    assert_eq!(put("cut/probe", "mnem-backend-bucket\n"), Probe::Unfinished);
    assert!(matches!(put("cut/letter", "Dear"), Probe::Foreign(why) if why.contains("`letter`")));
    assert!(matches!(put("bare/log/00000000000000000000.car", ""), Probe::Damaged(_)));
    assert!(matches!(put("bare/probe", ""), Probe::Damaged(_)));
    assert_eq!(put("later/mnem", "mnem-backend-bucket 9\n"), Probe::Store);
    assert!(matches!(put("other/mnem", "mnem-backend-simple 1\n"), Probe::Foreign(_)));
}

#[test]
fn an_exclusive_handle_writes_only_if_it_is_alone() {
    let folder = TempDir::new().unwrap();
    let at = url(&folder, "store");
    let open = |options: OpenOptions| DRIVER.open(&at, &options).unwrap();
    let writer = open(quick().create(true));
    let put = |store: &dyn ManagedStore, n: usize| {
        let (cid, data) = block(n);
        store.put(&cid, data)
    };
    put(&*writer, 1).unwrap();
    let exclusive = open(quick().exclusive(true));
    put(&*exclusive, 2).unwrap();
    exclusive.delete(&block(2).0).unwrap();
    // Reading what another wrote does not make it its own.
    put(&*writer, 3).unwrap();
    assert!(exclusive.has(&block(3).0).unwrap());
    let error = exclusive.delete(&block(1).0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(writer.has(&block(1).0).unwrap());
    put(&*writer, 4).unwrap();
    put(&*open(quick().exclusive(true)), 5).unwrap();
}

#[test]
fn options_are_passed_on() {
    let folder = TempDir::new().unwrap();
    let at = url(&folder, "store");
    let options =
        quick().create(true).durability(Durability::Process).set("freshness", "always").set("give_up_ms", "9");
    let store = DRIVER.open(&at, &options).unwrap();
    assert_eq!(store.capabilities().put_durability, Durability::Process);
    let format = fs::read_to_string(folder.path().join("store/mnem")).unwrap();
    assert!(format.contains("lease-ms 5\n"), "{format}");
    store.put(&block(1).0, block(1).1).unwrap();
    let details = store.info().unwrap().details;
    let names: Vec<_> = details.iter().map(|detail| detail.name).collect();
    assert_eq!(names, ["log_entries", "packs", "requests"]);
    assert_eq!((details[0].count, details[1].count), (1, 0));
    let before = details[2].count;
    store.has(&block(1).0).unwrap();
    assert_eq!(store.info().unwrap().details[2].count, before + 5);
}

/// Without the feature, a URL of a service is an error that names it, and with it one that names the server.
#[test]
#[cfg(not(feature = "services"))]
fn a_build_without_services_says_so() {
    for url in ["s3://b/x", "gs://b", "az://c"] {
        let error = DRIVER.probe(&url.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("feature `services`"), "{error}");
    }
}
