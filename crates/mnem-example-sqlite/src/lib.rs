//! A store in an SQLite database, written as a third party would: it uses only the published API of
//! `mnem-store-traits`.
//!
//! This crate is an example to read, and not published. Begin at [`SqliteStore`]. `docs/WRITING-A-BACKEND.md` shows how
//! to write such a backend; the README of this crate explains its design. [`log`] is a second, smaller example: a store
//! in one log, with a seam for tests.

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

/// Compiles the code in the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/WRITING-A-BACKEND.md")]
struct Guide;

/// Compiles the code on the first page of the repository.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FirstPage;
