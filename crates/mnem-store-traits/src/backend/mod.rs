//! Checks and helpers for implementers of a backend.

mod gate;
mod group;
mod present;

pub use gate::Gate;
pub use group::Group;
pub use present::Present;

pub use crate::{
    blockstore::drain_checked,
    check::{HashCheck, check_block, check_hash, check_read, check_size},
    pages::pages,
    side_table::{check_table_key, check_table_name, check_table_write},
};
