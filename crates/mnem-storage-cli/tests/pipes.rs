//! Standard output that is closed early, or fails.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use crate::support::{ABSENT, Place, ROOT, animals};

/// Reads the first line (or byte) of the output and closes the pipe. Returns the messages and the exit status.
fn closed_early(place: &Place, args: &[&str]) -> (String, Option<i32>) {
    let mut child =
        place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut out = BufReader::with_capacity(16, child.stdout.take().expect("a pipe"));
    assert!(!out.fill_buf().expect("a beginning").is_empty());
    drop(out);
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    (said, child.wait().expect("it ends").code())
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    let car = animals();
    place.run(&["import", car.to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
    for args in [&["ls"][..], &["ls", "--json"], &["walk", ROOT], &["walk", ROOT, "--json"], &["export", "-"]] {
        let ended = closed_early(&place, &[args, &["--store", "a.redb"]].concat());
        assert_eq!(ended, (String::new(), Some(0)), "{args:?}");
    }
}

#[test]
fn output_that_is_closed_from_the_start_is_quiet_too() {
    let place = Place::new();
    place.small_store("a.redb");
    for args in [&["ls"][..], &["heads"], &["stat"], &["verify"], &["completions", "bash"], &["--help"], &["--version"]]
    {
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        let output = place.command(&[args, &["--store", "a.redb"]].concat()).stdout(write).output().expect("runs");
        assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), ("", Some(0)), "{args:?}");
    }
}

#[test]
fn a_closed_pipe_ends_the_output_and_not_the_verdict() {
    let place = Place::new();
    let (root, [leaf, _]) = place.small_store("a.redb");
    place.run(&["rm", &leaf.to_string(), "--store", "a.redb"]).ok();
    let root = root.to_string();
    for (args, exit) in [
        (&["verify"][..], 3),
        (&["verify", "--json"], 3),
        (&["has", ABSENT], 4),
        (&["has", ABSENT, "--json"], 4),
        (&["has", &root], 0),
        (&["walk", &root], 4),
    ] {
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        let output = place.command(&[args, &["--store", "a.redb"]].concat()).stdout(write).output().expect("runs");
        assert_eq!(output.status.code(), Some(exit), "{args:?}");
        // The failure is reported, and the closed pipe is not.
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.starts_with("error: block "), args[0] == "walk", "{args:?}: {said}");
        assert!(!said.contains("standard output"), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let place = Place::new();
    let (root, _) = place.small_store("a.redb");
    for args in [
        &["ls"][..],
        &["get", &root.to_string()],
        &["heads"],
        &["export", "-"],
        &["completions", "fish"],
        &["--help"],
        &["--version"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = place.command(&[args, &["--store", "a.redb"]].concat()).stdout(full).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains("No space left on device"), "{args:?}: {said}");
    }
}
