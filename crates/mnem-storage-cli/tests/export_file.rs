//! `export FILE`: writes a complete archive or none, and never replaces a file by accident.

use std::fs;

use mnem_storage::{Blockstore as _, Cid, DAG_JSON, RAW, Store as _, WriteBatch, cid::multihash::Multihash, cid_of};

use crate::support::{ABSENT, Place, ran, snapshot};

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path(".")).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_exists_is_replaced_only_by_force() {
    let place = Place::new();
    place.small_store("a.redb");
    place.write("out.car", b"precious");
    let said = place.run(&["export", "out.car", "--store", "a.redb"]).fails(1);
    assert_eq!(said, "error: out.car exists\nhint: give --force to replace it, or give another file\n");
    assert_eq!(place.read("out.car"), b"precious");

    let said = place.run(&["export", "out.car", "--force", "--store", "a.redb"]).ok();
    assert!(said.starts_with("exported 3 blocks ("), "{said}");
    let archive = place.run(&["export", "-", "--store", "a.redb"]).exits(0).out;
    assert_eq!(place.read("out.car"), archive);
    assert_eq!(names(&place), ["a.redb", "out.car"], "nothing is left beside it");
}

#[test]
fn a_failed_export_leaves_nothing() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.redb");
    place.run(&["rm", &leaf.to_string(), "--store", "a.redb"]).ok();
    place.write("old.car", b"precious");
    place.run(&["export", "out.car", "--store", "a.redb"]).fails(4);
    place.run(&["export", "old.car", "--force", "--store", "a.redb"]).fails(4);
    place.run(&["export", "out.car", "--root", ABSENT, "--store", "a.redb"]).fails(4);
    assert_eq!(names(&place), ["a.redb", "old.car"]);
    assert_eq!(place.read("old.car"), b"precious");
}

#[test]
fn only_files_are_replaced() {
    let place = Place::new();
    place.small_store("a.redb");
    fs::create_dir(place.path("folder")).expect("a folder");
    for target in ["folder", "/dev/null"] {
        place.run(&["export", target, "--store", "a.redb"]).fails(1);
        let said = place.run(&["export", target, "--force", "--store", "a.redb"]).fails(1);
        assert!(said.starts_with(&format!("error: {target} exists and is not a regular file")), "{said}");
    }
    place.run(&["export", "no/folder/out.car", "--store", "a.redb"]).fails(1);
}

#[test]
fn the_store_itself_is_not_replaced() {
    let place = Place::new();
    for (store, target) in [("a.redb", "./a.redb"), ("b.simple", "b.simple/op_heads")] {
        place.small_store(store);
        let before = snapshot(&place.path(store));
        let said = place.run(&["export", target, "--force", "--store", store]).fails(1);
        assert!(said.contains(" is a store or inside one"), "{said}");
        assert!(snapshot(&place.path(store)) == before);
    }
}

#[test]
fn no_archive_goes_into_a_store() {
    let place = Place::new();
    place.small_store("a.simple");
    place.small_store("b.redb");
    fs::create_dir(place.path("a.simple/mine")).expect("a folder");
    let before = snapshot(&place.path("a.simple"));
    for store in ["a.simple", "b.redb"] {
        for target in ["a.simple/tables/xx", "a.simple/xx.car", "./a.simple/mine/../xx", "a.simple/mine/xx"] {
            let said = place.run(&["export", target, "--store", store]).fails(1);
            assert!(said.contains("is a store or inside one\nhint: give another file\n"), "{target}: {said}");
        }
    }
    assert!(snapshot(&place.path("a.simple")) == before);
    place.run(&["export", "a.simple.car", "--store", "a.simple"]).ok();
}

