//! `JSON.md` describes exactly what the program prints.

use std::collections::{BTreeMap, BTreeSet};

use mnem_storage::{Cid, RAW, cid_of, knn};
use serde_json::Value;

use crate::support::{ABSENT, EMPTY_CAR, Place};

const DOCUMENT: &str = include_str!("../JSON.md");

/// Fields that only a backend which breaks a law would show.
const NEVER_SEEN: [&str; 3] = ["laws[].did", "laws[].expected", "laws[].saw"];

const VECTORS: &str = r#"{"id":"00000000000000000000000000000001","label":"one","vector":[1,0]}
{"id":"00000000000000000000000000000002","label":"two","vector":[0.6,0.8]}
{"id":"00000000000000000000000000000003","vector":[0,1]}
"#;

/// The type of each field, by its path.
type Fields = BTreeMap<&'static str, &'static str>;

/// The document, and which of its fields have been seen.
struct Document {
    sections: BTreeMap<&'static str, Fields>,
    seen: BTreeSet<(&'static str, &'static str)>,
}

impl Document {
    fn read() -> Self {
        let parts = DOCUMENT.split("\n### ").skip(1).map(|part| part.split_once('\n').expect("a heading and a body"));
        let fields = |body: &'static str| {
            let rows =
                body.lines().filter(|line| line.starts_with("| `")).map(|line| line.split(" | ").collect::<Vec<_>>());
            rows.filter(|row| row.len() == 3).map(|row| (row[0].trim_matches(['|', ' ', '`']), row[1])).collect()
        };
        Self { sections: parts.map(|(heading, body)| (heading, fields(body))).collect(), seen: BTreeSet::new() }
    }

    /// Compares every line with a section.
    #[track_caller]
    fn check(&mut self, section: &str, lines: &str) {
        let (&section, fields) =
            self.sections.get_key_value(section).unwrap_or_else(|| panic!("JSON.md has no section {section}"));
        assert!(!lines.is_empty(), "{section}: nothing was printed");
        for line in lines.lines() {
            let mut object: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{section}: {error}: {line}"));
            let schema = object.as_object_mut().and_then(|object| object.remove("schema"));
            assert_eq!(schema, Some(Value::from(1)), "{section}: {line}");
            compare(section, fields, "", &object, &mut self.seen);
        }
    }
}

/// Compares one object, whose fields are documented with this prefix.
#[track_caller]
fn compare(
    section: &'static str,
    fields: &Fields,
    prefix: &str,
    object: &Value,
    seen: &mut BTreeSet<(&'static str, &'static str)>,
) {
    let object = object.as_object().unwrap_or_else(|| panic!("{section}: {prefix}: no object: {object}"));
    let here: Fields = fields
        .iter()
        .filter_map(|(path, of_type)| Some((path.strip_prefix(prefix)?, *of_type)))
        .filter(|(name, _)| !name.contains(['.', '[']))
        .collect();
    for name in object.keys() {
        assert!(here.contains_key(&**name), "{section}: {prefix}{name} is printed: document it in JSON.md");
    }
    for (name, of_type) in here {
        let Some(value) = object.get(name) else {
            assert!(
                of_type.ends_with(" (optional)"),
                "{section}: {prefix}{name} is not printed: remove it from JSON.md, or call it optional"
            );
            continue;
        };
        let path = format!("{prefix}{name}");
        let (&path, _) = fields.get_key_value(&*path).expect("it came from there");
        seen.insert((section, path));
        let of_type = of_type.trim_end_matches(" (optional)");
        assert!(is(value, of_type), "{section}: {path} is documented as {of_type}: {value}");
        match value {
            Value::Array(values) if of_type == "list of object" => {
                values.iter().for_each(|value| compare(section, fields, &format!("{path}[]."), value, seen));
            }
            Value::Object(_) if of_type.starts_with("object") => {
                compare(section, fields, &format!("{path}."), value, seen)
            }
            _ => {}
        }
    }
}

