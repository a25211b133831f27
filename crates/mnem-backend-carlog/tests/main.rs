//! Tests of the carlog backend beyond the conformance suite.

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
#[path = "main/golden.rs"]
mod golden;
#[path = "main/hooked.rs"]
mod hooked;
#[path = "main/opening.rs"]
mod opening;
#[path = "main/readers.rs"]
mod readers;
#[path = "main/rows.rs"]
mod rows;
#[path = "main/runs.rs"]
mod runs;
#[path = "main/support.rs"]
mod support;
#[path = "main/tending.rs"]
mod tending;
