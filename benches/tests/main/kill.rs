//! A process killed in a stream of commits, and the state afterwards.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use mnem_benches::reopen_after_kill;
use mnem_storage::OpenOptions;

const SEED: u64 = 9;

/// Kills the process after it has acknowledged `commits` commits. Returns how many it acknowledged in all.
fn kill_after(backend: &str, path: &Path, commits: u64) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["child", "commits", backend])
        .arg(path)
        .arg(SEED.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        acknowledged = line.unwrap().parse().unwrap();
        if acknowledged == commits {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    acknowledged
}

#[test]
fn all_that_was_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for backend in ["redb", "simple", "log"] {
        let path = folder.path().join(backend);
        let acknowledged = kill_after(backend, &path, 4);
        assert!(acknowledged >= 4);
        if backend == "log" {
            continue;
        }
        let open = || OpenOptions::new().open(&path);
        let (time, store) = reopen_after_kill(open, SEED, acknowledged).unwrap();
        assert!(!time.is_zero());
        drop(store);
        reopen_after_kill(open, SEED, acknowledged + 2).unwrap_err();
    }
}
