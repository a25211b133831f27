//! Full disks: a limit on the size of files, and a small file system if one can be mounted.

use std::process::Command;

use crate::support::{BACKENDS, Place, Ran, animals, ran};

/// Bytes that no file system can compress.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Runs the program with a limit on the size of files, in units of 512 bytes. A longer write is cut short and then
/// fails.
fn limited(place: &Place, units: u64, args: &[&str]) -> Ran {
    let program = place.command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f \"$1\" && shift && exec \"$@\"", "sh", &units.to_string()]);
    shell.arg(program.get_program()).args(args).current_dir(place.path(""));
    ran(&mut shell)
}

/// Checks that the earlier content is intact, and that the store can be written to when there is room again.
fn is_whole(place: &Place, store: &str, kept: &[(String, Vec<u8>)]) {
    place.run(&["--store", store, "verify"]).exits(0);
    for (cid, bytes) in kept {
        assert_eq!(place.run(&["--store", store, "get", cid]).exits(0).out, *bytes);
    }
    place.write("more", b"more");
    place.run(&["--store", store, "put", "more"]).exits(0);
}

#[test]
fn a_block_that_finds_no_room_is_an_error_and_nothing_else_is_lost() {
    for backend in BACKENDS {
        let place = Place::new();
        let store = format!("s.{backend}");
        place.small_store(&store);
        let heads = place.run(&["--store", &store, "heads"]).ok();
        let mut kept = Vec::new();
        // In a simple store, the block's file may not reach its full length. In redb, the single file may not grow.
        let units = match backend {
            "redb" => place.path(&store).metadata().unwrap().len() / 512 + 64,
            _ => 200,
        };
        let mut refused = 0;
        for n in 0..12 {
            let bytes = noise(if n % 3 == 2 { 1 << 20 } else { 60_000 }, n);
            place.write("block", &bytes);
            let ran = limited(&place, units, &["--store", &store, "put", "block"]);
            match ran.exit {
                Some(0) => kept.push((ran.out().trim().to_owned(), bytes)),
                _ => {
                    let said = ran.fails(1);
                    assert!(said.contains(&store), "no path in: {said}");
                    refused += 1;
                }
            }
        }
        assert!(refused >= 4, "{backend}: {refused} blocks found no room");
        assert!(backend == "redb" || kept.len() == 8, "{}", kept.len());
        is_whole(&place, &store, &kept);
        assert_eq!(place.run(&["--store", &store, "heads"]).ok(), heads);
    }
}

#[test]
fn an_archive_that_finds_no_room_moves_no_head_and_can_be_imported_later() {
    let archive = animals();
    let archive = archive.to_str().unwrap();
    for (backend, units, adopts) in [("redb", 1_500, None), ("simple", 2, None), ("carlog", 1_000, Some("--adopt"))] {
        let place = Place::new();
        let store = format!("s.{backend}");
        place.small_store(&store);
        let heads = place.run(&["--store", &store, "heads"]).ok();
        let import: Vec<&str> = ["--store", &store, "import", "--heads", archive].into_iter().chain(adopts).collect();
        limited(&place, units, &import).fails(1);
        assert_eq!(place.run(&["--store", &store, "heads"]).ok(), heads, "{backend}");
        is_whole(&place, &store, &[]);
        place.run(&import).exits(0);
        place.run(&["--store", &store, "verify"]).exits(0);
    }
}

#[test]
fn a_store_that_finds_no_room_to_be_made_is_made_later() {
    for backend in BACKENDS {
        let place = Place::new();
        let store = format!("s.{backend}");
        limited(&place, 0, &["--store", &store, "init"]).fails(1);
        place.run(&["--store", &store, "init"]).exits(0);
        is_whole(&place, &store, &[]);
    }
}

/// Mounts a file system that goes away with the shell. Exits with 77 if mounting is not permitted.
const ON_A_SMALL_DISK: &str = r#"
program="$1" store="$2"
mount -t tmpfs -o size=4m,mode=0700 none disk 2>/dev/null || exit 77
cd disk
"$program" --store "$store" init >/dev/null || exit 2
kept=$("$program" --store "$store" put ../small) || exit 3
n=0
while "$program" --store "$store" put "../block$n" >/dev/null 2>../said; do n=$((n + 1)); [ "$n" -lt 24 ] || exit 4; done
grep -q '^error: ' ../said || exit 5
grep -q "$store" ../said || exit 6
"$program" --store "$store" get "$kept" | cmp - ../small || exit 7
"$program" --store "$store" verify >/dev/null || exit 8
mount -o remount,size=64m . || exit 9
"$program" --store "$store" put "../block$n" >/dev/null || exit 10
"$program" --store "$store" verify >/dev/null || exit 11
"#;

#[test]
fn a_disk_without_room_loses_nothing() {
    for backend in BACKENDS {
        let place = Place::new();
        std::fs::create_dir(place.path("disk")).unwrap();
        place.write("small", b"small");
        for n in 0..24 {
            place.write(&format!("block{n}"), &noise(300_000, n));
        }
        let program = place.command(&[]);
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(program.get_program());
        shell.arg(format!("s.{backend}")).current_dir(place.path(""));
        let Ok(output) = shell.output() else { return println!("skipped: there is no `unshare` here") };
        match output.status.code() {
            Some(0) => {}
            Some(1 | 77) => return println!("skipped: nothing may be mounted here"),
            _ => panic!("{backend}: {output:?}"),
        }
    }
}
