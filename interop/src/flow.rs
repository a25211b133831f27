//! A repository's life, step by step, and what a store holds of it.

use published_core::{
    id::Cid,
    objects::{Dtype, Embedding, RefTarget},
    repo::{MergeOutcome, MergeStrategy, ReadonlyRepo, merge_three_way},
    sparse::SparseEmbed,
};

use mnem_store_traits::Bytes;

use crate::graph::{Result, Stores, add_edges, add_nodes, edge, edge_id, init, node, node_id, open, options};

/// Nodes of the first commit.
pub const NODES: u16 = 60;
/// Small commits after it.
pub const COMMITS: u16 = 12;

/// Everything that a repository's life left in a store, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// All blocks, ascending by CID.
    pub blocks: Vec<(Cid, Bytes)>,
    /// The heads.
    pub heads: Vec<Cid>,
    /// What the first head reaches, in the client's order.
    pub walk: Vec<Cid>,
}

impl Contents {
    /// Reads all of it through the client's traits.
    ///
    /// # Errors
    /// The client's, and a block that is listed and not there.
    pub fn of(stores: &Stores) -> Result<Self> {
        let (blocks, heads) = stores;
        let mut cids = blocks.all_cids()?.ok_or("the store lists no blocks")?;
        cids.sort();
        let read = |cid: Cid| Ok((cid.clone(), blocks.get(&cid)?.ok_or(format!("{cid} is listed and not there"))?));
        let read = cids.into_iter().map(read).collect::<Result<_>>()?;
        let heads = heads.current()?;
        let head = heads.first().ok_or("no head")?;
        let walk = blocks.iter_from_root(head).map(|block| Ok(block?.0)).collect::<Result<_>>()?;
        Ok(Self { blocks: read, heads, walk })
    }
}

/// A new repository: nodes, edges, vectors, and many small commits. Returns the operation after each.
///
/// # Errors
/// The client's.
pub fn first_half(stores: &Stores) -> Result<Vec<Cid>> {
    let mut repo = init(stores)?;
    let mut operations = vec![repo.op_id().clone()];
    let mut transaction = repo.start_transaction();
    add_nodes(&mut transaction, NODES)?;
    add_edges(&mut transaction, NODES, NODES)?;
    repo = transaction.commit_opts(options(1))?;
    operations.push(repo.op_id().clone());
    for number in 0..COMMITS {
        repo = small_commit(&repo, number)?;
        operations.push(repo.op_id().clone());
    }
    Ok(operations)
}

/// A new node with two vectors, another one changed, an edge between them.
fn small_commit(repo: &ReadonlyRepo, number: u16) -> Result<ReadonlyRepo> {
    let mut transaction = repo.start_transaction();
    let (new, known) = (NODES + number, number % NODES);
    let cid = transaction.add_node(&node(new))?;
    let vector: Vec<u8> = (0..4).flat_map(|n| (f32::from(number) + n as f32).to_le_bytes()).collect();
    let embedding = Embedding { model: "four".into(), dtype: Dtype::F32, dim: 4, vector: vector.into() };
    transaction.set_embedding(cid.clone(), "four".into(), embedding)?;
    let sparse = SparseEmbed::new(vec![1, 5 + u32::from(number)], vec![0.5, 0.25], "words")?;
    transaction.set_sparse_embedding(cid, "words".into(), sparse)?;
    transaction.add_node(&node(known).with_prop("changed", i64::from(number)))?;
    transaction.add_edge(&edge(NODES + number, NODES))?;
    Ok(transaction.commit_opts(options(100 + number))?)
}

