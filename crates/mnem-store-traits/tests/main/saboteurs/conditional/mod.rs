//! Flaws that show only under a condition: on a later page, in a large batch, from another handle, for one kind of CID,
//! or after a call that was refused. They were derived from the contract alone, and at first no law saw most of them.
//!
//! The store below them is one of its own, because most of them reach into it.

mod blocks;
mod heads;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering},
    },
};

use mnem_store_traits::{
    Bytes, Cid, StoreError,
    cid::Version,
    conformance::{Fixture, FixtureError, Handles, Profile},
};

use super::lock;

/// The flaw of a store, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// A handle takes what it knows of blocks for current while their number is the same.
    CountsBlocks,
    /// A handle takes what it knows of heads for current while their number and the last one are the same.
    CountsHeads,
    /// A handle takes the names of tables for current while their number is the same.
    CountsTables,
    /// A listing of blocks holds only 16 bytes of the digest at which a page ended.
    CursorIsCut,
    /// A shard of names that became empty ends the listing.
    EmptyShardEndsTheListing,
    /// Lists CIDv0s as CIDv1s from the second page on.
    LaterPagesAreVersionOne,
    /// A batch of 1,000 blocks keeps the same bytes once.
    LargeBatchByMultihash,
    /// A delete of 500 blocks removes them under every codec.
    LargeDeleteByMultihash,
    /// A request for 100 blocks takes an empty block for an absent one.
    LargeRequestMissesEmptyBlocks,
    /// Keeps codecs as floating-point numbers.
    CodecsAreRounded,
    /// Takes CIDs with numbers of 64 bits.
    TakesWideNumbers,
    /// A break in one request ends all requests of the handle.
    BreakEndsAllRequests,
    /// A delete of many blocks leaves out those that are absent when they are named.
    DeletesWhatIsThere,
    /// Says of an iterator's error that nothing was applied.
    IteratorsOutcomeIsLost,
    /// An error of a batch names its first block.
    NamesTheFirstBlock,
    /// Says of a digest that was cut short that it has 32 bytes.
    SaysWholeDigest,
    /// A commit takes no bytes at all for right, under any CID.
    NoBytesAreTrusted,
    /// Looks for requirements only among the first 512 puts of a batch.
    FewPutsMeetRequirements,
    /// A CIDv0 meets the requirement of the CIDv1 with its digest, and the other way round.
    RequirementOfAnyVersion,
    /// A commit that only requires blocks does nothing.
    RequirementsAloneAreMet,
    /// The blocks of a refused commit land with the next one.
    RefusedPutsStay,
    /// A swap from several heads to one of them clears the heads first.
    SwapClearsFirst,
    /// A swap compares how many heads there are, and whether the expected ones are among them.
    SwapCounts,
    /// Compares heads by 32 bytes of their digests.
    DigestsOfHeadsAreCut,
    /// A commit with several new heads does not bring back one that was superseded.
    SupersededStayGone,
    /// The end of a page of keys is cut to the length of the longest key.
    LongCursorIsCut,
    /// Later pages of keys compare eight bytes of the prefix.
    PrefixIsComparedInPart,
    /// Cuts a prefix to the length of the longest key.
    PrefixIsCut,
    /// Keeps 96 bytes of each key.
    KeysAreCut,
    /// A large write applies its puts in pieces, the last one first.
    LargeWriteFromItsEnd,
    /// A row that is put and deleted in one write has its former value again.
    DeleteRestores,
    /// Names of tables are patterns in which an underscore stands for any letter.
    NamesArePatterns,
    /// An emptied table is removed in a second step.
    EmptiedTableGoesLater,
    /// A listing of keys finds its table again by its place among the names.
    TableIsAPlace,
    /// Counts the rows of a table, and counts down for an absent key too.
    CountsAbsentRows,
    /// Counts the rows of a table, and counts a key that is put twice in one write twice.
    CountsRowsTwice,
    /// A value of more than 64 KiB lies apart, and hides a smaller one that is written later.
    LargeValueHidesSmall,
    /// A handle sees 4,096 rows of a write of another handle.
    SeesFewRowsOfOthers,
    /// In a batch of 1,000 blocks, every 512th is not hashed.
    SparesSomeBlocks,
    /// A commit looks at the size of its first and last block.
    SparesSizesInBetween,
    /// Of 1,000 requirements, the first and the last hundred are looked up.
    SparesRequirementsInBetween,
    /// A new head that is named late among those it supersedes goes with them.
    NamedLateGoes,
    /// Hides what a delete of 1,000 blocks removed, also once it is put again.
    HidesWhatWasDeleted,
    /// `with_block` does not check blocks of more than 1 MiB.
    LargeLoansAreNotChecked,
    /// Reopening drops rows without a value.
    ReopensWithoutEmptyRows,
    /// Reopening cuts values to 1 MiB.
    ReopensWithCutValues,
    /// Reopening reads 1,000 rows of a table.
    ReopensWithFewRows,
    /// Reopening makes CIDv1s of heads that are CIDv0s.
    ReopensWithHeadsOfVersionOne,
    /// `close` ends a listing of keys.
    CloseEndsKeys,
    /// `close` of one opening ends the listings of others.
    CloseEndsOtherListings,
    /// The store counts its openings, and a second `close` of one counts too.
    CloseCountsTwice,
    /// Loads the rows at their first use, and `close` writes them whether they were loaded or not.
    ClosesWithoutRows,
    /// The last opening to close writes the list of blocks as it has seen it.
    ClosesWithItsView,
    /// Reopening lists tables that were emptied.
    ReopensWithEmptiedTables,
    /// Lengths have 24 bits: after reopening, 16 MiB are no bytes.
    ReopensWithShortLengths,
    /// A listing after reopening ends after 4,096 blocks.
    ReopenedListingsAreCut,
}

