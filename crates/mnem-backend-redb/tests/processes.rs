//! Several processes at one path: this test binary, run again.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use mnem_backend_redb::{Concurrency, OpenOptions};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{block, create, kind_of, open, place};

const ROLE: &str = "MNEM_REDB_TEST_ROLE";
const PATH: &str = "MNEM_REDB_TEST_PATH";
const NUMBER: &str = "MNEM_REDB_TEST_NUMBER";
const BLOCKS_EACH: u64 = 10;

fn spawn(role: &str, path: &Path, number: u64) -> Child {
    Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role), (NUMBER, &number.to_string())])
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a process")
}

/// Waits until the child says `word`.
fn wait_for(child: &mut Child, word: &str) {
    let stdout = BufReader::new(child.stdout.as_mut().expect("piped"));
    assert!(stdout.lines().any(|line| line.expect("text").contains(word)), "the child never said {word}");
}

/// What a child does. Does nothing unless this process is one.
#[test]
fn child() {
    let (Ok(role), Ok(path), Ok(number)) = (env::var(ROLE), env::var(PATH), env::var(NUMBER)) else { return };
    let number: u64 = number.parse().expect("a number");
    let options = OpenOptions::new().create(true).lock_wait(Duration::from_secs(300));
    match role.as_str() {
        "create" => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("the word to go");
            let store = options.open(&path).expect("open or create");
            for n in 0..BLOCKS_EACH {
                let (cid, data) = block(number * BLOCKS_EACH + n);
                store.put(&cid, data).expect("put");
            }
            store.update(&block(number * BLOCKS_EACH).0, &[]).expect("update");
            store.close().expect("close");
        }
        "hold" => {
            let store = options.open(&path).expect("open");
            let (cid, data) = block(number);
            store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
            println!("holding");
            // Until killed, or told to go on.
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("a line");
        }
        "share" => {
            let store = options.concurrency(Concurrency::MultiWriter).open(&path).expect("open");
            for n in 0..BLOCKS_EACH {
                let (cid, data) = block(number * BLOCKS_EACH + n);
                store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
            }
            store.close().expect("close");
        }
        other => panic!("no such role: {other}"),
    }
}

#[test]
fn processes_that_create_at_once_end_up_in_one_store() {
    const PROCESSES: u64 = 8;
    let place = place();
    let mut children: Vec<Child> = (0..PROCESSES).map(|n| spawn("create", &place.path, n)).collect();
    for child in &mut children {
        child.stdin.take().expect("piped").write_all(b"go\n").expect("the child reads");
    }
    for child in children {
        let done = child.wait_with_output().expect("wait");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
    let store = open(&place.path);
    for n in 0..PROCESSES * BLOCKS_EACH {
        assert!(store.has(&block(n).0).expect("has"), "block {n} was acknowledged and is lost");
    }
    assert_eq!(store.heads().expect("heads").len(), PROCESSES as usize);
    let names: Vec<_> = std::fs::read_dir(place.folder.path()).expect("list").collect();
    assert_eq!(names.len(), 1, "losers leave nothing behind: {names:?}");
}

#[test]
fn another_process_locks_and_its_death_unlocks() {
    let place = place();
    drop(create(&place.path));
    let mut holder = spawn("hold", &place.path, 1);
    wait_for(&mut holder, "holding");
    assert_eq!(kind_of(OpenOptions::new().open(&place.path)), ErrorKind::Locked);
    assert_eq!(kind_of(OpenOptions::new().read_only(true).open(&place.path)), ErrorKind::Locked);
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    // Left unclean: a reader repairs it in memory, a writer for good; the commit is there.
    let before = std::fs::read(&place.path).expect("read");
    let reader = OpenOptions::new().read_only(true).open(&place.path).expect("open read-only");
    assert_eq!(reader.heads().expect("heads"), [block(1).0]);
    drop(reader);
    assert!(std::fs::read(&place.path).expect("read") == before, "the file was changed");
    let store = open(&place.path);
    assert_eq!(store.heads().expect("heads"), [block(1).0]);
    assert_eq!(store.get(&block(1).0).expect("get"), Some(block(1).1));
}

#[test]
fn processes_share_a_store_that_is_opened_so() {
    const PROCESSES: u64 = 4;
    let place = place();
    drop(create(&place.path));
    let store = OpenOptions::new().concurrency(Concurrency::MultiWriter).open(&place.path).expect("open");
    let children: Vec<Child> = (0..PROCESSES).map(|n| spawn("share", &place.path, n)).collect();
    for child in children {
        let done = child.wait_with_output().expect("wait");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
    assert_eq!(store.heads().expect("heads").len(), (PROCESSES * BLOCKS_EACH) as usize);
    assert_eq!(store.cids().expect("cids").count(), (PROCESSES * BLOCKS_EACH) as usize);
}
