//! Several processes at one path: this test binary, run again.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use mnem_backend_redb::OpenOptions;
use mnem_store_traits::driver::Sharing;
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

/// Waits until the child prints `word`.
fn wait_for(child: &mut Child, word: &str) {
    let stdout = BufReader::new(child.stdout.as_mut().expect("piped"));
    assert!(stdout.lines().any(|line| line.expect("text").contains(word)), "the child never said {word}");
}

/// The code of a child process. Does nothing in the parent.
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
            // Wait for a kill, or for a line.
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("a line");
        }
        "share" => {
            let store = options.sharing(Sharing::MultiWriter).open(&path).expect("open");
            for n in 0..BLOCKS_EACH {
                let (cid, data) = block(number * BLOCKS_EACH + n);
                store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
            }
            store.close().expect("close");
        }
        "share until killed" => {
            let store = options.sharing(Sharing::MultiWriter).open(&path).expect("open");
            for n in number.. {
                let (cid, data) = block(n);
                store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
                println!("committed {n} ");
            }
        }
        "follow" => {
            let options = OpenOptions::new().read_only(true).sharing(Sharing::SingleWriter);
            let store = options.open(&path).expect("open beside the writer");
            println!("following");
            let mut last = 0;
            while last < number {
                // Heads follow one another, each with its block, and never go back.
                for head in store.heads().expect("heads") {
                    let data = store.get(&head).expect("get").expect("a head without its block");
                    let n = str::from_utf8(&data).ok().and_then(|text| text.strip_prefix("block ")?.parse().ok());
                    let n: u64 = n.expect("one of the writer's blocks");
                    assert!(n >= last, "head {n} after head {last}");
                    last = n;
                }
            }
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
    // The file is unclean: a reader repairs it in memory, a writer on disk. The commit is there.
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
    let store = OpenOptions::new().sharing(Sharing::MultiWriter).open(&place.path).expect("open");
    let children: Vec<Child> = (0..PROCESSES).map(|n| spawn("share", &place.path, n)).collect();
    for child in children {
        let done = child.wait_with_output().expect("wait");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
    assert_eq!(store.heads().expect("heads").len(), (PROCESSES * BLOCKS_EACH) as usize);
    assert_eq!(store.cids().expect("cids").count(), (PROCESSES * BLOCKS_EACH) as usize);
}

#[test]
fn readers_in_other_processes_follow_a_single_writer() {
    const COMMITS: u64 = 40;
    let place = place();
    let options = OpenOptions::new().create(true).sharing(Sharing::SingleWriter);
    let writer = options.open(&place.path).expect("the writer");
    let mut readers: Vec<Child> = (0..3).map(|_| spawn("follow", &place.path, COMMITS)).collect();
    readers.iter_mut().for_each(|reader| wait_for(reader, "following"));
    for n in 1..=COMMITS {
        let (cid, data) = block(n);
        let heads = writer.heads().expect("heads");
        writer.commit(WriteBatch::new().put(cid, data).swap(heads, cid)).expect("commit");
    }
    for reader in readers {
        let done = reader.wait_with_output().expect("wait");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
    writer.close().expect("close");
}

#[test]
fn a_writer_that_is_killed_among_others_loses_nothing_and_stops_nobody() {
    const OTHERS: u64 = 2;
    const FIRST: u64 = 1_000;
    let place = place();
    drop(create(&place.path));
    // One handle stays open throughout, so no one can repair the file alone.
    let store = OpenOptions::new().sharing(Sharing::MultiWriter).open(&place.path).expect("open");
    for round in 0..4 {
        let first = FIRST * (round + 1);
        let mut victim = spawn("share until killed", &place.path, first);
        let others: Vec<Child> =
            (0..OTHERS).map(|n| spawn("share", &place.path, (round * OTHERS + n) % FIRST)).collect();
        wait_for(&mut victim, &format!("committed {} ", first + round * 3));
        victim.kill().expect("kill");
        victim.wait().expect("wait");
        for other in others {
            let done = other.wait_with_output().expect("wait");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        }
        let acknowledged = (first..=first + round * 3).chain(0..(round + 1) * OTHERS * BLOCKS_EACH);
        let heads = store.heads().expect("heads");
        for n in acknowledged {
            let (cid, data) = block(n);
            assert_eq!(store.get(&cid).expect("get"), Some(data), "block {n} was acknowledged and is lost");
            assert!(heads.contains(&cid), "head {n} was acknowledged and is lost");
        }
        assert!(heads.iter().all(|head| store.has(head).expect("has")), "a head without its block");
    }
    store.close().expect("close");
    assert!(!open(&place.path).heads().expect("heads").is_empty());
}
