//! Memory limits: every command needs no more than the documents state, and fails with a message below that.

use std::process::Command;

use mnem_storage::{Bytes, RAW, WriteBatch, car, cid_of};

use crate::support::{Place, ROOT, Ran, animals, ran};

/// The documented memory of every command, in KiB, beyond the program itself; and that of `copy`.
const NEEDED: [u64; 2] = [128 * 1024, 192 * 1024];

/// More than the program itself needs, including the reservation for its threads.
const PROGRAM: u64 = 32 * 1024;
const THREADS: u64 = 128 * 1024;

/// The default limit of `import` for a block.
const LARGEST: usize = 16 * 1024 * 1024;

/// `NEW` is the path of a new store.
const COMMANDS: [&[&str]; 18] = [
    &["init", "--store", "NEW"],
    &["import", "animals.car", "--heads", "--store", "NEW"],
    &["import", "large.car", "--heads", "--store", "NEW"],
    &["export", "out.car", "--store", "s.redb"],
    &["export", "out.car", "--store", "s.simple"],
    &["put", "large", "--store", "t.redb"],
    &["get", "LARGE", "--store", "s.redb"],
    &["get", "LARGE", "--store", "s.simple"],
    &["has", ROOT, "--store", "s.redb"],
    &["ls", "--store", "s.redb"],
    &["walk", ROOT, "--store", "s.redb"],
    &["heads", "update", ROOT, "--store", "s.redb"],
    &["stat", "--store", "s.redb"],
    &["verify", "--store", "s.redb"],
    &["verify", "--store", "s.simple"],
    &["copy", "s.redb", "NEW"],
    &["compact", "--store", "s.redb"],
    &["knn", "list", "--store", "s.redb"],
];

/// Runs the program with a limit on its address space, in KiB.
fn limited(place: &Place, kibibytes: u64, args: &[&str]) -> Ran {
    let program = place.command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v \"$1\" && shift && exec \"$@\"", "sh", &kibibytes.to_string()]);
    ran(shell.arg(program.get_program()).args(args).current_dir(place.path("")))
}

/// Stores with the real data and the largest block, and the input of the commands.
fn prepared() -> (Place, String) {
    let place = Place::new();
    let large = Bytes::from((0..LARGEST).map(|n| (n * n / 7) as u8).collect::<Vec<_>>());
    let cid = cid_of(RAW, &large);
    place.write("large", &large);
    place.write("animals.car", &std::fs::read(animals()).expect("the archive"));
    place.run(&["import", "animals.car", "--heads", "--store", "s.redb"]).ok();
    let store = place.store("s.redb");
    store.commit(WriteBatch::new().put(cid, large).update(cid, [])).expect("committed");
    store.close().expect("closed");
    let cid = cid.to_string();
    place.run(&["export", "large.car", "--root", &cid, "--store", "s.redb"]).ok();
    place.run(&["copy", "s.redb", "s.simple"]).ok();
    place.run(&["init", "--store", "t.redb"]).ok();
    (place, cid)
}

#[test]
fn every_command_keeps_to_what_it_is_said_to_need() {
    let (place, large) = prepared();
    for command in COMMANDS {
        for new in ["new.redb", "new.simple"].into_iter().take(if command.contains(&"NEW") { 2 } else { 1 }) {
            let in_place = |arg: &&'static str| match *arg {
                "NEW" => new.to_owned(),
                "LARGE" => large.clone(),
                other => other.to_owned(),
            };
            let args: Vec<String> = command.iter().map(in_place).collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let needed = NEEDED[usize::from(command[0] == "copy")];
            let refused = limited(&place, needed + THREADS, &args).fails(1);
            assert!(refused.starts_with("error: the address space limit leaves "), "{args:?}: {refused}");
            assert!(refused.contains("\nhint: raise the limit by "), "{args:?}: {refused}");
            assert!(!place.path(new).exists(), "{args:?}: nothing is begun");
            limited(&place, needed + THREADS + PROGRAM, &args).exits(0);
            for made in ["out.car", "new.redb"] {
                let _ = std::fs::remove_file(place.path(made));
            }
            let _ = std::fs::remove_dir_all(place.path("new.simple"));
        }
    }
    assert_eq!(place.run(&["verify", "--store", "s.redb"]).exits(0).err, "");
}

/// More blocks than fit into memory: only smaller batches and caches make the commands succeed.
#[test]
fn what_is_larger_than_the_memory_is_taken_in_parts() {
    const BLOCKS: u64 = 192;
    let place = Place::new();
    let mut archive = car::Writer::new(Vec::new(), &[]).expect("a header");
    for n in 0..BLOCKS {
        let data = n.to_le_bytes().repeat(128 * 1024);
        archive.write(&cid_of(RAW, &data), &data).expect("a block");
    }
    place.write("bulk.car", &archive.finish().expect("whole"));
    for store in ["s.redb", "s.simple"] {
        for command in [&["import", "bulk.car", "--store", store][..], &["verify", "--store", store]] {
            let ran = limited(&place, NEEDED[0] + THREADS + PROGRAM, command).exits(0);
            let said = String::from_utf8_lossy(&ran.out);
            assert!(said.contains(&BLOCKS.to_string()), "{command:?}: {said}");
        }
    }
}

#[test]
fn nothing_is_needed_for_help() {
    let place = Place::new();
    for args in [&["--help"][..], &["import", "--help"], &["completions", "bash"], &["man"]] {
        assert!(!limited(&place, 40 * 1024, args).ok().is_empty());
    }
}
