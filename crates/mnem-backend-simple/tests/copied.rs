//! Stores that other programs copied: git keeps no empty folder and may end lines with CR LF, `zip -D` and sync clients
//! keep no empty folder. Such a store opens, and the next writer recreates the folders.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_backend_simple::{OpenOptions, SimpleStore, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Bytes, Durability, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::support::{Home, block, create, head, reopen, traced::Traced, whole};

/// The content of a store.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    blocks: bool,
    heads: bool,
    rows: bool,
    /// Written with weaker durability.
    unsynced: bool,
}

impl Content {
    /// All contents except heads without blocks: there, lost blocks cannot be told from blocks that never existed.
    fn all() -> impl Iterator<Item = Self> {
        let bit = |bits: u32, bit: u32| bits & (1 << bit) != 0;
        (0..16)
            .map(move |bits| Self {
                blocks: bit(bits, 0),
                heads: bit(bits, 1),
                rows: bit(bits, 2),
                unsynced: bit(bits, 3),
            })
            .filter(|content| content.blocks || !content.heads)
    }

    /// A store of this content, in which some folders were used and are empty again.
    fn store(self) -> Home {
        let home = Home::new();
        let durability = if self.unsynced { Durability::Process } else { Durability::Power };
        let store = OpenOptions::new().create(true).durability(durability).open(&home.path).unwrap();
        let (cid, data) = block(1);
        if self.blocks {
            store.put(&cid, data).unwrap();
            // A shard that lost its last block.
            store.put(&block(2).0, block(2).1).unwrap();
            store.delete(&block(2).0).unwrap();
        }
        if self.heads {
            store.commit(WriteBatch::new().update(cid, [])).unwrap();
        }
        if self.rows {
            let row = (Bytes::from_static(b"k"), Bytes::from_static(b"v\n"));
            store.side_table("full").unwrap().write(std::slice::from_ref(&row), &[]).unwrap();
            let emptied = store.side_table("emptied").unwrap();
            emptied.write(&[row], &[]).unwrap();
            emptied.write(&[], &[Bytes::from_static(b"k")]).unwrap();
        }
        home
    }

    fn check(self, store: &SimpleStore) -> Result<(), StoreError> {
        let (cid, data) = block(1);
        let expected = |is: bool, n: usize| if is { n } else { 0 };
        assert_eq!(store.get(&cid)?, self.blocks.then_some(data));
        assert!(!store.has(&block(2).0)?);
        assert_eq!(store.cids()?.collect::<Result<Vec<_>, _>>()?.len(), expected(self.blocks, 1));
        assert_eq!(store.heads()?.len(), expected(self.heads, 1));
        assert_eq!(store.side_tables()?.len(), expected(self.rows, 1));
        let row = store.side_table("full")?.get(b"k")?;
        assert_eq!(row.as_deref(), self.rows.then_some(&b"v\n"[..]));
        let info = store.info()?;
        assert_eq!((info.blocks, info.tables.len()), (expected(self.blocks, 1) as u64, expected(self.rows, 1)));
        assert_eq!(store.foreign()?, Vec::<PathBuf>::new());
        Ok(())
    }
}

/// The folders below that are empty or contain only such folders, innermost first.
fn empty_folders(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(empty_folders(&path));
            let inner = path.read_dir().unwrap().count();
            if inner == found.iter().filter(|folder| folder.parent() == Some(&path)).count() {
                found.push(path);
            }
        }
    }
    found
}

/// The names and bytes of all files.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

/// Ends the lines of the store's own text files as Windows does.
fn end_lines_with_crlf(home: &Home) {
    for name in ["format", "op_heads", "unsynced"] {
        if let Ok(text) = fs::read_to_string(home.file(name)) {
            fs::write(home.file(name), text.replace('\n', "\r\n")).unwrap();
        }
    }
}

/// Opens it in every way, and checks that reading writes nothing and writing creates what is missing.
fn opens(home: &Home, content: Content, what: &str) {
    let before = files(&home.path);
    let fs = Traced::new(Arc::new(StdFileSystem), &home.path);
    let store = OpenOptions::new().read_only(true).open_on(Arc::new(fs.clone()), &home.path);
    let store = store.unwrap_or_else(|error| panic!("{what}: {}", whole(&error)));
    content.check(&store).unwrap_or_else(|error| panic!("{what}: {}", whole(&error)));
    assert_eq!(fs.take_writes(), Vec::<String>::new(), "{what}");

    let writer = reopen(&home.path);
    content.check(&writer).unwrap();
    for folder in ["objects", "tables", "tmp"] {
        assert!(home.file(folder).is_dir(), "{what}: {folder}");
    }
    let mut after = files(&home.path);
    after.retain(|path, _| before.contains_key(path) || !path.ends_with("tmp/.lock"));
    assert_eq!(after, before, "{what}: rewritten needlessly");
    let (cid, data) = block(9);
    writer.commit(WriteBatch::new().put(cid, data.clone()).update(head(9), [])).unwrap();
    writer.side_table("more").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).unwrap();
    // Also through the reader that was open before.
    assert_eq!(store.get(&cid).unwrap(), Some(data));
    assert!(store.heads().unwrap().contains(&head(9)));
    assert!(store.side_tables().unwrap().contains(&"more".to_owned()));
}

