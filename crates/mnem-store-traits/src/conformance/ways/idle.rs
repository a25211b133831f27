//! Writes that find nothing to do.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use cid::Cid;

use super::{TABLE, Write, write::Row};
use crate::{
    SideTable, StoreError, WriteBatch,
    conformance::{
        Failure, Handles, Profile,
        case::{Case, offered},
        data::{Block, blocks},
        expect::{put_many, saw},
        outcomes::Done,
    },
};

/// A write that changes nothing: it puts what is present, or deletes what is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// A put of present blocks. A commit with a head adds a head that is there.
    Put(Write),
    /// A commit that only requires blocks.
    Require,
    /// A deletion of absent blocks.
    Delete(Write),
    /// An update to a head that is there.
    Update,
    /// The same, in a commit.
    CommitUpdate,
    /// A swap of the only head for itself.
    Swap,
    /// A commit that swaps all heads for themselves.
    CommitSwap,
    /// A side table write of rows that are there.
    Rows,
    /// A side table write that deletes absent rows.
    DeleteRows,
    /// Both in one write.
    RowsAndDeletes,
}

/// The content that idle writes repeat.
pub(crate) struct IdleContent {
    pub(crate) blocks: Vec<Block>,
    absent: Vec<Block>,
    rows: Vec<Row>,
    /// All heads.
    pub(crate) heads: Vec<Cid>,
}

impl IdleContent {
    /// Writes `n` blocks and rows. The heads must be there already.
    pub(crate) fn write(case: &Case, n: usize, heads: Vec<Cid>) -> Result<Self, Failure> {
        let row = |i: usize| (Bytes::from(format!("there {i}")), Bytes::from_static(b"value"));
        let content =
            Self { blocks: blocks("there", n), absent: blocks("absent", n), rows: (0..n).map(row).collect(), heads };
        put_many(&*case.blocks()?, &content.blocks)?;
        if case.has(Profile::SideTables) {
            let written = table(case.handles())?.and_then(|table| table.write(&content.rows, &[]));
            saw(format_args!("write of {n} rows"), written).ok()?;
        }
        Ok(content)
    }
}

fn table(handles: &Handles) -> Result<Result<Arc<dyn SideTable>, StoreError>, Failure> {
    Ok(offered(handles.as_store(), Profile::Store)?.side_table(TABLE))
}

impl Idle {
    /// Every such write.
    pub(crate) fn all() -> Vec<Self> {
        let puts = Write::ALL.into_iter().filter(|way| way.adds_blocks()).map(Self::Put);
        let deletes = Write::ALL.into_iter().filter(|way| way.deletes_blocks()).map(Self::Delete);
        let others = [
            Self::Require,
            Self::Update,
            Self::CommitUpdate,
            Self::Swap,
            Self::CommitSwap,
            Self::Rows,
            Self::DeleteRows,
            Self::RowsAndDeletes,
        ];
        puts.chain(deletes).chain(others).collect()
    }

    /// Whether the store of this case has this way to write.
    pub(crate) fn is_offered(self, case: &Case) -> bool {
        case.has(match self {
            Self::Put(way) | Self::Delete(way) => return way.is_offered(case),
            Self::Require | Self::CommitUpdate | Self::CommitSwap => Profile::Store,
            Self::Update | Self::Swap => Profile::Heads,
            Self::Rows | Self::DeleteRows | Self::RowsAndDeletes => Profile::SideTables,
        })
    }

    pub(crate) fn is_about_heads(self) -> bool {
        matches!(self, Self::Update | Self::CommitUpdate | Self::Swap | Self::CommitSwap | Self::Put(Write::CommitHead))
    }

    /// Whether one call names several blocks or rows.
    pub(crate) fn is_batch(self) -> bool {
        match self {
            Self::Put(way) | Self::Delete(way) => way.is_batch(),
            Self::Require | Self::Rows | Self::DeleteRows | Self::RowsAndDeletes => true,
            Self::Update | Self::CommitUpdate | Self::Swap | Self::CommitSwap => false,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Put(way) => return format!("{way} of what is present"),
            Self::Delete(way) => return format!("{way} of what is absent"),
            Self::Require => "commit that only requires blocks",
            Self::Update => "update to a head that is there",
            Self::CommitUpdate => "commit of an update to a head that is there",
            Self::Swap => "swap of the only head for itself",
            Self::CommitSwap => "commit that swaps the heads for themselves",
            Self::Rows => "side table write of rows that are there",
            Self::DeleteRows => "side table write that deletes absent rows",
            Self::RowsAndDeletes => "side table write of rows that are there, which deletes absent rows",
        }
        .to_owned()
    }

    /// Performs the write, with up to `n` blocks or rows of the content.
    pub(crate) fn act(self, handles: &Handles, content: &IdleContent, n: usize) -> Result<Done, Failure> {
        fn first<T>(items: &[T], n: usize) -> &[T] {
            &items[..n.min(items.len())]
        }
        let IdleContent { blocks, absent, rows, heads } = content;
        let (blocks, rows) = (first(blocks, n), first(rows, n));
        let commit = |batch: &WriteBatch| -> Result<Done, Failure> {
            Ok(offered(handles.as_store(), Profile::Store)?.commit(batch))
        };
        let write = |puts: &[Row], deletes: &[Block]| -> Result<Done, Failure> {
            let deletes: Vec<Bytes> = deletes.iter().map(|absent| absent.data.clone()).collect();
            Ok(table(handles)?.and_then(|table| table.write(puts, &deletes)))
        };
        match self {
            Self::Put(Write::CommitHead) => {
                let mut batch = super::write::batch_of(blocks);
                commit(batch.update_all(heads.clone(), []))
            }
            Self::Put(way) => way.put(handles, blocks),
            Self::Delete(way) => {
                way.remove(handles, &first(absent, n).iter().map(|block| block.cid).collect::<Vec<_>>())
            }
            Self::Require => commit(WriteBatch::new().require_all(blocks.iter().map(|block| block.cid))),
            Self::Update => Ok(offered(handles.as_heads(), Profile::Heads)?.update(&heads[0], &[])),
            Self::CommitUpdate => commit(WriteBatch::new().update(heads[0], [])),
            Self::Swap => Ok(offered(handles.as_heads(), Profile::Heads)?.swap(heads, &heads[0])),
            Self::CommitSwap => commit(WriteBatch::new().swap_all(heads.clone(), heads.clone())),
            Self::Rows => write(rows, &[]),
            Self::DeleteRows => write(&[], first(absent, n)),
            Self::RowsAndDeletes => write(rows, first(absent, n)),
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
