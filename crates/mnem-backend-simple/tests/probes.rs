//! What a probe says of a store that lost parts, and of folders that only resemble one.

use std::{fs, path::Path};

use mnem_backend_simple::{DRIVER, OpenOptions};
use mnem_store_traits::{
    BlockstoreExt, Bytes, RAW,
    driver::{Driver as _, Probe},
};

/// What is done to a new store in this folder.
type Change = fn(&Path);

fn put_a_block(store: &Path) {
    let store = OpenOptions::new().open(store).expect("opened");
    store.put_as(RAW, Bytes::from_static(b"a block")).expect("a put");
}

fn remove_format(store: &Path) {
    fs::remove_file(store.join("format")).expect("removed");
}

fn add_stranger(store: &Path) {
    fs::write(store.join("notes"), "of another program").expect("written");
}

fn remove_tables(store: &Path) {
    fs::remove_dir(store.join("tables")).expect("removed");
}

fn overwrite_format(store: &Path) {
    fs::write(store.join("format"), "of another program").expect("written");
}

#[track_caller]
fn is_told(probe: &str, changes: &[Change]) {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("store");
    drop(OpenOptions::new().create(true).open(&path).expect("created"));
    changes.iter().for_each(|change| change(&path));
    let told = match DRIVER.probe(&path.as_path().into()).expect("a probe") {
        Probe::Damaged(why) => format!("damaged: {why}"),
        Probe::Foreign(why) => format!("foreign: {why}"),
        other => format!("{other:?}"),
    };
    assert_eq!(told, probe);
}

#[test]
fn a_format_that_was_overwritten_is_damage_beside_the_parts_of_a_store() {
    is_told("Store", &[]);
    is_told("damaged: it does not name a format", &[overwrite_format]);
    is_told("foreign: the folder has a `format` file of another program", &[overwrite_format, remove_tables]);
}

#[test]
fn a_missing_format_is_damage_if_the_store_holds_something() {
    const MISSING: &str = "damaged: the file is missing, but the store is not empty";
    is_told("Unfinished", &[remove_format]);
    is_told(MISSING, &[put_a_block, remove_format]);
    is_told(MISSING, &[put_a_block, remove_format, add_stranger]);
    is_told(MISSING, &[put_a_block, remove_format, remove_tables]);
}

#[test]
fn a_strangers_file_makes_a_folder_foreign_unless_it_has_all_of_a_store() {
    const STRANGER: &str = "foreign: the folder holds `notes` and no `format` file";
    is_told("Store", &[add_stranger]);
    is_told(STRANGER, &[remove_format, add_stranger]);
    is_told(STRANGER, &[put_a_block, remove_format, remove_tables, add_stranger]);
}
