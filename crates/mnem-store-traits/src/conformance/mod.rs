//! The conformance suite: one list of laws that proves a backend.
//!
//! A *law* is one promise of the contract that can be observed from outside. Implement [`Fixture`] and write one line:
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
//! Each law becomes an ordinary `#[test]`, `my_backend::blocks::put_rejects_wrong_bytes` and so on. The line says what
//! the backend has beyond blocks, heads and commits ([`conformance_tests!`](crate::conformance_tests)). The test of a
//! law that needs a [`Profile`] or a [`Claim`] which the line does not name is ignored, with the reason. A harness of
//! your own calls [`run`], or [`Law::run`] for one law: neither panics, and each law has a deadline, so that a deadlock
//! is a failure and not a hang.
//!
//! Laws about one caller and one store are run in several [`Mode`]s, below modules of their names. Random laws name the
//! seed that repeats them. The laws, profiles and modes are listed in `CONTRACT.md` of this crate.

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
