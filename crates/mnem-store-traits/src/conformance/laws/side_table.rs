//! Side tables.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    ErrorKind, SideTable, Store,
    conformance::{
        Failure,
        case::Case,
        data::{block, head, sized},
        expect::{heads_are, holds, lists, put, saw, update},
        failure::LawResult,
        threads::{together, watched},
    },
    limits::{TABLE_NAME_BYTES_MAX, TABLE_VALUE_BYTES_MAX},
};

fn open(store: &dyn Store, name: &str) -> Result<Arc<dyn SideTable>, Failure> {
    saw(format_args!("side_table({name:?})"), store.side_table(name)).ok()
}

fn row(key: &str, value: &str) -> (Bytes, Bytes) {
    (Bytes::from(key.to_owned()), Bytes::from(value.to_owned()))
}

fn write(table: &dyn SideTable, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), Failure> {
    saw(format_args!("write of {} puts and {} deletes", puts.len(), deletes.len()), table.write(puts, deletes)).ok()
}

fn value_is(table: &dyn SideTable, key: &str, value: Option<&str>, when: &str) -> Result<(), Failure> {
    let expected = value.map(|value| Bytes::from(value.to_owned()));
    saw(format_args!("get({key:?}) {when}"), table.get(key.as_bytes())).is(expected)
}

fn keys_are(table: &dyn SideTable, prefix: &[u8], expected: &[Bytes], when: &str) -> Result<(), Failure> {
    let keys = table.keys(prefix).and_then(|keys| keys.take(expected.len() + 8).collect::<Result<Vec<_>, _>>());
    saw(format_args!("keys({prefix:02x?}) {when}"), keys).is(expected.to_vec())
}

pub(crate) fn side_tables_are_offered_where_claimed(case: &mut Case) -> LawResult {
    let store = case.store()?;
    if store.capabilities().side_tables {
        open(&*store, "table")?;
    } else {
        let refusal = store.side_table("table");
        saw("side_table of a store that claims none", refusal).refused(ErrorKind::Unsupported)?;
    }
    saw("side_tables() of a new store", store.side_tables()).is(Vec::new())?;
    Ok(())
}

pub(crate) fn side_table_names_are_checked(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (longest, too_long) = ("a".repeat(32), "a".repeat(33));
    for name in
        ["", &too_long, "Upper", "a-b", "a.b", "a/b", "..", "a b", "ä", "nul\0", "\u{663}", "a\u{ff11}", "\u{bd}"]
    {
        saw(format_args!("side_table({name:?})"), store.side_table(name)).refused(ErrorKind::InvalidArgument)?;
    }
    // Names that a backend may use for its own tables are available to callers too.
    for name in ["a", "0", "_", &longest, "knn_edges", "objects", "op_heads", "meta", "blocks", "heads", "side_tables"]
    {
        let table = open(&*store, name)?;
        write(&*table, &[row("key", name)], &[])?;
        value_is(&*table, "key", Some(name), &format!("of table {name:?}"))?;
    }
    Ok(())
}

pub(crate) fn side_table_keys_and_values_are_checked(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    let invalid = ErrorKind::InvalidArgument;
    for key in [Bytes::new(), Bytes::from(vec![b'k'; 101])] {
        let n = key.len();
        saw(format_args!("get of a key of {n} bytes"), table.get(&key)).refused(invalid)?;
        let puts = [row("good", "value"), (key.clone(), Bytes::new())];
        saw(format_args!("write of a key of {n} bytes"), table.write(&puts, &[])).refused(invalid)?;
        let deletes = table.write(&puts[..1], std::slice::from_ref(&key));
        saw(format_args!("write that deletes a key of {n} bytes"), deletes).refused(invalid)?;
    }
    nothing_is_written(&*store, &*table)?;
    if case.affords(TABLE_VALUE_BYTES_MAX) { values_are_checked(&*store, &*table) } else { Ok(()) }
}

