//! Bytes on disk that differ from what was written.

use std::fs;

use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store};

use crate::support::{Home, block, create, head, reopen, whole};

#[test]
fn a_changed_block_is_never_returned_and_healed_by_delete_and_put() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).unwrap();
    for bytes in [&b"block 2"[..], b"", b"block 1 and more"] {
        fs::write(home.block_file(&cid), bytes).unwrap();
        assert_eq!(store.get(&cid).unwrap_err().kind(), ErrorKind::Corrupt);
        let error = store.with_block(&cid, &mut |_| panic!("damaged bytes were lent")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        // The block is present, so it is not written again.
        store.put(&cid, data.clone()).unwrap();
        assert_eq!(store.get(&cid).unwrap_err().kind(), ErrorKind::Corrupt);
        store.delete(&cid).unwrap();
        store.put(&cid, data.clone()).unwrap();
        assert_eq!(store.get(&cid).unwrap(), Some(data.clone()));
    }
}

#[test]
fn a_block_file_that_is_too_long_is_not_read() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data).unwrap();
    // A sparse file: it takes no space, but reading it would take this much memory.
    fs::File::options().write(true).open(home.block_file(&cid)).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(store.get(&cid).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.size(&cid).unwrap(), Some(1 << 40));
}

#[test]
fn damaged_heads_are_an_error_and_never_fewer() {
    let home = Home::new();
    let store = create(&home.path);
    store.update(&head(1), &[]).unwrap();
    store.update(&head(2), &[]).unwrap();
    let file = home.file("op_heads");
    let good = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let [first, second, checksum] = lines[..] else { panic!("{good}") };
    let empty = "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (bad, why) in [
        (String::new(), "checksum line is missing"),
        (format!("{first}\n{second}\n"), "checksum line is missing"),
        (format!("{first}\n{checksum}\n"), "checksum does not match"),
        (format!("{first}\n{second}\n{checksum}"), "checksum does not match"),
        (format!("{good}\n"), "checksum does not match"),
        (format!("{good}{first}\n"), "checksum does not match"),
        (format!("{first}\n{empty}\n"), "checksum does not match"),
        (good.replace(&first[5..9], "aaaa"), "checksum does not match"),
        ("\u{fffd}".repeat(3), "checksum line is missing"),
    ] {
        fs::write(&file, &bad).unwrap();
        for error in [store.heads().unwrap_err(), store.update(&head(3), &[]).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Damaged, "{bad:?}");
            assert!(whole(&error).contains(why), "{bad:?}: {}", whole(&error));
            assert!(whole(&error).contains("op_heads"), "{}", whole(&error));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), bad, "a damaged file was overwritten");
    }
    fs::write(&file, [0xff; 40]).unwrap();
    assert_eq!(store.heads().unwrap_err().kind(), ErrorKind::Damaged);
    fs::write(&file, good).unwrap();
    assert_eq!(store.heads().unwrap().len(), 2);
}

#[test]
fn heads_that_no_writer_makes_are_refused_though_the_checksum_fits() {
    let home = Home::new();
    let store = create(&home.path);
    store.update(&head(1), &[]).unwrap();
    store.update(&head(2), &[]).unwrap();
    let file = home.file("op_heads");
    let good = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let with_checksum = |text: &str| {
        let digest = mnem_store_traits::cid_of(mnem_store_traits::RAW, text.as_bytes());
        let hex: String = digest.hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{text}sha256 {hex}\n")
    };
    for (text, why) in [
        (format!("{}\n{}\n", lines[1], lines[0]), "line 2 is out of order"),
        (format!("{}\n{}\n", lines[0], lines[0]), "line 2 is out of order"),
        (format!("{}\n\n{}\n", lines[0], lines[1]), "line 2 is not a CID"),
        (format!("{}\n", lines[0].to_uppercase()), "line 1 is not a CID"),
        (format!("{}\r\n", lines[0]), "line 1 is not a CID"),
        (lines[0].to_owned(), "a line has an invalid end"),
    ] {
        fs::write(&file, with_checksum(&text)).unwrap();
        let error = store.heads().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(whole(&error).contains(why), "{text:?}: {}", whole(&error));
    }
}

#[test]
fn parts_that_are_missing_or_links_are_damage_and_not_an_empty_store() {
    for part in ["op_heads", "objects", "tables"] {
        let home = Home::new();
        let store = create(&home.path);
        store.update(&head(1), &[]).unwrap();
        let (cid, data) = block(1);
        fs::rename(home.file(part), home.file("away")).unwrap();
        let table = store.side_table("t").unwrap();
        let errors = match part {
            "op_heads" => vec![store.heads().err(), store.update(&head(1), &[]).err()],
            "objects" => vec![
                store.get(&cid).err(),
                store.has(&cid).err(),
                store.put(&cid, data).err(),
                store.delete(&cid).err(),
                store.cids().unwrap().find_map(Result::err),
                store.info().err(),
            ],
            _ => vec![
                store.side_tables().err(),
                table.get(b"k").err(),
                table.keys(b"").err(),
                table.write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).err(),
                table.write(&[], &[Bytes::from_static(b"k")]).err(),
            ],
        };
        for (number, error) in errors.into_iter().enumerate() {
            let kind = error.map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Damaged), "{part}, call {number}");
        }
        drop(table);
        drop(store);

        let open = || mnem_backend_simple::OpenOptions::new().open(&home.path);
        // No other part shows whether there were rows: see `copied.rs`.
        if part != "tables" {
            let error = open().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains(part), "{error}");
        }

        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("away", home.file(part)).unwrap();
            let error = open().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_shard_that_is_a_link_is_damage() {
    let home = Home::new();
    let (cid, data) = block(1);
    create(&home.path).put(&cid, data.clone()).unwrap();
    let shard = home.block_file(&cid).parent().unwrap().to_owned();
    let store = reopen(&home.path);
    for target in [home.folder.path().join("outside"), home.folder.path().join("nowhere")] {
        if shard.symlink_metadata().unwrap().is_dir() {
            fs::rename(&shard, &target).unwrap();
        } else {
            fs::remove_file(&shard).unwrap();
        }
        std::os::unix::fs::symlink(&target, &shard).unwrap();
        for error in [
            store.get(&cid).unwrap_err(),
            store.has(&cid).unwrap_err(),
            store.put(&cid, data.clone()).unwrap_err(),
            store.delete(&cid).unwrap_err(),
            store.cids().unwrap().find_map(Result::err).unwrap(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains(shard.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn a_value_that_is_too_long_is_damage() {
    let home = Home::new();
    let store = create(&home.path);
    let table = store.side_table("t").unwrap();
    table.write(&[(Bytes::from_static(b"k"), Bytes::from_static(b"v"))], &[]).unwrap();
    fs::File::options().write(true).open(home.file("tables/t/6b")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(table.get(b"k").unwrap_err().kind(), ErrorKind::Damaged);
}
