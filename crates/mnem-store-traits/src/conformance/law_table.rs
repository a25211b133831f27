//! The tables of laws in `CONTRACT.md`.

use super::{Group, Law, Profile};

/// All laws as Markdown, one table for each topic, as they stand in `CONTRACT.md`.
pub fn law_table() -> String {
    let mut topics: Vec<(String, String)> = Vec::new();
    for law in super::laws() {
        let heading = format!("### `{}`: {}", law.group, title(law.group, law.topic));
        match topics.iter_mut().find(|(present, _)| *present == heading) {
            Some((_, rows)) => *rows += &row(law),
            None => topics.push((heading, row(law))),
        }
    }
    let table = |(heading, rows)| format!("{heading}\n\n| law | level | needs | promise |\n|---|---|---|---|\n{rows}");
    topics.into_iter().map(table).collect::<Vec<_>>().join("\n")
}

fn row(law: &Law) -> String {
    let profiles = law.profiles.iter().map(Profile::to_string);
    let claims = law.claims.iter().map(|claim| format!("`{claim}`"));
    let needs = profiles.chain(claims).collect::<Vec<_>>().join(", ");
    format!("| `{law}` | {} | {needs} | {} |\n", law.level, law.promise)
}

/// The heading of a topic. Small topics of a group share one; a topic that is not listed here is its own heading.
fn title(group: Group, topic: &'static str) -> &'static str {
    match (group, topic) {
        (Group::Persistence, "reopen" | "delete_many" | "sweep" | "sets" | "model") => "reopening",
        (Group::Concurrency, _) => "threads",
        (_, "get" | "get_many" | "has_many") => "reading blocks",
        (_, "put") => "writing one block",
        (_, "put_many") => "writing many blocks",
        (_, "identity") => "the key of a block",
        (_, "delete" | "delete_many" | "sweep") => "deleting blocks",
        (_, "cids") => "listing blocks",
        (_, "walk") => "walks",
        (_, "model" | "views") => "random tests and pointers",
        (_, "update") => "adding heads",
        (_, "swap") => "replacing all heads",
        (_, "commit") => "commits",
        (_, "sets") => "commits with many heads",
        (_, "side_table") => "side tables",
        (_, "buffered") => "`Buffered`",
        (_, "every_hash" | "every_size") => "hashes and sizes",
        (_, "every_page") => "listings and long batches",
        (Group::Ways, "every_look" | "behind") => "reads after writes",
        (_, "every_callback") => "callbacks and iterators",
        (_, "second") => "a second handle",
        (_, "process") => "a second process",
        (_, "damage") => "damaged blocks",
        (Group::Faults, "fault" | "every_fault" | "every_look") => "failing media",
        (_, "crash" | "cumulative" | "every_cut") => "power cuts",
        (Group::Faults, "late_cuts" | "reopen" | "shapes") => "power cuts: later writes and every kind of content",
        (_, "locks") => "media without locks",
        (_, "network") => "networks",
        (Group::Driver, _) => "drivers",
        (Group::Ways, "alike") => "similar CIDs and keys",
        (_, "alike") => "similar CIDs",
        (_, "numbers") => "changes that keep counts and sizes",
        (_, other) => other,
    }
}
