//! Flaws that show when the medium fails, is damaged or loses its power, and flaws that show in a second process.

use std::sync::Arc;

use mnem_store_traits::{
    Cid,
    conformance::{Fault, Fixture, FixtureError, Handles, Options, Profile, run},
};

use super::disk::{Disk, Flaw, OnDisk};

/// Without a flaw, the store keeps every law. Only therefore does a failure with a flaw prove anything.
mod sound {
    use super::{Flaw, OnDisk};

    mnem_store_traits::conformance_tests!(
        disk,
        OnDisk(Flaw::None),
        has: [
            Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, SecondProcess, Damage, Faults, Crash,
                Locks,
            PutsSurvivePower, CumulativeDurability, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
        ],
    );
}

fn kills(flaw: Flaw, law: &str, text: &str) {
    super::kills_with(law, text, OnDisk(Flaw::None), OnDisk(flaw));
}

macro_rules! flaws {
    ($($name:ident: $flaw:ident $(($kind:literal))? => $law:ident $text:literal;)*) => {
        pub(super) const KILLED: &[&str] = &[$(stringify!($law)),*];

        $(#[test]
        fn $name() {
            kills(Flaw::$flaw $(($kind))?, stringify!($law), $text);
        })*
    };
}

flaws! {
    unread_block_is_absent: FailedReadIsAbsence => failed_read_is_an_error_and_no_absence "None";
    unread_heads_are_none: FailedReadIsAbsence => failed_read_of_heads_is_an_error "Ok([])";
    unread_row_is_absent: FailedReadIsAbsence => failed_read_of_a_side_table_is_an_error "Ok(None)";
    unwritten_block_is_acknowledged: FailedWriteIsAcknowledged => failed_write_harms_no_block "a block that was acknowledged";
    undone_block_was_another_s: UndoesByDeleting => failed_write_harms_no_block "after a put_many met";
    torn_put_many_of_a_failing_disk: NoJournal => failed_put_many_keeps_all_or_nothing "all blocks or none";
    not_applied_and_there_all_the_same: SaysNotApplied => failed_put_many_keeps_all_or_nothing "after Err(Backend";
    head_not_applied_and_there_all_the_same: SaysNotApplied => failed_head_change_is_old_or_new "old after NotApplied";
    row_not_applied_and_there_all_the_same: SaysNotApplied => failed_side_table_write_is_as_its_outcome_says "none after NotApplied";
    heads_in_steps_on_a_failing_disk: HeadsInSteps => failed_commit_lands_all_new_heads_or_none "commit of three heads for two";
    head_before_its_blocks_on_a_failing_disk: HeadFirst => failed_commit_leaves_no_head_without_its_blocks "as its head is there";
    commit_torn_by_a_failing_disk: NoJournal => failed_commit_is_all_or_nothing "as the head is not there";
    listing_fails_for_ever: ListingFailsForEver => failed_read_ends_a_listing "after the error";
    readers_of_heads_wait_for_a_sync: HeadReadersWaitForSyncs => readers_of_heads_do_not_wait_for_a_sync "no end: a deadlock";
    forgets_its_poison: ForgetsPoison => failed_sync_refuses_writes_until_reopened "Err(Poisoned)";
    forgets_its_poison_for_heads: ForgetsPoison => failed_sync_refuses_head_changes_until_reopened "Err(Poisoned)";
    reads_nothing_when_poisoned: PoisonedReadsFail => failed_sync_refuses_writes_until_reopened "through a handle whose sync failed";
    stays_open_when_it_cannot_close: CloseStaysOpen => close_reports_and_closes_under_faults "get after close() failed";
    stays_open_and_says_ok: CloseSwallows => close_reports_and_closes_under_faults "said Ok";
    closed_buffer_lands_nothing: DropsHeadlessCommits => buffered_close_lands_and_closes "after Buffered was closed and the store reopened";
    readers_wait_for_a_sync: ReadersWaitForSyncs => readers_do_not_wait_for_a_sync "no end: a deadlock";

    damaged_bytes_are_returned: DamageIsReturned => damaged_block_is_corrupt_to_every_read "Err(Corrupt)";
    block_that_was_sound_once_is_not_checked_again: RemembersVerified => damaged_block_is_corrupt_to_every_read "Err(Corrupt)";
    damaged_block_in_a_walk_is_returned: DamageIsReturned => walk_reports_a_damaged_block "Err(Corrupt)";
    damaged_block_is_absent: DamageIsAbsence => damaged_block_is_not_taken_for_absent "Ok(false)";
    damaged_block_ends_the_listing: DamageEndsListings => damaged_block_hides_no_other "missing";
    damaged_block_cannot_be_deleted: DamageCannotBeDeleted => damage_on_the_medium_is_healed_by_delete_and_put "delete of a damaged block";

    puts_are_not_synced: SyncsNothing => acknowledged_blocks_survive_a_power_cut "into a put_many";
    deletes_are_not_synced: SyncsNothing => deletes_survive_a_power_cut "into a delete";
    deletes_of_many_are_not_synced: DeletesManyInMemoryOnly => deletes_survive_a_power_cut "into a delete_many";
    sweeps_are_not_synced: SweepsInMemoryOnly => deletes_survive_a_power_cut "into a sweep";
    heads_are_not_synced: SyncsNothing => acknowledged_heads_survive_a_power_cut "into a head change";
    rows_are_not_synced: SyncsNothing => side_table_rows_survive_a_power_cut "into a write";
    torn_put_many: NoJournal => put_many_is_all_or_nothing_after_a_power_cut "all blocks or none";
    torn_commit: NoJournal => commit_is_all_or_nothing_after_a_power_cut "no block, as the head is not there";
    torn_rows: NoJournal => side_table_write_is_all_or_nothing_after_a_power_cut "all of the write or none of it";
    heads_in_steps: HeadsInSteps => heads_of_a_commit_survive_a_power_cut_together "commit of three heads for two";
    head_before_its_blocks: HeadFirst => no_head_without_its_blocks_after_a_power_cut "whose head survived a power cut";
    recovered_is_taken_for_durable: RecoversWithoutSync => second_put_makes_an_unsynced_block_durable "its second was acknowledged";
    recovered_is_taken_for_durable_by_the_next: RecoversWithoutSync => put_after_reopening_makes_an_unsynced_block_durable "after reopening and a power cut";

    failed_read_is_answered_from_memory: AnswersFromMemory => failed_read_is_no_old_answer "by another handle, while reads fail after 0";
    handle_takes_in_one_mib: TakesInOneMib => large_write_of_another_handle_is_seen_whole "another handle";
    write_rides_on_a_sync_under_way: RidesOnASync => write_beside_a_waiting_sync_is_durable "Nothing of it";

    unread_keys_are_none: UnreadKeysAreNone => every_read_that_fails_is_an_error "keys: ";
    unread_presence_is_absence: UnreadPresenceIsAbsence => failed_read_is_an_error_and_no_absence "has_many of a block while reads fail";
    unread_presence_is_absence_to_every_reader: UnreadPresenceIsAbsence => every_read_that_fails_is_an_error "has_many: ";
    unread_block_is_absent_to_any_read: FailedReadIsAbsence => every_read_that_fails_is_an_error "Ok(true), or Err(Backend)";
    not_applied_and_there_by_any_write: SaysNotApplied => every_write_that_fails_is_as_it_says "nothing after NotApplied";
    unread_requirement_is_met: UnreadIsMet => commit_that_cannot_look_moves_no_head "Err(MissingBlock), or Err(Backend)";
    store_opens_up_to_what_is_unread: OpensWhatItReads => opening_that_fails_is_no_empty_store "in a store of 9 MiB that was opened";
    torn_tail_hides_later_writes: GoesOnBehindATornTail => batch_of_many_bytes_is_all_or_nothing_after_a_power_cut "the power was cut again";
    poisoned_handle_claims_less: PoisonedClaimsLess => failed_sync_refuses_every_write "capabilities after a put whose sync failed";
    unread_store_opens_as_empty: OpensUnreadAsEmpty => opening_that_fails_is_no_empty_store "Ok(false)";
    poison_of_one_kind: PoisonsItsKind => failed_sync_refuses_every_write "put_trusted after a put whose sync failed";
    reads_lift_the_poison: ReadsHeal => failed_sync_refuses_every_write "Ok: the call was accepted";
    unread_heads_of_a_commit_are_none: CommitOverUnreadHeads => every_write_that_fails_is_as_it_says "heads() that met ReadsAfter(0)";
    block_in_a_mixed_batch_is_taken_for_durable: MixedBatchSyncsWhatIsNew => every_write_makes_an_unsynced_block_durable "put_many was acknowledged";
    keys_go_on_after_an_error: KeysGoOnAfterAnError => failed_read_ends_a_listing "keys() while reads fail";
    keys_go_on_on_any_page: KeysGoOnAfterAnError => failed_read_ends_a_listing_on_any_page "keys() whose reads failed";
    poisoned_handle_stays_open: PoisonedStaysOpen => failed_sync_refuses_every_write "after close() of a handle";
    later_writes_are_not_synced: SyncsFortyWrites => later_writes_of_a_handle_survive_a_power_cut "calls of put and a power cut";
    batch_syncs_only_what_it_writes: MixedBatchSyncsWhatIsNew => ok_covers_what_the_handle_could_read "then put_many was acknowledged";
    commit_with_nothing_to_do_syncs_nothing: CommitTakesPresentForDurable => ok_covers_what_the_handle_could_read "then commit without a head of what is present (1) was acknowledged";
    idle_write_syncs_only_blocks: IdleWritesSyncBlocks => ok_covers_what_the_handle_could_read "a head after a power cut";
    failed_write_moves_the_mark: FailedWriteMovesItsMark => every_write_makes_an_unsynced_block_durable "was acknowledged";
    damage_cannot_be_deleted_in_a_batch: DamageCannotBeDeletedInABatch => damage_on_the_medium_is_healed_by_delete_and_put "delete_many of 2 CIDs";
    batch_of_4_mib_is_two: JournalOf4MiB => batch_of_many_bytes_is_all_or_nothing_after_a_power_cut "Part of it";
    batch_of_500_rows_is_two: JournalOf500Rows => batch_of_many_parts_is_all_or_nothing_after_a_power_cut "Part of it";
    hundredth_row_is_not_synced: NoSyncOfSome("every 100th row") => later_writes_of_a_handle_survive_a_power_cut "after 100 calls of side table write";
    hundredth_delete_is_not_synced: NoSyncOfSome("every 100th delete") => later_writes_of_a_handle_survive_a_power_cut "calls of delete and a power cut";
    put_number_256_is_not_synced: NoSyncOfSome("every 256th put") => later_writes_of_a_handle_survive_a_power_cut "after 256 calls of put";
    sweeps_are_not_waited_for: NoSyncOf("sweep") => every_acknowledged_write_survives_a_power_cut "write 0 by sweep";
    next_segment_is_not_synced: NoSyncOfSome("next segment") => put_into_the_next_segment_survives_a_power_cut "after 4 puts of 1 MiB";
    recovery_deletes_last: RecoveryDeletesLast => what_came_back_survives_a_power_cut "operations into a put of another block";
    recovery_drops_what_it_cannot_check: RecoveryDropsUnchecked => every_kind_of_content_survives_a_power_cut "into a put of another block";
    heads_that_are_there_are_taken_for_durable: SameHeadsSyncNothing => every_write_that_finds_its_work_done_is_durable "Nothing of it";
    reader_waits_for_the_writer_of_its_block: WaitsForItsKey => no_read_waits_for_a_sync_of_any_write "before the sync was let go";
    size_waits_for_a_sync: SizeWaitsForSyncs => no_read_waits_for_a_sync_of_any_write "size: ";
    trusted_puts_are_not_synced: NoSyncOf("put_trusted") => every_acknowledged_write_survives_a_power_cut "write 0 by put_trusted";
    deletes_of_many_are_not_waited_for: NoSyncOf("delete_many") => every_acknowledged_write_survives_a_power_cut "write 0 by delete_many";
    commits_are_not_synced: NoSyncOf("commit") => every_acknowledged_write_survives_a_power_cut "write 0 by commit without a head";
    rows_are_not_waited_for: NoSyncOf("row") => every_acknowledged_write_survives_a_power_cut "get of a row that was there after the power was cut";
    commit_takes_present_for_durable: CommitTakesPresentForDurable => every_write_makes_an_unsynced_block_durable "then commit without a head was acknowledged";
    opening_empties_the_medium_first: OpeningRewrites => power_cut_while_opening_loses_nothing "operations into the opening";
    opens_where_there_are_no_locks: OpensWithoutLocks => opening_without_locks_is_refused "Ok";
    writes_where_there_are_no_locks: WritesBeforeLocking => opening_without_locks_is_refused "planted";
    makes_a_store_where_there_are_no_locks: MakesAStoreBeforeLocking => opening_without_locks_is_refused "of a new place";
    last_block_decides_what_is_synced: NoSyncOfSome("files") => writes_of_every_shape_survive_a_power_cut "put_many of blocks of";
    superseding_is_not_synced: NoSyncOfSome("superseding") => writes_of_every_shape_survive_a_power_cut "an update to a head that is there";
    deletes_of_rows_are_not_waited_for: NoSyncOfSome("deletes of rows") => writes_of_every_shape_survive_a_power_cut "deletes one row";
    full_segments_are_not_synced: NoSyncOfSome("segments") => batch_of_many_bytes_is_all_or_nothing_after_a_power_cut "Nothing of it";
    side_table_lifts_the_poison: OpeningATableHeals => failed_sync_refuses_every_write "Err(Poisoned)";
    poisoned_tables_are_not_listed: PoisonedListsFail => failed_sync_refuses_every_write "while rows are read";
    equal_rows_sync_nothing: EqualRowsSyncNothing => ok_covers_what_the_handle_could_read "side table write of rows that are there";
    present_batches_sync_nothing: PresentBatchesSyncNothing => every_write_makes_an_unsynced_block_durable "then put_many was acknowledged, of it and 300 others";
    present_batches_cover_nothing: PresentBatchesSyncNothing => ok_covers_what_the_handle_could_read "put_many of what is present (300)";
    poisoned_handle_takes_equal_rows: PoisonedTakesEqualRows => failed_sync_refuses_every_write "side table write of rows that are there";
    failed_sync_of_an_idle_write_is_forgotten: IdleWritesForgetPoison => failed_sync_refuses_every_write "of what is present (1) whose sync failed";
    failed_write_leaves_a_hole: GoesOnBehindAHole => every_write_that_fails_is_as_it_says "that met WritesAfter(0)";
    long_request_waits_for_the_writer: LongRequestsWait => no_read_waits_for_a_sync_of_any_write "get_many of 600 blocks";
    heads_wait_for_the_writer_of_another_handle: HeadsWaitForOthers => no_read_waits_for_a_sync_of_any_write "heads";
    unread_block_of_another_is_not_deleted: DeletesWhatItKnows => every_write_that_fails_is_as_it_says "through a handle that was behind";
    batch_of_2500_rows_is_two: JournalOf2500Rows => batch_of_many_parts_is_all_or_nothing_after_a_power_cut "of 3000 parts";
    poisoned_handle_stands_still: PoisonedStandsStill => poisoned_handle_reads_what_others_write "after a put of another handle";

    close_empties_the_medium_first: CloseRewrites => power_cut_in_close_loses_nothing "operations into close()";

    deletes_of_many_are_not_written: DeletesManyInMemoryOnly => delete_many_survives_reopen "after a delete_many and reopening";
    sweeps_are_not_written: SweepsInMemoryOnly => sweep_survives_reopen "after a sweep and reopening";
    deletes_are_not_written: DeletesInMemoryOnly => deletes_survive_reopen "after its delete and reopening";

    second_process_sees_no_block: SecondProcessIsBlind => blocks_are_visible_to_a_second_process "in a second process";
    second_process_sees_no_head: SecondProcessIsBlind => heads_are_visible_to_a_second_process "in a second process";
    second_process_overwrites_heads: SecondProcessKeepsItsOwnHeads => two_processes_lose_no_head "after two processes";
}

