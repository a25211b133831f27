//! What the published client is made to do while its calls are recorded.

use std::sync::Arc;

use published_core::repo::ReadonlyRepo;

use crate::{
    graph::{Result, Stores, add_edges, add_nodes, edge, open, options},
    recorder::Recorder,
};

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
    pub fn record(self) -> Result<String> {
        let store = Recorder::new();
        let stores: Stores = (Arc::new(store.clone()), Arc::new(store.clone()));
        let repo = ReadonlyRepo::init(Arc::clone(&stores.0), Arc::clone(&stores.1))?;
        if self == Self::Edge {
            let mut transaction = repo.start_transaction();
            add_nodes(&mut transaction, GRAPH)?;
            add_edges(&mut transaction, GRAPH, GRAPH)?;
            transaction.commit_opts(options(1))?;
        }
        store.begin();
        let mut transaction = open(&stores)?.start_transaction();
        match self {
            Self::Nodes(count) => add_nodes(&mut transaction, count)?,
            Self::Edge => {
                transaction.add_edge(&edge(GRAPH, GRAPH))?;
            }
        }
        transaction.commit_opts(options(2))?;
        Ok(store.end())
    }
}
