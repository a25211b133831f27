//! Puts of single blocks, each durable when the call returns.

use std::{
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::Store;

use crate::{
    Block, Blocks, Times, WorkloadError,
    error::{expect_present, wrong},
};

/// Puts `count` new blocks, one after the other.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing afterwards.
pub fn single_puts(store: &dyn Store, blocks: &mut Blocks, count: usize) -> Result<Times, WorkloadError> {
    let mut times = Times::default();
    let new: Vec<_> = blocks.take(count).collect();
    for (cid, data) in &new {
        times.time(|| store.put(cid, data.clone()))?;
    }
    new.iter().try_for_each(|(cid, data)| expect_present(store, cid, data))?;
    Ok(times)
}

/// Puts blocks that the store already holds.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing afterwards.
pub fn put_present(store: &dyn Store, known: &[Block]) -> Result<Times, WorkloadError> {
    let mut times = Times::default();
    for (cid, data) in known {
        times.time(|| store.put(cid, data.clone()))?;
    }
    known.iter().try_for_each(|(cid, data)| expect_present(store, cid, data))?;
    Ok(times)
}

/// The measurements of [`concurrent_puts`].
#[derive(Clone, Debug)]
pub struct Concurrent {
    /// The times of all puts of all writers.
    pub times: Times,
    /// Time from the start of the first put to the end of the last.
    pub wall: Duration,
}

/// Runs `writers` threads, each of which puts `each` new blocks of 300 bytes, one after the other.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing afterwards.
pub fn concurrent_puts(store: &dyn Store, seed: u64, writers: usize, each: usize) -> Result<Concurrent, WorkloadError> {
    let all: Vec<_> = Blocks::new(seed, 300).take(writers * each).collect();
    let start = Instant::now();
    let times = thread::scope(|scope| {
        let threads: Vec<_> = all.chunks(each.max(1)).map(|own| scope.spawn(move || writer(store, own))).collect();
        threads.into_iter().try_fold(Times::default(), |mut sum, thread| {
            sum.extend(thread.join().map_err(|_| wrong("a writer panicked"))??);
            Ok::<_, WorkloadError>(sum)
        })
    })?;
    let wall = start.elapsed();
    all.iter().try_for_each(|(cid, data)| expect_present(store, cid, data))?;
    Ok(Concurrent { times, wall })
}

fn writer(store: &dyn Store, own: &[Block]) -> Result<Times, WorkloadError> {
    let mut times = Times::default();
    for (cid, data) in own {
        times.time(|| store.put(cid, data.clone()))?;
    }
    Ok(times)
}