/// A fixture that declares everything, with hooks that do nothing.
#[derive(Clone)]
struct DeadHooks;

impl Fixture for DeadHooks {
    type Place = Arc<Disk>;

    fn name(&self) -> &str {
        "a disk in memory with dead hooks"
    }
    fn create(&self) -> Result<Arc<Disk>, FixtureError> {
        OnDisk(Flaw::None).create()
    }
    fn open(&self, disk: &Arc<Disk>) -> Result<Handles, FixtureError> {
        OnDisk(Flaw::None).open(disk)
    }
    fn profiles(&self) -> &[Profile] {
        &[
            Profile::Persistence,
            Profile::SecondProcess,
            Profile::Damage,
            Profile::Faults,
            Profile::Crash,
            Profile::Locks,
        ]
    }
    fn obey_in_second_process(&self, _: &Arc<Disk>, _: &str) -> Result<String, FixtureError> {
        Ok(String::new())
    }
    fn damage(&self, _: &Arc<Disk>, _: &Cid, _: &[u8]) -> Result<(), FixtureError> {
        Ok(())
    }
    fn set_fault(&self, _: &Arc<Disk>, _: Option<Fault>) -> Result<(), FixtureError> {
        Ok(())
    }
    fn cut_power_after(&self, _: &Arc<Disk>, _: u64) -> Result<(), FixtureError> {
        Ok(())
    }
    fn cut_power_while_opening(&self, _: &Arc<Disk>, _: u64) -> Result<(), FixtureError> {
        Ok(())
    }
    fn set_locks(&self, _: &Arc<Disk>, _: bool) -> Result<(), FixtureError> {
        Ok(())
    }
}

/// A hook without effect never earns a profile.
#[test]
fn dead_hooks_win_no_profile() {
    let report = run(DeadHooks, &Options::default());
    let won = report.conforms_to();
    for profile in [Profile::SecondProcess, Profile::Damage, Profile::Faults, Profile::Crash, Profile::Locks] {
        assert!(!won.contains(&profile), "{profile} was won\n{report}");
    }
    assert!(won.contains(&Profile::Persistence), "what needs none of them is won all the same\n{report}");
    let text = report.to_string();
    for complaint in [
        "put after cut_power_while_opening(0)",
        "wrote after Fixture::cut_power_after(0)",
        "wrote while Fixture::set_fault() lets every write fail",
    ] {
        assert!(text.contains(complaint), "{complaint}\n{text}");
    }
}