fn is(value: &Value, of_type: &str) -> bool {
    if let Some(of_type) = of_type.strip_suffix(" or null") {
        return value.is_null() || is(value, of_type);
    }
    if let Some(of_type) = of_type.strip_prefix("list of ") {
        return value.as_array().is_some_and(|values| values.iter().all(|value| is(value, of_type)));
    }
    match of_type {
        "text" => value.is_string(),
        "CID" => value.as_str().is_some_and(|text| text.parse::<Cid>().is_ok_and(|cid| cid.to_string() == text)),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "any" => true,
        _ => panic!("JSON.md: there is no type {of_type:?}"),
    }
}

/// A store with an index of neighbours, and another one with an unreadable index. Returns the CID of the index.
fn indexes(place: &Place, document: &mut Document) -> String {
    place.write("v.jsonl", VECTORS.as_bytes());
    let built = place.run(&["knn", "build", "--vectors", "v.jsonl", "--k", "2", "--json", "--store", "a.redb"]).ok();
    document.check("`knn build`", &built);
    let built: Value = serde_json::from_str(&built).expect("JSON");
    let index: Cid = built["cid"].as_str().and_then(|cid| cid.parse().ok()).expect("a CID");
    let store = place.store("unreadable.simple");
    let table = store.side_table(knn::TABLE).expect("a table");
    table.write(&[(index.to_bytes().into(), "junk".into())], &[]).expect("written");
    index.to_string()
}

/// Collects a store that lacks a block and has an index with a dead root.
fn collected(place: &Place, document: &mut Document) {
    let (_, [missing, dead]) = place.small_store("gc.simple");
    let store = place.store("gc.simple");
    store.delete(&missing).expect("deleted");
    let index = knn::KnnEdgeIndex::empty(cid_of(RAW, b"dead"), 1, knn::DistanceMetric::Cosine);
    knn::store(&*store.side_table(knn::TABLE).expect("a table"), &index).expect("stored");
    store.close().expect("closed");
    drop(store);
    let run = |args: &[&str]| place.run(&[&["--json", "gc", "--store", "gc.simple"], args].concat()).ok();
    document.check("`gc`", &run(&["--allow-missing", "--dry-run"]));
    document.check("`gc`", &run(&["--allow-missing", "--indexes", "--keep", &dead.to_string()]));
}

/// Lists the log of a store with an entry that was compacted.
#[cfg(feature = "bucket")]
fn logged(place: &Place, document: &mut Document) {
    place.run(&["init", "--store", "log.bucket"]).ok();
    place.run(&["put", "v.jsonl", "--store", "log.bucket"]).ok();
    place.run(&["compact", "--grace", "0", "--store", "log.bucket"]).ok();
    place.run(&["import", "small.car", "--heads", "--store", "log.bucket"]).ok();
    document.check("`log`", &place.run(&["--json", "log", "--store", "log.bucket"]).ok());
}

