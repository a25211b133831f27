//! Changes by another handle that keep every number: the count of items, their sizes, the first and the last one.

use crate::{
    WriteBatch,
    conformance::{
        Failure, Profile,
        case::{Case, offered},
        data::{block, heads},
        expect::{heads_are, saw, update},
        failure::LawResult,
        ways::{Eyes, Read, Subject, TABLE, Write},
    },
};
use bytes::Bytes;

/// How often a handle looks before a change: it may cache only what was requested more than once.
const LOOKS: usize = 4;

pub(crate) fn changes_that_keep_every_number_are_seen(case: &mut Case) -> LawResult {
    let (writer, reader) = (Eyes::new(case.handles())?, Eyes::new(&case.second()?)?);
    blocks_are_exchanged(case, &writer, &reader)?;
    if case.has(Profile::Heads) {
        heads_are_exchanged(&writer, &reader, 4)?;
        heads_are_exchanged(&writer, &reader, case.in_short(300))?;
    }
    if case.has(Profile::SideTables) {
        rows_are_exchanged(&writer, &reader)?;
        values_are_exchanged(&writer, &reader)?;
        many_rows_are_seen(case, &writer, &reader)?;
        tables_are_exchanged(&writer, &reader)?;
    }
    Ok(())
}

fn look(read: Read, eyes: &Eyes, subject: &Subject, there: bool, when: &str) -> Result<(), Failure> {
    saw(format_args!("{read}: {subject} {when}"), read.sees(eyes, subject, when)?).is(there)
}

fn blocks_are_exchanged(case: &Case, writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
    let adds = Write::ALL.into_iter().filter(|way| way.adds_blocks() && way.is_offered(case));
    let adds: Vec<Write> = adds.take(if case.is_slow() { 1 } else { usize::MAX }).collect();
    for (i, way) in adds.into_iter().enumerate() {
        let remover = [Write::Delete, Write::DeleteMany][i % 2];
        let reads = Read::ALL.into_iter().filter(|read| read.needs() == Profile::Blocks || *read == Read::Require);
        for read in reads.filter(|read| case.has(read.needs())) {
            let [goes, comes] = ["goes ", "comes"].map(|what| block(&format!("{what} by {way}, seen by {read}")));
            let put = |block| way.put(writer.handles(), std::slice::from_ref(block));
            saw(format_args!("{way}"), put(&goes)?).ok()?;
            let [gone, come] = [&goes, &comes].map(|block| Subject::Block(block.clone()));
            for _ in 0..LOOKS {
                look(read, reader, &gone, true, "before another handle exchanged it")?;
                look(read, reader, &come, false, "before another handle put it in the place of another")?;
            }
            saw(format_args!("{remover}"), remover.remove(writer.handles(), &[goes.cid])?).ok()?;
            saw(format_args!("{way}"), put(&comes)?).ok()?;
            let when = format!("after a {remover} and a {way} of another handle that leave as many blocks as before");
            look(read, reader, &gone, false, &when)?;
            look(read, reader, &come, true, &when)?;
            saw(format_args!("{remover}"), remover.remove(writer.handles(), &[comes.cid])?).ok()?;
        }
    }
    Ok(())
}

/// With a number of heads, the others stay.
fn heads_are_exchanged(writer: &Eyes, reader: &Eyes, n: usize) -> Result<(), Failure> {
    let store = offered(writer.handles().as_heads(), Profile::Heads)?;
    let other = offered(reader.handles().as_heads(), Profile::Heads)?;
    let mut all = heads(&format!("exchanged, one of {n}"), n);
    all.sort();
    let exchanged = all.remove(n / 2);
    let middle = all[n / 2 - 1];
    let before = saw("heads()", store.heads()).ok()?;
    update(&*store, &all[0], &before)?;
    match writer.handles().as_store() {
        Some(store) => saw("commit", store.commit(WriteBatch::new().update_all(all.clone(), []))).ok()?,
        None => all.iter().try_for_each(|cid| update(&*store, cid, &[]))?,
    }
    for _ in 0..LOOKS {
        heads_are(&*other, &all, "through another handle")?;
    }
    update(&*store, &exchanged, &[middle])?;
    all[n / 2 - 1] = exchanged;
    heads_are(&*other, &all, format_args!("after another handle exchanged the one in the middle of {}", all.len()))
}

fn row(key: &'static str, value: &'static str) -> (Bytes, Bytes) {
    (Bytes::from_static(key.as_bytes()), Bytes::from_static(value.as_bytes()))
}

