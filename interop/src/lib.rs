//! The published crates of the same family (`mnem-core`, `mnem-ann`, `mnem-backend-redb`, all 0.1.7) beside ours.
//!
//! Never published, and outside the workspace's default members: others' code builds only where it is compared with ours.

pub mod edges;
pub mod flow;
pub mod graph;
pub mod medium;
pub mod random;
pub mod recorder;
pub mod scenes;
pub mod work;
