//! The engine itself over a store in memory, and the number of commits that its work takes.

use mnem_core::{
    Edge, Node, ReadonlyRepo, RepoError,
    id::{EdgeId, NodeId},
    repo::CommitOptions,
    store::OpHeadsStore as _,
};

use crate::support::{Watched, patient};

fn person(name: &str) -> Node {
    Node::new(NodeId::new_v7(), "Person").with_prop("name", name)
}

#[test]
fn each_step_of_a_repository_is_one_commit() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let (blocks, heads) = bridge.stores();
    let commits = |expected: u64| assert_eq!(store.commits(), expected);
    let repo = ReadonlyRepo::init(blocks.clone(), heads.clone()).unwrap();
    commits(1);
    let mut transaction = repo.start_transaction();
    let [ada, bob] = [person("Ada"), person("Bob")];
    for node in (0..100).map(|n| person(&n.to_string())).chain([ada.clone(), bob.clone()]) {
        transaction.add_node(&node).unwrap();
    }
    transaction.add_edge(&Edge::new(EdgeId::new_v7(), "knows", ada.id, bob.id)).unwrap();
    let repo = transaction.commit("test", "a hundred").unwrap();
    commits(2);
    let mut transaction = repo.start_transaction();
    transaction.tombstone_node(bob.id, "forgotten").unwrap();
    let repo = transaction.commit("test", "forget Bob").unwrap();
    commits(3);
    // Two writers that began from the same operation.
    for name in ["Eve", "Mallory"] {
        let mut transaction = repo.start_transaction();
        transaction.add_node(&person(name)).unwrap();
        transaction.commit("test", name).unwrap();
    }
    commits(5);
    assert_eq!(bridge.current().unwrap().len(), 2);
    let merged = ReadonlyRepo::open(blocks.clone(), heads.clone()).unwrap();
    commits(6);
    assert_eq!(bridge.current().unwrap(), [merged.op_id().clone()]);
    assert!(merged.is_tombstoned(&bob.id));
    let head = merged.view().heads[0].clone();
    merged.switch_branch(head, "refs/heads/side", "test").unwrap();
    commits(7);
    assert_eq!(bridge.staged_bytes(), 0);
}

/// The engine's own check that no other writer came first.
#[test]
fn a_stale_linearized_commit_is_refused_and_changes_no_head() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let (blocks, heads) = bridge.stores();
    let repo = ReadonlyRepo::init(blocks, heads).unwrap();
    let mut first = repo.start_transaction();
    let mut second = repo.start_transaction();
    first.add_node(&person("first")).unwrap();
    second.add_node(&person("second")).unwrap();
    first.commit("test", "first").unwrap();
    let current = bridge.current().unwrap();
    let mut options = CommitOptions::new("test", "second");
    options.linearize = true;
    match second.commit_opts(options) {
        Err(mnem_core::Error::Repo(RepoError::Stale)) => {}
        other => panic!("{:?}", other.map(|repo| repo.op_id().clone())),
    }
    assert_eq!(bridge.current().unwrap(), current);
}
