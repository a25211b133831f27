//! The thread that writes and merges index runs: when it runs, and who waits for it.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use crate::handle::{Shared, hold};

/// The thread of one handle. There is one only while there is something to do.
#[derive(Debug, Default)]
pub(crate) struct Tending {
    state: Mutex<State>,
    /// A part of the work is done, or the thread ends.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    /// Nothing new is begun, and merges are given up.
    is_stopping: bool,
    thread: Option<JoinHandle<()>>,
}

/// Says that the thread has ended, however it ends.
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

    /// Wakes those who wait.
    pub(crate) fn moved(&self) {
        // A thread that saw the condition holds the lock until it waits.
        drop(hold(&self.state));
        self.moved.notify_all();
    }

    /// Whether merges are to be given up.
    pub(crate) fn is_stopping(&self) -> bool {
        hold(&self.state).is_stopping
    }

    /// Waits until the thread has done its work.
    pub(crate) fn finish(&self) {
        self.wait_while(|| true);
        self.join(&mut hold(&self.state));
    }

    /// Waits until the thread has ended what cannot be given up. It does not start again.
    pub(crate) fn stop(&self) {
        hold(&self.state).is_stopping = true;
        self.finish();
    }

    fn join(&self, state: &mut State) {
        if state.thread.take().is_some_and(|thread| thread.join().is_err()) {
            // The next one takes back what it was writing.
            tracing::warn!("the thread that writes the index panicked");
        }
    }
}
