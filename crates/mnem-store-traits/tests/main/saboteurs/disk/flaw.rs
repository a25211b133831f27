//! The flaws that a store on this disk can have.

/// The flaw of a store, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    FailedReadIsAbsence,
    FailedWriteIsAcknowledged,
    UndoesByDeleting,
    SyncsNothing,
    NoJournal,
    HeadFirst,
    HeadsInSteps,
    SaysNotApplied,
    ForgetsPoison,
    PoisonedReadsFail,
    ReadersWaitForSyncs,
    HeadReadersWaitForSyncs,
    ListingFailsForEver,
    CloseStaysOpen,
    CloseSwallows,
    DropsHeadlessCommits,
    DamageIsReturned,
    DamageIsAbsence,
    DamageEndsListings,
    DamageCannotBeDeleted,
    RecoversWithoutSync,
    DeletesInMemoryOnly,
    DeletesManyInMemoryOnly,
    SweepsInMemoryOnly,
    /// Does not sync writes of this kind.
    NoSyncOf(&'static str),
    /// Does not sync some writes: see `Handle::is_left_out`.
    NoSyncOfSome(&'static str),
    /// A side table that is opened removes the poison.
    OpeningATableHeals,
    /// After a failed write, tables and their keys cannot be listed.
    PoisonedListsFail,
    /// After a failed write, returns `Poisoned` only for writes of the same kind.
    PoisonsItsKind,
    /// A successful read removes the poison.
    ReadsHeal,
    /// Does not sync after recovery, and a commit of present blocks syncs nothing.
    CommitTakesPresentForDurable,
    /// If an opening cannot read something, it takes it to be empty.
    OpensUnreadAsEmpty,
    /// Takes a required block that cannot be looked up to be present.
    UnreadIsMet,
    /// If keys cannot be read, lists none.
    UnreadKeysAreNone,
    /// In a request for several blocks, takes one that cannot be looked up to be absent.
    UnreadPresenceIsAbsence,
    SizeWaitsForSyncs,
    /// `close` empties the medium and then rewrites everything.
    CloseRewrites,
    /// An opening empties the medium and then rewrites everything.
    OpeningRewrites,
    /// Continues although the medium has no locks.
    OpensWithoutLocks,
    /// Writes before it takes its lock.
    WritesBeforeLocking,
    /// Makes a whole new store before it takes its lock.
    MakesAStoreBeforeLocking,
    SecondProcessIsBlind,
    SecondProcessKeepsItsOwnHeads,
    /// Records on the medium that a block was found sound, and does not check it again.
    RemembersVerified,
    /// A commit that cannot read the heads takes them to be empty.
    CommitOverUnreadHeads,
    /// Splits a batch into journals of 4 MiB.
    JournalOf4MiB,
    /// Does not sync after recovery, and a write that has nothing to do syncs only blocks.
    IdleWritesSyncBlocks,
    /// Recovery after a power cut applies deletes last.
    RecoveryDeletesLast,
    /// Splits a batch into journals of 500 rows.
    JournalOf500Rows,
    /// Recovery after a power cut drops blocks whose bytes it cannot check.
    RecoveryDropsUnchecked,
    /// Shows heads before they are synced, and does not write unchanged heads again.
    SameHeadsSyncNothing,
    /// A reader of a block waits for the writer of that block.
    WaitsForItsKey,
    /// Does not sync after recovery, and a batch syncs only what it has written itself.
    MixedBatchSyncsWhatIsNew,
    /// A listing of keys continues after an error.
    KeysGoOnAfterAnError,
    /// Answers a failed read with what the handle saw before.
    AnswersFromMemory,
    /// A handle takes in only 1 MiB of other handles' writes at each read.
    TakesInOneMib,
    /// A write that arrives while a sync is in progress relies on that sync.
    RidesOnASync,
    /// A poisoned handle cannot be closed.
    PoisonedStaysOpen,
    /// A handle syncs only its first forty writes.
    SyncsFortyWrites,
    /// After a failed write, a handle takes everything present to be durable.
    FailedWriteMovesItsMark,
    /// An opening reads a hundred rows at a time, and takes the first hundred that it cannot read for the end.
    OpensWhatItReads,
    /// Recovery goes on behind what a long write left when it was cut off, where no later opening looks.
    GoesOnBehindATornTail,
    /// The capabilities of a poisoned handle say that it is.
    PoisonedClaimsLess,
    /// `delete_many` deletes only blocks that are sound.
    DamageCannotBeDeletedInABatch,
    /// Does not sync after recovery, and a side table write of rows that are there syncs nothing.
    EqualRowsSyncNothing,
    /// Does not sync after recovery, and a `put_many` of more than twenty blocks that are all there syncs nothing.
    PresentBatchesSyncNothing,
    /// A poisoned handle acknowledges a write of rows that are there.
    PoisonedTakesEqualRows,
    /// Does not sync after recovery, and forgets a failed sync of a write that had nothing to write.
    IdleWritesForgetPoison,
    /// After a failed write of more than 64 KiB, appends behind the hole that the write left.
    GoesOnBehindAHole,
    /// A request for more than 16 blocks waits for the writer.
    LongRequestsWait,
    /// Reading heads waits for the writer of another handle.
    HeadsWaitForOthers,
    /// If it cannot read, takes blocks that another handle has put since its opening to be absent, and deletes nothing.
    DeletesWhatItKnows,
    /// Splits a batch into journals of 2,500 rows.
    JournalOf2500Rows,
    /// A poisoned handle no longer sees what other handles write.
    PoisonedStandsStill,
}