fn values_are_checked(store: &dyn Store, table: &dyn SideTable) -> LawResult {
    let most = TABLE_VALUE_BYTES_MAX;
    let too_large = Bytes::from(vec![b'v'; most + 1]);
    let largest = too_large.slice(..most);
    let key = Bytes::from_static(b"large");
    let refused = table.write(&[row("good", "value"), (key.clone(), too_large)], &[]);
    saw(format_args!("write of a value of {} bytes", most + 1), refused).refused(ErrorKind::InvalidArgument)?;
    nothing_is_written(store, table)?;
    saw(format_args!("write of a value of {most} bytes"), table.write(&[(key.clone(), largest.clone())], &[])).ok()?;
    saw(format_args!("get of a value of {most} bytes"), table.get(&key)).is(Some(largest))?;
    Ok(())
}

fn nothing_is_written(store: &dyn Store, table: &dyn SideTable) -> LawResult {
    keys_are(table, b"", &[], "after refused writes")?;
    saw("side_tables() after refused writes", store.side_tables()).is(Vec::new())?;
    Ok(())
}

pub(crate) fn side_table_returns_what_was_written(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    value_is(&*table, "absent", None, "of an empty table")?;
    let rows: Vec<(Bytes, Bytes)> = [0, 1, 4095, 65_536, 1 << 20]
        .map(|n| (Bytes::from(format!("{n} bytes")), sized(n).data))
        .into_iter()
        .chain([
            (Bytes::from(vec![b'k'; 100]), Bytes::from_static(b"longest key")),
            (Bytes::from_static(&[0]), Bytes::from_static(b"shortest key")),
            (Bytes::from_static(b"../\xff\0/"), Bytes::from_static(b"key of any bytes")),
            (Bytes::from_static(b"near"), Bytes::from_static(b"\0")),
            (Bytes::from_static(b"Near"), Bytes::from_static(b"ends with zeros\0\0")),
            (Bytes::from_static(b"NEAR"), Bytes::from_static(b" ends with spaces and a line \n")),
            (Bytes::from_static(b"near "), Bytes::from_static(b"\xff\xfe no text")),
            (Bytes::from_static(b"near\0"), Bytes::from_static(b"\0begins with a zero")),
        ])
        .collect();
    write(&*table, &rows, &[])?;
    for handle in [&table, &open(&*store, "table")?] {
        for (key, value) in &rows {
            saw(format_args!("get of key {key:?}"), handle.get(key)).is(Some(value.clone()))?;
        }
    }
    value_is(&*table, "nEAR", None, "of a table with keys that differ from it by case alone")?;
    write(&*table, &[row("0 bytes", "no longer empty")], &[])?;
    value_is(&*table, "0 bytes", Some("no longer empty"), "after it was written again")?;
    // A value takes the place of one of another size.
    let large = sized(1 << 17).data;
    let (small, key) = (Bytes::from_static(b"small"), Bytes::from_static(b"of two sizes"));
    for value in [&large, &small, &large, &small] {
        saw("write of a value of another size", table.write(&[(key.clone(), value.clone())], &[])).ok()?;
        saw("get after a write of a value of another size", table.get(&key)).is(Some(value.clone()))?;
    }
    saw("write of both values", table.write(&[(key.clone(), large), (key.clone(), small.clone())], &[])).ok()?;
    saw("get after a write of a large value and a small one", table.get(&key)).is(Some(small))?;
    Ok(())
}