fn rows_are_exchanged(writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
    let (table, other) = (writer.table()?, reader.table()?);
    let rows = [row("key 1", "old"), row("key 2", "old"), row("key 4", "old")];
    saw("write of three rows", table.write(&rows, &[])).ok()?;
    let keys_are = |expected: [&'static str; 3], when: &str| {
        let keys = other.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
        let expected = expected.map(|key| Bytes::from_static(key.as_bytes())).to_vec();
        saw(format_args!("keys() {when}"), keys).is(expected)
    };
    let value_is = |key: &str, value: Option<&'static str>, when: &str| {
        let expected = value.map(|value| Bytes::from_static(value.as_bytes()));
        saw(format_args!("get({key:?}) {when}"), other.get(key.as_bytes())).is(expected)
    };
    for _ in 0..LOOKS {
        keys_are(["key 1", "key 2", "key 4"], "through another handle")?;
        value_is("key 1", Some("old"), "through another handle")?;
        value_is("key 2", Some("old"), "through another handle")?;
        value_is("key 3", None, "through another handle")?;
    }
    let exchange = table.write(&[row("key 3", "old"), row("key 1", "new")], &[Bytes::from_static(b"key 2")]);
    saw("write that exchanges a row and a value", exchange).ok()?;
    let when = "after another handle exchanged a row and a value";
    value_is("key 1", Some("new"), when)?;
    value_is("key 2", None, when)?;
    value_is("key 3", Some("old"), when)?;
    keys_are(["key 1", "key 3", "key 4"], when)
}

/// A value gives way to another of the same length.
fn values_are_exchanged(writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
    let key = Bytes::from_static(b"exchanged");
    for bytes in [3, 5000, 70_000, 2 << 20] {
        let [old, new] = [b'o', b'n'].map(|byte| Bytes::from(vec![byte; bytes]));
        for (value, when) in [(old.clone(), "at first"), (new, "after an exchange"), (old, "after another")] {
            saw("write of a row", writer.table()?.write(&[(key.clone(), value.clone())], &[])).ok()?;
            let when = format!("of a value of {bytes} bytes that another handle wrote, {when}");
            for _ in 0..LOOKS {
                saw(format_args!("get {when}"), reader.table()?.get(&key)).is(Some(value.clone()))?;
            }
        }
    }
    saw("delete of a row", writer.table()?.write(&[], std::slice::from_ref(&key))).ok()
}

/// One write of more rows than a handle may take in at once.
fn many_rows_are_seen(case: &Case, writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
    let rows: Vec<(Bytes, Bytes)> =
        (0..case.in_time(5000)).map(|i| (Bytes::from(format!("row {i:05}")), Bytes::new())).collect();
    saw("write of many rows", writer.table()?.write(&rows, &[])).ok()?;
    let keys = reader.table()?.keys(b"row").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
    let when = format!("after a write of {} rows by another handle", rows.len());
    saw(format_args!("the number of keys() {when}"), keys.map(|keys| keys.len())).is(rows.len())?;
    let last = &rows[rows.len() - 1].0;
    saw(format_args!("get of the last one {when}"), reader.table()?.get(last)).is(Some(Bytes::new()))
}

fn tables_are_exchanged(writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
    let store = offered(writer.handles().as_store(), Profile::Store)?;
    let other = offered(reader.handles().as_store(), Profile::Store)?;
    let change = |name: &str, there: bool| {
        let table = saw("side_table", store.side_table(name)).ok()?;
        let (row, key) = (row("key", "value"), Bytes::from_static(b"key"));
        let wrote = if there { table.write(&[row], &[]) } else { table.write(&[], &[key]) };
        saw(format_args!("write to table {name:?}"), wrote).ok()
    };
    // The table of the other reads is between them.
    ["a_table", "b_table", "z_table"].into_iter().try_for_each(|name| change(name, true))?;
    let tables = |names: [&str; 4]| names.map(str::to_owned).to_vec();
    for _ in 0..LOOKS {
        let expected = tables(["a_table", "b_table", TABLE, "z_table"]);
        saw("side_tables() through another handle", other.side_tables()).is(expected)?;
    }
    change("b_table", false)?;
    change("c_table", true)?;
    saw("side_tables() after another handle emptied one and made one", other.side_tables())
        .is(tables(["a_table", "c_table", TABLE, "z_table"]))
}
