//! A handle that has not been used while another handle made thousands of changes.

use std::time::Instant;

use bytes::Bytes;
use cid::Cid;

use crate::{
    ErrorKind, StoreError, WriteBatch,
    conformance::{
        Failure, Handles, Profile,
        case::{Case, offered},
        data::{Block, block, head},
        expect::{ensure, heads_are, holds, lacks, same, saw, update},
        failure::LawResult,
        ways::{Eyes, Read, Subject, TABLE, Write},
    },
};

/// More changes than a store is likely to remember for handles that are behind.
const FAR: usize = 4200;

/// Enough changes for a store that is too slow for [`FAR`] of them.
const FAR_ENOUGH: usize = 1100;

const WHEN: &str = "through a handle that is thousands of changes behind";

pub(crate) fn handle_far_behind_catches_up(case: &mut Case) -> LawResult {
    let writer = Eyes::new(case.handles())?;
    if case.has(Profile::Heads) {
        update(&*case.heads()?, &head("always there"), &[])?;
    }
    // What changes first is the farthest behind; what changes last must be found without the changes before it.
    let all = [Events::new(case, "early"), Events::new(case, "late")];
    all.iter().try_for_each(|events| events.prepare(&writer))?;
    let open = || Eyes::new(&case.second()?);
    // Each way to read and to write has a handle for which it is the first call in a long time.
    let reads: Vec<Read> = Read::ALL.into_iter().filter(|read| case.has(read.needs())).collect();
    let readers = reads.iter().map(|read| Ok((*read, open()?))).collect::<Result<Vec<_>, Failure>>()?;
    let firsts: Vec<First> = First::ALL.into_iter().filter(|first| case.has(first.needs())).collect();
    let writers = firsts.iter().map(|first| Ok((*first, open()?))).collect::<Result<Vec<_>, Failure>>()?;
    for eyes in readers.iter().map(|(_, eyes)| eyes).chain(writers.iter().map(|(_, eyes)| eyes)) {
        all.iter().try_for_each(|events| events.are_seen(&reads, eyes, false, "before another handle changed it"))?;
    }
    all[0].happen(&writer)?;
    let last = make_changes(case, &writer)?;
    all[1].happen(&writer)?;
    for (first, eyes) in &readers {
        let when = format!("{WHEN}, on which {first} is the first call since");
        if *first == Read::SideTables {
            tables_are_seen(&all, eyes, &when)?;
        }
        all.iter().try_for_each(|events| events.are_seen(&[*first], eyes, true, &when))?;
    }
    for (first, eyes) in &readers {
        let when = format!("{WHEN}, after {first}");
        all.iter().try_for_each(|events| events.are_seen(&reads, eyes, true, &when))?;
        if case.has(Profile::SideTables) {
            tables_are_seen(&all, eyes, &when)?;
        }
    }
    let mut heads: Vec<Cid> = all.iter().flat_map(|events| [events.new_head, events.back_head]).collect();
    heads.extend([head("always there")].into_iter().chain(last));
    for (first, eyes) in &writers {
        first.act(&all[0], eyes, &writer, &mut heads)?;
    }
    Ok(())
}