pub(crate) fn side_table_write_applies_puts_then_deletes(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    write(&*table, &[row("old", "1"), row("kept", "1"), row("old and both", "1")], &[])?;
    let deletes = ["old", "both", "old and both", "absent"].map(|key| Bytes::from_static(key.as_bytes()));
    let puts = [
        row("both", "put and deleted"),
        row("old and both", "2"),
        row("twice", "first"),
        row("twice", "last"),
        row("new", "2"),
    ];
    write(&*table, &puts, &deletes)?;
    for (key, value) in [
        ("old", None),
        ("both", None),
        ("old and both", None),
        ("absent", None),
        ("kept", Some("1")),
        ("twice", Some("last")),
        ("new", Some("2")),
    ] {
        value_is(&*table, key, value, "after a write of puts and deletes")?;
    }
    // Written in the given order, even if there are so many that a store might sort them first.
    for n in [100, 101, 1000, 1001] {
        let many: Vec<_> = (0..n).rev().map(|i| row("kept", &format!("{i} of {n}"))).collect();
        write(&*table, &many, &[])?;
        value_is(&*table, "kept", Some(&format!("0 of {n}")), &format!("after a write that puts it {n} times"))?;
    }
    write(&*table, &[], &[])?;
    write(&*table, &[], &[Bytes::from_static(b"absent")])?;
    keys_are(&*table, b"", &["kept", "new", "twice"].map(Bytes::from), "after a write of puts and deletes")?;
    Ok(())
}

pub(crate) fn side_table_keys_are_sorted_and_filtered(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    let mut keys: Vec<Bytes> =
        (0..300_u16).map(|i| Bytes::from([b"n".as_slice(), &i.to_be_bytes()].concat())).collect();
    keys.extend(
        [&b"m"[..], b"ma", b"mab", b"mb", b"M", b"m_", b"m%", b"m*b", b"\xff", b"\xff\xff", b"\xff\xff\x01", b"\0"]
            .map(Bytes::from_static),
    );
    let rows: Vec<(Bytes, Bytes)> = keys.iter().rev().map(|key| (key.clone(), key.clone())).collect();
    write(&*table, &rows, &[])?;
    keys.sort();
    // Wildcard characters of patterns stand for themselves in a prefix.
    for prefix in [
        &b""[..],
        b"_",
        b"%",
        b"m_",
        b"m%",
        b"m*",
        b"m?",
        b"m[a]",
        b"M",
        b"m",
        b"ma",
        b"mab",
        b"mabc",
        b"n",
        b"n\0",
        b"\xff",
        b"\xff\xff",
        b"absent",
        b"\0",
    ] {
        let expected: Vec<Bytes> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        keys_are(&*table, prefix, &expected, "of 312 keys")?;
    }
    Ok(())
}

pub(crate) fn side_table_keys_blocks_no_writer(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    let steady: Vec<(Bytes, Bytes)> = (0..20).map(|i| row(&format!("steady {i:02}"), "")).collect();
    write(&*table, &steady, &[])?;
    let mut listed = Vec::new();
    for key in saw("keys(\"\")", table.keys(b"")).ok()?.take(100) {
        listed.push(saw("an item of keys() while its consumer writes", key).ok()?);
        write(&*table, &[row("passing", "")], &[])?;
        write(&*table, &[], &[Bytes::from_static(b"passing")])?;
    }
    listed.retain(|key| key.starts_with(b"steady"));
    let expected: Vec<Bytes> = steady.into_iter().map(|(key, _)| key).collect();
    saw("keys(\"\") while its consumer writes", Ok(listed)).is(expected)?;
    Ok(())
}

