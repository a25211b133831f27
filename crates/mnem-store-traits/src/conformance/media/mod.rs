//! Media in memory for a backend to stand on in its tests: they fail, forget and wait as they are told.

mod disk;
mod network;

pub use disk::{DiskLock, MemoryDisk, Mount};
pub use network::{Connection, MemoryNetwork, Precondition};