/// Makes changes that leave nothing behind but one head, which is returned.
fn make_changes(case: &Case, writer: &Eyes) -> Result<Option<Cid>, Failure> {
    let adds: Vec<Write> = Write::ALL.into_iter().filter(|way| way.adds_blocks() && way.is_offered(case)).collect();
    let adds: Vec<Write> = adds.into_iter().filter(|way| !way.changes_heads()).collect();
    let (begin, spare) = (Instant::now(), case.spare());
    let (mut last, mut n) = (None, 0);
    while n < FAR {
        let taken = begin.elapsed();
        if taken > spare / 5 || (n >= FAR_ENOUGH && taken > spare / 15) {
            break;
        }
        let passing = block(&format!("that comes and goes {n}"));
        let way = adds[n / 4 % adds.len()];
        saw(format_args!("{way}"), way.put(writer.handles(), std::slice::from_ref(&passing))?).ok()?;
        let remover = [Write::Delete, Write::DeleteMany][n / 4 % 2];
        saw(format_args!("{remover}"), remover.remove(writer.handles(), &[passing.cid])?).ok()?;
        n += 2;
        if let Some(heads) = writer.handles().as_heads() {
            update(&**heads, &passing.cid, last.as_slice())?;
            last = Some(passing.cid);
            n += 1;
        }
        if case.has(Profile::SideTables) {
            let value = Bytes::from(format!("value {n}"));
            saw("write of a row", writer.table()?.write(&[(Bytes::from_static(b"often"), value)], &[])).ok()?;
            n += 1;
        }
    }
    Ok(last)
}

type Row = (Bytes, Bytes);

fn row(key: String, value: &'static str) -> Row {
    (Bytes::from(key), Bytes::from_static(value.as_bytes()))
}

/// A change of every kind.
struct Events {
    label: &'static str,
    /// Blocks that are added, each in another way.
    new: Vec<(Write, Block)>,
    /// Blocks that are removed, each in another way.
    gone: [(Write, Block); 2],
    /// A block that is removed and added again.
    back: Block,
    new_head: Cid,
    gone_head: Cid,
    back_head: Cid,
    has_heads: bool,
    has_tables: bool,
}

impl Events {
    fn new(case: &Case, label: &'static str) -> Self {
        let named = |what: &str| block(&format!("{label}, {what}"));
        let ways = Write::ALL.into_iter().filter(|way| way.adds_blocks() && way.is_offered(case));
        Self {
            label,
            new: ways.filter(|way| !way.changes_heads()).map(|way| (way, named(way.name()))).collect(),
            gone: [Write::Delete, Write::DeleteMany].map(|way| (way, named(way.name()))),
            back: named("back"),
            new_head: head(&format!("{label}, new")),
            gone_head: head(&format!("{label}, gone")),
            back_head: head(&format!("{label}, back")),
            has_heads: case.has(Profile::Heads),
            has_tables: case.has(Profile::SideTables),
        }
    }

    fn key(&self, what: &str) -> String {
        format!("{}, {what}", self.label)
    }

    fn emptied(&self) -> String {
        format!("emptied_{}", self.label)
    }

    fn filled(&self) -> String {
        format!("filled_{}", self.label)
    }

    /// Writes what is there before the events.
    fn prepare(&self, eyes: &Eyes) -> Result<(), Failure> {
        let store = offered(eyes.handles().as_blocks(), Profile::Blocks)?;
        for block in self.gone.iter().map(|(_, block)| block).chain([&self.back]) {
            crate::conformance::expect::put(&*store, block)?;
        }
        if let Some(heads) = eyes.handles().as_heads() {
            [self.gone_head, self.back_head].iter().try_for_each(|new| update(&**heads, new, &[]))?;
        }
        if self.has_tables {
            let rows = ["gone", "back", "changed"].map(|what| row(self.key(what), "old"));
            saw("write of rows", eyes.table()?.write(&rows, &[])).ok()?;
            write_to(eyes.handles(), &self.emptied(), &[row("key".into(), "value")], &[])?;
        }
        Ok(())
    }

