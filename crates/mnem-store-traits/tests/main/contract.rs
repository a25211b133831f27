//! `CONTRACT.md`, the documentation of the traits and the list of laws agree.

use std::{collections::BTreeSet, fs, path::Path};

use mnem_store_traits::conformance::{CONTRACT_VERSION, law, law_table, laws, ways_table};

const LAWS: [&str; 2] = ["<!-- laws: begin -->\n", "<!-- laws: end -->\n"];
const WAYS: [&str; 2] = ["<!-- ways: begin -->\n", "<!-- ways: end -->\n"];

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What to do if a table is out of date.
const UPDATE: &str = "run `UPDATE_CONTRACT=1 cargo test -p mnem-store-traits --test main contract`";

/// `contract` with this table between its markers.
fn with_table(contract: &str, [begin, end]: [&str; 2], table: &str) -> String {
    let (before, rest) = contract.split_once(begin).expect("the mark before a table");
    let (_, after) = rest.split_once(end).expect("the mark after a table");
    [before, begin, table, end, after].concat()
}

/// With `UPDATE_CONTRACT=1`, writes the tables instead.
#[test]
fn the_tables_in_the_contract_are_those_of_the_laws() {
    let contract = file("CONTRACT.md");
    let expected = with_table(&with_table(&contract, LAWS, &law_table()), WAYS, &ways_table());
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRACT.md");
        fs::write(path, expected).expect("CONTRACT.md is writable");
        return;
    }
    let mut lines = contract.lines().zip(expected.lines()).enumerate();
    if let Some((number, (is, should_be))) = lines.find(|(_, (is, should_be))| is != should_be) {
        panic!(
            "CONTRACT.md:{}: differs from the list of laws: {UPDATE}\n  is         {is}\n  should be  {should_be}",
            number + 1
        );
    }
    assert!(contract == expected, "CONTRACT.md: has more or fewer lines than the list of laws: {UPDATE}");
}

#[test]
fn the_contract_names_its_version() {
    assert!(file("CONTRACT.md").contains(&format!("contract version {CONTRACT_VERSION}.")));
}

#[test]
fn laws_have_one_name_each_and_a_sentence() {
    let mut ids = BTreeSet::new();
    for law in laws() {
        assert!(ids.insert(law.id), "{law} is there twice");
        assert!(law.promise.ends_with('.') && !law.promise.contains('|'), "{law}: {}", law.promise);
        assert!(!law.profiles.is_empty(), "{law} asks for no profile");
    }
}

/// The names in `Law: …` and `Laws: …`, up to the full stop or semicolon.
fn laws_named_in(source: &str) -> BTreeSet<String> {
    let docs: Vec<&str> = source.lines().filter_map(|line| line.trim_start().strip_prefix("///")).collect();
    let docs = docs.join(" ");
    let mut names = BTreeSet::new();
    for mark in ["Law: `", "Laws: `"] {
        for after in docs.split(mark).skip(1) {
            let names_here = after.split(['.', ';']).next().unwrap_or_default();
            names.extend(format!("`{names_here}").split('`').skip(1).step_by(2).map(ToOwned::to_owned));
        }
    }
    names
}

#[test]
fn every_law_that_the_documentation_names_exists() {
    let mut named = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("the folder of sources") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            named.extend(laws_named_in(&fs::read_to_string(path).expect("a source file")));
        }
    }
    assert!(named.len() > 50, "only {} names were found: has their form changed?", named.len());
    let unknown: Vec<_> = named.iter().filter(|name| law(name).is_none()).collect();
    assert!(unknown.is_empty(), "named in the documentation and not in the list: {unknown:?}");
}

#[test]
fn names_are_found_over_the_ends_of_lines() {
    let source =
        "/// - One. Laws: `a_law`,\n    ///   `b_law`; and more `code`.\n/// Law: `c_law`.\n// Law: `no_doc`.\n";
    assert_eq!(laws_named_in(source), ["a_law", "b_law", "c_law"].map(String::from).into());
}

#[test]
fn each_law_names_the_file_and_line_of_its_function() {
    for law in laws() {
        let place = law.place();
        let (file, line) = place.split_once(':').expect("a file and a line");
        let text = self::file(&format!("src/conformance/{file}"));
        let line: usize = line.parse().expect("a number");
        let begins = format!("pub(crate) fn {}(", law.id);
        let found = text.lines().nth(line - 1).unwrap_or_default();
        assert!(found.contains(&begins), "{law}: {place} is {found:?}");
    }
}
