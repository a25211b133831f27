//! A store in an SQLite database, written by a third party: against the published surface of `mnem-store-traits` and nothing else.
//!
//! An example to read, from [`SqliteStore`] on, and not published. `docs/WRITING-A-BACKEND.md` tells how one like it is written; the
//! README of this crate explains its design. [`log`] is a second, smaller example: a store in one log, with a seam for tests.

mod blocks;
mod database;
mod driver;
mod error;
mod heads;
pub mod log;
mod side_table;
mod store;
mod tables;
mod writers;

pub use driver::{DRIVER, SqliteDriver};
pub use store::SqliteStore;

/// Compiles what the guide shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/WRITING-A-BACKEND.md")]
struct Guide;
