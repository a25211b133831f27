//! The thread that writes and merges index runs: when it runs, and who waits for it.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use crate::handle::{Shared, hold};

/// The thread of one handle. It exists only while there is work to do.
#[derive(Debug, Default)]
pub(crate) struct Tending {
    state: Mutex<State>,
    /// Signals that a part of the work is done, or that the thread ends.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    /// No new work is started, and merges are abandoned.
    is_stopping: bool,
    thread: Option<JoinHandle<()>>,
}

/// Records that the thread has ended, even if it panicked.
struct Ended<'a>(&'a Tending);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        hold(&self.0.state).is_running = false;
        self.0.moved.notify_all();
    }
}

impl Tending {
    /// Starts the thread, unless it is running.
    pub(crate) fn start(&self, shared: &Arc<Shared>, work: fn(&Shared)) -> io::Result<()> {
        let mut state = hold(&self.state);
        if state.is_running || state.is_stopping {
            return Ok(());
        }
        self.join(&mut state);
        let shared = shared.clone();
        let thread = thread::Builder::new().name("carlog index".into()).spawn(move || {
            let _ended = Ended(&shared.tending);
            work(&shared);
        })?;
        (state.is_running, state.thread) = (true, Some(thread));
        Ok(())
    }

    /// Waits while the thread is running and the condition holds.
    pub(crate) fn wait_while(&self, condition: impl Fn() -> bool) {
        let mut state = hold(&self.state);
        while state.is_running && condition() {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the waiting threads.
    pub(crate) fn moved(&self) {
        // A thread that has checked the condition holds this lock until it waits.
        drop(hold(&self.state));
        self.moved.notify_all();
    }

    /// Whether merges must be abandoned.
    pub(crate) fn is_stopping(&self) -> bool {
        hold(&self.state).is_stopping
    }

    /// Waits until the thread has done its work.
    pub(crate) fn finish(&self) {
        self.wait_while(|| true);
        self.join(&mut hold(&self.state));
    }

    /// Waits until the thread has finished the work that cannot be abandoned. It does not start again.
    pub(crate) fn stop(&self) {
        hold(&self.state).is_stopping = true;
        self.finish();
    }

    fn join(&self, state: &mut State) {
        if state.thread.take().is_some_and(|thread| thread.join().is_err()) {
            // The next thread takes back the table that this one was writing.
            tracing::warn!("the thread that writes the index panicked");
        }
    }
}
