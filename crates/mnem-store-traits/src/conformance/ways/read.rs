//! Every way to read.

use std::{fmt, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use cid::Cid;

use super::write::Row;
use crate::{
    ErrorKind, SideTable, StoreError, Walk, WriteBatch,
    conformance::{
        Failure, Handles, Profile,
        case::offered,
        data::Block,
        expect::{ensure, saw},
        show::Show,
    },
};

/// One way to read from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Read {
    Get,
    WithBlock,
    GetMany,
    Has,
    HasMany,
    Size,
    Cids,
    Walk,
    /// A commit that only requires a block.
    Require,
    Heads,
    /// `get` of a side table.
    Row,
    Keys,
    SideTables,
}

/// The thing to look for.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Block(Block),
    Head(Cid),
    Row(Row),
}

/// The side table of the rows to look for.
pub(crate) const TABLE: &str = "table";

/// One handle to read through. Its side table stays open, as it does in an application.
pub(crate) struct Eyes {
    handles: Handles,
    table: Option<Arc<dyn SideTable>>,
}

impl Eyes {
    pub(crate) fn new(handles: &Handles) -> Result<Self, Failure> {
        let store = handles.as_store().filter(|store| store.capabilities().side_tables);
        let table = store.map(|store| saw("side_table", store.side_table(TABLE)).ok()).transpose()?;
        Ok(Self { handles: handles.clone(), table })
    }

    /// Eyes without side tables, because a failing medium may not be able to open one.
    pub(crate) fn without_tables(handles: &Handles) -> Self {
        Self { handles: handles.clone(), table: None }
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    pub(crate) fn table(&self) -> Result<&dyn SideTable, Failure> {
        let none = || Failure::new("opened the store", "side tables at each opening", "none");
        self.table.as_deref().ok_or_else(none)
    }
}

impl Read {
    pub(crate) const ALL: [Self; 13] = [
        Self::Get,
        Self::WithBlock,
        Self::GetMany,
        Self::Has,
        Self::HasMany,
        Self::Size,
        Self::Cids,
        Self::Walk,
        Self::Require,
        Self::Heads,
        Self::Row,
        Self::Keys,
        Self::SideTables,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::WithBlock => "with_block",
            Self::GetMany => "get_many",
            Self::Has => "has",
            Self::HasMany => "has_many",
            Self::Size => "size",
            Self::Cids => "cids",
            Self::Walk => "walk",
            Self::Require => "commit that requires it",
            Self::Heads => "heads",
            Self::Row => "side table get",
            Self::Keys => "keys",
            Self::SideTables => "side_tables",
        }
    }

    /// The profile that the handles must offer.
    pub(crate) fn needs(self) -> Profile {
        match self {
            Self::Heads => Profile::Heads,
            Self::Require => Profile::Store,
            Self::Row | Self::Keys | Self::SideTables => Profile::SideTables,
            _ => Profile::Blocks,
        }
    }

    /// Whether this way can find such a subject.
    pub(crate) fn looks_for(self, subject: &Subject) -> bool {
        match subject {
            Subject::Block(_) => matches!(self.needs(), Profile::Blocks | Profile::Store),
            Subject::Head(_) => self == Self::Heads,
            Subject::Row(_) => self.needs() == Profile::SideTables,
        }
    }

    /// Whether the subject is there, complete and with the right bytes.
    pub(crate) fn sees(self, eyes: &Eyes, subject: &Subject, when: &str) -> Result<Result<bool, StoreError>, Failure> {
        match subject {
            Subject::Block(block) => self.sees_block(eyes, block, when),
            Subject::Head(head) => {
                let heads = offered(eyes.handles.as_heads(), Profile::Heads)?.heads();
                Ok(heads.map(|heads| heads.contains(head)))
            }
            Subject::Row(row) => self.sees_row(eyes, row, when),
        }
    }

    fn sees_block(self, eyes: &Eyes, block: &Block, when: &str) -> Result<Result<bool, StoreError>, Failure> {
        let store = offered(eyes.handles.as_blocks(), Profile::Blocks)?;
        let Block { cid, data } = block;
        let whole = |found: Option<Bytes>| {
            let fine = found.as_ref().is_none_or(|found| found == data);
            ensure(fine, format_args!("{self} of {cid} {when}"), "its bytes, or none", found.show())?;
            Ok(found.is_some())
        };
        let found = match self {
            Self::Get => store.get(cid),
            Self::WithBlock => {
                let mut lent = None;
                store.with_block(cid, &mut |data| lent = Some(Bytes::copy_from_slice(data))).map(|_| lent)
            }
            Self::GetMany => {
                let mut found = None;
                let answered = store.get_many(&[*cid], &mut |_, data| {
                    found = data;
                    ControlFlow::Continue(())
                });
                answered.map(|()| found)
            }
            Self::Has => return Ok(store.has(cid)),
            Self::HasMany => {
                let answers = store.has_many(&[*cid]);
                let did = format_args!("has_many([{cid}]) {when}");
                return match answers.as_deref() {
                    Ok([there]) => Ok(Ok(*there)),
                    Ok(answers) => ensure(false, did, "one answer", format_args!("{answers:?}")).map(|()| Ok(false)),
                    Err(error) => Ok(Err(error.clone())),
                };
            }
            Self::Size => {
                let size = store.size(cid);
                if let Ok(Some(size)) = size {
                    ensure(size == data.len() as u64, format_args!("size({cid}) {when}"), data.len(), size)?;
                }
                return Ok(size.map(|size| size.is_some()));
            }
            Self::Cids => {
                let listed = store.cids().and_then(|cids| cids.collect::<Result<Vec<_>, _>>());
                return Ok(listed.map(|listed| listed.contains(cid)));
            }
            Self::Walk => match Walk::new(&*store, *cid).next() {
                Some(Ok((_, data))) => Ok(Some(data)),
                Some(Err(error)) if error.kind() != ErrorKind::MissingBlock => Err(error),
                _ => Ok(None),
            },
            _ => {
                let store = offered(eyes.handles.as_store(), Profile::Store)?;
                return Ok(match store.commit(WriteBatch::new().require(*cid)) {
                    Err(error) if error.kind() == ErrorKind::MissingBlock => Ok(false),
                    committed => committed.map(|()| true),
                });
            }
        };
        Ok(match found {
            Ok(found) => Ok(whole(found)?),
            Err(error) => Err(error),
        })
    }

    fn sees_row(self, eyes: &Eyes, (key, value): &Row, when: &str) -> Result<Result<bool, StoreError>, Failure> {
        let table = eyes.table()?;
        match self {
            Self::Row => {
                let found = table.get(key);
                let fine = !matches!(&found, Ok(Some(found)) if found != value);
                ensure(fine, format_args!("get of a row {when}"), "its value, or none", found.show())?;
                Ok(found.map(|found| found.is_some()))
            }
            Self::Keys => {
                let keys = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
                Ok(keys.map(|keys| keys.contains(key)))
            }
            _ => {
                let tables = offered(eyes.handles.as_store(), Profile::Store)?.side_tables();
                Ok(tables.map(|tables| tables.iter().any(|name| name == TABLE)))
            }
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(block) => block.fmt(f),
            Self::Head(head) => write!(f, "head {head}"),
            Self::Row((key, _)) => write!(f, "row {}", key.show()),
        }
    }
}
