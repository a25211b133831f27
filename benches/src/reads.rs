//! Reads of present and absent blocks.

use std::{
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::Store;

use crate::{Block, WorkloadError, error::wrong};

/// Reads every block of `known` and compares its length and last byte; the backend compares the hash. Returns the bytes
/// read.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing or different.
pub fn get_all(store: &dyn Store, known: &[Block]) -> Result<u64, WorkloadError> {
    let mut bytes = 0;
    for (cid, data) in known {
        match store.get(cid)? {
            Some(found) if found.len() == data.len() && found.last() == data.last() => bytes += found.len() as u64,
            Some(_) => return Err(wrong(format_args!("get of {cid} returned other bytes"))),
            None => return Err(wrong(format_args!("block {cid} is not there"))),
        }
    }
    Ok(bytes)
}

/// Asks for every block of `known`. The store must hold all of them, or none if `present` is false.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or an answer is not `present`.
pub fn has_all(store: &dyn Store, known: &[Block], present: bool) -> Result<(), WorkloadError> {
    for (cid, _) in known {
        if store.has(cid)? != present {
            return Err(wrong(format_args!("has of {cid} is not {present}")));
        }
    }
    Ok(())
}

/// As [`get_all`], on `threads` threads, each of which reads all blocks from a different start. Returns the time from
/// the first start to the last end.
///
/// # Errors
/// As [`get_all`].
pub fn get_all_threads(store: &dyn Store, known: &[Block], threads: usize) -> Result<Duration, WorkloadError> {
    on_threads(known, threads, |part| get_all(store, part).map(drop))
}

/// As [`has_all`], on `threads` threads. See [`get_all_threads`].
///
/// # Errors
/// As [`has_all`].
pub fn has_all_threads(
    store: &dyn Store,
    known: &[Block],
    present: bool,
    threads: usize,
) -> Result<Duration, WorkloadError> {
    on_threads(known, threads, |part| has_all(store, part, present))
}

fn on_threads(
    known: &[Block],
    threads: usize,
    read: impl Fn(&[Block]) -> Result<(), WorkloadError> + Sync,
) -> Result<Duration, WorkloadError> {
    let start = Instant::now();
    thread::scope(|scope| {
        let read = &read;
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (second, first) = known.split_at(known.len() * thread / threads);
                scope.spawn(move || read(first).and_then(|()| read(second)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| wrong("a reader panicked"))?)
    })?;
    Ok(start.elapsed())
}
