//! Drivers: which stores they find, create and refuse, and what they leave alone.

use std::{
    collections::HashSet,
    fmt::{Debug, Display},
    fs, io,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::Duration,
};

use crate::{
    Bytes, Cid, ErrorKind, StoreError, WriteBatch, check,
    conformance::{
        Failure,
        case::{Case, DriverCase},
        data::{Block, block, blocks, head, heads, identity_block, one_text},
        expect::{delete_many, ensure, heads_are, holds, lists, put_many, saw, sweep_is_refused},
        failure::{LawResult, Stop},
    },
    driver::{Location, ManagedStore, OpenOptions, Probe, RawFind},
};

/// How long handles that need the same lock wait for each other.
const PATIENCE: Duration = Duration::from_secs(20);

fn equal<T: Debug + PartialEq>(did: impl Display, saw: T, expected: T) -> Result<(), Failure> {
    ensure(saw == expected, did, format_args!("{expected:?}"), format_args!("{saw:?}"))
}

fn create() -> OpenOptions {
    OpenOptions::new().create(true)
}

impl DriverCase {
    fn open(&self, what: &str, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, Failure> {
        saw(format_args!("open {what}"), self.driver.open(&self.location, options)).ok()
    }

    fn refuses(&self, what: &str, options: &OpenOptions, kind: ErrorKind) -> Result<(), Failure> {
        let opened = self.driver.open(&self.location, options).map(drop);
        saw(format_args!("open {what}"), opened).refused(kind).map(drop)
    }

    fn refuses_unknown_options(&self, options: impl Fn() -> OpenOptions, place: &str) -> Result<(), Failure> {
        let before = self.snapshot()?;
        for (name, options) in [
            ("no_such_option", options().set("no_such_option", "yes")),
            ("no such format 7", options().format("no such format 7")),
        ] {
            let opened = self.driver.open(&self.location, &options).map(drop);
            let did = format_args!("open {place} with the option or format `{name}`");
            let told = opened.as_ref().err().map(ToString::to_string).unwrap_or_default();
            saw(did, opened).refused(ErrorKind::InvalidArgument)?;
            ensure(told.contains(name), did, "an error that names it", format_args!("{told:?}"))?;
            equal("the folder around it", self.snapshot()?, before.clone())?;
        }
        for name in self.driver.option_names() {
            let options = options().set(*name, "no such value");
            let what = format!("{place}, with `{name}` set to an invalid value");
            self.refuses(&what, &options, ErrorKind::InvalidArgument)?;
            equal("the folder around it", self.snapshot()?, before.clone())?;
        }
        Ok(())
    }

    fn probes(&self, when: &str, expected: &str, is: impl Fn(&Probe) -> bool) -> Result<(), Failure> {
        let found = saw(format_args!("probe {when}"), self.driver.probe(&self.location)).ok()?;
        ensure(is(&found), format_args!("probe {when}"), expected, format_args!("{found:?}"))
    }

    /// Creates a store with these blocks, and with the first of them as its head.
    fn filled(&self, blocks: &[Block]) -> Result<(), Failure> {
        let store = self.open("an empty place, with create", &create())?;
        let mut batch: WriteBatch = blocks.iter().map(|block| (block.cid, block.data.clone())).collect();
        saw("commit", store.commit(batch.update(blocks[0].cid, []))).ok()?;
        saw("close()", store.close()).ok()
    }

    /// Checks that the store has exactly these blocks, and the first of them as its head.
    fn is_filled_with(&self, blocks: &[Block], when: &str) -> Result<(), Failure> {
        let store = self.open(&format!("read-only {when}"), &OpenOptions::new().read_only(true))?;
        let cids: Vec<_> = blocks.iter().map(|block| block.cid).collect();
        blocks.iter().try_for_each(|block| holds(&*store, block, when))?;
        lists(&*store, &cids, when)?;
        heads_are(&*store, &cids[..1], when)
    }
}

pub(crate) fn driver_has_a_name_and_formats(case: &mut Case) -> LawResult {
    let DriverCase { driver, .. } = case.driver()?;
    let name = driver.name();
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-'));
    ensure(fits, "name()", "[a-z][a-z0-9_-]*", format_args!("{name:?}"))?;
    let mut formats = driver.formats().to_vec();
    formats.sort_unstable();
    formats.dedup();
    let all = !formats.is_empty() && formats.len() == driver.formats().len() && formats.iter().all(|f| !f.is_empty());
    ensure(all, "formats()", "one or more, none empty, none twice", format_args!("{:?}", driver.formats()))?;
    Ok(())
}

pub(crate) fn probe_of_an_empty_place_is_absent(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let before = at.snapshot()?;
    at.probes("of an empty place", "Absent", |found| *found == Probe::Absent)?;
    equal("the folder around a place after a probe", at.snapshot()?, before)?;
    Ok(())
}

pub(crate) fn new_store_is_recognised(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let store = at.open("an empty place, with create", &create())?;
    equal("driver() of a new store", store.driver().name(), at.driver.name())?;
    equal("format() of a new store", store.format(), at.driver.formats()[0])?;
    let strays = saw("strays() of a new store", store.strays()).ok()?;
    ensure(strays.is_empty(), "strays() of a new store", "none", format_args!("{strays:?}"))?;
    at.probes("of a store that is open", "Store", |found| *found == Probe::Store)?;
    saw("close()", store.close()).ok()?;
    drop(store);
    at.probes("of a store that is closed", "Store", |found| *found == Probe::Store)?;
    let store = at.open("an existing store, exclusively", &OpenOptions::new().exclusive(true))?;
    at.probes("of a store that is open exclusively", "Store", |found| *found == Probe::Store)?;
    drop(store);
    let store = at.open("an existing store", &OpenOptions::new())?;
    equal("driver() of an opened store", store.driver().name(), at.driver.name())?;
    equal("format() of an opened store", store.format(), at.driver.formats()[0])?;
    Ok(())
}

pub(crate) fn every_format_can_be_made(case: &mut Case) -> LawResult {
    let formats = case.driver()?.driver.formats();
    for format in formats {
        let at = case.driver()?;
        let store = at.open(&format!("a new store of format {format}"), &create().format(*format))?;
        equal("format() of a store made with it", store.format(), *format)?;
        drop(store);
        let opened = at.open("it without naming the format", &OpenOptions::new())?;
        equal("format() of it, opened again", opened.format(), *format)?;
        drop(opened);
        for other in formats.iter().filter(|other| *other != format) {
            let what = format!("a store of format {format} as {other}");
            at.refuses(&what, &OpenOptions::new().format(*other), ErrorKind::InvalidArgument)?;
        }
    }
    Ok(())
}

/// Something that a user may have put at the path of a store, with its name. `Err` means that this system, or a
/// location that is not a path, cannot have it.
type Thing = (&'static str, fn(&Path) -> io::Result<()>);

const FOREIGN: [Thing; 5] = [
    ("a text file", |path| fs::write(path, "Dear diary,\nnothing happened today.\n".repeat(500))),
    ("a file of one byte", |path| fs::write(path, "x")),
    ("an empty file", |path| fs::write(path, "")),
    ("a folder with a letter", |path| fs::create_dir(path).and_then(|()| fs::write(path.join("letter.txt"), "Dear"))),
    ("a symbolic link to nothing", symlink_to_nothing),
];

#[cfg(unix)]
fn symlink_to_nothing(path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink("nowhere-at-all", path)
}

#[cfg(not(unix))]
fn symlink_to_nothing(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn probe_leaves_foreign_things_alone(case: &mut Case) -> LawResult {
    for (what, put) in FOREIGN {
        let at = case.driver()?;
        let Some(path) = at.location.as_path() else { return Err(Stop::Declined("a store has no path".into())) };
        if put(path).is_err() {
            continue;
        }
        let before = at.snapshot()?;
        // Some drivers recognize an empty file as their own interrupted creation.
        let may_be_ours = what == "an empty file";
        at.probes(&format!("of {what}"), "Foreign", |found| match found {
            Probe::Foreign(why) => !why.is_empty(),
            Probe::Unfinished | Probe::Absent => may_be_ours,
            _ => false,
        })?;
        equal(format_args!("{what} after a probe"), at.snapshot()?, before.clone())?;
        for (how, options) in [
            ("to read it", OpenOptions::new().read_only(true)),
            ("to write to it", OpenOptions::new()),
            ("leniently", OpenOptions::new().lenient(true)),
        ] {
            at.refuses(&format!("{what}, {how}"), &options, ErrorKind::NotAStore)?;
            equal(format_args!("{what} after it was refused"), at.snapshot()?, before.clone())?;
        }
        if !may_be_ours {
            at.refuses(&format!("{what}, with create"), &create(), ErrorKind::NotAStore)?;
            equal(format_args!("{what} after it was refused"), at.snapshot()?, before)?;
        }
    }
    Ok(())
}

pub(crate) fn url_of_nobody_is_foreign(case: &mut Case) -> LawResult {
    let mut at = case.driver()?;
    // A driver that strips the scheme, or that uses the whole text as a path, would create a file in or beside the
    // trial folder.
    let text = at.location.to_string();
    let place = text.split_once("://").map_or(&*text, |(_, place)| place);
    at.location = Location::Url(format!("nobody-has-this://{place}"));
    let before = at.snapshot()?;
    ensure(!at.driver.suits(&at.location), "suits() of a URL whose scheme no driver has", "false", "true")?;
    at.probes(
        "of a URL whose scheme no driver has",
        "Foreign",
        |found| matches!(found, Probe::Foreign(why) if !why.is_empty()),
    )?;
    for (how, options) in [
        ("to write", OpenOptions::new()),
        ("to read", OpenOptions::new().read_only(true)),
        ("leniently", OpenOptions::new().lenient(true)),
        ("with create", create()),
        ("with create_new", OpenOptions::new().create_new(true)),
    ] {
        at.refuses(&format!("a URL whose scheme no driver has, {how}"), &options, ErrorKind::NotAStore)?;
    }
    equal("the folder around the place after it", at.snapshot()?, before)?;
    Ok(())
}

pub(crate) fn missing_store_is_not_made_unless_asked(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let before = at.snapshot()?;
    for (how, options) in [
        ("to write", OpenOptions::new()),
        ("to read", OpenOptions::new().read_only(true)),
        ("leniently", OpenOptions::new().lenient(true)),
        ("with a check", OpenOptions::new().check(true)),
        ("exclusively", OpenOptions::new().exclusive(true)),
    ] {
        at.refuses(&format!("an empty place, {how}"), &options, ErrorKind::NotAStore)?;
        equal("the folder around it", at.snapshot()?, before.clone())?;
    }
    for (how, options) in [
        ("create and read_only", create().read_only(true)),
        ("create_new and read_only", OpenOptions::new().create_new(true).read_only(true)),
        ("create and lenient", create().lenient(true)),
        ("exclusive and read_only", OpenOptions::new().exclusive(true).read_only(true)),
    ] {
        at.refuses(&format!("an empty place, with {how}"), &options, ErrorKind::InvalidArgument)?;
        equal("the folder around it", at.snapshot()?, before.clone())?;
    }
    Ok(())
}

pub(crate) fn create_keeps_the_store_that_is_there(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let all = blocks("block", 5);
    at.filled(&all)?;
    drop(at.open("an existing store, with create", &create())?);
    at.is_filled_with(&all, "after it was opened with create")?;
    at.refuses("an existing store, with create_new", &OpenOptions::new().create_new(true), ErrorKind::InvalidArgument)?;
    at.is_filled_with(&all, "after create_new was refused")?;
    let new = case.driver()?;
    drop(new.open("an empty place, with create_new", &OpenOptions::new().create_new(true))?);
    new.probes("of a store made with create_new", "Store", |found| *found == Probe::Store)?;
    Ok(())
}

pub(crate) fn read_only_store_refuses_writes(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let all = blocks("block", 5);
    at.filled(&all)?;
    for (how, options) in [
        ("read-only", OpenOptions::new().read_only(true)),
        ("leniently", OpenOptions::new().lenient(true)),
        ("read-only with a check", OpenOptions::new().read_only(true).check(true)),
    ] {
        let before = at.snapshot()?;
        let store = at.open(how, &options)?;
        let new = block("new");
        let refused = |what: &str, result: Result<(), StoreError>| {
            saw(format_args!("{what} to a store that was opened {how}"), result).refused(ErrorKind::ReadOnly)
        };
        refused("put", store.put(&new.cid, new.data.clone()))?;
        refused("delete", store.delete(&all[0].cid))?;
        refused("update", store.update(&head("new"), &[]))?;
        refused("commit", store.commit(WriteBatch::new().put(new.cid, new.data.clone())))?;
        refuses_what_is_done_already(&*store, &all[0], how)?;
        all.iter().try_for_each(|block| holds(&*store, block, how))?;
        drop(store);
        // A driver may add auxiliary files that readers need, such as the index of a log.
        let after = at.snapshot()?;
        let changed = before.changed_in(&after);
        ensure(
            changed.is_none(),
            format_args!("opened a store {how}"),
            "its files as they were",
            format_args!("{changed:?}"),
        )?;
    }
    Ok(())
}

/// A write with nothing to do is still a write, and must be refused.
fn refuses_what_is_done_already(store: &dyn ManagedStore, there: &Block, how: &str) -> Result<(), Failure> {
    let (cid, data, absent) = (there.cid, there.data.clone(), block("absent").cid);
    let refused = |what: &str, result: Result<(), StoreError>| {
        saw(format_args!("{what} in a store that was opened {how}"), result).refused(ErrorKind::ReadOnly).map(drop)
    };
    refused("put of a present block", store.put(&cid, data.clone()))?;
    refused("put_trusted of a present block", store.put_trusted(&cid, data.clone()))?;
    refused("put_many of a present block", store.put_many(&mut std::iter::once(Ok((cid, data.clone())))))?;
    refused("commit of a present block", store.commit(WriteBatch::new().put(cid, data)))?;
    refused("commit of a requirement that is met", store.commit(WriteBatch::new().require(cid)))?;
    refused("delete of an absent block", store.delete(&absent))?;
    refused("delete_many of an absent block", store.delete_many(&mut std::iter::once(Ok(absent))))?;
    sweep_is_refused(store, ErrorKind::ReadOnly, &format!("in a store that was opened {how}"))?;
    refused("update to the current head", store.update(&cid, &[]))?;
    refused("swap to the current head", store.swap(&[cid], &cid))?;
    if store.capabilities().side_tables {
        let table = saw("side_table", store.side_table("table")).ok()?;
        let key = Bytes::from_static(b"key");
        refused("write of a row", table.write(&[(key.clone(), Bytes::new())], &[]))?;
        refused("delete of an absent row", table.write(&[], &[key]))?;
    }
    Ok(())
}

pub(crate) fn exclusive_store_has_no_other_writer(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    drop(at.open("an empty place, with create", &create())?);
    let at_once = || OpenOptions::new().lock_wait(Duration::ZERO);
    let first = at.open("exclusively", &at_once().exclusive(true))?;
    let block = block("block");
    if let Ok(writer) = at.driver.open(&at.location, &at_once()) {
        return exclusive_handle_refuses_after_another_wrote(&*first, &*writer, &block);
    }
    at.refuses("for writing beside an exclusive handle", &at_once(), ErrorKind::Locked)?;
    at.refuses("exclusively beside an exclusive handle", &at_once().exclusive(true), ErrorKind::Locked)?;
    saw("put by the exclusive handle", first.put(&block.cid, block.data.clone())).ok()?;
    drop(first);
    let writer = at.open("for writing after the exclusive handle", &at_once())?;
    holds(&*writer, &block, "after the exclusive handle")?;
    at.refuses("exclusively beside a writer", &at_once().exclusive(true), ErrorKind::Locked)?;
    saw("close() of the writer", writer.close()).ok()?;
    drop(writer);
    drop(at.open("exclusively after the writer", &at_once().exclusive(true))?);
    Ok(())
}

/// For a driver that cannot keep others out.
fn exclusive_handle_refuses_after_another_wrote(
    exclusive: &dyn ManagedStore,
    writer: &dyn ManagedStore,
    first: &Block,
) -> LawResult {
    let [of_other, late] = [block("of the other"), block("late")];
    saw("put by the exclusive handle", exclusive.put(&first.cid, first.data.clone())).ok()?;
    saw("delete by the exclusive handle", exclusive.delete(&first.cid)).ok()?;
    saw("put by another handle", writer.put(&of_other.cid, of_other.data.clone())).ok()?;
    saw("put by the exclusive handle, after another wrote", exclusive.put(&late.cid, late.data.clone()))
        .refused(ErrorKind::Locked)?;
    saw("delete by the exclusive handle, after another wrote", exclusive.delete(&of_other.cid))
        .refused(ErrorKind::Locked)?;
    holds(writer, &of_other, "after the exclusive handle was refused")?;
    equal("has() of a block whose put was refused", saw("has", writer.has(&late.cid)).ok()?, false)?;
    Ok(())
}

pub(crate) fn unknown_options_are_refused(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    at.refuses_unknown_options(create, "an empty place")?;
    drop(at.open("an empty place, with create", &create())?);
    at.refuses_unknown_options(OpenOptions::new, "an existing store")?;
    Ok(())
}

pub(crate) fn info_counts_what_is_there(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let store = at.open("an empty place, with create", &create())?;
    let counted = |what: &str| saw(format_args!("info() {what}"), store.info()).ok();
    let new = counted("of a new store")?;
    equal("counts of a new store", (new.blocks, new.block_bytes, new.heads, new.tables.len()), (0, 0, 0, 0))?;
    let mut all = blocks("block", 32);
    // 40 blocks: those at the end have one text under several CIDs, or no bytes.
    all.extend(one_text().into_iter().chain([block(""), identity_block("")]));
    put_many(&*store, &all)?;
    for block in &all[..3] {
        saw("update", store.update(&block.cid, &[])).ok()?;
    }
    let bytes = |blocks: &[Block]| blocks.iter().map(|block| block.data.len() as u64).sum::<u64>();
    let full = counted("of 40 blocks and 3 heads")?;
    equal("counts of 40 blocks and 3 heads", (full.blocks, full.block_bytes, full.heads), (40, bytes(&all), 3))?;
    ensure(full.free_bytes <= full.file_bytes, "info()", "free_bytes up to file_bytes", format_args!("{full:?}"))?;
    if store.capabilities().side_tables {
        let table = saw("side_table", store.side_table("colours")).ok()?;
        for (key, value) in [("red", "warm"), ("blue", "cold")] {
            saw("put of a row", table.write(&[(key.into(), value.into())], &[])).ok()?;
        }
        let tables = counted("with a side table")?.tables;
        let tables: Vec<_> = tables.into_iter().map(|table| (table.name, table.keys, table.bytes)).collect();
        equal("side tables of info()", tables, vec![("colours".to_owned(), 2, 15)])?;
    }
    delete_many(&*store, &all.iter().take(10).map(|block| block.cid).collect::<Vec<_>>())?;
    let fewer = counted("after 10 blocks were deleted")?;
    equal("counts after 10 blocks were deleted", (fewer.blocks, fewer.block_bytes), (30, bytes(&all[10..])))?;
    Ok(())
}

pub(crate) fn compact_changes_no_content(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let mut all = blocks("block", 300);
    all.splice(50..50, one_text().into_iter().chain([block("").clone(), identity_block("")]));
    at.filled(&all)?;
    let mut store = at.open("an existing store", &OpenOptions::new())?;
    delete_many(&*store, &all[100..].iter().map(|block| block.cid).collect::<Vec<_>>())?;
    write_rows(&*store)?;
    let heads: Vec<Cid> = one_text().iter().map(|block| block.cid).chain(heads("head", 300)).collect();
    let committed = store.commit(WriteBatch::new().update_all(heads.clone(), []));
    saw("commit of 300 heads of every kind", committed).ok()?;
    let reclaimed = saw("compact()", store.compact()).ok()?;
    let says_why =
        reclaimed.before_bytes > reclaimed.after_bytes || reclaimed.nothing_to_do.is_none_or(|why| !why.is_empty());
    ensure(says_why, "compact()", "less, or why not", format_args!("{reclaimed:?}"))?;
    let cids: Vec<_> = all[..100].iter().map(|block| block.cid).collect();
    lists(&*store, &cids, "after compact()")?;
    has_rows(&*store, "after compact()")?;
    let heads: Vec<Cid> = heads.into_iter().chain([cids[0]]).collect();
    heads_are(&*store, &heads, "after compact()")?;
    let late = block("late");
    saw("put after compact()", store.put(&late.cid, late.data.clone())).ok()?;
    saw("delete after compact()", store.delete(&late.cid)).ok()?;
    saw("close() after compact()", store.close()).ok()?;
    drop(store);
    let mut store = at.open("a store that was compacted", &OpenOptions::new())?;
    all[..100].iter().try_for_each(|block| holds(&*store, block, "after compact() and reopening"))?;
    lists(&*store, &cids, "after compact() and reopening")?;
    heads_are(&*store, &heads, "after compact() and reopening")?;
    saw("compact() once more", store.compact()).ok()?;
    has_rows(&*store, "after a second compact()")?;
    lists(&*store, &cids, "after a second compact()")?;
    Ok(())
}

/// Rows of every kind, for stores with side tables: two tables, an empty value, and keys that are not text.
const ROWS: [(&str, &[u8], &[u8]); 4] =
    [("a", b"key", b"value"), ("a", b"empty", b""), ("a", b"\xff\0", b"bytes"), ("b", b"key", b"another value")];

fn write_rows(store: &dyn ManagedStore) -> Result<(), Failure> {
    if !store.capabilities().side_tables {
        return Ok(());
    }
    ROWS.iter().try_for_each(|(name, key, value)| {
        let table = saw("side_table", store.side_table(name)).ok()?;
        let gone = Bytes::from_static(b"gone");
        saw(
            "write of a row",
            table.write(&[(Bytes::from_static(key), Bytes::from_static(value)), (gone, Bytes::new())], &[]),
        )
        .ok()?;
        saw("delete of a row", table.write(&[], &[Bytes::from_static(b"gone")])).ok()
    })
}

fn has_rows(store: &dyn ManagedStore, when: &str) -> Result<(), Failure> {
    if !store.capabilities().side_tables {
        return Ok(());
    }
    saw(format_args!("side_tables() {when}"), store.side_tables()).is(vec!["a".into(), "b".into()])?;
    for (name, key, value) in ROWS {
        let table = saw("side_table", store.side_table(name)).ok()?;
        saw(format_args!("get of a row {when}"), table.get(key)).is(Some(Bytes::from_static(value)))?;
        let keys = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
        let mut expected: Vec<Bytes> =
            ROWS.iter().filter(|row| row.0 == name).map(|row| Bytes::from_static(row.1)).collect();
        expected.sort();
        saw(format_args!("keys() {when}"), keys).is(expected)?;
    }
    Ok(())
}

pub(crate) fn creators_at_once_make_one_store(case: &mut Case) -> LawResult {
    const CREATORS: usize = 6;
    let at = case.driver()?;
    let all = blocks("by a creator", CREATORS);
    let one = |block: &Block| -> Result<(), Failure> {
        let options = create().lock_wait(PATIENCE);
        let store = at.open("an empty place, with create, beside others", &options)?;
        saw("commit", store.commit(WriteBatch::new().put(block.cid, block.data.clone()).update(block.cid, []))).ok()?;
        saw("close()", store.close()).ok()
    };
    thread::scope(|scope| {
        let creators: Vec<_> = all.iter().map(|block| scope.spawn(move || one(block))).collect();
        creators.into_iter().try_for_each(|creator| {
            creator.join().unwrap_or_else(|_| Err(Failure::new("created a store", "no panic", "a panic")))
        })
    })?;
    let store = at.open("the store that they created", &OpenOptions::new())?;
    let cids: Vec<_> = all.iter().map(|block| block.cid).collect();
    lists(&*store, &cids, "after six creators at once")?;
    heads_are(&*store, &cids, "after six creators at once")?;
    Ok(())
}

pub(crate) fn one_creator_of_a_new_store_made_it(case: &mut Case) -> LawResult {
    const CREATORS: usize = 4;
    const ROUNDS: usize = 4;
    for _ in 0..ROUNDS {
        let at = case.driver()?;
        let together = Barrier::new(CREATORS);
        let one = || {
            together.wait();
            at.driver.open(&at.location, &OpenOptions::new().create_new(true).lock_wait(PATIENCE)).map(drop)
        };
        let opened: Vec<_> = thread::scope(|scope| {
            let creators: Vec<_> = (0..CREATORS).map(|_| scope.spawn(one)).collect();
            creators.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut made = 0;
        for opened in opened {
            let opened =
                opened.map_err(|_| Failure::new("open with create_new, beside others", "no panic", "a panic"))?;
            match opened {
                Ok(()) => made += 1,
                refused => {
                    saw("open with create_new, beside others", refused).refused(ErrorKind::InvalidArgument)?;
                }
            }
        }
        equal("creators that made the store with create_new, of four at once", made, 1)?;
        at.probes("of the store that one of them made", "Store", |found| *found == Probe::Store)?;
    }
    Ok(())
}

pub(crate) fn truncated_store_is_no_empty_store(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let all = blocks("block", 40);
    at.filled(&all)?;
    let Some(file) = at.location.as_path().filter(|path| path.is_file()).map(PathBuf::from) else {
        return Err(Stop::Declined("the store is not one file".into()));
    };
    let whole = at.read(&file)?;
    for part in [whole.len() / 2, whole.len() - 1, 1] {
        at.write(&file, &whole[..part])?;
        let did = format!("open a store that was cut to {part} of {} bytes", whole.len());
        // The driver may open it if nothing is missing, or may refuse at once or while listing. It must never list
        // fewer blocks without an error.
        let opened = at.driver.open(&at.location, &OpenOptions::new().read_only(true));
        let listed = opened.and_then(|store| store.cids()?.collect::<Result<Vec<_>, _>>());
        match listed {
            Ok(listed) => equal(&did, listed.len(), all.len())?,
            Err(error) => {
                let kinds =
                    [ErrorKind::Damaged, ErrorKind::NotAStore, ErrorKind::NeedsRecovery, ErrorKind::UnsupportedFormat];
                ensure(kinds.contains(&error.kind()), &did, "Damaged or NotAStore", error.in_full())?;
            }
        }
        equal("the file after it was looked at", at.read(&file)?.len(), part)?;
    }
    at.write(&file, &whole)?;
    at.is_filled_with(&all, "after the file was restored")?;
    Ok(())
}

pub(crate) fn raw_scan_finds_what_is_there(case: &mut Case) -> LawResult {
    let at = case.driver()?;
    let all = blocks("block", 300);
    at.filled(&all)?;
    let before = at.snapshot()?;
    let Some(found) = at.scanned("a whole store")? else { return Ok(()) };
    for block in &all {
        let seen = found.blocks.contains(&block.cid);
        ensure(seen, "a raw scan of a whole store", format_args!("{} with its bytes", block.cid), "no such block")?;
    }
    ensure(
        found.heads.contains(&all[0].cid),
        "a raw scan of a whole store",
        format_args!("the head {}", all[0].cid),
        "no such head",
    )?;
    equal("the folder around a store after a raw scan", at.snapshot()?, before)?;
    let Some(file) = at.location.as_path().filter(|path| path.is_file()).map(PathBuf::from) else { return Ok(()) };
    // Whatever happened to the file, every block that the scan returns must be whole.
    let whole = at.read(&file)?;
    for part in 1..8 {
        let mut damaged = whole.clone();
        let from = whole.len() * part / 8;
        damaged.iter_mut().skip(from).step_by(64).take(500).for_each(|byte| *byte ^= 1);
        at.write(&file, &damaged)?;
        at.scanned(&format!("a store that was damaged from byte {from} on"))?;
        at.write(&file, &whole[..from])?;
        at.scanned(&format!("a store that was cut to {from} bytes"))?;
    }
    at.write(&file, &whole)?;
    at.is_filled_with(&all, "after its raw files were scanned")?;
    Ok(())
}

/// The result of a raw scan.
struct Scanned {
    blocks: HashSet<Cid>,
    heads: HashSet<Cid>,
}

impl DriverCase {
    /// Scans the raw files and checks every block found. Returns `None` if the driver has no raw scan.
    fn scanned(&self, what: &str) -> Result<Option<Scanned>, Failure> {
        let did = format!("a raw scan of {what}");
        let scan = saw(&did, self.driver.scan_raw(&self.location, &OpenOptions::new())).ok()?;
        let Some(mut scan) = scan else { return Ok(None) };
        let (mut found, mut scanned) = (Scanned { blocks: HashSet::new(), heads: HashSet::new() }, 0);
        let total = scan.total_bytes();
        while let Some(step) = scan.next() {
            match saw(&did, step).ok()? {
                RawFind::Scanned(bytes) => scanned += bytes,
                RawFind::Head(cid) => _ = found.heads.insert(cid),
                RawFind::Block(cid) => {
                    let Some(data) = saw(format_args!("read {cid}, found by {did}"), scan.read()).ok()? else {
                        continue;
                    };
                    let right = check::check_read("the scan", &cid, &data).is_ok();
                    ensure(
                        right,
                        format_args!("read {cid}, found by {did}"),
                        "bytes that have its hash",
                        "other bytes",
                    )?;
                    found.blocks.insert(cid);
                }
            }
        }
        equal(format_args!("the bytes that {did} went over"), scanned, total)?;
        Ok(Some(found))
    }
}