/// Another program wrote a block whose CID no archive can hold: no import would read it.
#[test]
fn a_cid_that_no_import_reads_is_refused_by_name_and_no_file_changes() {
    let data = b"a block".as_slice();
    let sha = *cid_of(RAW, data).hash();
    let unknown = Multihash::wrap(1 << 63, &[7; 32]).expect("a multihash");
    for (codec, hash) in [(RAW, unknown), (1 << 63, sha), (u64::MAX, unknown)] {
        let cid = Cid::new_v1(codec, hash);
        let place = Place::new();
        // A block that links to it, in DAG-JSON, is the head.
        let parent = format!(r#"[{{"/":"{cid}"}}]"#);
        let parent_cid = cid_of(DAG_JSON, parent.as_bytes());
        let store = place.store("a.redb");
        store.commit(WriteBatch::new().put(parent_cid, parent.into()).update(parent_cid, [])).expect("stored");
        store.close().expect("closed");
        drop(store);
        let database = redb::Database::open(place.path("a.redb")).expect("a file of redb");
        let write = database.begin_write().expect("a transaction");
        let objects = redb::TableDefinition::<&[u8], &[u8]>::new("objects");
        write.open_table(objects).expect("a table").insert(&*cid.to_bytes(), data).expect("inserted");
        write.commit().expect("committed");
        drop(database);
        place.write("old.car", b"precious");
        let cid = cid.to_string();
        let refusal = format!("error: cannot export block {cid}: its codec or hash function has more than 63 bits");
        for args in [&["--root", &cid][..], &["--opaque-leaves"]] {
            let args = [&["export", "old.car", "--force", "--store", "a.redb"], args].concat();
            let said = place.run(&args).fails(1);
            assert!(said.starts_with(&refusal), "{args:?}: {said}");
            let said = place.run(&[&args[..], &["--json"]].concat()).exits(1).err;
            assert!(said.contains(r#""kind":"invalid_cid""#), "{args:?}: {said}");
            assert_eq!(
                (place.read("old.car").as_slice(), names(&place)),
                (&b"precious"[..], vec!["a.redb".to_owned(), "old.car".to_owned()])
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_names_the_file() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cid = place.run_with_input(&["put", "-", "--store", "a.redb"], &[7; 1_000_000]).ok();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -f 100; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mnem-store")]);
    shell.args(["export", "out.car", "--root", cid.trim_end(), "--store", "a.redb"]).current_dir(place.path("."));
    let said = ran(&mut shell).fails(1);
    assert!(said.starts_with("error: cannot write out.car after byte "), "{said}");
    assert!(said.contains("\n  caused by: "), "{said}");
    assert_eq!(names(&place), ["a.redb"]);
}

#[test]
fn what_readers_refuse_is_remarked() {
    let place = Place::new();
    let store = place.store("a.redb");
    let put = |data: Vec<u8>| {
        let cid = cid_of(RAW, &data);
        store.put(&cid, data.into()).expect("stored");
        cid.to_string()
    };
    let (small, large, larger) = (put(vec![1; 10]), put(vec![2; 3 << 20]), put(vec![3; 17 << 20]));
    // A hash function that this build cannot compute.
    let unknown = Cid::new_v1(RAW, Multihash::wrap(0x3f_0001, &[9; 64]).expect("a digest"));
    store.put_trusted(&unknown, b"who knows".to_vec().into()).expect("stored");
    store.close().expect("closed");
    drop(store);
    let export = |root: &str, more: &[&str]| {
        let args = [&["export", "out.car", "--force", "--root", root, "--store", "a.redb"], more].concat();
        place.run(&args).exits(0)
    };
    assert_eq!(export(&small, &[]).err, "");
    assert_eq!(
        export(&large, &[]).err,
        "note: the largest block has 3,145,728 bytes; some tools refuse blocks above 2 MiB\n"
    );
    let said = export(&larger, &[]).err;
    assert!(said.contains("has 17,825,792 bytes: `import` needs --max-block 17825792"), "{said}");
    let said = place.run(&["import", "out.car", "--store", "b.redb"]).fails(1);
    assert!(said.contains("hint: give `--max-block 17825"), "{said}");
    place.run(&["import", "out.car", "--max-block", "17825792", "--store", "b.redb"]).ok();
    let unknown = unknown.to_string();
    let said = export(&unknown, &[]).err;
    assert!(said.starts_with("note: exported 1 block of unknown hash functions unverified: `import` needs"), "{said}");
    assert_eq!(export(&unknown, &["-q"]).err, "");
    let told = export(&unknown, &["--json"]);
    assert_eq!(told.err, "");
    for field in ["\"unchecked\":1,", "\"largest_block_bytes\":9,"] {
        assert!(told.out().contains(field), "{}", told.out());
    }
}

#[cfg(unix)]
#[test]
fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
    let place = Place::new();
    place.small_store("a.redb");
    fs::create_dir(place.path("real")).expect("a folder");
    place.write("real/out.car", b"old");
    std::os::unix::fs::symlink("real/out.car", place.path("out.car")).expect("a link");
    place.run(&["export", "out.car", "--store", "a.redb"]).fails(1);
    place.run(&["export", "out.car", "--force", "--store", "a.redb"]).ok();
    assert!(fs::symlink_metadata(place.path("out.car")).expect("there").is_symlink());
    assert_ne!(place.read("real/out.car"), b"old");
}

#[cfg(unix)]
#[test]
fn the_archive_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["export", "out.car", "--store", "a.redb"]).ok();
    place.write("plain", b"");
    let mode = |name: &str| fs::metadata(place.path(name)).expect("there").permissions().mode();
    assert_eq!(mode("out.car"), mode("plain"));
}

#[test]
fn roots_may_be_chosen() {
    let place = Place::new();
    let (_, [a, b]) = place.small_store("a.redb");
    let (a, b) = (a.to_string(), b.to_string());
    place.run(&["export", "part.car", "--root", &b, "--root", &a, "--store", "a.redb"]).ok();
    let said = place.run(&["import", "part.car", "--heads", "--store", "part.redb"]).ok();
    assert!(said.starts_with("imported 2 blocks (4 bytes)"), "{said}");
    let heads = place.run(&["heads", "--store", "part.redb"]).ok();
    assert!(heads.contains(&a) && heads.contains(&b), "{heads}");
}

#[test]
fn a_store_without_heads_gives_an_empty_archive_only_where_that_is_allowed() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    for to in ["empty.car", "-"] {
        let said = place.run(&["export", to, "-q", "--store", "a.redb"]).fails(1);
        assert!(said.starts_with("error: a.redb has no heads: the archive would be empty\nhint: "), "{said}");
    }
    assert_eq!(std::fs::read_dir(place.path(".")).expect("a folder").count(), 1, "only the store is there");
    place.run(&["export", "empty.car", "--allow-empty", "--store", "a.redb"]).ok();
    let said = place.run(&["import", "empty.car", "--store", "b.redb"]).ok();
    assert!(said.starts_with("imported 0 blocks"), "{said}");
}

#[test]
fn a_hint_leads_to_nothing_that_is_refused() {
    let place = Place::new();
    place.small_store("a.redb");
    std::fs::create_dir(place.path("folder")).expect("a folder");
    for (file, error, hint) in [
        ("a.redb", "a.redb is a store or inside one", "give another file"),
        ("folder", "folder exists and is not a regular file", "give another file"),
        (
            "no where/x.car",
            "cannot write no where/x.car: folder no where does not exist",
            "run `mkdir -p 'no where'`, then the same",
        ),
    ] {
        let said = place.run(&["export", file, "--store", "a.redb"]).fails(1);
        assert!(said.starts_with(&format!("error: {error}\nhint: {hint}")), "{said}");
    }
}

/// A folder below the place with a path of this many bytes.
fn folder_of_length(place: &Place, bytes: usize) -> std::path::PathBuf {
    let mut path = fs::canonicalize(place.path(".")).expect("a folder");
    loop {
        let left = bytes - path.as_os_str().len() - 1;
        // Leaves at least one byte for the last name.
        let name = if left > 255 { 200.min(left - 2) } else { left };
        path.push("d".repeat(name));
        fs::create_dir_all(&path).expect("a folder");
        if name == left {
            return path;
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_archive_may_lie_wherever_a_file_may() {
    let place = Place::new();
    place.small_store("a.redb");
    let archive = place.run(&["export", "-", "--store", "a.redb"]).exits(0).out;
    for length in (1..20).chain([100, 238, 239, 240, 253, 254, 255]) {
        // The longest possible path, and one byte more.
        for (bytes, fits) in [(4_095, true), (4_096, false)] {
            let folder = folder_of_length(&place, bytes - length - 1);
            let file = folder.join("o".repeat(length));
            let file = file.to_str().expect("text");
            let names = || fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one").path());
            for force in [&[][..], &["--force"]] {
                let ran = place.run(&[&["export", file, "--store", "a.redb"], force].concat());
                if fits {
                    ran.exits(0);
                    assert_eq!(names().collect::<Vec<_>>(), [std::path::Path::new(file)]);
                    assert_eq!(fs::read(file).expect("there"), archive);
                } else {
                    let said = ran.fails(1);
                    assert!(said.contains("name too long") && said.contains("give a shorter path"), "{said}");
                    assert_eq!(names().count(), 0, "{length}");
                }
            }
            if fits {
                place.run(&["export", file, "--store", "a.redb"]).fails(1);
            }
            fs::remove_dir_all(&folder).expect("removed");
        }
        let name = "o".repeat(length);
        place.run(&["export", &name, "--store", "a.redb"]).ok();
        assert_eq!(names_of(&place, &name), 1);
    }
    let said = place.run(&["export", &"o".repeat(256), "--store", "a.redb"]).fails(1);
    assert!(said.contains("name too long"), "{said}");
}

fn names_of(place: &Place, name: &str) -> usize {
    names(place).iter().filter(|found| *found == name || found.starts_with('.')).count()
}
