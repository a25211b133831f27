//! Paths of every kind, and what opening them returns.

use std::fs;

use mnem_backend_redb::{Check, CommitDurability, DRIVER, OpenOptions, open_or_init};
use mnem_store_traits::driver::{Driver as _, Probe, Sharing};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::support::{FakeMedium, block, create, kind_of, open, place};

#[track_caller]
fn reason(result: Result<mnem_backend_redb::RedbStore, StoreError>) -> String {
    match result {
        Err(StoreError::NotAStore { reason, .. }) => reason,
        other => panic!("expected NotAStore, got {other:?}"),
    }
}

#[test]
fn open_or_init_makes_a_store_and_finds_it_again() {
    let place = place();
    let (cid, data) = block(1);
    {
        let (blocks, heads, path) = open_or_init(&place.path).expect("init");
        assert_eq!(path, place.path);
        blocks.put(&cid, data.clone()).expect("put");
        heads.update(&cid, &[]).expect("update");
    }
    let (blocks, heads, _) = open_or_init(&place.path).expect("open");
    assert_eq!(blocks.get(&cid).expect("get"), Some(data));
    assert_eq!(heads.heads().expect("heads"), [cid]);
}

#[test]
fn a_folder_is_not_a_store() {
    let place = place();
    let found = reason(OpenOptions::new().create(true).open(place.folder.path()));
    assert!(found.contains("folder"), "{found}");
}

#[test]
fn a_text_file_is_not_a_store_and_stays_as_it_was() {
    let place = place();
    for text in ["hello\n", "red", "redb is what this text begins with"] {
        fs::write(&place.path, text).expect("write");
        let found = reason(OpenOptions::new().create(true).open(&place.path));
        assert!(found.contains("not written by redb"), "{found}");
        assert_eq!(fs::read(&place.path).expect("read"), text.as_bytes());
    }
}

#[test]
fn an_empty_file_is_not_a_store_and_stays_empty() {
    let place = place();
    fs::write(&place.path, "").expect("write");
    let found = reason(OpenOptions::new().create(true).open(&place.path));
    assert!(found.contains("empty"), "{found}");
    assert_eq!(fs::read(&place.path).expect("read"), b"");
}

/// The version stands in both commits of the header; in one alone it is damage, and redb takes the other.
#[test]
fn a_file_in_a_later_format_of_redb_is_named_and_stays_as_it_was() {
    let place = place();
    create(&place.path).close().expect("close");
    let mut bytes = fs::read(&place.path).expect("read");
    bytes[64] = 9;
    bytes[192] = 9;
    fs::write(&place.path, &bytes).expect("write");
    let ways = [
        OpenOptions::new(),
        OpenOptions::new().check(Check::Always),
        OpenOptions::new().read_only(true),
        OpenOptions::new().sharing(Sharing::SingleWriter),
        OpenOptions::new().sharing(Sharing::MultiWriter),
    ];
    for options in ways {
        match options.open(&place.path) {
            Err(StoreError::UnsupportedFormat { found, .. }) => assert!(found.ends_with(" 9"), "{found}"),
            other => panic!("{options:?}: expected UnsupportedFormat, got {other:?}"),
        }
        assert!(fs::read(&place.path).expect("read") == bytes, "{options:?} changed the file");
    }
}

#[test]
fn a_look_at_an_empty_file_changes_nothing_in_its_folder() {
    let place = place();
    fs::write(&place.path, "").expect("write");
    let folder = place.path.parent().expect("a folder");
    let changed = || fs::metadata(folder).and_then(|folder| folder.modified()).expect("its time");
    let other = place.path.with_extension("other");
    fs::write(&other, "").expect("write");
    let before = changed();
    assert_eq!(DRIVER.probe(&place.path.clone().into()).expect("a look"), Probe::Unfinished);
    assert!(matches!(DRIVER.probe(&other.into()), Ok(Probe::Foreign(_))));
    assert_eq!(changed(), before);
}

