//! The state after a process was killed. The child is this test binary, started again.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mnem_core::{
    Node, ReadonlyRepo,
    id::NodeId,
    store::{Blockstore as _, OpHeadsStore as _},
};
use mnem_core_bridge::{Bridge, Options};
use mnem_store_traits::{Blockstore as _, OpHeadsStore as _, Store, Walk};

use crate::support::{archive, block, ours};

const ROLE: &str = "MNEM_BRIDGE_TEST_ROLE";
const PATH: &str = "MNEM_BRIDGE_TEST_PATH";
const READY: &str = "ready to be killed";
const COMMITTED: &str = "committed ";
const PUTS: u32 = 40;

/// The code of a child process. Does nothing in the parent.
#[test]
fn child() {
    let (Ok(role), Ok(path)) = (env::var(ROLE), env::var(PATH)) else { return };
    let store = open(Path::new(&path), true);
    let options = if role == "staged" { Options::new().staged_time_max(None) } else { Options::new() };
    // Keep it alive until the process is killed, because dropping it lands the staged blocks.
    let bridge = Bridge::with_options(store, &options);
    match role.as_str() {
        "staged" => stage(&bridge),
        "archive" => archive().into_iter().for_each(|(cid, data)| bridge.put_trusted(cid, data).expect("put")),
        "lines" => archive().into_iter().for_each(|(cid, data)| bridge.put(cid, data).expect("put")),
        "children first" => archive().into_iter().rev().for_each(|(cid, data)| bridge.put(cid, data).expect("put")),
        "in time" => wait_until_landed(&bridge),
        "refused" => be_refused(&bridge),
        "commits" => commit_for_ever(&bridge),
        other => panic!("no such role: {other}"),
    }
    println!("{READY}");
    io::stdin().read_line(&mut String::new()).expect("nothing is said");
}

fn open(path: &Path, create: bool) -> Arc<dyn Store> {
    if path.extension().is_some_and(|extension| extension == "redb") {
        Arc::new(mnem_backend_redb::OpenOptions::new().create(create).open(path).expect("a store"))
    } else {
        Arc::new(mnem_backend_simple::OpenOptions::new().create(create).open(path).expect("a store"))
    }
}

fn put(bridge: &Bridge, n: u32) {
    bridge.put(block(n).0, block(n).1).expect("put");
}

/// Puts some blocks that land, and then one that does not.
fn stage(bridge: &Bridge) {
    put(bridge, 1);
    bridge.batch_put(&mut [block(2)].into_iter()).expect("batch");
    put(bridge, 3);
    bridge.update(block(3).0, &[]).expect("update");
    put(bridge, 4);
    bridge.flush().expect("flush");
    put(bridge, 5);
}

/// Puts blocks without a head change, and waits until the store itself holds them.
fn wait_until_landed(bridge: &Bridge) {
    for n in 0..PUTS {
        bridge.put_trusted(block(n).0, block(n).1).expect("put");
    }
    let patience = Instant::now() + Duration::from_secs(120);
    while !(0..PUTS).all(|n| bridge.store().has(&ours(&block(n).0)).expect("has")) {
        assert!(Instant::now() < patience, "not all have landed");
        thread::yield_now();
    }
}

/// Creates a repository, and tries to give it a head that has no block.
fn be_refused(bridge: &Bridge) {
    let (blocks, heads) = bridge.stores();
    let repo = ReadonlyRepo::init(blocks, heads).expect("a repository");
    let error = bridge.update(block(1).0, std::slice::from_ref(repo.op_id())).expect_err("it has no block");
    assert!(error.to_string().contains("has no block"), "{error}");
}

/// Commits and reports each commit until it is killed.
fn commit_for_ever(bridge: &Bridge) {
    let (blocks, heads) = bridge.stores();
    let mut repo = ReadonlyRepo::init(blocks, heads).expect("a repository");
    loop {
        let node = Node::new(NodeId::new_v7(), "N").with_prop("name", "committed before the kill");
        let mut transaction = repo.start_transaction();
        transaction.add_node(&node).expect("add");
        repo = transaction.commit("test", "another node").expect("commit");
        println!("{COMMITTED}{}", node.id.to_uuid_string());
    }
}

