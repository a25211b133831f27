//! What the published client is made to do while its calls are recorded.

use std::{error::Error, sync::Arc};

use published_core::{
    id::{ChangeId, EdgeId, NodeId},
    objects::{Edge, Node},
    repo::{CommitOptions, ReadonlyRepo, Transaction},
};

use crate::recorder::Recorder;

/// A recorded piece of work, and the file name of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// One commit of so many nodes to an empty repository.
    Nodes(u16),
    /// One commit of one edge to a repository of 1,000 nodes and 1,000 edges.
    Edge,
}

/// All of them.
pub const SCENES: [Scene; 4] = [Scene::Nodes(1), Scene::Nodes(100), Scene::Nodes(1000), Scene::Edge];

const GRAPH: u16 = 1000;
const AUTHOR: &str = "recorder@example.org";
/// Every commit's time, in microseconds since 1970. The client gives no way to set that of the repository's first operation.
const TIME: u64 = 1_800_000_000_000_000;

impl Scene {
    /// The name of its trace, without extension.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Nodes(count) => format!("nodes-{count}"),
            Self::Edge => "edge-on-1000".into(),
        }
    }

    /// Lets the client do it over a fresh recorder: open the repository, then commit. Returns the recording.
    ///
    /// # Errors
    /// The client's.
    pub fn record(self) -> Result<String, Box<dyn Error>> {
        let store = Recorder::new();
        let (blocks, heads) = (Arc::new(store.clone()), Arc::new(store.clone()));
        let repo = ReadonlyRepo::init(blocks.clone(), heads.clone())?;
        if self == Self::Edge {
            let mut transaction = repo.start_transaction();
            add_nodes(&mut transaction, GRAPH)?;
            for number in 0..GRAPH {
                transaction.add_edge(&edge(number))?;
            }
            transaction.commit_opts(options(1))?;
        }
        store.begin();
        let mut transaction = ReadonlyRepo::open(blocks, heads)?.start_transaction();
        match self {
            Self::Nodes(count) => add_nodes(&mut transaction, count)?,
            Self::Edge => {
                transaction.add_edge(&edge(GRAPH))?;
            }
        }
        transaction.commit_opts(options(2))?;
        Ok(store.end())
    }
}

fn add_nodes(transaction: &mut Transaction, count: u16) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        transaction.add_node(&node(number))?;
    }
    Ok(())
}

fn options(change: u16) -> CommitOptions<'static> {
    let change = ChangeId::from_random_bytes(id(3, change));
    CommitOptions::new(AUTHOR, "recorded").with_time_micros(TIME).with_change_id(change)
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

fn node_id(number: u16) -> NodeId {
    NodeId::from_random_bytes(id(1, number))
}

fn node(number: u16) -> Node {
    Node::new(node_id(number), "Person")
        .with_summary(format!("person number {number}, who knows two others"))
        .with_prop("name", format!("Person {number}"))
}

fn edge(number: u16) -> Edge {
    let (from, to) = (number % GRAPH, (number.wrapping_mul(7) + 3) % GRAPH);
    Edge::new(EdgeId::from_random_bytes(id(2, number)), "knows", node_id(from), node_id(to))
}
