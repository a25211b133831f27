//! Races, each in two forms: the natural one, which is plain racy code, and a widened one, which loses in every run.
//!
//! The widened form proves that a law can catch the race. `cargo xtask soak races` measures how often it catches the
//! natural form.

mod caches;
mod locks;
mod naive;
mod soak;

use super::{Defect, Gap, lock, saboteurs};

pub(super) use caches::KILLED as CACHES;
pub(super) use locks::KILLED as LOCKS;
