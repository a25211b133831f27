//! Every law has its saboteur.

use mnem_store_traits::conformance::{Level, law, laws};

use super::{
    at_once, batches, behind, blocks, buffered, callers, combined, commits, conditional, drivers, heads, late,
    listings, lookups, many, media, names, network, overlooked, plausible, plausible_threads, prose, races, reopenings,
    sets, subtle, sweeps, tables, tables_apart, threads, unseen, walks, ways,
};

const KILLED: [&[&str]; 35] = [
    at_once::KILLED,
    batches::KILLED,
    behind::KILLED,
    blocks::KILLED,
    buffered::KILLED,
    callers::KILLED,
    combined::KILLED,
    commits::KILLED,
    conditional::KILLED,
    drivers::KILLED,
    heads::KILLED,
    late::KILLED,
    listings::KILLED,
    lookups::KILLED,
    many::KILLED,
    media::KILLED,
    names::KILLED,
    network::KILLED,
    overlooked::KILLED,
    plausible::KILLED,
    plausible::seen::KILLED,
    plausible_threads::KILLED,
    prose::KILLED,
    races::CACHES,
    races::LOCKS,
    reopenings::KILLED,
    sets::KILLED,
    subtle::KILLED,
    sweeps::KILLED,
    tables::KILLED,
    tables_apart::KILLED,
    threads::KILLED,
    unseen::KILLED,
    walks::KILLED,
    ways::KILLED,
];

/// Laws that no saboteur can break, with the reason: no backend in safe Rust can break them, or the code that could is
/// in this crate.
const ONLY_OURS: &[(&str, &str)] = &[
    ("buffered_checks_what_it_stages", "`Buffered` checks and refuses by itself, before it asks the store below."),
    (
        "bytes_handed_out_never_change",
        "Only unsafe code, as in a backend that maps a file, can change bytes behind a `Bytes`.",
    ),
];

#[test]
fn every_law_has_a_saboteur() {
    let killed = KILLED.concat();
    let musts = laws().iter().filter(|law| law.level == Level::Must).map(|law| law.id);
    let spared: Vec<&str> =
        musts.filter(|id| !killed.contains(id) && !ONLY_OURS.iter().any(|(ours, _)| ours == id)).collect();
    assert!(
        spared.is_empty(),
        "laws without a saboteur: {spared:#?}\nadd a line to `saboteurs!` in the file of their topic (CONTRIBUTING.md, A saboteur)"
    );
}

#[test]
fn laws_without_a_saboteur_are_laws_and_have_none() {
    let killed = KILLED.concat();
    for (id, why) in ONLY_OURS {
        assert!(law(id).is_some(), "there is no law {id}");
        assert!(!killed.contains(id), "{id} has a saboteur, so it is not so that: {why}");
    }
}
