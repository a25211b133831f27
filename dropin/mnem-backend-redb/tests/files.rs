//! Files: made where the published crate makes them, used by both in turn, and refused by name.

use std::{fs, path::Path, sync::mpsc, thread};

use mnem_backend_redb::open_or_init;
use mnem_core::{
    Node, ReadonlyRepo,
    id::NodeId,
    store::{Blockstore, OpHeadsStore},
};
use redb::TableDefinition;
use std::sync::Arc;
use storage_redb::OpenOptions;

use crate::support::block;

type Halves = (Arc<dyn Blockstore>, Arc<dyn OpHeadsStore>);

/// Adds a node, and returns it.
fn add((blocks, heads): Halves) -> Node {
    let repo = match ReadonlyRepo::open(blocks.clone(), heads.clone()) {
        Err(error) if error.is_uninitialized() => ReadonlyRepo::init(blocks, heads).unwrap(),
        repo => repo.unwrap(),
    };
    let node = Node::new(NodeId::new_v7(), "Person");
    let mut transaction = repo.start_transaction();
    transaction.add_node(&node).unwrap();
    transaction.commit("test", "a node").unwrap();
    node
}

#[test]
fn both_crates_use_one_file_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/by/us/repo.redb");
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let (blocks, heads, file) = open_or_init(&path).unwrap();
        assert_eq!(file, path);
        nodes.push(add((blocks, heads)));
        let (blocks, heads, _) = published::open_or_init(&path).unwrap();
        nodes.push(add((blocks, heads)));
    }
    let (blocks, heads, _) = open_or_init(&path).unwrap();
    let repo = ReadonlyRepo::open(blocks, heads).unwrap();
    for node in nodes {
        assert_eq!(repo.lookup_node(&node.id).unwrap(), Some(node));
    }
}

#[cfg(unix)]
#[test]
fn a_new_file_has_the_mode_of_the_published_crates() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    drop(open_or_init(&ours).unwrap());
    drop(published::open_or_init(&theirs).unwrap());
    let [ours, theirs] = [ours, theirs].map(|path| fs::metadata(path).unwrap().permissions().mode());
    assert_eq!(ours, theirs);
}

/// The published crate fails at once.
#[test]
fn a_second_opener_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repo.redb");
    let (blocks, heads, _) = open_or_init(&path).unwrap();
    blocks.put(block(1).0, block(1).1).unwrap();
    let (said, heard) = mpsc::channel();
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            said.send(()).unwrap();
            open_or_init(&path).map(|(blocks, ..)| blocks.has(&block(1).0))
        });
        heard.recv().unwrap();
        drop((blocks, heads));
        assert!(second.join().unwrap().unwrap().unwrap());
    });
}

#[test]
fn shared_handles_write_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repo.redb");
    let open = || mnem_backend_redb::open_shared(&path).map(|(blocks, heads, _)| (blocks, heads)).unwrap();
    let [first, second] = [open(), open()];
    let nodes = [add(first.clone()), add(second.clone()), add(first.clone())];
    for (blocks, heads) in [first, second] {
        let repo = ReadonlyRepo::open(blocks, heads).unwrap();
        assert!(nodes.iter().all(|node| repo.lookup_node(&node.id).unwrap().is_some()));
    }
}

/// A copy of a file in our own layout, and of a later format of it.
fn of_a_later_format(path: &Path) -> Vec<u8> {
    drop(OpenOptions::new().create(true).open(path).unwrap());
    let database = redb::Database::create(path).unwrap();
    let write = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, &[u8]>::new("meta");
    write.open_table(meta).unwrap().insert("format", &b"mnem-backend-redb 99"[..]).unwrap();
    write.commit().unwrap();
    drop(database);
    fs::read(path).unwrap()
}

/// Of the published crate, the truncated file makes a panic.
#[test]
fn a_file_that_is_no_database_is_an_error_with_a_next_step_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repo.redb");
    drop(open_or_init(&path).unwrap());
    let mut truncated = fs::read(&path).unwrap();
    truncated.pop();
    let later = of_a_later_format(&folder.path().join("ours.redb"));
    for (what, bytes, step) in [
        ("truncated", truncated, "mnem-store copy --salvage"),
        ("text", b"not a database".to_vec(), "restore it from a backup"),
        ("empty", Vec::new(), "restore it from a backup"),
        ("later", later, "use a version that knows its format"),
    ] {
        let path = folder.path().join(what);
        fs::write(&path, &bytes).unwrap();
        let error = open_or_init(&path).map(drop).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains(step), "{what}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
    }
}