/// What all handles share.
#[derive(Debug, Default)]
struct Content {
    blocks: BTreeMap<Cid, Bytes>,
    heads: BTreeSet<Cid>,
    superseded: BTreeSet<Cid>,
    tables: BTreeMap<String, BTreeMap<Bytes, Bytes>>,
    /// Names of tables that are listed although they are empty.
    ghosts: BTreeSet<String>,
    counts: BTreeMap<String, usize>,
    large: BTreeMap<(String, Bytes), Bytes>,
    /// The writer of the last large write, and the rows that others do not see.
    unseen: (usize, BTreeSet<Bytes>),
    /// The handle that wrote last.
    writer: usize,
    was_reopened: bool,
    emptied: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Place {
    content: RwLock<Content>,
    openings: AtomicIsize,
    /// Handles that were not dropped yet.
    live: AtomicIsize,
    closes: AtomicU64,
    /// A table was emptied, and is removed in a moment.
    is_removing: AtomicBool,
    is_shut: AtomicBool,
}

/// What one handle remembers.
#[derive(Debug, Default)]
struct Memory {
    presence: (usize, HashMap<Cid, bool>),
    heads: Vec<Cid>,
    tables: Vec<String>,
    refused: Vec<(Cid, Bytes)>,
    deleted: BTreeSet<Cid>,
    used_rows: bool,
    /// The blocks that were there when the handle was last used.
    view: BTreeSet<Cid>,
}

#[derive(Clone)]
struct Handle(Arc<Opening>);

struct Opening {
    flaw: Flaw,
    place: Arc<Place>,
    closed: AtomicBool,
    broke: AtomicBool,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.flaw).finish()
    }
}

impl Handle {
    fn new(place: &Arc<Place>, flaw: Flaw) -> Self {
        place.openings.fetch_add(1, Ordering::SeqCst);
        if place.live.fetch_add(1, Ordering::SeqCst) == 0 {
            place.content.write().unwrap_or_else(|e| e.into_inner()).reopen(flaw);
        }
        place.is_shut.store(false, Ordering::SeqCst);
        let (closed, broke, memory) = Default::default();
        Self(Arc::new(Opening { flaw, place: Arc::clone(place), closed, broke, memory }))
    }

