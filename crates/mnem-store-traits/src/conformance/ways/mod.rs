//! The ways to write to a store and the ways to read from it. Laws iterate over them, so that no way breaks what
//! another keeps.

mod read;
mod scene;
mod table;
mod write;

pub(crate) use read::{Eyes, Read, Subject, TABLE};
pub(crate) use scene::{Extent, Scene};
pub(crate) use table::{reads_of, table_text, writes_of};
pub(crate) use write::Write;
