//! Tests of the carlog backend beyond the conformance suite.
//!
//! What can go wrong with a log, and the tests that show that it does not:
//!
//! | failure | tests |
//! |---|---|
//! | a torn last commit; a data sector of it missing; stale bytes after it | `crash`, `crashes::cut_at_any_byte_it_holds_every_whole_commit` |
//! | damage in acknowledged bytes, also far before the last commit | `damage::every_flipped_byte_is_harmless_or_named`, `damage::a_damaged_block_is_all_that_is_lost` |
//! | acknowledged commits that are gone | `crashes::acknowledged_commits_that_are_gone_are_damage` |
//! | a failed call, a failed sync, a full disk | `crash::faults`, `tending::a_failure_of_the_thread_fails_no_commit`, `tending::a_failed_sync_of_the_folder_by_the_thread_poisons_the_handle` |
//! | a crash while the store or a segment is made | `crash::creation`, `crashes::a_creation_that_was_cut_off_is_finished_by_the_next`, `damage::a_segment_with_a_damaged_beginning_is_not_taken_for_an_unfinished_one` |
//! | a crash while a run is written or the manifest replaced | `crash::index`, `runs::unfinished_index_files_are_removed_and_others_stay` |
//! | a delete comes back when the index is rebuilt | `runs::a_random_history_agrees_with_a_model`, `compaction::a_random_history_with_compactions_agrees_with_a_model` |
//! | a run or its page missing, changed, of another store or time | `runs::a_run_that_is_missing_or_wrong_is_built_again_from_the_log`, unit tests of `run` |
//! | equal fingerprints; chosen CIDs | unit tests of `run`, `golden`, the conformance suite |
//! | blocks that look like commit records | `forged` |
//! | readers beside a writer, asleep, and failing | `readers`, `runs::a_reader_follows_while_runs_are_written_and_removed`, `crash::faults::a_reader_whose_call_fails_says_so` |
//! | `state`, `manifest` or `format` torn, missing, of another time | `damage::every_flipped_byte_is_harmless_or_named`, `runs::a_manifest_that_leaves_out_a_run_or_mixes_them_up_hides_no_block` |
//! | two writers | `readers::a_reader_writes_nothing_and_one_handle_writes` |
//! | many short-lived processes | `runs::many_short_lived_writers_leave_few_files` |
//! | a copy of the folder of an open store | `readers::a_copy_made_beside_a_writer_holds_what_was_acknowledged` |
//! | a commit that no segment can hold | `opening::a_commit_that_no_segment_can_hold_is_refused` |
//! | a crash, a failed call or a full disk in a compaction; a deleted block comes back through one | `crash::compaction`, `crash::faults`, `compaction` |
//! | a rotten block in a compaction | `compaction::a_damaged_block_or_row_stops_a_compaction_and_nothing_changes` |
//! | readers, listings and copies beside a compaction | `compaction`, `compaction_readers` |
//! | damage, failed commits and readers between two segments; a failed sync in another thread | `sealed` |
//! | a copy of the folder lacks a segment; `state` is older than the log | `gaps` |
//! | a damaged block whose hash cannot be computed; too many open files; a failed look after the switch | `compaction` |
//! | a crash, a failed call or a power cut in an adoption | `crash::adoption`, `crash::faults`, `adopt::a_commit_of_several_writes_is_proved_after_a_power_cut` |
//! | adopted blocks that are there already, that repeat, or are too large | `adopt` |
//! | remains of an interrupted compaction, in a salvage | `raw_heads` |
//! | more segments than may be open; one that was closed is removed, replaced or renamed | `open_segments`, `compaction_readers` |
//! | other users of the machine | `opening::only_its_owner_may_read_a_store` |
//!
//! Faulty archives are tested where archives are read: in `mnem-storage`. Not tested yet: a failed sync and a power cut on
//! real file systems.

#[path = "main/adopt.rs"]
mod adopt;
#[path = "main/compaction.rs"]
mod compaction;
#[path = "main/compaction_readers.rs"]
mod compaction_readers;
#[path = "main/conformance_faults.rs"]
mod conformance_faults;
#[path = "main/crash/mod.rs"]
mod crash;
#[path = "main/crashes.rs"]
mod crashes;
#[path = "main/damage.rs"]
mod damage;
#[path = "main/forged.rs"]
mod forged;
#[path = "main/format.rs"]
mod format;
#[path = "main/gaps.rs"]
mod gaps;
#[path = "main/golden.rs"]
mod golden;
#[path = "main/hooked.rs"]
mod hooked;
#[path = "main/open_segments.rs"]
mod open_segments;
#[path = "main/opening.rs"]
mod opening;
#[path = "main/raw_heads.rs"]
mod raw_heads;
#[path = "main/readers.rs"]
mod readers;
#[path = "main/rows.rs"]
mod rows;
#[path = "main/runs.rs"]
mod runs;
#[path = "main/sealed.rs"]
mod sealed;
#[path = "main/support.rs"]
mod support;
#[path = "main/tending.rs"]
mod tending;