    /// Tells the handles of a place apart.
    fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.0.flaw == flaw
    }

    fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        let shut = self.has(Flaw::CloseCountsTwice) && self.0.place.is_shut.load(Ordering::SeqCst);
        let closed = shut || self.0.closed.load(Ordering::SeqCst);
        if closed { Err(StoreError::Closed { backend: "conditional", operation }) } else { Ok(()) }
    }

    fn read(&self, operation: &'static str) -> Result<RwLockReadGuard<'_, Content>, StoreError> {
        let content = self.0.place.content.read().unwrap_or_else(|e| e.into_inner());
        self.check_open(operation).map(|()| content)
    }

    fn write(&self, operation: &'static str) -> Result<RwLockWriteGuard<'_, Content>, StoreError> {
        let mut content = self.0.place.content.write().unwrap_or_else(|e| e.into_inner());
        self.check_open(operation)?;
        content.writer = self.id();
        if self.has(Flaw::ClosesWithItsView) {
            lock(&self.0.memory).view = content.blocks.keys().copied().collect();
        }
        Ok(content)
    }

    fn close(&self) {
        let mut content = self.0.place.content.write().unwrap_or_else(|e| e.into_inner());
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.place.closes.fetch_add(1, Ordering::SeqCst);
        let left = self.0.place.openings.fetch_sub(1, Ordering::SeqCst) - 1;
        if self.has(Flaw::ClosesWithoutRows) && left == 0 && !lock(&self.0.memory).used_rows {
            content.tables.clear();
        }
        if self.has(Flaw::ClosesWithItsView) && left == 0 && content.writer != self.id() {
            let memory = lock(&self.0.memory);
            content.blocks.retain(|cid, _| memory.view.contains(cid));
        }
        self.0.place.is_shut.store(left <= 0, Ordering::SeqCst);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.place.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Content {
    /// What is left after every handle was dropped and the store opened again.
    fn reopen(&mut self, flaw: Flaw) {
        self.was_reopened = !self.blocks.is_empty();
        let version_one = |cid: &Cid| match cid.version() {
            Version::V0 => Cid::new_v1(0x70, *cid.hash()),
            Version::V1 => *cid,
        };
        for rows in self.tables.values_mut() {
            match flaw {
                Flaw::ReopensWithoutEmptyRows => rows.retain(|_, value| !value.is_empty()),
                Flaw::ReopensWithCutValues => rows.values_mut().for_each(|value| value.truncate(1 << 20)),
                Flaw::ReopensWithFewRows => *rows = std::mem::take(rows).into_iter().take(1000).collect(),
                _ => {}
            }
        }
        if flaw == Flaw::ReopensWithEmptiedTables {
            self.ghosts.append(&mut self.emptied);
        }
        if flaw == Flaw::ReopensWithShortLengths {
            let values = self.tables.values_mut().flat_map(BTreeMap::values_mut);
            let all = self.blocks.values_mut().chain(values);
            all.filter(|data| data.len() == 1 << 24).for_each(Bytes::clear);
        }
        if flaw == Flaw::ReopensWithHeadsOfVersionOne {
            self.heads = self.heads.iter().map(version_one).collect();
        }
    }
}

/// Gives another thread time for a write and a read.
fn lose_the_race() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

/// Waits until another thread has come so far, at most for a while.
fn wait_for(is_so_far: impl Fn() -> bool) {
    for _ in (0..100).take_while(|_| !is_so_far()) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[derive(Clone)]
struct Conditional(Flaw);

impl Fixture for Conditional {
    type Place = Arc<Place>;

    fn name(&self) -> &str {
        "a store with a conditional flaw"
    }
    fn create(&self) -> Result<Arc<Place>, FixtureError> {
        Ok(Arc::default())
    }
    fn open(&self, place: &Arc<Place>) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(Handle::new(place, self.0))))
    }
    fn profiles(&self) -> &[Profile] {
        &[Profile::SecondHandle, Profile::Persistence, Profile::Damage]
    }
    fn damage(&self, place: &Arc<Place>, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let mut content = place.content.write().map_err(|_| "a panic in the store")?;
        content.blocks.insert(*cid, Bytes::copy_from_slice(data));
        Ok(())
    }
}

macro_rules! flaws {
    ($($name:ident: $flaw:ident => $law:ident $text:literal;)*) => {
        pub(super) const KILLED: &[&str] = &[$(stringify!($law)),*];

        $(#[test]
        fn $name() {
            super::kills_with(stringify!($law), $text, Conditional(Flaw::None), Conditional(Flaw::$flaw));
        })*
    };
}

flaws! {
    counts_blocks: CountsBlocks => changes_that_keep_every_number_are_seen "that leave as many blocks as before";
    counts_heads: CountsHeads => changes_that_keep_every_number_are_seen "exchanged the one in the middle";
    counts_tables: CountsTables => changes_that_keep_every_number_are_seen "emptied one and made one";
    cursor_is_cut: CursorIsCut => cids_that_are_alike_are_listed_on_every_page "missing";
    later_pages_are_version_one: LaterPagesAreVersionOne => cids_that_are_alike_are_listed_on_every_page "never put";
    empty_shard_ends_the_listing: EmptyShardEndsTheListing => listings_go_on_when_what_comes_next_is_deleted "0 times";
    large_batch_by_multihash: LargeBatchByMultihash => large_batches_keep_cids_apart "missing";
    large_delete_by_multihash: LargeDeleteByMultihash => large_batches_keep_cids_apart "a delete_many of one CID of each";
    large_request_misses_empty_blocks: LargeRequestMissesEmptyBlocks => get_many_answers_a_long_request "index";
    codecs_are_rounded: CodecsAreRounded => near_cids_are_apart "whose codecs differ";
    wide_numbers_are_taken: TakesWideNumbers => every_write_refuses_what_is_no_cid "of which a number has 64 bits";
    break_ends_all_requests: BreakEndsAllRequests => get_many_callback_may_use_the_store "ends another get_many inside";
    deletes_what_is_there: DeletesWhatIsThere => delete_many_iterator_may_use_the_store "put a block that it named";
    outcome_of_an_iterator_is_lost: IteratorsOutcomeIsLost => put_many_keeps_nothing_when_the_iterator_fails "Unknown";
    names_the_first_block: NamesTheFirstBlock => every_write_keeps_to_the_limit "an error that names";
    says_whole_digest: SaysWholeDigest => every_write_checks_every_hash "an error that names";
    no_bytes_are_trusted: NoBytesAreTrusted => every_write_checks_every_hash "of no bytes for";
    few_puts_meet_requirements: FewPutsMeetRequirements => commit_takes_thousands_of_requirements "blocks that it puts";
    requirement_of_any_version: RequirementOfAnyVersion => requirements_are_whole_cids "Ok: the call was accepted";
    requirements_alone_are_met: RequirementsAloneAreMet => commit_refuses_a_missing_requirement "asks for nothing else";
    refused_puts_stay: RefusedPutsStay => commit_that_misses_a_requirement_keeps_no_block "followed a refused one";
    swap_clears_first: SwapClearsFirst => heads_are_never_empty_again "none";
    swap_counts: SwapCounts => swap_from_other_heads_is_refused "one of two heads twice";
    digests_of_heads_are_cut: DigestsOfHeadsAreCut => heads_are_whole_cids "differ in one part";
    superseded_stay_gone: SupersededStayGone => commit_adds_every_new_head "two heads that were superseded";
    long_cursor_is_cut: LongCursorIsCut => long_keys_are_apart_on_every_page "of long keys";
    prefix_is_compared_in_part: PrefixIsComparedInPart => long_keys_are_apart_on_every_page "of long keys";
    prefix_is_cut: PrefixIsCut => long_keys_are_apart_on_every_page "longer than any key";
    keys_are_cut: KeysAreCut => long_keys_are_apart_on_every_page "of long keys";
    large_write_from_its_end: LargeWriteFromItsEnd => side_table_writes_may_be_large "get of that key";
    delete_restores: DeleteRestores => side_table_write_applies_puts_then_deletes "old and both";
    names_are_patterns: NamesArePatterns => side_tables_whose_names_begin_alike_are_separate "table m_n lost its last row";
    emptied_table_goes_later: EmptiedTableGoesLater => concurrent_side_table_writes_lose_no_row "that another thread empties";
    table_is_a_place: TableIsAPlace => keys_goes_on_when_its_cursor_is_deleted "missing";
    absent_rows_are_counted: CountsAbsentRows => side_table_exists_by_its_keys "absent keys were deleted";
    rows_are_counted_twice: CountsRowsTwice => side_table_exists_by_its_keys "that was put three times";
    large_value_hides_small: LargeValueHidesSmall => side_table_returns_what_was_written "of another size";
    few_rows_of_others_are_seen: SeesFewRowsOfOthers => changes_that_keep_every_number_are_seen "rows by another handle";
    some_blocks_are_spared: SparesSomeBlocks => late_bad_block_keeps_nothing_of_a_large_batch "wrong bytes at place";
    sizes_in_between_are_spared: SparesSizesInBetween => every_write_keeps_to_the_limit "commit without a head of a block above";
    requirements_in_between_are_spared: SparesRequirementsInBetween => commit_takes_thousands_of_requirements "at place 750";
    named_late_goes: NamedLateGoes => head_changes_may_be_large "names its new head at place";
    deleted_in_large_stays_hidden: HidesWhatWasDeleted => every_batch_may_be_large "put again after a delete_many";
    large_loans_are_not_checked: LargeLoansAreNotChecked => damaged_block_is_corrupt_to_every_read "of 2 MiB";
    reopens_without_empty_rows: ReopensWithoutEmptyRows => side_tables_survive_reopen "without a value";
    reopens_with_cut_values: ReopensWithCutValues => side_tables_survive_reopen "of 2 MiB";
    reopens_with_few_rows: ReopensWithFewRows => side_tables_survive_reopen "after reopening";
    reopens_with_heads_of_version_one: ReopensWithHeadsOfVersionOne => heads_survive_reopen "of every kind of CID";
    close_ends_keys: CloseEndsKeys => close_cuts_no_listing_short "keys() while the store is closed";
    close_ends_other_listings: CloseEndsOtherListings => close_leaves_other_openings_open "cids() that was under way";
    closes_without_rows: ClosesWithoutRows => session_keeps_what_it_does_not_use "get of a row after a session that";
    closes_with_its_view: ClosesWithItsView => openings_may_be_closed_in_any_order "that a second opening wrote";
    reopens_with_emptied_tables: ReopensWithEmptiedTables => side_tables_survive_reopen "side_tables() after reopening";
    reopens_with_short_lengths: ReopensWithShortLengths => every_kind_of_block_survives_reopen "Err(Corrupt";
    reopens_with_short_values: ReopensWithShortLengths => side_tables_survive_reopen "of 16 MiB";
    reopened_listings_are_cut: ReopenedListingsAreCut => long_listings_survive_reopen "missing";
    close_counts_twice: CloseCountsTwice => close_leaves_other_openings_open "Closed";
}
