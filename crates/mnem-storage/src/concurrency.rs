//! Who else may have a store open.

/// How processes share a redb file. All that have it open must have chosen modes that go together.
///
/// A simple store has no such modes: any number of processes read and write it, whatever is chosen here.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !mnem_storage::Backend::Redb.is_compiled_in() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory.redb");
/// use mnem_storage::{Concurrency, OpHeadsStore, OpenOptions, RAW, WriteBatch, cid_of};
///
/// // Each of these could be another process.
/// let options = OpenOptions::new().create(true).concurrency(Concurrency::MultiWriter);
/// let (one, other) = (options.open(&path)?, options.open(&path)?);
/// let op = cid_of(RAW, b"from one");
/// one.commit(WriteBatch::new().put(op, "from one".into()).update(op, []))?;
/// assert_eq!(other.heads()?, [op]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Concurrency {
    /// One writing handle and nobody else, or any number of read-only handles.
    #[default]
    ExclusiveWriter,
    /// One writing handle, and any number of read-only handles that follow it.
    SingleWriter,
    /// Any number of writing and read-only handles; writers take turns.
    MultiWriter,
}
