//! Entries that do not belong in the store's folders are ignored, and listed on request.

use std::{fs, path::PathBuf};

use mnem_store_traits::{Blockstore, Bytes, Store};

use crate::support::{Home, block, create};

#[test]
fn a_store_in_use_holds_nothing_foreign() {
    let home = Home::new();
    let store = create(&home.path);
    store.put_many(&mut (0..20).map(block).map(Ok)).unwrap();
    store.side_table("t").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).unwrap();
    assert_eq!(store.foreign().unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn foreign_names_are_ignored_and_listed() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).unwrap();
    store.side_table("t").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).unwrap();
    let file = home.block_file(&cid);
    let shard = file.parent().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let (other, _) = block(2);
    let other_name = home.block_file(&other).file_name().unwrap().to_str().unwrap().to_owned();

    let mut planted = vec![
        home.file("README"),
        home.file("objects/notes"),
        home.file("objects/AB"),
        shard.join(&other_name),
        shard.join(name.to_uppercase()),
        shard.join(format!("{name}~")),
        shard.join(format!("{name}.tmp")),
        shard.join(&name[1..]),
        home.file("tables/t/6B"),
        home.file("tables/t/6"),
        home.file("tables/stray"),
        home.file("tables/t/notes.txt"),
        home.file("tmp/0123456789abcdef0123456789abcdef"),
        home.file("tmp/mine"),
    ];
    for path in &planted {
        fs::write(path, b"planted").unwrap();
    }
    // The name of a table is one of the store's, so a file of that name blocks the table.
    fs::remove_file(home.file("tables/stray")).unwrap();
    fs::write(home.file("tables/Stray"), b"planted").unwrap();
    planted.retain(|path| !path.ends_with("stray"));
    planted.push(home.file("tables/Stray"));
    let (folder, _) = block(3);
    fs::create_dir_all(home.block_file(&folder)).unwrap();
    planted.push(home.block_file(&folder));
    #[cfg(unix)]
    {
        let (link, _) = block(4);
        fs::create_dir_all(home.block_file(&link).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&file, home.block_file(&link)).unwrap();
        planted.push(home.block_file(&link));
        assert_eq!(store.get(&link).unwrap(), None);
        assert!(!store.has(&link).unwrap());
        store.delete(&link).unwrap();
        assert!(home.block_file(&link).symlink_metadata().is_ok(), "what is not the store's was removed");
    }
    planted.sort();

    assert_eq!(store.foreign().unwrap(), planted);
    assert_eq!(store.cids().unwrap().map(Result::unwrap).collect::<Vec<_>>(), [cid]);
    assert_eq!(store.get(&folder).unwrap(), None);
    assert_eq!(store.side_tables().unwrap(), ["t"]);
    assert_eq!(store.side_table("t").unwrap().keys(b"").unwrap().count(), 1);
    let info = store.info().unwrap();
    assert_eq!((info.blocks, info.block_bytes, info.free_bytes), (1, data.len() as u64, 7));
}

#[test]
fn names_that_are_not_canonical_are_foreign() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).unwrap();
    let file = home.block_file(&cid);
    let name = file.file_name().unwrap().to_str().unwrap();
    let shard = file.parent().unwrap();
    // The last digit of this name carries three bits; the other two must be zero.
    let mut odd = name.to_owned();
    let last = odd.pop().unwrap();
    odd.push(char::from(last as u8 + 1));
    let planted = shard.join(odd);
    fs::write(&planted, data).unwrap();
    assert_eq!(store.cids().unwrap().map(Result::unwrap).collect::<Vec<_>>(), [cid]);
    assert_eq!(store.foreign().unwrap(), [planted]);
}

#[test]
fn a_block_takes_the_place_of_a_link() {
    #[cfg(unix)]
    {
        let home = Home::new();
        let store = create(&home.path);
        let (cid, data) = block(1);
        let target = home.folder.path().join("target");
        fs::write(&target, b"somebody's").unwrap();
        fs::create_dir_all(home.block_file(&cid).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&target, home.block_file(&cid)).unwrap();
        store.put(&cid, data.clone()).unwrap();
        assert_eq!(store.get(&cid).unwrap(), Some(data));
        assert_eq!(fs::read(&target).unwrap(), b"somebody's");
    }
}