pub(crate) fn side_table_exists_by_its_keys(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (a, b) = (open(&*store, "b_table")?, open(&*store, "a_table")?);
    saw("side_tables() after two were opened", store.side_tables()).is(Vec::new())?;
    write(&*a, &[], &[Bytes::from_static(b"absent")])?;
    saw("side_tables() after the delete of an absent key", store.side_tables()).is(Vec::new())?;
    write(&*a, &[row("key", "value")], &[])?;
    write(&*b, &[row("key", "value"), row("other", "value")], &[])?;
    saw("side_tables() after two were written", store.side_tables()).is(vec!["a_table".into(), "b_table".into()])?;
    write(&*a, &[], &[Bytes::from_static(b"key")])?;
    write(&*b, &[], &[Bytes::from_static(b"key")])?;
    saw("side_tables() after one lost its last key", store.side_tables()).is(vec!["a_table".into()])?;
    write(&*a, &[], &[Bytes::from_static(b"key")])?;
    saw("side_tables() after that key was deleted again", store.side_tables()).is(vec!["a_table".into()])?;
    write(&*a, &[row("key", "again")], &[])?;
    value_is(&*a, "key", Some("again"), "of a table that was empty in between")?;
    let rows = [row("key", "value"), row("other", "")];
    let keys = rows.each_ref().map(|(key, _)| key.clone());
    write(&*open(&*store, "c_table")?, &rows, &keys)?;
    const WHEN: &str = "side_tables() after a write that deletes all that it puts";
    saw(WHEN, store.side_tables()).is(vec!["a_table".into(), "b_table".into()])?;
    write(&*b, &rows, &keys)?;
    saw(WHEN, store.side_tables()).is(vec!["b_table".into()])?;
    // Neither a delete of an absent key nor a second put of a key changes how many rows there are.
    write(&*a, &[], &[Bytes::from_static(b"absent"), Bytes::from_static(b"absent")])?;
    saw("side_tables() after absent keys were deleted", store.side_tables()).is(vec!["b_table".into()])?;
    write(&*b, &[row("key", "first"), row("key", "again")], &[])?;
    write(&*b, &[row("key", "once more")], &[])?;
    write(&*b, &[], &[Bytes::from_static(b"key")])?;
    saw("side_tables() after a key that was put three times was deleted", store.side_tables())
        .is(vec!["b_table".into()])?;
    let emptied = open(&*store, "c_table")?;
    write(&*emptied, &rows, &[])?;
    write(&*emptied, &[], &keys)?;
    write(&*emptied, &[row("new", "value")], &[])?;
    keys_are(&*emptied, b"", &[Bytes::from_static(b"new")], "of a table that was emptied and written again")?;
    Ok(())
}

pub(crate) fn side_tables_are_separate(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (a, b) = (open(&*store, "a")?, open(&*store, "b")?);
    let (present, op) = (block("present"), head("op"));
    put(&*store, &present)?;
    update(&*store, &op, &[])?;
    write(
        &*a,
        &[row("key", "of a"), (Bytes::from(present.cid.to_bytes()), Bytes::from_static(b"not the block"))],
        &[],
    )?;
    write(&*b, &[row("key", "of b"), row("only b", "")], &[])?;
    value_is(&*a, "key", Some("of a"), "of table a, after one of the same name was written to table b")?;
    value_is(&*a, "only b", None, "of table a, which only table b has")?;
    holds(&*store, &present, "after a side table was written under its CID")?;
    lists(&*store, &[present.cid], "after side tables were written")?;
    heads_are(&*store, &[op], "after side tables were written")?;
    saw("delete of the block", store.delete(&present.cid)).ok()?;
    write(&*b, &[], &[Bytes::from_static(b"key")])?;
    value_is(&*a, "key", Some("of a"), "of table a, after it was deleted from table b")?;
    saw("get of the row under a deleted block's CID", a.get(&present.cid.to_bytes()))
        .is(Some(Bytes::from_static(b"not the block")))?;
    Ok(())
}

pub(crate) fn side_tables_whose_names_begin_alike_are_separate(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let (short, long) = (open(&*store, "a")?, open(&*store, "a_b")?);
    write(&*long, &[row("key", "of a_b")], &[])?;
    keys_are(&*short, b"", &[], "of table a, when only table a_b has a row")?;
    // However a store joins names and keys, two rows must not collide because the end of a name looks like the start of
    // a key.
    for key in ["b_key", "_b_key", "b\0key", "b/key", "b key", "b.key", "b:key", "bkey"] {
        value_is(&*short, key, None, "of table a, when only table a_b has a row")?;
        write(&*short, &[row(key, "of a")], &[])?;
        value_is(&*long, "key", Some("of a_b"), "of table a_b, after a row was written to table a")?;
    }
    let keys = saw("keys of table a", short.keys(b"").and_then(Iterator::collect::<Result<Vec<_>, _>>)).ok()?;
    write(&*short, &[], &keys)?;
    value_is(&*long, "key", Some("of a_b"), "of table a_b, after table a lost its last row")?;
    saw("side_tables() after table a lost its last row", store.side_tables()).is(vec!["a_b".into()])?;
    wildcards_in_names_stand_for_themselves(case)?;
    long_names_are_separate(case)?;
    many_tables_are_separate(case)
}

