//! The laws that the bucket backend keeps, and what no law sees.
//!
//! | failure | tests |
//! |---|---|
//! | answers are lost, requests refused, conflicts reported that are none | `laws::hostile`, `laws::memory::faults`, `protocol::many_handles_on_a_hostile_medium_lose_no_head` |
//! | an outcome stays unknown | `protocol::an_unknown_outcome_poisons_and_reads_go_on` |
//! | an error that cannot pass | `protocol::an_error_that_cannot_pass_ends_at_once` |
//! | several handles and processes | `laws::folder`, `protocol::a_call_that_writes_nothing_is_judged_by_the_end_of_the_log` |
//! | a reader that relies on its lease | `protocol::a_delete_waits_for_leases_also_when_another_handle_has_just_deleted` |
//! | a service that ignores conditions | `protocol::a_service_that_ignores_the_condition_is_refused` |
//! | a pack that is lost, changed, or not uploaded | `packs` |
//! | checkpoints that are damaged, missing, ahead of the log, of another store, or of another past | `checkpoints` |
//! | a store of an earlier build | `golden` |
//! | compaction beside commits, deletes, readers, other compactions; its failure at each request; old handles over tombstones | `compaction`, unit tests of `compaction` and `landing` |
//! | the protocol itself: every order of steps of two writers, a reader and a compactor, with delayed and lost writes | `model` |
//! | a look that ends after a plan was made | a unit test of `landing` |
//! | listings of the log | `history` |
//! | holes, changed entries, later formats, other objects | `damage` |
//! | a real service, processes that write at once | `service`, which `cargo xtask bucket` runs |
//!
//! Not tested yet: killed processes, and clocks that stop.

#[path = "main/checkpoints.rs"]
mod checkpoints;
#[path = "main/compaction.rs"]
mod compaction;
#[path = "main/damage.rs"]
mod damage;
#[path = "main/driver.rs"]
mod driver;
#[path = "main/golden.rs"]
mod golden;
#[path = "main/history.rs"]
mod history;
#[path = "main/laws.rs"]
mod laws;
#[path = "main/medium.rs"]
mod medium;
#[path = "main/model.rs"]
mod model;
#[path = "main/opening.rs"]
mod opening;
#[path = "main/packs.rs"]
mod packs;
#[path = "main/protocol.rs"]
mod protocol;
#[cfg(feature = "services")]
#[path = "main/service.rs"]
mod service;
