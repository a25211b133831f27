//! Which laws iterate over which ways to write and read, and why some ways are left out.

use std::fmt::{Display, Write as _};

use super::{Read, Write};

/// One law. It iterates over all ways except those in `without`.
struct Row<W: 'static> {
    law: &'static str,
    /// Ways that the law leaves out, each group with the reason.
    without: &'static [(&'static [W], &'static str)],
}

const TRUSTED: &str = "the caller vouches for the bytes";
const NO_BLOCKS: &str = "it writes no block";
const ONE: &str = "it writes one block";

const NOT_BLOCKS: &[Write] = &[Write::Update, Write::Swap, Write::Delete, Write::DeleteMany, Write::Sweep, Write::Row];

static WRITES: &[Row<Write>] = &[
    Row {
        law: "every_write_checks_every_hash",
        without: &[(&[Write::PutTrusted, Write::CommitTrusted], TRUSTED), (NOT_BLOCKS, NO_BLOCKS)],
    },
    Row { law: "every_write_takes_every_supported_hash", without: &[(NOT_BLOCKS, NO_BLOCKS)] },
    Row {
        law: "every_write_refuses_what_is_no_cid",
        without: &[
            (&[Write::Update, Write::Swap], "they are tried with heads"),
            (&[Write::Delete, Write::DeleteMany, Write::Sweep, Write::Row], NO_BLOCKS),
        ],
    },
    Row { law: "every_write_keeps_to_the_limit", without: &[(NOT_BLOCKS, NO_BLOCKS)] },
    Row {
        law: "every_batch_may_be_large",
        without: &[
            (&[Write::Put, Write::PutTrusted, Write::Delete], ONE),
            (&[Write::Update, Write::Swap], "`head_changes_may_be_large` tests it"),
            (&[Write::Sweep], "`sweep_removes_the_dead_blocks_of_its_part` tests it"),
            (&[Write::Row], "`side_table_writes_may_be_large` tests it"),
        ],
    },
    Row {
        law: "late_bad_block_keeps_nothing_of_a_large_batch",
        without: &[
            (&[Write::Put, Write::PutTrusted], ONE),
            (&[Write::CommitTrusted], TRUSTED),
            (&[Write::Buffered], "it stages and checks block by block"),
            (NOT_BLOCKS, NO_BLOCKS),
        ],
    },
    Row {
        law: "batches_of_many_bytes_are_taken",
        without: &[(&[Write::Put, Write::PutTrusted], ONE), (NOT_BLOCKS, NO_BLOCKS)],
    },
    Row { law: "refused_write_is_forgotten", without: &[(NOT_BLOCKS, NO_BLOCKS)] },
    Row { law: "every_read_follows_every_write", without: &[] },
    Row { law: "every_read_follows_every_write_for_a_reader", without: &[] },
    Row { law: "every_read_follows_every_write_of_another_handle", without: &[] },
    Row {
        law: "large_write_of_another_handle_is_seen_whole",
        without: &[(&[Write::Update, Write::Swap], "`head_changes_may_be_large` tests it")],
    },
    Row { law: "failed_read_is_no_old_answer", without: &[] },
    Row { law: "every_write_within_callers_code_stands", without: &[] },
    Row { law: "panic_in_callers_code_harms_nothing", without: &[] },
    Row { law: "openings_disturb_no_write", without: &[] },
    Row {
        law: "writes_of_every_kind_at_once_lose_nothing",
        without: &[(&[Write::Swap], "it replaces the heads of all others")],
    },
    Row {
        law: "deletes_lose_no_put_of_another_thread",
        without: &[(&[Write::Update, Write::Swap, Write::Row], NO_BLOCKS)],
    },
    Row { law: "writes_beside_close_stand_or_are_refused", without: &[] },
    Row { law: "every_write_that_fails_is_as_it_says", without: &[] },
    Row { law: "failed_sync_refuses_every_write", without: &[] },
    Row { law: "poisoned_handle_reads_what_others_write", without: &[] },
    Row { law: "no_read_waits_for_a_sync_of_any_write", without: &[] },
    Row { law: "every_acknowledged_write_survives_a_power_cut", without: &[] },
    Row { law: "later_writes_of_a_handle_survive_a_power_cut", without: &[] },
    Row { law: "every_write_that_finds_its_work_done_is_durable", without: &[] },
    Row {
        law: "batch_of_many_bytes_is_all_or_nothing_after_a_power_cut",
        without: &[
            (&[Write::Put, Write::PutTrusted], ONE),
            (&[Write::Buffered], "it is written by a commit"),
            (&[Write::Update, Write::Swap, Write::Delete, Write::DeleteMany, Write::Sweep], NO_BLOCKS),
        ],
    },
    Row {
        law: "batch_of_many_parts_is_all_or_nothing_after_a_power_cut",
        without: &[
            (&[Write::Put, Write::PutTrusted], ONE),
            (&[Write::Buffered], "it is written by a commit"),
            (&[Write::Update, Write::Swap, Write::Delete, Write::DeleteMany, Write::Sweep], NO_BLOCKS),
        ],
    },
    Row { law: "every_write_makes_an_unsynced_block_durable", without: &[(NOT_BLOCKS, NO_BLOCKS)] },
    Row { law: "ok_covers_what_the_handle_could_read", without: &[] },
    Row { law: "write_beside_a_waiting_sync_is_durable", without: &[] },
    Row { law: "every_write_over_a_network_is_as_it_says", without: &[] },
];