/// In some patterns an underscore stands for any letter.
fn wildcards_in_names_stand_for_themselves(case: &Case) -> LawResult {
    let store = case.store()?;
    let (name, like) = (open(&*store, "m_n")?, open(&*store, "mxn")?);
    write(&*name, &[row("key", "of m_n")], &[])?;
    write(&*like, &[row("key", "of mxn"), row("other", "of mxn")], &[])?;
    saw("keys of table m_n", name.keys(b"").and_then(Iterator::collect::<Result<Vec<_>, _>>))
        .is(vec![Bytes::from_static(b"key")])?;
    write(&*name, &[], &[Bytes::from_static(b"key")])?;
    saw("side_tables() after table m_n lost its last row", store.side_tables()).is(vec!["a_b".into(), "mxn".into()])?;
    value_is(&*like, "key", Some("of mxn"), "of table mxn, after table m_n lost its last row")?;
    write(&*like, &[], &[Bytes::from_static(b"key"), Bytes::from_static(b"other")])?;
    Ok(())
}

/// Names of the maximum length that differ only in the last letter.
fn long_names_are_separate(case: &Case) -> LawResult {
    let store = case.store()?;
    let stem = "t".repeat(TABLE_NAME_BYTES_MAX - 1);
    let (first, second) = (open(&*store, &format!("{stem}a"))?, open(&*store, &format!("{stem}b"))?);
    write(&*first, &[row("key", "of the first")], &[])?;
    value_is(&*second, "key", None, "of a table whose name differs in its last letter from one that has the row")?;
    write(&*first, &[], &[Bytes::from_static(b"key")])?;
    Ok(())
}

/// However a store numbers its tables: more tables than a byte can count, all with names from the same letters.
fn many_tables_are_separate(case: &Case) -> LawResult {
    let store = case.store()?;
    let names: Vec<String> = (0..case.in_short(300)).map(|i| format!("table_{i:03}x")).collect();
    // In another order than that of the names.
    for name in names.iter().step_by(2).chain(names.iter().skip(1).step_by(2).rev()) {
        write(&*open(&*store, name)?, &[row("key", name)], &[])?;
    }
    for name in &names {
        value_is(&*open(&*store, name)?, "key", Some(name), "of one of many tables")?;
        let turned = format!("table_x{}", &name[6..9]);
        value_is(&*open(&*store, &turned)?, "key", None, "of a table whose name has the letters of another's")?;
    }
    let mut expected: Vec<String> = names.into_iter().chain(["a_b".to_owned()]).collect();
    expected.sort();
    saw("side_tables() of many", store.side_tables()).is(expected)?;
    Ok(())
}

pub(crate) fn closed_store_refuses_side_tables(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    write(&*table, &[row("key", "value")], &[])?;
    saw("close()", store.close()).ok()?;
    if store.heads().is_ok() {
        value_is(&*table, "key", Some("value"), "after a close() that closed nothing")?;
        return Ok(());
    }
    let closed = ErrorKind::Closed;
    saw("get of a side table after close()", table.get(b"key")).refused(closed)?;
    saw("write to a side table after close()", table.write(&[row("new", "")], &[])).refused(closed)?;
    saw("side_table() after close()", store.side_table("table")).refused(closed)?;
    saw("side_tables() after close()", store.side_tables()).refused(closed)?;
    let first = table.keys(b"").and_then(|mut keys| keys.next().transpose());
    saw("keys of a side table, or its first item, after close()", first).refused(closed)?;
    Ok(())
}

