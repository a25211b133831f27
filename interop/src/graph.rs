//! Nodes, edges and commits that are the same in every run: ids and times are fixed as far as the client lets its callers fix them.

use std::{error::Error, sync::Arc};

use published_core::{
    codec::hash_to_cid,
    id::{ChangeId, EdgeId, NodeId},
    objects::{Edge, Node, Operation, View},
    repo::{CommitOptions, ReadonlyRepo, Transaction},
    store::{Blockstore, OpHeadsStore},
};

/// A store as the client knows one: its blocks and its heads.
pub type Stores = (Arc<dyn Blockstore>, Arc<dyn OpHeadsStore>);

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The time of the first operation, in microseconds since 1970.
pub const TIME: u64 = 1_800_000_000_000_000;

const AUTHOR: &str = "recorder@example.org";

/// Both halves of one value that is both.
pub fn halves<S: Blockstore + OpHeadsStore + 'static>(store: S) -> Stores {
    let store = Arc::new(store);
    (Arc::clone(&store) as Arc<dyn Blockstore>, store)
}

/// A new repository, as [`ReadonlyRepo::init`] makes one, but at a time of our choosing: the client takes the time of day.
///
/// # Errors
/// The client's.
pub fn init(stores: &Stores) -> Result<ReadonlyRepo> {
    let (blocks, heads) = stores;
    let (view, view_cid) = hash_to_cid(&View::new())?;
    blocks.put(view_cid.clone(), view)?;
    let (operation, cid) = hash_to_cid(&Operation::new(view_cid, "", TIME, "init"))?;
    blocks.put(cid.clone(), operation)?;
    heads.update(cid, &[])?;
    open(stores)
}

/// The repository as it is; several heads are merged.
///
/// # Errors
/// The client's.
pub fn open(stores: &Stores) -> Result<ReadonlyRepo> {
    Ok(ReadonlyRepo::open(Arc::clone(&stores.0), Arc::clone(&stores.1))?)
}

/// Everything about commit `number` but its content.
pub fn options(number: u16) -> CommitOptions<'static> {
    let change = ChangeId::from_random_bytes(id(3, number));
    CommitOptions::new(AUTHOR, "recorded").with_time_micros(TIME + u64::from(number)).with_change_id(change)
}

/// Adds nodes `0..count`.
///
/// # Errors
/// The client's.
pub fn add_nodes(transaction: &mut Transaction, count: u16) -> Result<()> {
    for number in 0..count {
        transaction.add_node(&node(number))?;
    }
    Ok(())
}

/// Adds edges `0..count` among nodes `0..nodes`.
///
/// # Errors
/// The client's.
pub fn add_edges(transaction: &mut Transaction, count: u16, nodes: u16) -> Result<()> {
    for number in 0..count {
        transaction.add_edge(&edge(number, nodes))?;
    }
    Ok(())
}

/// An identifier that looks random, the same one for the same arguments.
fn id(kind: u64, number: u16) -> [u8; 16] {
    let mut state = (kind << 32 | u64::from(number) << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    for half in bytes.chunks_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        half.copy_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes
}

/// The id of node `number`.
pub fn node_id(number: u16) -> NodeId {
    NodeId::from_random_bytes(id(1, number))
}

/// The id of edge `number`.
pub fn edge_id(number: u16) -> EdgeId {
    EdgeId::from_random_bytes(id(2, number))
}

/// Node `number`.
pub fn node(number: u16) -> Node {
    Node::new(node_id(number), "Person")
        .with_summary(format!("person number {number}, who knows two others"))
        .with_prop("name", format!("Person {number}"))
}

/// Edge `number`, among nodes `0..nodes`.
pub fn edge(number: u16, nodes: u16) -> Edge {
    let (from, to) = (number % nodes, (number.wrapping_mul(7) + 3) % nodes);
    Edge::new(edge_id(number), "knows", node_id(from), node_id(to))
}
