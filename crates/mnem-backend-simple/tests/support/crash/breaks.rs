//! Broken orders of writes. For each, some state after a crash must show a violation.

use mnem_crash_tests::{Break, Planted};

use super::process::{Call, Place, Task, Verb};

/// A change of the order of some calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detour {
    /// The calls that it delays or drops.
    pub(crate) at: fn(&Call<'_>) -> bool,
    /// When they are made instead.
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Never,
    /// Right after a call like this.
    After(fn(&Call<'_>) -> bool),
    /// When everything else of the task is done.
    Last,
    /// After the task was acknowledged to the user.
    Acknowledged,
    /// At once, but whatever has the new name is removed first.
    AfterRemoving,
}

use Place::{Block, Format, Heads, Mark, Objects, Parent, Root, Row, Shard, Table, Tables};
use Verb::{CreateFolder, Link, Remove, Rename, SyncAll, SyncFile, SyncFolder, SyncNew, Write};

/// Matches the sync after the two of the commit's own blocks, or the only one if it has none; but not the sync for own
/// blocks that are already present.
fn syncs_required_blocks_whole(call: &Call<'_>) -> bool {
    let is_for_required = match call.times(SyncAll) {
        0 => call.after(Rename, Block) || !call.after(Write, Block) && !call.after(CreateFolder, Shard),
        before => before == 2,
    };
    call.verb == SyncAll && call.task == Task::Commit && is_for_required
}

macro_rules! breaks {
    ($($name:literal, $seed:literal, $then:expr, $at:expr;)*) => {
        &[$(Planted { name: $name, seed: $seed, at: Break::Medium(Detour { at: $at, then: $then }) }),*]
    };
}

/// One break for each sync of the write path, named by its purpose, and one for each order that it keeps.
///
/// Two syncs are missing here, because no state after a power cut can need them. The mark of a store written with
/// weaker durability tells handles that blocks may not be durable; after a power cut they either are or are not, so the
/// mark is durable only for the operator's sake. And the sync of `objects` after a sync of the whole file system is
/// there only for its error.
pub(crate) const BREAKS: &[Planted<Detour>] = breaks! {
    "no sync of a block's file", 0, Then::Never, |call| call.is(SyncNew, Block);
    "no sync of the heads' file", 0, Then::Never, |call| call.is(SyncNew, Heads) && call.task != Task::Open;
    "no sync of the first heads' file", 0, Then::Never, |call| call.is(SyncNew, Heads) && call.task == Task::Open;
    "no sync of the format's file", 0, Then::Never, |call| call.is(SyncNew, Format);
    "no sync of a row's file", 2, Then::Never, |call| call.is(SyncNew, Row);
    "no sync of a present block's file in a marked store", 339, Then::Never, |call| call.is(SyncFile, Block);

    "no sync of the store's parent", 0, Then::Never, |call| call.is(SyncFolder, Parent);
    "no sync of the root before the format", 0, Then::Never,
        |call| call.is(SyncFolder, Root) && call.after(Rename, Heads) && !call.after(Link, Format) && call.task == Task::Open;
    "no sync of the root behind the format", 0, Then::Never, |call| call.is(SyncFolder, Root) && call.after(Link, Format) && !call.after(Rename, Mark);
    "no sync of the root of a store that is there", 35, Then::Never,
        |call| call.is(SyncFolder, Root) && call.task == Task::Open && !call.after(Rename, Heads) && !call.after(Rename, Mark);
    "no sync of objects on opening", 14, Then::Never, |call| call.is(SyncFolder, Objects) && call.task == Task::Open;
    "no sync of objects for a shard", 0, Then::Never, |call| call.is(SyncFolder, Objects) && call.task != Task::Open;
    "no sync of a new block's shard", 0, Then::Never,
        |call| call.is(SyncFolder, Shard) && call.task != Task::Delete && call.after_naming_in_it();
    "no sync of a present block's shard", 14, Then::Never,
        |call| call.is(SyncFolder, Shard) && call.task == Task::Put && !call.after_naming_in_it();
    "no sync of a required block's shard", 31, Then::Never,
        |call| call.is(SyncFolder, Shard) && call.task == Task::Commit && !call.after_naming_in_it();
    "no sync of a deleted block's shard", 0, Then::Never, |call| call.is(SyncFolder, Shard) && call.task == Task::Delete;
    "no sync of the root behind the heads", 0, Then::Never,
        |call| call.is(SyncFolder, Root) && call.task != Task::Open;
    "no sync of tables for a table", 2, Then::Never, |call| call.is(SyncFolder, Tables);
    "no sync of a row's table", 2, Then::Never, |call| call.is(SyncFolder, Table) && !call.after(Remove, Row);
    "no sync of a deleted row's table", 5, Then::Never, |call| call.is(SyncFolder, Table) && call.after(Remove, Row);
    "no sync of everything before the names", 4, Then::Never,
        |call| call.verb == SyncAll && call.after(Write, Block) && !call.after(Rename, Block);
    "no sync of everything after the names", 4, Then::Never,
        |call| call.verb == SyncAll && call.after(Rename, Block) && call.times(SyncAll) == 1;
    "no sync of everything for present blocks", 50, Then::Never, |call| call.verb == SyncAll && !call.after(Write, Block) && call.task == Task::Put;
    "no sync of everything for required blocks", 88, Then::Never, syncs_required_blocks_whole;
    "no sync at all", 0, Then::Never, |call| call.verb.syncs();

    "a block's name before its bytes are synced", 0, Then::After(|call| call.is(Rename, Block)), |call| call.is(SyncNew, Block);
    "a row's name before its bytes are synced", 2, Then::After(|call| call.is(Rename, Row)), |call| call.is(SyncNew, Row);
    "the heads' name before their bytes are synced", 0, Then::After(|call| call.is(Rename, Heads)), |call| call.is(SyncNew, Heads);
    "the format's name before its bytes are synced", 0, Then::After(|call| call.is(Link, Format)), |call| call.is(SyncNew, Format);
    "the mark before the format is durable", 18, Then::After(|call| call.is(Rename, Mark)),
        |call| call.is(SyncFolder, Root) && call.task == Task::Open && call.after(Link, Format) && !call.after(Rename, Mark);
    "the format before the first heads", 0, Then::After(|call| call.is(Link, Format)),
        |call| call.is(Rename, Heads) && call.task == Task::Open;
    "the format before the store's own name is durable", 35, Then::Last, |call| call.is(SyncFolder, Parent);
    "the heads before the blocks", 0, Then::After(|call| call.is(SyncFolder, Root)),
        |call| call.task == Task::Commit && (call.is(Rename, Block) || call.is(SyncFolder, Shard) || call.is(SyncFolder, Objects) || call.verb == SyncAll);
    "the heads before the required blocks are durable", 31, Then::After(|call| call.is(SyncFolder, Root)),
        |call| call.task == Task::Commit && call.is(SyncFolder, Shard) && !call.after_naming_in_it();
    "the heads removed, then renamed", 0, Then::AfterRemoving, |call| call.is(Rename, Heads) && call.task != Task::Open;
    "a row removed, then renamed", 4, Then::AfterRemoving, |call| call.is(Rename, Row);
    "all rows before any of them is durable", 19, Then::Last, |call| call.is(SyncFolder, Table);
    "all syncs behind the acknowledgement", 0, Then::Acknowledged, |call| call.verb.syncs();
    "the last sync of the heads behind the acknowledgement", 0, Then::Acknowledged,
        |call| call.is(SyncFolder, Root) && call.task != Task::Open;
};
