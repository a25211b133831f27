//! Several processes at one store. The children are this test binary, started again with a variable that says what to
//! do.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::{Blockstore, Cid, OpHeadsStore, Store, WriteBatch};

use crate::support::{Home, block, create, reopen};

const TASK: &str = "MNEM_SIMPLE_TEST_TASK";
const STORE: &str = "MNEM_SIMPLE_TEST_STORE";
const NUMBER: &str = "MNEM_SIMPLE_TEST_NUMBER";

const BLOCKS_EACH: u64 = 15;

/// Prefix of what a child reports; the rest of its output comes from the test harness.
const SAYS: &str = "child says ";

/// A running child, killed and awaited when the test ends, however it ends.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(task: &str, store: &Path, number: u64) -> Helper {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
        .env(TASK, task)
        .env(STORE, store)
        .env(NUMBER, number.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Helper(child)
}

/// Not a test of its own: the code that the other tests of this file run in another process.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let store = PathBuf::from(std::env::var_os(STORE).unwrap());
    let number: u64 = std::env::var(NUMBER).unwrap().parse().unwrap();
    // Wait for the parent, so that all children begin together.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    match task.as_str() {
        "create and commit" => create_and_commit(&store, number),
        "put until killed" => put_until_killed(&store),
        other => panic!("no task is called {other}"),
    }
}

fn say(cid: Cid) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{SAYS}{cid}").unwrap();
    out.flush().unwrap();
}

fn create_and_commit(path: &Path, number: u64) {
    let store = OpenOptions::new().create(true).open(path).unwrap();
    for n in number * BLOCKS_EACH..(number + 1) * BLOCKS_EACH {
        let (cid, data) = block(n);
        // Also blocks that every process puts, so that several write the same file.
        let (shared, shared_data) = block(1_000_000 + n % BLOCKS_EACH);
        store.commit(WriteBatch::new().put(shared, shared_data).put(cid, data).update(cid, [])).unwrap();
        say(cid);
    }
}

fn put_until_killed(path: &Path) {
    let store = OpenOptions::new().create(true).open(path).unwrap();
    for n in 0.. {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).swap(store.heads().unwrap(), cid)).unwrap();
        say(cid);
    }
}

fn start(helper: &mut Helper) {
    helper.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
}

fn said(helper: &mut Helper) -> impl Iterator<Item = Cid> + use<> {
    let lines = BufReader::new(helper.0.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| Some(line.strip_prefix(SAYS)?.parse().unwrap()))
}

#[test]
fn processes_that_create_one_store_at_once_share_it() {
    const PROCESSES: u64 = 6;
    for _ in 0..3 {
        let home = Home::new();
        let mut helpers: Vec<Helper> =
            (0..PROCESSES).map(|number| spawn("create and commit", &home.path, number)).collect();
        helpers.iter_mut().for_each(start);
        let mut acknowledged = BTreeSet::new();
        for helper in &mut helpers {
            acknowledged.extend(said(helper));
            assert!(helper.0.wait().unwrap().success());
        }
        assert_eq!(acknowledged.len() as u64, PROCESSES * BLOCKS_EACH);
        let store = reopen(&home.path);
        assert_eq!(store.heads().unwrap(), acknowledged.iter().copied().collect::<Vec<_>>());
        for cid in &acknowledged {
            assert!(store.get(cid).unwrap().is_some(), "{cid}");
        }
        assert_eq!(store.cids().unwrap().count() as u64, PROCESSES * BLOCKS_EACH + BLOCKS_EACH);
        assert_eq!(store.foreign().unwrap(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged_and_holds_no_lock() {
    for acknowledged in [0, 1, 7, 20] {
        let home = Home::new();
        let mut helper = spawn("put until killed", &home.path, 0);
        start(&mut helper);
        let mut lines = said(&mut helper);
        let before: Vec<Cid> = lines.by_ref().take(acknowledged).collect();
        helper.0.kill().unwrap();
        helper.0.wait().unwrap();
        // Lines between the last one read and the child's death count as well.
        let all: Vec<Cid> = before.into_iter().chain(lines).collect();

        let store = create(&home.path);
        for cid in &all {
            assert!(store.get(cid).unwrap().is_some(), "{cid}");
        }
        let heads = store.heads().unwrap();
        assert!(heads.len() <= 1 && heads.iter().all(|head| store.has(head).unwrap()));
        // The last commit may have been applied without being acknowledged.
        let last = all.len() as u64;
        assert!(all.is_empty() || [block(last - 1).0, block(last).0].contains(&heads[0]));
        assert_eq!(store.foreign().unwrap(), Vec::<PathBuf>::new(), "unfinished files were not cleared");
        store.update(&block(0).0, &[]).unwrap();
    }
}