static READS: &[Row<Read>] = &[
    Row { law: "every_read_follows_every_write", without: &[] },
    Row { law: "every_read_follows_every_write_for_a_reader", without: &[(&[Read::Require], "it is a write")] },
    Row { law: "every_read_follows_every_write_of_another_handle", without: &[] },
    Row { law: "failed_read_is_no_old_answer", without: &[(&[Read::Require], "it is a write")] },
    Row { law: "every_read_that_fails_is_an_error", without: &[] },
    Row { law: "poisoned_handle_reads_what_others_write", without: &[(&[Read::Require], "it is a write")] },
    Row { law: "no_read_waits_for_a_sync_of_any_write", without: &[(&[Read::Require], "it is a write")] },
    Row { law: "every_read_over_a_network_is_right_or_an_error", without: &[(&[Read::Require], "it is a write")] },
];

fn ways<W: Copy + PartialEq>(table: &[Row<W>], all: &'static [W], law: &str) -> Vec<W> {
    let row = table.iter().find(|row| row.law == law).unwrap_or_else(|| panic!("the table of ways has no row {law}"));
    let left_out = |way: &W| row.without.iter().any(|(ways, _)| ways.contains(way));
    all.iter().copied().filter(|way| !left_out(way)).collect()
}

/// The ways to write that this law iterates over.
pub(crate) fn writes_of(law: &str) -> Vec<Write> {
    ways(WRITES, &Write::ALL, law)
}

/// The ways to read that this law iterates over.
pub(crate) fn reads_of(law: &str) -> Vec<Read> {
    ways(READS, &Read::ALL, law)
}

/// The table in Markdown, as in `CONTRACT.md`.
pub(crate) fn table_text() -> String {
    let mut text = String::from("| law | iterates over | but not over |\n|---|---|---|\n");
    rows(&mut text, WRITES, "every way to write");
    rows(&mut text, READS, "every way to read");
    text
}

fn rows<W: Display>(text: &mut String, table: &[Row<W>], all: &str) {
    for Row { law, without } in table {
        let without: Vec<String> = without
            .iter()
            .map(|(ways, why)| {
                let names: Vec<String> = ways.iter().map(ToString::to_string).collect();
                format!("{}: {why}", names.join(", "))
            })
            .collect();
        let _ = writeln!(text, "| `{law}` | {all} | {} |", without.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::conformance::law;

    fn source_of(id: &str) -> String {
        let law = law(id).unwrap_or_else(|| panic!("the table of ways names {id}, which is no law"));
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/laws").join(law.topic).with_extension("rs");
        fs::read_to_string(file).expect("the source of a law")
    }

    /// A row is true only if its law asks this table for its ways.
    #[test]
    fn every_row_has_a_law_that_iterates_over_it() {
        for row in WRITES {
            assert!(source_of(row.law).contains(&format!("writes_of(\"{}\")", row.law)), "{}", row.law);
        }
        for row in READS {
            assert!(source_of(row.law).contains(&format!("reads_of(\"{}\")", row.law)), "{}", row.law);
        }
    }

    #[test]
    fn nothing_is_left_out_twice_and_something_is_left() {
        fn check<W: Copy + PartialEq + Ord>(table: &[Row<W>], all: &'static [W]) {
            for Row { law, without } in table {
                let left_out: Vec<W> = without.iter().flat_map(|(ways, _)| *ways).copied().collect();
                let distinct: BTreeSet<W> = left_out.iter().copied().collect();
                assert_eq!(left_out.len(), distinct.len(), "{law}");
                assert!(!ways(table, all, law).is_empty(), "{law}");
            }
        }
        check(WRITES, &Write::ALL);
        check(READS, &Read::ALL);
    }
}