#[test]
fn every_answer_is_as_documented() {
    let place = Place::new();
    let mut document = Document::read();
    let (root, [leaf, _]) = place.small_store("small.redb");
    let (root, leaf) = (&*root.to_string(), &*leaf.to_string());
    document.check("`export`", &place.run(&["--json", "export", "small.car", "--store", "small.redb"]).ok());
    let import = ["import", "small.car", "--heads", "--json", "--store", "a.redb"];
    document.check("`import`", &place.run(&import).ok());
    // A CARv2 without the index that its header names.
    let end = 51 + EMPTY_CAR.len() as u64;
    let fields: Vec<u8> = [51, EMPTY_CAR.len() as u64, end].iter().flat_map(|field| field.to_le_bytes()).collect();
    let odd = [b"\x0a\xa1gversion\x02", &[0; 16][..], &fields, EMPTY_CAR].concat();
    document.check("`import`", &place.run_with_input(&["import", "-", "--json", "--store", "a.redb"], &odd).ok());
    let index = indexes(&place, &mut document);
    let [text, binary] = [&b"text"[..], b"\xff"]
        .map(|data| place.run_with_input(&["put", "-", "--store", "a.redb"], data).ok().trim_end().to_owned());
    for (section, args) in [
        ("`init`", &["init", "--store", "new.redb"][..]),
        ("`heads`", &["heads", "--store", "new.redb"]),
        ("`heads`", &["heads", "--store", "a.redb"]),
        ("`heads`", &["heads", "update", root, "--store", "a.redb"]),
        ("`heads`", &["heads", "swap", root, "--expected", root, "--store", "a.redb"]),
        ("`heads`", &["heads", "update", leaf, "--store", "a.redb"]),
        ("`heads`", &["heads", "rm", leaf, "--store", "a.redb"]),
        ("`stat`", &["stat", "--store", "a.redb"]),
        ("`stat`", &["stat", "--reachable", "--largest", "2", "--store", "a.redb"]),
        ("`copy`", &["copy", "a.redb", "b.simple"]),
        ("`compact`", &["compact", "--store", "a.redb"]),
        ("`compact`", &["compact", "--store", "b.simple"]),
        ("`put`", &["put", "v.jsonl", "--store", "a.redb"]),
        ("`show`", &["show", root, "--store", "a.redb"]),
        ("`show`", &["show", &text, "--store", "a.redb"]),
        ("`show`", &["show", &binary, "--store", "a.redb"]),
        ("`show --links`", &["show", "--links", root, "--store", "a.redb"]),
        ("`has`", &["has", root, "--store", "a.redb"]),
        ("`size`", &["size", root, "--store", "a.redb"]),
        ("`ls`", &["ls", "--store", "a.redb"]),
        ("`walk`", &["walk", root, "--store", "a.redb"]),
        ("`verify`: the summary", &["verify", "--store", "b.simple"]),
        ("`knn list`, `knn show`", &["knn", "list", "--store", "a.redb"]),
        ("`knn list`, `knn show`", &["knn", "show", &index, "--store", "a.redb"]),
        ("`knn list`: an index that cannot be read", &["knn", "list", "--store", "unreadable.simple"]),
        ("`knn show --edges`", &["knn", "show", &index, "--edges", "--store", "a.redb"]),
        ("`knn neighbors`", &["knn", "neighbors", &index, "one", "--labels", "v.jsonl", "--store", "a.redb"]),
        ("`knn rm`", &["knn", "rm", &index, "--store", "a.redb"]),
        ("`rm`", &["rm", leaf, "--store", "a.redb"]),
        ("`man --out`", &["man", "--out", "pages"]),
        ("`conformance`", &["conformance", "--only", "heads::new_store"]),
        ("`conformance`", &["conformance", "--backend", "simple", "--only", "blocks::put_many"]),
    ] {
        document.check(section, place.run(&[&["--json"], args].concat()).exits(0).out());
    }
    document.check("`export`", &place.run(&["--json", "export", "-", "--store", "b.simple"]).exits(0).err);
    for (section, args) in [
        ("`import`", &["import", "small.car", "--complete", "--store", "complete.redb"][..]),
        ("`export`", &["export", "part.car", "--skip-missing", "--store", "a.redb"]),
        ("`copy --reachable`", &["copy", "--reachable", "b.simple", "reachable.redb"]),
        ("`copy --reachable`", &["copy", "--reachable", "--skip-missing", "a.redb", "part.redb"]),
    ] {
        document.check(section, place.run(&[&["--json"], args].concat()).exits(0).out());
    }
    let differ = place.run(&["--json", "diff", "a.redb", "unreadable.simple"]).exits(1);
    let mut lines: Vec<&str> = differ.out().lines().collect();
    document.check("`diff`: the summary", lines.pop().expect("a summary"));
    for line in lines {
        let kind = if line.contains("\"row\"") { "`diff`: a row" } else { "`diff`: a head or block" };
        document.check(kind, line);
    }
    collected(&place, &mut document);
    let found = place.run(&["--json", "verify", "--store", "a.redb"]).exits(3);
    let (faults, summary) = found.out().trim_end().rsplit_once('\n').expect("a fault and a summary");
    document.check("`verify`: a fault", faults);
    document.check("`verify`: the summary", summary);
    place.write("unreadable.simple/op_heads", b"");
    let salvaged = place.run(&["--json", "copy", "--salvage", "unreadable.simple", "empty.redb"]).exits(3);
    let (faults, _) = salvaged.out().trim_end().rsplit_once('\n').expect("a fault and a summary");
    document.check("`copy --salvage`: what could not be read", faults);
    place.write("b.simple/op_heads", &[]);
    let salvaged = place.run(&["--json", "copy", "--salvage", "b.simple", "saved.redb"]);
    let (_, summary) = salvaged
        .exits(3)
        .out()
        .trim_end()
        .rsplit_once('\n')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a fault and a summary");
    document.check("`copy --salvage`: the summary", &summary);
    #[cfg(feature = "bucket")]
    logged(&place, &mut document);
    document.check("An error", &place.run(&["--json", "get", ABSENT, "--store", "a.redb"]).exits(4).err);
    document.check("An error", &place.run(&["--json", "frobnicate"]).exits(2).err);
    document.check("An error", &place.run(&["--json", "import", "nothing.car", "--store", "a.redb"]).exits(1).err);

    let all = document.sections.iter().flat_map(|(section, fields)| fields.keys().map(|path| (*section, *path)));
    // Only a store in a bucket has a log to list.
    let is_built = |section: &str| cfg!(feature = "bucket") || section != "`log`";
    let all = all.filter(|(section, field)| is_built(section) && !NEVER_SEEN.contains(field));
    let unseen: Vec<_> = all.filter(|field| !document.seen.contains(field)).collect();
    assert_eq!(unseen, [], "documented and never printed: add a run to this test, or remove the fields from JSON.md");
}

