//! Format 2: a manifest, pages of node ids, and chunks of packed edges. `FORMAT.md` documents it.

mod chunk;
mod manifest;
mod ordinals;
mod parts;
mod write;

pub(crate) use manifest::{MAGIC, Manifest, ManifestError};
pub(crate) use parts::Parts;
pub(crate) use write::write;