#[test]
fn without_any_of_its_empty_folders_and_with_other_line_ends_a_store_opens() {
    let mut tried = 0;
    for content in Content::all() {
        let folders = empty_folders(&content.store().path).len();
        for subset in 0..1_u32 << folders {
            for crlf in [false, true] {
                let home = content.store();
                for (index, folder) in empty_folders(&home.path).iter().enumerate() {
                    // A folder that keeps an inner one is not removed.
                    if subset & (1 << index) != 0 {
                        let _ = fs::remove_dir(folder);
                    }
                }
                if crlf {
                    end_lines_with_crlf(&home);
                }
                opens(&home, content, &format!("{content:?}, folders {subset:b} of {folders}, CR LF: {crlf}"));
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 96);
}

#[test]
fn without_its_lock_files_and_tmp_a_store_opens() {
    for content in Content::all() {
        let home = content.store();
        fs::remove_file(home.file("lock")).unwrap();
        fs::remove_dir_all(home.file("tmp")).unwrap();
        opens_with_new_lock(&home, content);
    }
}

fn opens_with_new_lock(home: &Home, content: Content) {
    content.check(&OpenOptions::new().read_only(true).open(&home.path).unwrap()).unwrap();
    let store = reopen(&home.path);
    store.update(&head(9), &[]).unwrap();
    assert!(store.heads().unwrap().contains(&head(9)));
}

#[test]
fn folders_whose_absence_says_that_something_was_lost_are_damage() {
    let home = Content { blocks: true, heads: true, ..Content::default() }.store();
    fs::remove_dir_all(home.file("objects")).unwrap();
    for read_only in [false, true] {
        let error = OpenOptions::new().read_only(read_only).open(&home.path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(whole(&error).contains("objects") && whole(&error).contains("has heads"), "{}", whole(&error));
        assert!(!home.file("objects").exists(), "a damaged store was changed");
    }
    let home = Content { blocks: true, ..Content::default() }.store();
    fs::remove_file(home.file("op_heads")).unwrap();
    assert_eq!(OpenOptions::new().open(&home.path).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_store_that_vanishes_is_not_taken_for_one_without_its_empty_folders() {
    let home = Content::default().store();
    for folder in ["objects", "tables"] {
        fs::remove_dir(home.file(folder)).unwrap();
    }
    let store = OpenOptions::new().read_only(true).open(&home.path).unwrap();
    assert_eq!(store.get(&block(1).0).unwrap(), None);
    fs::remove_dir_all(&home.path).unwrap();
    let table = store.side_table("t").unwrap();
    for error in [
        store.get(&block(1).0).err(),
        store.cids().unwrap().find_map(Result::err),
        store.side_tables().err(),
        table.get(b"k").err(),
    ] {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Damaged));
    }
}

#[test]
fn line_ends_alone_are_passed_over() {
    let home = Home::new();
    let store = create(&home.path);
    store.update(&head(1), &[]).unwrap();
    store.update(&head(2), &[]).unwrap();
    let good = fs::read_to_string(home.file("op_heads")).unwrap();
    let crlf = good.replace('\n', "\r\n");
    for bad in [
        crlf.replace("\r\n", "\r\r\n"),
        crlf.replace("\r\n", "\r"),
        crlf.replacen('b', "c", 1),
        crlf.lines().skip(1).map(|line| format!("{line}\r\n")).collect(),
        format!("{crlf}\r\n"),
    ] {
        fs::write(home.file("op_heads"), &bad).unwrap();
        assert_eq!(store.heads().unwrap_err().kind(), ErrorKind::Damaged, "{bad:?}");
    }
    fs::write(home.file("op_heads"), crlf).unwrap();
    assert_eq!(store.heads().unwrap().len(), 2);
    store.update(&head(3), &[head(1)]).unwrap();
    assert!(!fs::read_to_string(home.file("op_heads")).unwrap().contains('\r'));
    for bad in ["mnem-backend-simple 1\r\r\n", "mnem-backend-simple 1\n\r", "mnem-backend-simple \r\n"] {
        fs::write(home.file("format"), bad).unwrap();
        assert_eq!(OpenOptions::new().open(&home.path).unwrap_err().kind(), ErrorKind::NotAStore, "{bad:?}");
    }
}
