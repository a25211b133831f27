//! Defects of the store below `Buffered` that show through it.

use super::{
    batches::DeletesNothing,
    commits::{DropsTrustedPuts, IgnoresRequirements, LosesLastBlock, NothingWithoutAHead, SwapsBlindly},
    lookups::HasLies,
    saboteurs,
};

saboteurs! {
    below_has_lies: HasLies => buffered_puts_are_visible_at_once "through Buffered";
    below_drops_trusted_puts: DropsTrustedPuts => buffered_update_lands_the_puts "after an update";
    below_swaps_blindly: SwapsBlindly => buffered_keeps_puts_when_a_swap_fails "Ok: the call was accepted";
    below_ignores_requirements: IgnoresRequirements => buffered_requires_puts_it_skipped "Ok: the call was accepted";
    below_deletes_nothing: DeletesNothing => buffered_delete_removes_staged_blocks "through Buffered, after its delete";
    below_flushes_nothing: NothingWithoutAHead => buffered_flush_lands_without_a_head "after flush()";
    below_loses_what_spills: NothingWithoutAHead => buffered_spills_past_its_bound "after some blocks spilled";
    below_loses_the_last_block: LosesLastBlock => buffered_commit_takes_the_puts_along "after a commit";
    below_lands_nothing_when_dropped: NothingWithoutAHead => buffered_lands_when_dropped "after Buffered was dropped";
}