#[test]
fn nothing_is_not_a_store_unless_it_may_be_made() {
    let place = place();
    let found = reason(OpenOptions::new().open(&place.path));
    assert!(found.contains("create"), "{found}");
    let found = reason(OpenOptions::new().read_only(true).open(&place.path));
    assert!(found.contains("create"), "{found}");
    assert!(!place.path.exists());
}

#[test]
fn options_that_contradict_each_other() {
    let contradiction = OpenOptions::new().create(true).read_only(true);
    let place = place();
    assert_eq!(kind_of(contradiction.open(&place.path)), ErrorKind::InvalidArgument);
    assert!(!place.path.exists());
    // Also if there is nothing to create.
    drop(create(&place.path));
    assert_eq!(kind_of(contradiction.open(&place.path)), ErrorKind::InvalidArgument);
    assert_eq!(kind_of(contradiction.open_medium(FakeMedium::default(), "medium")), ErrorKind::InvalidArgument);
}

#[test]
fn a_missing_folder_is_named() {
    let place = place();
    let found = reason(OpenOptions::new().create(true).open(place.folder.path().join("absent/test.redb")));
    assert!(found.contains("absent"), "{found}");
}

#[test]
fn a_path_through_a_file_is_not_a_store() {
    let place = place();
    fs::write(&place.path, "x").expect("write");
    let found = reason(OpenOptions::new().create(true).open(place.path.join("test.redb")));
    assert!(found.contains("part of the path is a file"), "{found}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_a_dangling_one_is_named() {
    let place = place();
    let link = place.folder.path().join("link.redb");
    std::os::unix::fs::symlink(&place.path, &link).expect("symlink");
    let found = reason(OpenOptions::new().create(true).open(&link));
    assert!(found.contains("symbolic link"), "{found}");
    drop(create(&place.path));
    drop(open(&link));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_a_store_and_blocks_nobody() {
    let place = place();
    let made = std::process::Command::new("mkfifo").arg(&place.path).status().expect("mkfifo");
    assert!(made.success());
    let found = reason(OpenOptions::new().create(true).open(&place.path));
    assert!(found.contains("neither"), "{found}");
}

#[cfg(unix)]
#[test]
fn a_forbidden_file_is_an_error_of_the_file_system() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    drop(create(&place.path));
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o400)).expect("chmod");
    let opened = OpenOptions::new().open(&place.path);
    if fs::File::options().write(true).open(&place.path).is_ok() {
        return; // root ignores permissions
    }
    let Err(StoreError::Backend { source, .. }) = opened else { panic!("expected Backend, got {opened:?}") };
    let source = source.downcast_ref::<std::io::Error>().expect("an io::Error");
    assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let place = place();
    let options = OpenOptions::new().create(true).sharing(Sharing::MultiWriter);
    let refused = options.clone().durability(CommitDurability::None).open(&place.path);
    assert_eq!(kind_of(refused), ErrorKind::InvalidArgument);
    for check in [Check::Always, Check::Pages] {
        let refused = options.clone().read_only(true).check(check).open(&place.path);
        assert_eq!(kind_of(refused), ErrorKind::InvalidArgument);
    }
}

#[test]
fn every_way_of_opening_gives_the_same_store() {
    let place = place();
    let (cid, data) = block(7);
    create(&place.path).commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).expect("commit");
    for check in [Check::Auto, Check::Always, Check::Pages, Check::Never] {
        for concurrency in [Sharing::ExclusiveWriter, Sharing::SingleWriter, Sharing::MultiWriter] {
            for fast_recovery in [false, true] {
                let options = OpenOptions::new().check(check).sharing(concurrency).fast_recovery(fast_recovery);
                let store = options.cache_bytes(1 << 20).open(&place.path).expect("open");
                assert_eq!(store.get(&cid).expect("get"), Some(data.clone()));
                assert_eq!(store.heads().expect("heads"), [cid]);
                let (other, data) = block(u64::from(fast_recovery));
                store.put(&other, data).expect("put");
                store.close().expect("close");
            }
        }
    }
}
