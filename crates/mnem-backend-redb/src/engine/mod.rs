//! What only this backend has: the medium below redb, transactions that callers share, and what a handle remembers between them.

pub(crate) mod as_it_is;
pub(crate) mod change;
pub(crate) mod group;
pub(crate) mod header;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod locks;
pub(crate) mod look;
pub(crate) mod medium;
pub(crate) mod overlay;
pub(crate) mod present;
pub(crate) mod publish;
pub(crate) mod reading;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod verified;
pub(crate) mod writing;
