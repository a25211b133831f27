//! Standard streams that the parent left non-blocking, as node and ssh do: every command waits for them.

use std::{
    fs,
    io::{PipeReader, Read as _, Write as _, pipe},
    process::{Child, Command, Stdio},
    thread,
};

use crate::{
    stuck::{full_pipe, is_stuck},
    support::{ABSENT, Place, ROOT, animals},
};

/// More bytes than any pipe holds.
const MORE_THAN_A_PIPE: usize = 300_000;

/// Exit status and all output.
type Ended = (Option<i32>, Vec<u8>, Vec<u8>);

/// Waits until the program is blocked or has ended.
fn until_it_waits(child: &mut Child) {
    while !is_stuck(child.id()) && child.try_wait().expect("known").is_none() {
        thread::yield_now();
    }
}

/// Runs the program with three streams that fail with "try again" at first. Only then do the readers and the writer
/// start, and the writer is slow.
fn not_blocking(mut command: Command, input: &[u8]) -> Ended {
    let (stdin, mut feed) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&stdin, true).expect("set");
    let (mut out, stdout, before_out) = full_pipe();
    let (mut err, stderr, before_err) = full_pipe();
    rustix::io::ioctl_fionbio(&stdout, true).expect("set");
    rustix::io::ioctl_fionbio(&stderr, true).expect("set");
    let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().expect("the program starts");
    // Its own copies of the pipes would keep them open.
    drop(command);
    until_it_waits(&mut child);
    thread::scope(|scope| {
        let drained = |stream: &mut PipeReader, before: usize| {
            let (mut all, mut piece) = (Vec::new(), [0; 512]);
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                all.extend_from_slice(&piece[..read]);
            }
            all.split_off(before)
        };
        scope.spawn(move || {
            // The program may end before it has read everything.
            let _ = input.chunks(1000).try_for_each(|piece| feed.write_all(piece));
        });
        let err = scope.spawn(move || drained(&mut err, before_err));
        let out = drained(&mut out, before_out);
        let status = child.wait().expect("it ends");
        (status.code(), out, err.join().expect("read"))
    })
}

/// Runs the program with blocking streams.
fn blocking(mut command: Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut feed = child.stdin.take().expect("a pipe");
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = feed.write_all(input);
        });
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), output.stdout, output.stderr)
    })
}

#[track_caller]
fn same(place: &Place, args: &[&str], input: &[u8]) -> Ended {
    let patient = not_blocking(place.command(args), input);
    let plain = blocking(place.command(args), input);
    let told = |(exit, out, err): &Ended| {
        (
            *exit,
            out.len(),
            String::from_utf8_lossy(out).chars().take(200).collect::<String>(),
            String::from_utf8_lossy(err).into_owned(),
        )
    };
    assert!(patient == plain, "{args:?}:\n{:?}\nwhere streams block:\n{:?}", told(&patient), told(&plain));
    plain
}

/// A store with the real data, a block that no pipe holds, and an index of neighbours.
fn large_store(place: &Place) -> String {
    let car = animals();
    place.run(&["import", car.to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
    let noise: Vec<u8> = (0..MORE_THAN_A_PIPE).map(|n| (n * n / 7) as u8).collect();
    place.write("large", &noise);
    let vectors = (0..400).map(|n| format!("{{\"id\": \"{n:032x}\", \"vector\": [{n}, 1]}}\n")).collect::<String>();
    place.write("vectors", vectors.as_bytes());
    place.run(&["knn", "build", "--vectors", "vectors", "--metric", "l2", "--store", "a.redb"]).ok();
    let large = place.run(&["put", "large", "--store", "a.redb"]).ok();
    place.run(&["compact", "--store", "a.redb"]).ok();
    large.trim().to_owned()
}

#[test]
fn what_is_written_is_written_whole() {
    let place = Place::new();
    let large = large_store(&place);
    let index = place.run(&["knn", "list", "--store", "a.redb"]).ok();
    let index = index.split(' ').next().expect("a CID");
    let node = format!("{:032x}", 7);
    // Standard error is compared too. Progress lines differ between runs, so they are not shown.
    for (args, exit, more_than_a_pipe) in [
        (&["ls"][..], 0, true),
        (&["ls", "--json"], 0, true),
        (&["walk", ROOT], 0, true),
        (&["walk", ROOT, "--json", "--verbose"], 0, true),
        (&["get", &large], 0, true),
        (&["export", "-"], 0, true),
        (&["knn", "show", index, "--edges"], 0, true),
        (&["knn", "show", index], 0, false),
        (&["knn", "list"], 0, false),
        (&["knn", "neighbors", index, &node], 0, false),
        (&["heads"], 0, false),
        (&["has", ROOT, "--verbose"], 0, false),
        (&["has", ABSENT], 4, false),
        (&["size", &large], 0, false),
        (&["stat", "--json"], 0, false),
        (&["verify", "--verbose"], 0, false),
        (&["compact"], 0, false),
        (&["get", ABSENT], 4, false),
        (&["get", ABSENT, "--json"], 4, false),
        (&["rm", ABSENT], 4, false),
        (&["import", "-"], 1, false),
        (&["conformance", "--only", "no such law"], 2, false),
        (&["completions", "bash"], 0, false),
        (&["completions", "zsh"], 0, false),
        (&["man", "import"], 0, false),
        (&["import", "--help"], 0, false),
        (&["--help"], 0, false),
        (&["--version"], 0, false),
        (&["no-such-command"], 2, false),
        (&["no-such-command", "--json"], 2, false),
        (&["heads", "--no-such-option"], 2, false),
    ] {
        let args = match args[0].starts_with("--") {
            true => args.to_vec(),
            false => [args, &["--store", "a.redb"]].concat(),
        };
        let (code, out, err) = same(&place, &args, b"");
        assert_eq!(code, Some(exit), "{args:?}");
        assert!(out.len() > 65_536 || !more_than_a_pipe, "{args:?}: {} bytes", out.len());
        assert!(exit == 0 || !out.is_empty() || !err.is_empty(), "{args:?}");
    }
}

#[test]
fn what_is_read_is_read_whole() {
    let place = Place::new();
    let archive = fs::read(animals()).expect("the archive");
    let noise: Vec<u8> = (0..MORE_THAN_A_PIPE).map(|n| (n * n / 11) as u8).collect();
    for backend in ["redb", "simple"] {
        // Names of equal length give output of equal length.
        let [one, other] = ["a", "b"].map(|name| format!("{name}.{backend}"));
        for (args, input) in [(&["import", "-", "--heads"][..], &archive), (&["put", "-"], &noise)] {
            let patient = not_blocking(place.command(&[args, &["--store", &one]].concat()), input);
            let (exit, out, err) = blocking(place.command(&[args, &["--store", &other]].concat()), input);
            let out = String::from_utf8_lossy(&out).replace(&other, &one).into_bytes();
            assert_eq!(exit, Some(0), "{}", String::from_utf8_lossy(&err));
            assert!(patient == (exit, out, err), "{args:?}: {}", String::from_utf8_lossy(&patient.2));
        }
        let [in_one, in_other] = [one, other].map(|store| place.run(&["export", "-", "--store", &store]).exits(0).out);
        assert!(in_one == in_other && !in_one.is_empty());
    }
}
