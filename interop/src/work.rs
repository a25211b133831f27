//! The pieces of work that are timed: what is there before, and one step of the client.

use std::sync::Arc;

use published_core::{
    id::Cid,
    store::{MemoryBlockstore, MemoryOpHeadsStore},
};

use mnem_store_traits::Bytes;

use crate::graph::{Result, Stores, add_edges, add_nodes, edge, init, node, node_id, open, options};

/// One piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One node in an empty repository.
    FirstNode,
    /// A thousand nodes in an empty repository.
    ManyNodes,
    /// One node beside a thousand.
    NodeOnMany,
    /// One edge beside 1,000 edges among 3,000 nodes.
    Edge,
    /// One node forgotten, of 3,000 with 1,000 edges.
    Tombstone,
    /// Two heads, each one node away from a thousand, become one.
    Merge,
}

/// All of them.
pub const WORK: [Work; 6] =
    [Work::FirstNode, Work::ManyNodes, Work::NodeOnMany, Work::Edge, Work::Tombstone, Work::Merge];

/// What a store holds before the work.
#[derive(Clone, Debug)]
pub struct Given {
    blocks: Vec<(Cid, Bytes)>,
    heads: Vec<Cid>,
}

impl Given {
    /// Puts it into an empty store: all blocks in one batch, then the heads.
    ///
    /// # Errors
    /// The store's.
    pub fn fill(&self, stores: &Stores) -> Result<()> {
        stores.0.batch_put(&mut self.blocks.iter().cloned())?;
        for head in &self.heads {
            stores.1.update(head.clone(), &[])?;
        }
        Ok(())
    }
}

impl Work {
    /// Its name in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstNode => "1 node, empty repository",
            Self::ManyNodes => "1,000 nodes, empty repository",
            Self::NodeOnMany => "1 node on 1,000",
            Self::Edge => "1 edge on 3,000 nodes + 1,000 edges",
            Self::Tombstone => "tombstone on 3,000 nodes + 1,000 edges",
            Self::Merge => "merge of two heads on 1,000 nodes",
        }
    }

    /// Lets the client make it, in memory.
    ///
    /// # Errors
    /// The client's.
    pub fn given(self) -> Result<Given> {
        let memory: Stores = (Arc::new(MemoryBlockstore::new()), Arc::new(MemoryOpHeadsStore::new()));
        let mut repo = init(&memory)?;
        let (nodes, edges) = match self {
            Self::FirstNode | Self::ManyNodes => (0, 0),
            Self::NodeOnMany | Self::Merge => (1000, 0),
            Self::Edge | Self::Tombstone => (3000, 1000),
        };
        if nodes > 0 {
            let mut transaction = repo.start_transaction();
            add_nodes(&mut transaction, nodes)?;
            add_edges(&mut transaction, edges, nodes)?;
            repo = transaction.commit_opts(options(1))?;
        }
        if self == Self::Merge {
            for number in [2, 3] {
                let mut transaction = repo.start_transaction();
                transaction.add_node(&node(5000 + number))?;
                transaction.commit_opts(options(number))?;
            }
        }
        let cids = memory.0.all_cids()?.ok_or("the store lists no blocks")?;
        let read = |cid: Cid| Ok((cid.clone(), memory.0.get(&cid)?.ok_or("a block is listed and not there")?));
        Ok(Given { blocks: cids.into_iter().map(read).collect::<Result<_>>()?, heads: memory.1.current()? })
    }

    /// The step: from the open repository to the next operation, which is returned. `Merge` opens the repository itself: that is the step.
    ///
    /// # Errors
    /// The client's.
    pub fn step(self, stores: &Stores) -> Result<Box<dyn FnOnce() -> Result<Cid>>> {
        if self == Self::Merge {
            let stores = stores.clone();
            return Ok(Box::new(move || Ok(open(&stores)?.op_id().clone())));
        }
        let repo = open(stores)?;
        Ok(Box::new(move || {
            let mut transaction = repo.start_transaction();
            match self {
                Self::FirstNode | Self::NodeOnMany => {
                    transaction.add_node(&node(5000))?;
                }
                Self::ManyNodes => add_nodes(&mut transaction, 1000)?,
                Self::Edge => {
                    transaction.add_edge(&edge(5000, 3000))?;
                }
                Self::Tombstone | Self::Merge => transaction.tombstone_node(node_id(7), "asked to")?,
            }
            Ok(transaction.commit_opts(options(10))?.op_id().clone())
        }))
    }
}
