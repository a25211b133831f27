//! In-memory media for the tests of a backend. They can fail, lose unsynced data and wait on request.

mod disk;
mod network;

pub use disk::{DiskLock, MemoryDisk, Mount};
pub use network::{Connection, MemoryNetwork, Precondition};
