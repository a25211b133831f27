//! Tests of the facade through its public API. They run with every compiled-in backend, and with the reference store.

#[cfg(feature = "carlog")]
mod adopt;
mod ahead;
mod car_bad;
mod car_good;
mod car_hashes;
mod car_mutated;
mod codecs;
mod collect;
#[cfg(any(feature = "redb", feature = "simple"))]
mod compact;
mod copy;
mod copy_live;
#[cfg(any(feature = "redb", feature = "simple"))]
mod damaged;
mod detect;
mod export;
mod fixtures;
mod golden;
mod import;
#[cfg(any(feature = "redb", feature = "simple"))]
mod kills;
mod knn;
mod main_job;
mod options;
mod partial;
#[cfg(any(feature = "redb", feature = "simple"))]
mod place;
#[cfg(any(feature = "redb", feature = "simple"))]
mod random;
#[cfg(feature = "bucket")]
mod requests;
#[cfg(any(feature = "redb", feature = "simple"))]
mod salvage;
mod stopped;
mod verify;

/// The drivers whose stores `copy_live` copies. Other crates run it with their own.
static COPIED_DRIVERS: &[&dyn mnem_storage::driver::Driver] = mnem_storage::DRIVERS;
