//! The calls of a workload, which name blocks by number, and how to make them on a store.

use std::collections::BTreeSet;

use mnem_store_traits::{Bytes, Cid, DAG_CBOR, ErrorKind, HeadChange, Store, StoreError, WriteBatch, cid_of};

use crate::{Pool, observed::value};

/// The names of the side tables.
pub const TABLES: [&str; 2] = ["knn_edges", "notes"];

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A process opens the store, and creates it if it does not exist.
    Open {
        /// Whether its writes promise to survive a power cut.
        durable: bool,
    },
    /// A clean close.
    Close,
    /// The process dies between two calls.
    Kill,
    /// Maintenance that only this engine has, by number.
    Tend(usize),
    /// `put`.
    Put(usize),
    /// `put_many`.
    PutMany(Vec<usize>),
    /// `commit`.
    Commit {
        /// New blocks.
        puts: Vec<usize>,
        /// Blocks that must be present.
        required: Vec<usize>,
        /// The change of the heads.
        heads: Heads,
    },
    /// `update` or `swap`; with several new heads, a commit without blocks.
    ChangeHeads(Heads),
    /// `delete`.
    Delete(usize),
    /// `delete_many`.
    DeleteMany(Vec<usize>),
    /// `sweep` of the whole store; `delete_many` if the store cannot sweep.
    Sweep(Vec<usize>),
    /// One write of a side table.
    Rows {
        /// The number of the table in [`TABLES`].
        table: usize,
        /// Keys and the numbers of their values.
        puts: Vec<(u8, u8)>,
        /// Keys to delete.
        deletes: Vec<u8>,
    },
}

/// A change of heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The new heads, at least one.
    pub new: Vec<Cid>,
    /// The heads that are removed.
    pub gone: Gone,
}

/// Which heads are removed, and by which call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// An update that supersedes no head.
    None,
    /// An update that supersedes the first head.
    First,
    /// An update that supersedes all heads but the first.
    AllButFirst,
    /// An update that supersedes all heads.
    All,
    /// An update that supersedes these.
    Exactly(Vec<Cid>),
    /// A swap that expects the current heads.
    Swapped,
    /// A swap that expects other heads than the current ones, and is refused.
    Stale,
}

/// The moment during a call at which its process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// After this many changes of its storage.
    After(usize),
    /// When other processes can see a change that is not durable yet.
    BeforeDurable,
}

/// A head that no commit writes.
pub fn head(n: u64) -> Cid {
    cid_of(DAG_CBOR, &n.to_be_bytes())
}

impl Heads {
    /// The change, for a store with these heads.
    pub fn change(&self, heads: &BTreeSet<Cid>) -> HeadChange {
        let new = self.new.clone();
        let some = |skip, take| heads.iter().skip(skip).take(take).copied().collect();
        let supersedes = match &self.gone {
            Gone::Swapped => return HeadChange::Swap { expected: some(0, heads.len()), new },
            Gone::Stale => return HeadChange::Swap { expected: stale(heads), new },
            Gone::None => Vec::new(),
            Gone::First => some(0, 1),
            Gone::AllButFirst => some(1, heads.len()),
            Gone::All => some(0, heads.len()),
            Gone::Exactly(gone) => gone.clone(),
        };
        HeadChange::Update { new, supersedes }
    }

    /// The heads after the change. A stale swap changes nothing.
    pub fn after(&self, heads: &BTreeSet<Cid>) -> BTreeSet<Cid> {
        if self.gone == Gone::Stale { heads.clone() } else { self.change(heads).apply(heads).expect("a valid change") }
    }

    fn perform(&self, store: &impl Store, heads: &BTreeSet<Cid>) -> Result<(), StoreError> {
        let result = match (self.change(heads), self.new.as_slice()) {
            (HeadChange::Update { supersedes, .. }, [new]) => store.update(new, &supersedes),
            (HeadChange::Swap { expected, .. }, [new]) => store.swap(&expected, new),
            (change, _) => store.commit(WriteBatch::new().change_heads(change)),
        };
        match result {
            Ok(()) if self.gone == Gone::Stale => panic!("a swap of heads that are not there"),
            Err(error) if self.gone == Gone::Stale && error.kind() == ErrorKind::HeadsMoved => Ok(()),
            result => result,
        }
    }
}