/// What comes later to a repository that [`first_half`] made, opened again: tombstones, removals, branches, two committers at once, and merges.
///
/// # Errors
/// The client's, and where an answer is not what it must be.
pub fn second_half(stores: &Stores) -> Result<Vec<Cid>> {
    let repo = forget(&open(stores)?)?;
    let repo = branch(&repo)?;
    let mut operations = vec![repo.op_id().clone()];
    // Two who began at the same place: both change node 8.
    let mut sides = Vec::new();
    for side in [1, 2] {
        let mut transaction = repo.start_transaction();
        transaction.add_node(&node(500 + side))?;
        transaction.add_node(&node(8).with_prop("side", i64::from(side)))?;
        let committed = transaction.commit_opts(options(300 + side))?;
        sides.extend(committed.view().heads.first().cloned());
        operations.push(committed.op_id().clone());
    }
    let heads = stores.1.current()?;
    if heads.len() != 2 {
        return Err(format!("two committed at once, and there are {} heads", heads.len()).into());
    }
    let [left, right] = sides.try_into().map_err(|_| "a commit without a head")?;
    // Of branches, which leaves the heads alone; then of the heads, by opening.
    let merged = merge_three_way(&stores.0, &stores.1, left.clone(), right.clone(), MergeStrategy::Theirs)?;
    let MergeOutcome::Clean(branches_merged) = merged else { return Err(format!("not merged: {merged:?}").into()) };
    operations.push(branches_merged);
    let merge = merge_three_way(&stores.0, &stores.1, left, right, MergeStrategy::Manual)?;
    if !matches!(merge, MergeOutcome::Conflicts(_)) {
        return Err(format!("node 8 is no conflict: {merge:?}").into());
    }
    let merged = open(stores)?;
    if stores.1.current()? != [merged.op_id().clone()] {
        return Err("the merge is not the only head".into());
    }
    operations.push(merged.op_id().clone());
    let mut transaction = merged.start_transaction();
    transaction.add_edge(&edge(600, NODES))?;
    operations.push(transaction.commit_opts(options(310))?.op_id().clone());
    check(stores)?;
    Ok(operations)
}

/// Tombstones, one of them taken back; a removed edge; a removed node, whose edges go along.
fn forget(repo: &ReadonlyRepo) -> Result<ReadonlyRepo> {
    let mut transaction = repo.start_transaction();
    transaction.tombstone_node(node_id(3), "asked to")?;
    transaction.tombstone_node(node_id(4), "by mistake")?;
    let repo = transaction.commit_opts(options(200))?;
    let mut transaction = repo.start_transaction();
    transaction.untombstone_node(node_id(4));
    transaction.remove_edge(edge_id(11));
    transaction.remove_node(node_id(5));
    Ok(transaction.commit_opts(options(201))?)
}

fn branch(repo: &ReadonlyRepo) -> Result<ReadonlyRepo> {
    let commit = repo.view().heads.first().ok_or("no commit")?.clone();
    let mut transaction = repo.start_transaction();
    transaction.update_ref("refs/heads/side", Some(RefTarget::normal(commit)));
    transaction.set_active_branch("refs/heads/main");
    Ok(transaction.commit_opts(options(202))?)
}

/// The repository says what its life has made of it.
///
/// # Errors
/// The client's, and where an answer is not what it must be.
pub fn check(stores: &Stores) -> Result<()> {
    let repo = open(stores)?;
    let name = |number: u16| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(repo.lookup_node(&node_id(number))?);
    let present = [name(0)?.is_some(), name(501)?.is_some(), name(502)?.is_some(), name(5)?.is_none()];
    let edges = [repo.lookup_edge(&edge_id(600))?.is_some(), repo.lookup_edge(&edge_id(11))?.is_none()];
    let tombstones = [repo.is_tombstoned(&node_id(3)), !repo.is_tombstoned(&node_id(4))];
    let refs = &repo.view().refs;
    let branches = [refs.contains_key("refs/heads/side"), refs.contains_key("refs/heads/main")];
    let changed = name(1)?.and_then(|node| node.get_int("changed")) == Some(1);
    if present != [true; 4] || edges != [true; 2] || tombstones != [true; 2] || branches != [true; 2] || !changed {
        return Err(format!("{present:?} {edges:?} {tombstones:?} {branches:?} {changed}").into());
    }
    Ok(())
}
