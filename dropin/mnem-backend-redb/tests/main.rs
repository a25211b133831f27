//! The drop-in beside the published crate: the same calls, the same answers, the same files.

mod constructors;
mod files;
mod knn;
mod support;
