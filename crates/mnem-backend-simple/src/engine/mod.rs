//! What only this backend has: the file system below it, files that have no name yet, and syncs of the whole file
//! system.

// Public for the tests of this crate, which put other file systems below a store. It may change in any version.
#[doc(hidden)]
pub mod medium;
pub(crate) mod required;
pub(crate) mod sought;
pub(crate) mod unfinished;
pub(crate) mod whole;