    fn happen(&self, eyes: &Eyes) -> Result<(), Failure> {
        let handles = eyes.handles();
        for (way, block) in &self.new {
            saw(format_args!("{way} of {block}"), way.put(handles, std::slice::from_ref(block))?).ok()?;
        }
        for (way, block) in &self.gone {
            saw(format_args!("{way} of {block}"), way.remove(handles, &[block.cid])?).ok()?;
        }
        saw("delete", Write::Delete.remove(handles, &[self.back.cid])?).ok()?;
        saw("put", Write::Put.put(handles, std::slice::from_ref(&self.back))?).ok()?;
        if let Some(heads) = handles.as_heads() {
            update(&**heads, &self.new_head, &[self.gone_head, self.back_head])?;
            update(&**heads, &self.back_head, &[])?;
        }
        if self.has_tables {
            let [gone, back] = ["gone", "back"].map(|what| Bytes::from(self.key(what)));
            let puts = ["new", "changed"].map(|what| row(self.key(what), "new"));
            saw("write of rows", eyes.table()?.write(&puts, &[gone, back])).ok()?;
            saw("write of a row", eyes.table()?.write(&[row(self.key("back"), "old")], &[])).ok()?;
            write_to(handles, &self.emptied(), &[], &[Bytes::from_static(b"key")])?;
            write_to(handles, &self.filled(), &[row("key".into(), "value")], &[])?;
        }
        Ok(())
    }

    /// What is looked for, and whether it must be there, before the events or after them.
    fn subjects(&self, after: bool) -> Vec<(Subject, bool)> {
        let new = self.new.iter().map(|(_, block)| (Subject::Block(block.clone()), after));
        let gone = self.gone.iter().map(|(_, block)| (Subject::Block(block.clone()), !after));
        let back = [(Subject::Block(self.back.clone()), true)];
        let heads = [(self.new_head, after), (self.gone_head, !after), (self.back_head, true)];
        let heads = heads.into_iter().filter(|_| self.has_heads).map(|(head, there)| (Subject::Head(head), there));
        let changed = if after { "new" } else { "old" };
        let rows = [("new", "new", after), ("gone", "old", !after), ("back", "old", true), ("changed", changed, true)];
        let rows = rows.into_iter().filter(|_| self.has_tables);
        let rows = rows.map(|(what, value, there)| (Subject::Row(row(self.key(what), value)), there));
        new.chain(gone).chain(back).chain(heads).chain(rows).collect()
    }

    fn are_seen(&self, reads: &[Read], eyes: &Eyes, after: bool, when: &str) -> Result<(), Failure> {
        let subjects = self.subjects(after);
        for read in reads.iter().filter(|read| **read != Read::SideTables) {
            for (subject, there) in subjects.iter().filter(|(subject, _)| read.looks_for(subject)) {
                let seen = read.sees(eyes, subject, when)?;
                saw(format_args!("{read}: {subject} ({} change) {when}", self.label), seen).is(*there)?;
            }
        }
        Ok(())
    }
}

fn write_to(handles: &Handles, table: &str, puts: &[Row], deletes: &[Bytes]) -> Result<(), Failure> {
    let written = offered(handles.as_store(), Profile::Store)?.side_table(table);
    saw(format_args!("write to table {table:?}"), written.and_then(|table| table.write(puts, deletes))).ok()
}

fn tables_are_seen(all: &[Events], eyes: &Eyes, when: &str) -> Result<(), Failure> {
    let mut names: Vec<String> = all.iter().map(Events::filled).chain([TABLE.to_owned()]).collect();
    names.sort();
    let store = offered(eyes.handles().as_store(), Profile::Store)?;
    saw(format_args!("side_tables() {when}"), store.side_tables()).is(names)
}

/// The first call of a handle that is far behind, if it is a write. Each builds on what another handle has changed.
#[derive(Clone, Copy)]
enum First {
    /// A commit that requires a block which is gone.
    Require,
    /// A write that adds a block which is gone.
    Add(Write),
    /// A write that removes a block which is new.
    Remove(Write),
    Update,
    /// A swap that expects what was there before.
    Swap,
    Row,
}

impl First {
    const ALL: [Self; 10] = [
        Self::Require,
        Self::Add(Write::Put),
        Self::Add(Write::PutMany),
        Self::Add(Write::PutTrusted),
        Self::Add(Write::Commit),
        Self::Remove(Write::Delete),
        Self::Remove(Write::DeleteMany),
        Self::Update,
        Self::Swap,
        Self::Row,
    ];