/// Other heads than these.
fn stale(heads: &BTreeSet<Cid>) -> Vec<Cid> {
    let never = head(u64::MAX);
    if heads.contains(&never) { Vec::new() } else { heads.iter().copied().chain([never]).collect() }
}

impl Act {
    /// The blocks that it puts.
    pub fn puts(&self) -> &[usize] {
        match self {
            Self::Put(n) => std::slice::from_ref(n),
            Self::PutMany(blocks) | Self::Commit { puts: blocks, .. } => blocks,
            _ => &[],
        }
    }

    /// The blocks that it deletes.
    pub fn deletes(&self) -> &[usize] {
        match self {
            Self::Delete(n) => std::slice::from_ref(n),
            Self::DeleteMany(blocks) | Self::Sweep(blocks) => blocks,
            _ => &[],
        }
    }

    /// The blocks that the heads of a commit rely on.
    pub fn relied_on(&self) -> Vec<usize> {
        match self {
            Self::Commit { puts, required, .. } => puts.iter().chain(required).copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The change of heads that it makes.
    pub fn heads(&self) -> Option<&Heads> {
        match self {
            Self::Commit { heads, .. } | Self::ChangeHeads(heads) => Some(heads),
            _ => None,
        }
    }

    /// The same commit, requiring these blocks instead.
    #[must_use]
    pub fn requiring(self, required: Vec<usize>) -> Self {
        match self {
            Self::Commit { puts, heads, .. } => Self::Commit { puts, required, heads },
            other => other,
        }
    }

    /// The same call, with the heads that an update supersedes given explicitly, for a store with these heads.
    pub(crate) fn resolved(&self, heads: &BTreeSet<Cid>) -> Self {
        let mut act = self.clone();
        if let Self::Commit { heads: change, .. } | Self::ChangeHeads(change) = &mut act
            && let HeadChange::Update { supersedes, .. } = change.change(heads)
        {
            change.gone = Gone::Exactly(supersedes);
        }
        act
    }

    /// Whether it opens the store.
    pub(crate) fn opens(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether it is a writing call of a store: not opening, closing or maintenance.
    pub fn writes(&self) -> bool {
        !matches!(self, Self::Open { .. } | Self::Close | Self::Kill | Self::Tend(_))
    }

    /// Makes the call on a store with these heads. Calls that need more than a store do nothing.
    ///
    /// # Errors
    /// Those of the store, except an expected refusal.
    pub fn perform(&self, store: &impl Store, pool: &Pool, heads: &BTreeSet<Cid>) -> Result<(), StoreError> {
        let cid = |n: &usize| pool.block(*n).0;
        match self {
            Self::Open { .. } | Self::Close | Self::Kill | Self::Tend(_) => Ok(()),
            Self::Put(n) => store.put(&cid(n), pool.block(*n).1.clone()),
            Self::PutMany(blocks) => store.put_many(&mut blocks.iter().map(|n| Ok(pool.block(*n).clone()))),
            Self::Commit { puts, required, heads: change } => {
                let mut batch: WriteBatch = puts.iter().map(|n| pool.block(*n).clone()).collect();
                batch.require_all(required.iter().map(cid));
                store.commit(batch.change_heads(change.change(heads)))
            }
            Self::ChangeHeads(change) => change.perform(store, heads),
            Self::Delete(n) => store.delete(&cid(n)),
            Self::DeleteMany(blocks) => store.delete_many(&mut blocks.iter().map(|n| Ok(cid(n)))),
            Self::Sweep(blocks) => {
                let dead: Vec<Cid> = blocks.iter().map(cid).collect();
                match store.sweep(None, None, &mut |cid| dead.contains(cid))? {
                    Some(_) => Ok(()),
                    None => store.delete_many(&mut dead.into_iter().map(Ok)),
                }
            }
            Self::Rows { table, puts, deletes } => {
                let key = |key: &u8| Bytes::copy_from_slice(&[*key]);
                let puts: Vec<_> = puts.iter().map(|(k, v)| (key(k), value(*v))).collect();
                let deletes: Vec<_> = deletes.iter().map(key).collect();
                store.side_table(TABLES[*table])?.write(&puts, &deletes)
            }
        }
    }
}
