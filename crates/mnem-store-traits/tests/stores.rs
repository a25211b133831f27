//! What the stores of this crate promise beyond the laws. Apart from the proof of the suite, which takes a minute to build: each change that
//! `cargo xtask soak mutants` makes is built with these.

#[path = "stores/landing.rs"]
mod landing;
#[path = "stores/memory.rs"]
mod memory;
#[path = "stores/staging.rs"]
mod staging;