    fn needs(self) -> Profile {
        match self {
            Self::Require => Profile::Store,
            Self::Add(way) | Self::Remove(way) => way.needs(),
            Self::Update | Self::Swap => Profile::Heads,
            Self::Row => Profile::SideTables,
        }
    }

    /// Writes through the handle that is behind, and looks through the other one. `heads` are the heads before and after.
    fn act(self, early: &Events, behind: &Eyes, other: &Eyes, heads: &mut Vec<Cid>) -> Result<(), Failure> {
        let (handles, store) = (behind.handles(), offered(other.handles().as_blocks(), Profile::Blocks)?);
        let gone = &early.gone[0].1;
        match self {
            Self::Require => {
                let did = format_args!("commit that requires a block which is gone, {WHEN}");
                let refused = offered(handles.as_store(), Profile::Store)?.commit(WriteBatch::new().require(gone.cid));
                saw(did, refused).refused(ErrorKind::MissingBlock)?;
            }
            Self::Add(way) => {
                let did = format!("after {way} of a block which was gone, {WHEN}");
                saw(&did, way.put(handles, std::slice::from_ref(gone))?).ok()?;
                holds(&*store, gone, &did)?;
                saw("delete", store.delete(&gone.cid)).ok()?;
            }
            Self::Remove(way) => {
                let new = &early.new[usize::from(way == Write::DeleteMany)].1;
                let did = format!("after {way} of a block which was new, {WHEN}");
                saw(&did, way.remove(handles, &[new.cid])?).ok()?;
                lacks(&*store, &new.cid, &did)?;
            }
            Self::Update => {
                let own = head("by a handle that is behind");
                update(&*offered(handles.as_heads(), Profile::Heads)?, &own, &[early.new_head])?;
                heads.retain(|head| *head != early.new_head);
                heads.push(own);
            }
            Self::Swap => refused_then_taken(early, handles, heads)?,
            Self::Row => rows_build_on_others(early, behind, other)?,
        }
        match other.handles().as_heads() {
            Some(store) => heads_are(&**store, heads, format_args!("after a write {WHEN}")),
            None => Ok(()),
        }
    }
}

fn refused_then_taken(early: &Events, handles: &Handles, heads: &mut Vec<Cid>) -> Result<(), Failure> {
    let (store, own) = (offered(handles.as_heads(), Profile::Heads)?, head("swapped by a handle that is behind"));
    let did = format_args!("swap that expects a head which was superseded, {WHEN}");
    let refused = saw(did, store.swap(&[early.gone_head], &own)).refused(ErrorKind::HeadsMoved)?;
    heads.sort();
    if let StoreError::HeadsMoved { actual } = refused {
        same(format_args!("the heads in the error of a {did}"), actual, heads.clone())?;
    }
    saw(format_args!("swap of the heads that are there, {WHEN}"), store.swap(heads, &own)).ok()?;
    *heads = vec![own];
    Ok(())
}

fn rows_build_on_others(early: &Events, behind: &Eyes, other: &Eyes) -> Result<(), Failure> {
    let (gone, new) = (row(early.key("gone"), "old"), Bytes::from(early.key("new")));
    let written = behind.table()?.write(std::slice::from_ref(&gone), std::slice::from_ref(&new));
    saw(format_args!("write of a row, {WHEN}"), written).ok()?;
    let did = format_args!("get of a row after a write {WHEN}");
    saw(did, other.table()?.get(&gone.0)).is(Some(gone.1))?;
    saw(did, other.table()?.get(&new)).is(None)?;
    let keys = other.table()?.keys(early.label.as_bytes()).and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
    let keys = saw(format_args!("keys() after a write {WHEN}"), keys).ok()?;
    let expected: Vec<Bytes> = ["back", "changed", "gone"].map(|what| Bytes::from(early.key(what))).to_vec();
    ensure(keys == expected, did, format_args!("{expected:?}"), format_args!("{keys:?}"))
}
