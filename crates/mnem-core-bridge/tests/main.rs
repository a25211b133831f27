//! The bridge: staging and landing, errors, and the order of walks.

#[cfg(feature = "ann")]
mod ann;
mod crash;
mod engine;
mod errors;
mod landing;
mod support;
mod threads;
mod walk_order;
mod walks;
