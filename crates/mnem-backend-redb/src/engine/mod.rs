//! What only this backend has: the medium below redb, a reader and a writer over one open file, and the changes that a
//! transaction applies.

pub(crate) mod attempt;
pub(crate) mod change;
pub(crate) mod file;
pub(crate) mod growth;
pub(crate) mod header;
pub(crate) mod heads;
pub(crate) mod keys;
pub(crate) mod layout;
pub(crate) mod lenient;
pub(crate) mod locks;
pub(crate) mod medium;
pub(crate) mod nearby;
pub(crate) mod overlay;
pub(crate) mod probe;
pub(crate) mod publish;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod sweep;
pub(crate) mod verified;
pub(crate) mod writer;
