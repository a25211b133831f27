//! Races: each in its natural form, the plain racy code, and in its widened form, which loses in every run.
//!
//! The widened form proves that a law sees the race; how often it sees the natural one is measured by `cargo xtask soak races`.

mod caches;
mod locks;
mod naive;
mod soak;

use super::{Defect, Gap, lock, saboteurs};

pub(super) use caches::KILLED as CACHES;
pub(super) use locks::KILLED as LOCKS;
