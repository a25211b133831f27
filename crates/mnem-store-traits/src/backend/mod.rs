//! For implementers: the checks and helpers that every backend uses.

mod gate;

pub use gate::Gate;
