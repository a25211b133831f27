//! The threads that carry the requests of all stores of the process.

use std::{
    future::Future,
    io,
    sync::{Mutex, mpsc},
};

use tokio::runtime::{Builder, Runtime};

use crate::{error::unavailable, handle::hold};
use mnem_store_traits::StoreError;

/// Enough for requests, which mostly wait.
const THREADS: usize = 2;

/// Made at the first request, and never ended: a thread may have a request under way at any time.
static RUNTIME: Mutex<Option<&'static Runtime>> = Mutex::new(None);

fn runtime() -> io::Result<&'static Runtime> {
    let mut runtime = hold(&RUNTIME);
    if let Some(runtime) = *runtime {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread().worker_threads(THREADS).thread_name("mnem-bucket").enable_all().build()?;
    Ok(runtime.insert(Box::leak(Box::new(made))))
}

/// Runs futures side by side, and waits for all of them, in order. It only blocks this thread, so it works inside of
/// another runtime too.
pub(crate) fn wait_for_all<T: Send + 'static>(
    futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Result<Vec<T>, StoreError> {
    let runtime = runtime().map_err(|error| unavailable("start its threads", error))?;
    let answers: Vec<_> = futures
        .into_iter()
        .map(|future| {
            let (sender, answer) = mpsc::sync_channel(1);
            runtime.spawn(async move {
                // Nobody waits for it if the caller panicked.
                let _ = sender.send(future.await);
            });
            answer
        })
        .collect();
    let ended = |_| unavailable("run a request", io::Error::other("the request panicked"));
    answers.into_iter().map(|answer| answer.recv().map_err(ended)).collect()
}

/// Runs one future, and waits for it.
pub(crate) fn wait_for<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
    let mut answers = wait_for_all([future])?;
    answers.pop().ok_or_else(|| unavailable("run a request", io::Error::other("there was no answer")))
}
