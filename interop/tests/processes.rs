//! A process of the published program and one of ours at the same file: this test binary, run again.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use mnem_backend_redb::{Layout, OpenOptions};
use mnem_core_bridge::Bridge;
use mnem_interop::{
    flow::{Contents, check, first_half, second_half},
    graph::{Stores, halves, open},
};
use mnem_store_traits::ErrorKind;

use crate::tool::{bridged, published, run};

const ROLE: &str = "MNEM_INTEROP_TEST_ROLE";
const PATH: &str = "MNEM_INTEROP_TEST_PATH";
const READY: &str = "holding the file";

/// A child that holds the file until it is told to go or killed.
fn spawn(role: &str, path: &Path) -> Child {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role)])
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a process");
    let lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    assert!(lines.map(|line| line.expect("text")).any(|line| line.contains(READY)), "the child ended early");
    child
}

/// Lets it close the file.
fn release(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().expect("wait").success());
}

fn kill(mut child: Child) {
    child.kill().expect("kill");
    child.wait().expect("wait");
}

fn ours(path: &Path) -> Stores {
    let store = OpenOptions::new().create(true).layout(Layout::Mnem01).open(path).expect("our store");
    halves(Bridge::new(Arc::new(store)))
}

/// What a child does. Does nothing unless this process is one.
#[test]
fn child() {
    let (Ok(role), Ok(path)) = (env::var(ROLE), env::var(PATH)) else { return };
    let stores = match role.as_str() {
        "published" => published(path.as_ref()),
        "ours" => ours(path.as_ref()),
        other => panic!("no such role: {other}"),
    };
    if stores.1.current().expect("heads").is_empty() {
        first_half(&stores).expect("a repository");
    }
    println!("{READY}");
    io::stdin().read_line(&mut String::new()).expect("nothing is said");
}

#[test]
fn they_exclude_us_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    let child = spawn("published", &path);
    let error = OpenOptions::new().open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert_eq!(run(["stat".as_ref(), "--store".as_ref(), path.as_os_str()]).status.code(), Some(11));
    release(child);
    open(&bridged(&path)).unwrap();
}

#[test]
fn we_exclude_them_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    let child = spawn("ours", &path);
    let Err(error) = published_redb::open_or_init(&path) else { panic!("both have the file") };
    assert_eq!(error.to_string(), "store: io: redb: Database already open. Cannot acquire lock.");
    release(child);
    open(&published(&path)).unwrap();
}

/// Neither closes the file: the other one finds it unclean, and whole.
#[test]
fn what_a_killed_process_committed_is_there_for_the_other() {
    let folder = tempfile::tempdir().unwrap();
    for (role, first, then) in
        [("published", bridged as fn(&Path) -> Stores, published as fn(&Path) -> Stores), ("ours", published, bridged)]
    {
        let path = folder.path().join(role);
        kill(spawn(role, &path));
        let stores = first(&path);
        let half = Contents::of(&stores).unwrap();
        assert_eq!(half.heads.len(), 1, "{role}");
        second_half(&stores).unwrap();
        drop(stores);
        // And once more, while it changes hands.
        kill(spawn(role, &path));
        check(&then(&path)).unwrap();
    }
}
