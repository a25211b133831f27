//! Threads started by a law. Their failures and panics become failures of the law.

use std::{
    any::Any,
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::Failure;

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without a message"))
}

/// Makes one call of a thread that others wait for at a barrier. A panic is a failure, so the thread gets to the barrier.
pub(crate) fn caught<T>(did: impl Display, call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let panicked = |panic: Box<dyn Any + Send>| Err(Failure::new(did, "no panic", panic_text(&*panic)));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

/// Runs `task(0)` to `task(n - 1)` in parallel. Returns their results, or the first failure.
pub(crate) fn together<T: Send>(
    n: usize,
    task: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let task = &task;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n).map(|i| scope.spawn(move || task(i))).collect();
        let results: Vec<_> = threads.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}

/// Runs `work` while another thread repeats `watch`. The watcher is running before `work` begins; `watch` also runs
/// once before and once after.
pub(crate) fn watched(
    work: impl FnOnce() -> Result<(), Failure>,
    watch: impl Fn() -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    watch()?;
    let (begin, stop) = (Barrier::new(2), AtomicBool::new(false));
    let (work_result, watch_result) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            begin.wait();
            while !stop.load(Ordering::Acquire) {
                watch()?;
            }
            Ok(())
        });
        // Also stops the watcher if `work` panics; otherwise the scope would wait for it forever.
        let stop_at_end = StopAtEnd(&stop);
        begin.wait();
        let work_result = work();
        drop(stop_at_end);
        (work_result, join(watcher))
    });
    work_result.and(watch_result)?;
    watch()
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

pub(crate) fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|panic| Err(Failure::new("ran a thread of the law", "no panic", panic_text(&*panic))))
}
