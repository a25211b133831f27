//! The functions behind the laws: one module for each topic, one function for each law, named like it.

pub(super) mod buffered;
pub(super) mod cids;
pub(super) mod commit;
pub(super) mod crash;
pub(super) mod damage;
pub(super) mod delete;
pub(super) mod delete_many;
pub(super) mod driver;
pub(super) mod fault;
pub(super) mod get;
pub(super) mod get_many;
pub(super) mod identity;
pub(super) mod model;
pub(super) mod process;
pub(super) mod put;
pub(super) mod put_many;
pub(super) mod race;
pub(super) mod reopen;
pub(super) mod second;
pub(super) mod sets;
pub(super) mod side_table;
pub(super) mod swap;
pub(super) mod update;
pub(super) mod views;
pub(super) mod walk;