pub(crate) fn concurrent_side_table_writes_lose_no_row(case: &mut Case) -> LawResult {
    const THREADS: usize = 4;
    const ROUNDS: usize = 8;
    let store = case.store()?;
    let key = |lane: usize, round: usize| format!("lane {lane} round {round}");
    together(THREADS, |lane| {
        let (table, own) = (open(&*store, "table")?, open(&*store, &format!("lane_{lane}"))?);
        for round in 0..ROUNDS {
            write(&*own, &[row(&format!("round {round}"), "value")], &[])?;
            let before = round.checked_sub(2).map(|before| Bytes::from(key(lane, before)));
            write(&*table, &[row(&key(lane, round), "value")], before.as_slice())?;
            value_is(&*table, &key(lane, round), Some("value"), "after its write beside other threads")?;
        }
        Ok(())
    })?;
    let table = open(&*store, "table")?;
    let mut left: Vec<Bytes> =
        (0..THREADS).flat_map(|lane| (ROUNDS - 2..ROUNDS).map(move |round| Bytes::from(key(lane, round)))).collect();
    left.sort();
    keys_are(&*table, b"", &left, "after threads each wrote and deleted their own rows")?;
    let rounds: Vec<Bytes> = (0..ROUNDS).map(|round| Bytes::from(format!("round {round}"))).collect();
    for lane in 0..THREADS {
        let own = open(&*store, &format!("lane_{lane}"))?;
        keys_are(&*own, b"", &rounds, "of a table of its own thread, after other threads wrote to others")?;
    }
    Ok(table_that_comes_and_goes_loses_no_row(case)?)
}

/// A table goes with its last row and comes back with its next one, beside another thread that does the same.
fn table_that_comes_and_goes_loses_no_row(case: &Case) -> Result<(), Failure> {
    let store = case.store()?;
    together(2, |lane| {
        let table = open(&*store, "comes_and_goes")?;
        (0..case.in_short(100)).try_for_each(|round| {
            let key = format!("lane {lane} round {round}");
            write(&*table, &[row(&key, "value")], &[])?;
            value_is(&*table, &key, Some("value"), "of a table that another thread empties")?;
            write(&*table, &[], &[Bytes::from(key)])
        })
    })
    .map(drop)
}

pub(crate) fn side_table_write_is_seen_as_one_step(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let table = open(&*store, "table")?;
    let rows = |n: u64| ["first", "second"].map(|key| (Bytes::from_static(key.as_bytes()), Bytes::from(n.to_string())));
    write(&*table, &rows(0), &[])?;
    let number = |key: &str| -> Result<u64, Failure> {
        let did = format_args!("get({key:?}) while another thread writes both keys");
        let value = saw(did, table.get(key.as_bytes())).ok()?.unwrap_or_default();
        let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Failure::new(did, "a number that was written", format_args!("{value:?}")))
    };
    let writes = || (1..60).try_for_each(|n| write(&*table, &rows(n), &[]));
    let watch = || {
        // The first key is written first. A reader that then sees its new value and the old value of the second key has
        // seen half of a write.
        let first = number("first")?;
        let second = number("second")?;
        let did = "get of the first key, then of the second, while another thread writes both to the same number";
        crate::conformance::expect::ensure(second >= first, did, format_args!("at least {first}"), second)
    };
    watched(writes, watch)?;
    // A write of many rows, of which the last are written last.
    let many = |n: u64| -> Vec<(Bytes, Bytes)> {
        let [first, last] = rows(n);
        let between = (0..300).map(|i| row(&format!("lies between {i}"), &n.to_string()));
        [first].into_iter().chain(between).chain([last]).collect()
    };
    let writes = || (60..72).try_for_each(|n| write(&*table, &many(n), &[]));
    watched(writes, watch)?;
    Ok(())
}
