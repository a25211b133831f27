//! What a killed process leaves: this test binary, run again.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mnem_backend_redb::OpenOptions;
use mnem_core::store::{Blockstore as _, OpHeadsStore as _};
use mnem_core_bridge::{Bridge, Options};
use mnem_store_traits::{Blockstore as _, Store as _};

use crate::support::{block, ours};

const ROLE: &str = "MNEM_BRIDGE_TEST_ROLE";
const PATH: &str = "MNEM_BRIDGE_TEST_PATH";
const READY: &str = "ready to be killed";

/// What a child does. Does nothing unless this process is one.
#[test]
fn child() {
    let (Ok(role), Ok(path)) = (env::var(ROLE), env::var(PATH)) else { return };
    let store = Arc::new(OpenOptions::new().create(true).open(path).expect("a store"));
    let time = if role == "in time" { Some(Duration::from_millis(1)) } else { None };
    let bridge = Bridge::with_options(store, &Options::new().staged_time_max(time));
    let put = |n| bridge.put(block(n).0, block(n).1).expect("put");
    match role.as_str() {
        "staged" => {
            put(1);
            bridge.batch_put(&mut [block(2)].into_iter()).expect("batch");
            put(3);
            bridge.update(block(3).0, &[]).expect("update");
            put(4);
            bridge.flush().expect("flush");
            put(5);
        }
        "in time" => {
            put(1);
            let patience = Instant::now() + Duration::from_secs(120);
            while !bridge.store().has(&ours(&block(1).0)).expect("has") {
                assert!(Instant::now() < patience, "nothing landed");
                thread::yield_now();
            }
        }
        other => panic!("no such role: {other}"),
    }
    println!("{READY}");
    io::stdin().read_line(&mut String::new()).expect("nothing is said");
}

/// Runs the child until it is ready, and kills it.
fn kill(role: &str, path: &Path) {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role)])
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a process");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut lines = lines.map(|line| line.expect("text"));
    assert!(lines.any(|line| line.contains(READY)), "the child ended early");
    child.kill().expect("kill");
    child.wait().expect("wait");
}

#[test]
fn a_kill_takes_only_what_is_staged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    kill("staged", &path);
    let store = OpenOptions::new().open(&path).unwrap();
    let kept: Vec<u32> = (1..=5).filter(|&n| store.has(&ours(&block(n).0)).unwrap()).collect();
    assert_eq!(kept, [1, 2, 3, 4]);
    let bridge = Bridge::new(Arc::new(store));
    assert_eq!(bridge.current().unwrap(), [block(3).0]);
}

#[test]
fn a_kill_after_the_time_bound_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.redb");
    kill("in time", &path);
    let store = OpenOptions::new().open(&path).unwrap();
    assert!(store.has(&ours(&block(1).0)).unwrap());
    store.close().unwrap();
}

/// A bridge that is never dropped is as good as a killed process: what was staged is nowhere else.
#[test]
fn a_bridge_that_is_forgotten_lands_nothing() {
    let (store, _told) = crate::support::Watched::new();
    let bridge = crate::support::patient(&store);
    bridge.put(block(1).0, block(1).1).unwrap();
    bridge.update(block(1).0, &[]).unwrap();
    bridge.put(block(2).0, block(2).1).unwrap();
    std::mem::forget(bridge);
    assert!(store.inner.has(&ours(&block(1).0)).unwrap());
    assert!(!store.inner.has(&ours(&block(2).0)).unwrap());
}
