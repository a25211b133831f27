//! Every way to write to a store, and every way to read from it.
//!
//! Laws iterate over these lists, so that a promise that holds for `put` is also tested for `put_many`, `commit` and
//! all the others.

mod idle;
mod read;
mod scene;
mod table;
mod write;

pub(crate) use idle::{Idle, IdleContent};
pub(crate) use read::{Eyes, Read, Subject, TABLE};
pub(crate) use scene::{Extent, Scene};
pub(crate) use table::{reads_of, table_text, writes_of};
pub(crate) use write::{Write, batch_of};
