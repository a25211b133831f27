//! Promises of this crate's stores beyond the laws. Separate from the tests of the suite, which take a minute to build,
//! because `cargo xtask soak mutants` rebuilds these for each change.

#[path = "stores/landing.rs"]
mod landing;
#[path = "stores/memory.rs"]
mod memory;
#[path = "stores/staging.rs"]
mod staging;
