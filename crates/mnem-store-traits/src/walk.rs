//! Reading a graph: depth-first, parents first, each block once.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;

use crate::{Blockstore, FetchAhead, StoreError, is_opaque, links};

/// The blocks reachable from a root, streamed: depth-first, a block before the blocks that it links to, links in
/// encoded order, each block once.
///
/// Each CID that is reached gives exactly one item. The item is an error if the block is absent
/// ([`StoreError::MissingBlock`], with the block that links to it), damaged, or not valid in its codec. The walk then
/// continues with the other blocks when `next` is called again. Stop at the first error if the result must be complete;
/// collect the errors if you look for faults.
///
/// Links are followed as [`links`](links()) finds them: those of DAG-CBOR, DAG-PB and DAG-JSON. Blocks of other codecs
/// are yielded as leaves. Some of these codecs do have links, and [`opaque`](Self::opaque) counts their blocks: unless
/// it is 0 at the end, the walk may have missed a part of the graph.
///
/// The walk holds in memory one CID (a few hundred bytes with its bookkeeping) for each block reached so far, which is
/// every block linked from a visited one; the links of one block; and the blocks that are read ahead, see
/// [`FetchAhead`]. It does not recurse: only memory limits the depth. Blocks are read when the walk gets to them or
/// shortly before, several with one [`get_many`](Blockstore::get_many), so a store that changes meanwhile is seen as it
/// is then.
///
/// ```
/// use mnem_store_traits::{Blockstore, Bytes, MemoryStore, RAW, Walk, cid_of};
///
/// let store = MemoryStore::new();
/// let leaf = Bytes::from_static(b"leaf");
/// let cid = cid_of(RAW, &leaf);
/// store.put(&cid, leaf.clone())?;
/// let walked: Vec<_> = Walk::new(&store, cid).collect::<Result<_, _>>()?;
/// assert_eq!(walked, [(cid, leaf)]);
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
pub struct Walk<S: Blockstore> {
    store: S,
    /// Blocks to visit, next one last. An entry is stale if its turn is not the one in `reached`.
    pending: Vec<Pending>,
    /// Every CID reached: yielded, or pending at a turn.
    reached: HashMap<Cid, Turn>,
    /// Stale entries in `pending`.
    stale: usize,
    turns: u64,
    opaque: u64,
    ahead: FetchAhead,
}

struct Pending {
    cid: Cid,
    linked_from: Option<Arc<Cid>>,
    turn: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Yielded,
    At(u64),
}

impl Pending {
    /// Whether the entry is not stale.
    fn is_live(&self, reached: &HashMap<Cid, Turn>) -> bool {
        reached.get(&self.cid) == Some(&Turn::At(self.turn))
    }
}

impl<S: Blockstore> Walk<S> {
    /// Starts at `root`. `store` may be a store, a reference to one, a `&dyn` or an `Arc<dyn …>`.
    pub fn new(store: S, root: Cid) -> Self {
        Self::from_roots(store, [root])
    }

    /// Starts at several roots, in the given order. Blocks that an earlier root reaches are not yielded again for a
    /// later one.
    pub fn from_roots(store: S, roots: impl IntoIterator<Item = Cid>) -> Self {
        let (pending, reached, ahead) = (Vec::new(), HashMap::new(), FetchAhead::new());
        let mut walk = Self { store, pending, reached, stale: 0, turns: 0, opaque: 0, ahead };
        let roots: Vec<Cid> = roots.into_iter().collect();
        walk.schedule(&roots, None);
        walk
    }

    /// The number of blocks yielded so far that may link to others and were not searched for links: see
    /// [`LinkSupport`](crate::LinkSupport).
    pub fn opaque(&self) -> u64 {
        self.opaque
    }

    /// Puts `cids` in front of everything pending, in their order. A CID that was pending further back moves to the
    /// front, as a depth-first order requires. A CID that was yielded is not yielded again.
    fn schedule(&mut self, cids: &[Cid], linked_from: Option<&Arc<Cid>>) {
        for cid in cids.iter().rev() {
            self.turns += 1;
            match self.reached.entry(*cid) {
                Entry::Occupied(entry) => match entry.into_mut() {
                    Turn::Yielded => continue,
                    Turn::At(turn) => {
                        *turn = self.turns;
                        self.stale += 1;
                    }
                },
                Entry::Vacant(entry) => {
                    entry.insert(Turn::At(self.turns));
                }
            }
            self.pending.push(Pending { cid: *cid, linked_from: linked_from.cloned(), turn: self.turns });
        }
        // Each removal is paid for by the push that made an entry stale, so this costs constant time a link.
        if self.stale > self.pending.len() / 2 {
            let reached = &self.reached;
            self.pending.retain(|pending| pending.is_live(reached));
            self.stale = 0;
        }
    }

    fn visit(&mut self, pending: Pending) -> Result<(Cid, Bytes), StoreError> {
        let Pending { cid, linked_from, .. } = pending;
        // Looking each up costs, and most graphs have nothing stale.
        let is_live = |pending: &&Pending| self.stale == 0 || pending.is_live(&self.reached);
        let next = self.pending.iter().rev().filter(is_live).map(|pending| pending.cid);
        let Some(data) = self.ahead.get(&self.store, &cid, next)? else {
            return Err(StoreError::MissingBlock { cid, linked_from: linked_from.map(|parent| Box::new(*parent)) });
        };
        let links = links(&cid, &data)?;
        self.opaque += u64::from(is_opaque(&cid));
        if !links.is_empty() {
            self.schedule(&links, Some(&Arc::new(cid)));
        }
        Ok((cid, data))
    }
}

impl<S: Blockstore> Iterator for Walk<S> {
    type Item = Result<(Cid, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let pending = self.pending.pop()?;
            let Some(turn) = self.reached.get_mut(&pending.cid) else { continue };
            if *turn == Turn::At(pending.turn) {
                *turn = Turn::Yielded;
                return Some(self.visit(pending));
            }
            self.stale = self.stale.saturating_sub(1);
        }
    }
}

impl<S: Blockstore> fmt::Debug for Walk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("reached", &self.reached.len()).field("pending", &self.pending.len()).finish()
    }
}