/// Runs the child until it has printed this many lines that contain `text`, and kills it. Returns these lines.
fn kill_after(role: &str, path: &Path, text: &str, lines: usize) -> Vec<String> {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .envs([(ROLE, role)])
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a process");
    let said = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = said.map(|line| line.expect("text")).filter(|line| line.contains(text));
    let said: Vec<String> = said.take(lines).collect();
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!(said.len(), lines, "the child ended early");
    said
}

fn kill(role: &str, path: &Path) {
    kill_after(role, path, READY, 1);
}

/// A path for a store of each backend.
fn paths(folder: &Path) -> [PathBuf; 2] {
    [folder.join("killed.redb"), folder.join("killed")]
}

#[test]
fn a_kill_takes_only_what_is_staged() {
    let folder = tempfile::tempdir().unwrap();
    for path in paths(folder.path()) {
        kill("staged", &path);
        let store = open(&path, false);
        let kept: Vec<u32> = (1..=5).filter(|&n| store.has(&ours(&block(n).0)).unwrap()).collect();
        assert_eq!(kept, [1, 2, 3, 4], "{}", path.display());
        assert_eq!(Bridge::new(store).current().unwrap(), [block(3).0]);
    }
}

/// The server answers `push-blocks` and `/v1/import` right after the last put; then the client moves the head.
#[test]
fn a_kill_right_after_an_import_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for role in ["archive", "lines", "children first"] {
        for path in paths(folder.path()) {
            let path = path.with_file_name(format!("{role}-{}", path.file_name().unwrap().to_str().unwrap()));
            kill(role, &path);
            let store = open(&path, false);
            for (cid, _) in archive() {
                assert!(store.has(&ours(&cid)).unwrap(), "{}: {cid}", path.display());
            }
            let bridge = Bridge::new(store);
            bridge.update(archive()[0].0.clone(), &[]).unwrap();
        }
    }
}

#[test]
fn a_kill_after_the_time_bound_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for path in paths(folder.path()) {
        kill("in time", &path);
        let store = open(&path, false);
        assert!((0..PUTS).all(|n| store.has(&ours(&block(n).0)).unwrap()), "{}", path.display());
        store.close().unwrap();
    }
}

/// The published backend accepts the head, and then the repository never opens again.
#[test]
fn a_repository_that_was_refused_a_head_opens_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for path in paths(folder.path()) {
        kill("refused", &path);
        let (blocks, heads) = Bridge::new(open(&path, false)).stores();
        let head = heads.current().unwrap();
        let repo = ReadonlyRepo::open(blocks, heads).unwrap();
        assert_eq!(head, [repo.op_id().clone()], "{}", path.display());
    }
}

#[test]
fn a_kill_between_commits_leaves_every_head_with_all_its_blocks() {
    let folder = tempfile::tempdir().unwrap();
    for (round, path) in (0..4).flat_map(|round| paths(folder.path()).map(|path| (round, path))) {
        let path = path.with_file_name(format!("{round}-{}", path.file_name().unwrap().to_str().unwrap()));
        let said = kill_after("commits", &path, COMMITTED, 1 + 3 * round);
        let store = open(&path, false);
        let head = store.heads().unwrap();
        assert_eq!(head.len(), 1, "{}", path.display());
        for block in Walk::new(&store, head[0]) {
            block.unwrap();
        }
        let (blocks, heads) = Bridge::new(store).stores();
        let repo = ReadonlyRepo::open(blocks, heads).unwrap();
        for line in said {
            let id = NodeId::parse_uuid(line.rsplit(' ').next().unwrap()).unwrap();
            assert!(repo.lookup_node(&id).unwrap().is_some(), "{}: {line}", path.display());
        }
    }
}

/// Leaking the bridge equals killing the process: staged blocks exist nowhere else.
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
