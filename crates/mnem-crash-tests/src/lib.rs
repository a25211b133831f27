//! The crash explorer. It runs seeded workloads on storage that records every operation, cuts the power after each
//! operation, opens what is left, and compares it with what was promised.
//!
//! An engine provides a [`Medium`] (how its storage records operations, and what a power cut leaves of them), an
//! [`Engine`] (how to open a store on it), and a list of [`Planted`] breaks that the explorer must notice. This crate
//! provides the workload, the model, the search, the reports and the long runs.

mod act;
mod breaks;
mod callers;
mod chance;
mod engine;
mod expected;
mod explore;
mod observed;
mod pool;
mod quiet;
mod recording;
mod runner;
mod soak;
mod workload;
mod wrong;

pub use act::{Act, Gone, Heads, Kill, TABLES, head};
pub use breaks::{Break, Caller, Planted, Shown, every_break_shows, first_shown};
pub use callers::{Callers, Gathering};
pub use chance::Chance;
pub use engine::{Cuts, Engine, Look, Medium, Opening, Process};
pub use expected::{Expected, State};
pub use explore::{Counts, Scope, Violation, explore, explored};
pub use observed::{Found, Observed, RowKey};
pub use pool::Pool;
pub use quiet::quietly;
pub use recording::{Recorded, Recording, record};
pub use runner::{Done, Opened, Runner};
pub use soak::{number, soak};
pub use workload::{Habits, Visible};
pub use wrong::{Checked, Wrong, ensure, whole};