#[test]
fn every_kind_of_error_is_documented() {
    let named = |text: &'static str, before: &str, after: char| -> BTreeSet<&str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
    };
    let (_, kinds) = DOCUMENT.split_once("| kind | meaning |").expect("the table of kinds");
    let source = include_str!("../src/error.rs");
    let (_, source) = source.split_once("fn kind(&self)").expect("the kinds of failures");
    let (source, _) = source.split_once("fn exit_of").expect("the end of the kinds");
    let of_stores = include_str!("../../mnem-store-traits/src/error.rs");
    let (_, of_stores) = of_stores.split_once("fn as_str(self)").expect("the kinds of stores");
    let (of_stores, _) = of_stores.split_once("impl StoreError").expect("the end of those");
    let mut written = named(source, "=> \"", '"');
    written.extend(named(of_stores, "=> \"", '"'));
    assert_eq!(named(kinds, "\n| `", '`'), written, "the table of kinds in JSON.md, and the kinds in the source");
}

#[test]
fn the_exit_status_is_the_same_in_every_text() {
    let readme = include_str!("../README.md");
    let (_, table) = readme.split_once("| exit status | means |").expect("the table");
    let table: BTreeSet<u32> = table.lines().filter_map(|line| line.split('|').nth(1)?.trim().parse().ok()).collect();
    let source = include_str!("../src/error.rs");
    let (_, source) = source.split_once("fn code(self)").expect("the numbers");
    let (source, _) = source.split_once("Self::Signal").expect("the end of the numbers");
    let numbers = source.lines().filter_map(|line| line.split_once(" => ")?.1.trim_end_matches(',').parse().ok());
    assert_eq!(numbers.collect::<BTreeSet<u32>>(), table, "src/error.rs, and the table in README.md");
    assert!(readme.contains("| 128 + *n* | ended by signal *n*"));
    let help = Place::new().run(&["--help"]).ok();
    let (_, help) = help.split_once("Exit status:").expect("the last part of the help");
    let (help, signals) = help.split_once("128 + N").expect("the statuses of signals");
    assert!(signals.contains("130 SIGINT, 143 SIGTERM"), "{signals}");
    let words = help.split_whitespace().filter_map(|word| word.parse().ok());
    assert_eq!(words.collect::<BTreeSet<u32>>(), table, "`--help`, and the table in README.md");
}
