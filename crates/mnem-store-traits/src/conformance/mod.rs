//! The conformance suite: a list of laws that a backend must pass.
//!
//! A *law* is one promise of the contract that can be observed from outside. To test a backend, implement [`Fixture`],
//! which tells the suite how to open a store, and write one line:
//!
//! ```
//! use std::sync::Arc;
//!
//! use mnem_store_traits::{
//!     MemoryStore,
//!     conformance::{Fixture, FixtureError, Handles},
//! };
//!
//! #[derive(Default)]
//! struct MyFixture;
//!
//! impl Fixture for MyFixture {
//!     type Place = MemoryStore;
//!
//!     fn name(&self) -> &str {
//!         "my backend"
//!     }
//!     fn create(&self) -> Result<MemoryStore, FixtureError> {
//!         Ok(MemoryStore::new())
//!     }
//!     fn open(&self, place: &MemoryStore) -> Result<Handles, FixtureError> {
//!         Ok(Handles::from(Arc::new(place.clone())))
//!     }
//! }
//!
//! mnem_store_traits::conformance_tests!(my_backend, MyFixture::default());
//! # fn main() {}
//! ```
//!
//! Each law becomes an ordinary `#[test]`, such as `my_backend::blocks::put_rejects_wrong_bytes`. If the backend offers
//! more than blocks, heads and commits, add its [`Profile`]s and [`Claim`]s to that line
//! ([`conformance_tests!`](crate::conformance_tests)). A law that needs a profile or claim missing from the line
//! becomes an ignored test, and the reason is printed.
//!
//! To use the suite without Rust's test harness, call [`run`], or [`Law::run`] for a single law. Neither panics, and
//! each law has a deadline, so a deadlock is reported as a failure instead of hanging the run.
//!
//! Laws about one caller and one store are repeated in several [`Mode`]s; each mode has a test module of its own. When
//! a randomized law fails, it prints the seed that reproduces the failure. `CONTRACT.md` in this crate lists the laws,
//! the profiles and the modes.

mod case;
mod child;
mod claims;
mod data;
mod declared;
mod driver_fixture;
mod expect;
mod failure;
mod fixture;
mod history;
mod law;
mod law_table;
mod laws;
mod list;
mod macros;
mod media;
mod model;
mod modes;
mod outcomes;
mod patient;
mod random;
mod report;
mod script;
mod show;
mod threads;
mod ways;

pub use child::{as_second_process, in_second_process};
pub use claims::Claimed;
pub use declared::assert_declared;
pub use driver_fixture::{DriverFixture, DriverPlace};
pub use failure::Failure;
pub use fixture::{BlockIter, Fault, Fixture, FixtureError, Handles};
pub use law::{Claim, Group, Law, Level, Profile, Verdict, ways_table};
pub use law_table::law_table;
pub use list::{law, laws};
pub use media::{Connection, DiskLock, MemoryDisk, MemoryNetwork, Mount, Precondition};
pub use modes::Mode;
pub use report::{Counts, Entry, Options, Report, run};
pub use script::obey;

pub use macros::{assert_law, report_on};

/// The version of the contract that the laws check. A law that is added, or a promise that grows, raises it; a backend
/// names the version that it passed.
pub const CONTRACT_VERSION: u32 = 2;
