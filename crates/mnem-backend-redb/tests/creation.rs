//! Creating stores.

use std::fs;

use mnem_backend_redb::{CommitDurability, OpenOptions};
use mnem_store_traits::{Blockstore, Durability, OpHeadsStore, Store};

use crate::support::{Call, FakeMedium, block, create, open, place};

#[cfg(unix)]
#[test]
fn a_new_store_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    drop(create(&place.path));
    assert_eq!(fs::metadata(&place.path).expect("metadata").permissions().mode() & 0o777, 0o600);
}

/// A new file gets the permissions of any other program's file, if the option says so; an existing file keeps its own.
#[cfg(unix)]
#[test]
fn the_mode_of_a_new_store_is_an_option() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    let mode = |path: &std::path::Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    let other = place.folder.path().join("other");
    fs::write(&other, "made as files are").expect("write");
    drop(OpenOptions::new().create(true).mode(0o666).open(&place.path).expect("create"));
    assert_eq!(mode(&place.path), mode(&other));
    drop(OpenOptions::new().create(true).open(&place.path).expect("open"));
    assert_eq!(mode(&place.path), mode(&other));
    let common = |value| mnem_store_traits::driver::OpenOptions::new().create(true).set("mode", value);
    let driver: &dyn mnem_store_traits::driver::Driver = &mnem_backend_redb::DRIVER;
    let by_name = place.folder.path().join("named.redb");
    drop(driver.open(&by_name.as_path().into(), &common("400")).map(drop));
    assert_eq!(mode(&by_name), 0o400);
    for wrong in ["888", "1777", "rw"] {
        let error = driver.open(&by_name.as_path().into(), &common(wrong)).map(drop).expect_err(wrong).to_string();
        assert!(error.contains("octal"), "{error}");
    }
}

#[test]
fn creation_leaves_nothing_beside_the_store() {
    let place = place();
    drop(create(&place.path));
    let names: Vec<_> =
        fs::read_dir(place.folder.path()).expect("list").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(names, ["test.redb"]);
}

#[test]
fn a_relative_path_of_one_name_works() {
    let place = place();
    let name = place.path.file_name().expect("a name");
    // A bare name lies in the working directory, which tests share, so test only how it is interpreted.
    let store = create(&place.folder.path().join(name));
    assert_eq!(store.path(), place.path);
}

#[test]
fn create_opens_what_is_there_and_keeps_it() {
    let place = place();
    let (cid, data) = block(1);
    create(&place.path).put(&cid, data.clone()).expect("put");
    assert_eq!(create(&place.path).get(&cid).expect("get"), Some(data));
}

#[test]
fn a_new_store_is_empty() {
    let place = place();
    let store = create(&place.path);
    assert_eq!(store.heads().expect("heads"), []);
    assert_eq!(store.cids().expect("cids").count(), 0);
    assert_eq!(store.side_tables().expect("side tables"), Vec::<String>::new());
    let info = store.info().expect("info");
    assert_eq!((info.blocks, info.block_bytes, info.heads), (0, 0, 0));
    assert_eq!(store.format(), "mnem-backend-redb 1");
    assert_eq!(info.file_bytes, fs::metadata(&place.path).expect("metadata").len());
}

#[test]
fn an_empty_medium_becomes_a_store_only_when_asked() {
    let medium = FakeMedium::default();
    assert!(OpenOptions::new().open_medium(medium.clone(), "medium").is_err());
    assert_eq!(medium.bytes(), Vec::<u8>::new());
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    assert!(medium.count(Call::Sync) > 0);
    store.close().expect("close");
}

#[test]
fn capabilities_say_what_was_asked_for() {
    for (durability, claim) in [
        (CommitDurability::TwoPhase, Durability::Power),
        (CommitDurability::OnePhase, Durability::Power),
        (CommitDurability::None, Durability::None),
    ] {
        let place = place();
        let options = OpenOptions::new().create(true).durability(durability);
        let store = options.clone().fast_recovery(true).open(&place.path).expect("create");
        store.put(&block(2).0, block(2).1).expect("put");
        store.close().expect("close");
        drop(store);
        let store = options.open(&place.path).expect("open");
        assert_eq!(store.capabilities().put_durability, claim);
        assert_eq!(store.heads_capabilities().durability, claim);
        let (cid, data) = block(3);
        store.put(&cid, data.clone()).expect("put");
        store.update(&cid, &[]).expect("update");
        store.close().expect("close");
        drop(store);
        // Closing makes the commits durable.
        let store = open(&place.path);
        assert_eq!(store.get(&cid).expect("get"), Some(data));
        assert_eq!(store.heads().expect("heads"), [cid]);
    }
}
