//! Hands over one item at a time to another thread, and stops waiting when the caller no longer wants to continue.

use std::{
    mem,
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::progress::Cancelled;

/// How often a waiting thread asks whether to continue.
const WAIT: Duration = Duration::from_millis(50);

/// The connection between a producer thread and a consumer thread.
pub(super) struct Handover<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    handed: Option<T>,
    /// Whether the consumer is working.
    is_busy: bool,
    /// Whether nothing more will be handed over.
    is_over: bool,
    /// Whether the consumer has ended.
    has_left: bool,
    /// The time at which the consumer should stop, whatever it is doing.
    leave_off: Option<Instant>,
}

impl<T: Default> Handover<T> {
    pub(super) fn new() -> Self {
        let state = State { handed: None, is_busy: false, is_over: false, has_left: false, leave_off: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Each change of the state is a single assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0
    }

    /// If the consumer is idle, hands over `thing`, leaves an empty one in its place and returns `true`. Fails with
    /// `Cancelled` if the consumer has ended.
    pub(super) fn offer(&self, thing: &mut T) -> Result<bool, Cancelled> {
        let mut state = self.state();
        if state.has_left {
            return Err(Cancelled);
        }
        let is_idle = !state.is_busy && state.handed.is_none();
        if is_idle {
            state.handed = Some(mem::take(thing));
            self.changed.notify_all();
        }
        Ok(is_idle)
    }

    /// Waits until the consumer is idle, hands over `thing` and leaves an empty one in its place. Fails with
    /// `Cancelled` if `go_on` says so, or if the consumer has ended.
    pub(super) fn send(&self, thing: &mut T, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Result<(), Cancelled> {
        while !self.offer(thing)? {
            Cancelled::check(go_on())?;
            drop(self.wait(self.state()));
        }
        Ok(())
    }

    /// Hands over the last item, and waits until the consumer has ended. Once `go_on` asks to stop, the consumer
    /// becomes [late](Self::is_late) after `moment`.
    pub(super) fn finish(&self, last: T, moment: Duration, go_on: &mut dyn FnMut() -> ControlFlow<()>) {
        let (mut last, mut state) = (Some(last), self.state());
        while !state.has_left {
            if state.handed.is_none() && last.is_some() {
                state.handed = last.take();
                state.is_over = true;
                self.changed.notify_all();
            }
            drop(state);
            let asked = go_on();
            state = self.state();
            if asked.is_break() && state.leave_off.is_none() {
                state.leave_off = Some(Instant::now() + moment);
            }
            if !state.has_left {
                state = self.wait(state);
            }
        }
    }

    /// The next item for the consumer, or `None` if there will be no more.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state();
        state.is_busy = false;
        self.changed.notify_all();
        while state.handed.is_none() && !state.is_over {
            state = self.wait(state);
        }
        let thing = state.handed.take();
        state.is_busy = thing.is_some();
        thing
    }

    /// Whether the consumer should stop, now or soon.
    pub(super) fn is_ending(&self) -> bool {
        self.state().leave_off.is_some()
    }

    /// Whether the consumer should stop now.
    pub(super) fn is_late(&self) -> bool {
        self.state().leave_off.is_some_and(|end| Instant::now() >= end)
    }

    /// Asks the consumer to stop at once.
    #[cfg(test)]
    pub(super) fn be_late(&self) {
        self.state().leave_off = Some(Instant::now());
    }

    /// The consumer keeps this value; dropping it records that the consumer has ended.
    pub(super) fn taking(&self) -> Taking<'_, T> {
        Taking(self)
    }
}

/// Records the end of the consumer, even if it panics.
pub(super) struct Taking<'a, T: Default>(&'a Handover<T>);

impl<T: Default> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        self.0.state().has_left = true;
        self.0.changed.notify_all();
    }
}
