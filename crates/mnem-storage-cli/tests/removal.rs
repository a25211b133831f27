//! `rm` of many blocks and of blocks of heads.

use std::{fs::File, process::Stdio};

use mnem_storage::{Bytes, Cid, RAW, cid_of};

use crate::support::{ABSENT, BACKENDS, Place};

/// Puts `count` blocks into a new store, and returns their CIDs.
fn filled(place: &Place, name: &str, count: u32) -> Vec<String> {
    let store = place.store(name);
    let blocks: Vec<(Cid, Bytes)> =
        (0..count).map(|n| Bytes::from(n.to_string())).map(|data| (cid_of(RAW, &data), data)).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("stored");
    store.close().expect("closed");
    blocks.iter().map(|(cid, _)| cid.to_string()).collect()
}

#[test]
fn the_block_of_a_head_stays_unless_forced() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let (root, [leaf, _]) = place.small_store(store);
        let (root, leaf) = (&*root.to_string(), &*leaf.to_string());
        for args in [&["rm", root][..], &["rm", leaf, root]] {
            let said = place.run(&[args, &["--store", store]].concat()).fails(1);
            assert!(said.starts_with(&format!("error: {root} is a head of {store}: nothing was removed\n")), "{said}");
            assert!(said.contains("hint: give --force to remove the block anyway; its CID stays a head"), "{said}");
        }
        let said = place.run_with_input(&["rm", "-", "--store", store], format!("{leaf}\n{root}\n").as_bytes());
        said.fails(1);
        assert_eq!(place.run(&["ls", "--store", store]).ok().lines().count(), 3, "nothing was removed");

        let ran = place.run(&["rm", "--force", root, leaf, "--store", store]).exits(0);
        assert_eq!(ran.err, format!("note: {root} is still a head, now without a block\n"));
        assert_eq!(place.run(&["ls", "--store", store]).ok().lines().count(), 1);
    }
}

#[test]
fn many_blocks_are_removed_from_standard_input() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        // More than one transaction holds.
        let cids = filled(&place, store, 5000);
        let (kept, gone) = cids.split_at(10);
        let input = format!("\n{}\r\n", gone.join("\n"));
        let said = place.run_with_input(&["rm", "-", "--store", store], input.as_bytes()).ok();
        assert_eq!(said.lines().count(), gone.len());
        assert!(said.lines().all(|line| line.strip_prefix("removed ").is_some_and(|cid| gone.contains(&cid.into()))));
        let mut left: Vec<String> = place.run(&["ls", "--store", store]).ok().lines().map(str::to_owned).collect();
        let mut kept = kept.to_vec();
        left.sort_unstable();
        kept.sort_unstable();
        assert_eq!(left, kept);
        // The second time, all blocks are absent, and the first ten are named.
        let said = place.run_with_input(&["rm", "-", "--store", store], input.as_bytes()).fails(4);
        assert!(said.starts_with(&format!("error: 4,990 blocks are not in {store}; removed 0 blocks\n")), "{said}");
        assert_eq!(said.matches(" is missing\n").count(), 10);
        assert!(said.contains("caused by: 4,980 more blocks are missing\n"), "{said}");
    }
}

#[test]
fn what_is_not_there_keeps_nothing_else() {
    let place = Place::new();
    let cids = filled(&place, "a.redb", 3);
    // Repeated CIDs count once.
    let ran = place.run(&["rm", &cids[0], ABSENT, &cids[0], &cids[1], "--store", "a.redb"]).exits(4);
    assert!(ran.err.starts_with("error: 1 block is not in a.redb; removed 2 blocks\n"), "{}", ran.err);
    assert!(ran.err.contains(&format!("caused by: block {ABSENT} is missing\n")), "{}", ran.err);
    assert_eq!(ran.out().lines().count(), 2);
    assert_eq!(place.run(&["ls", "--store", "a.redb"]).ok(), format!("{}\n", cids[2]));
}

#[test]
fn a_wrong_line_removes_nothing() {
    let place = Place::new();
    let cids = filled(&place, "a.redb", 2);
    let input = format!("{}\nbafy\n", cids[0]);
    let said = place.run_with_input(&["rm", "-", "--store", "a.redb"], input.as_bytes()).fails(1);
    assert!(
        said.starts_with("error: standard input, line 2: \"bafy\" is not a CID in canonical form\nhint: give one "),
        "{said}"
    );
    assert_eq!(place.run(&["ls", "--store", "a.redb"]).ok().lines().count(), 2);
}

/// If the reader of the list closes the pipe, the work is finished nevertheless, and the exit status is that of the
/// work.
#[test]
fn a_reader_that_goes_away_does_not_end_a_removal() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = format!("many.{backend}");
        let cids = filled(&place, &store, 3_000);
        let absent = cid_of(RAW, b"was never here").to_string();
        place.write("dead.txt", [&cids[1..], &[absent]].concat().join("\n").as_bytes());
        let mut command = place.command(&["rm", "-", "--store", &store]);
        command.stdin(File::open(place.path("dead.txt")).expect("the list"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(4), "{backend}");
        assert_eq!(place.run(&["ls", "--store", &store]).ok().lines().count(), 1, "{backend}");
    }
}
