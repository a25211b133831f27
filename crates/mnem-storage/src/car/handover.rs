//! Handing one thing at a time to another thread, without waiting longer than the caller wants to go on.

use std::{
    mem,
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::progress::Cancelled;

/// Between two questions whether to go on waiting.
const WAIT: Duration = Duration::from_millis(50);

/// Between a thread that makes things and one that takes them.
pub(super) struct Handover<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    handed: Option<T>,
    /// Whether the taker is at work.
    is_busy: bool,
    /// Whether nothing more will be handed over.
    is_over: bool,
    /// Whether the taker has gone.
    has_left: bool,
    /// When the taker is to leave off, whatever it is at.
    leave_off: Option<Instant>,
}

impl<T: Default> Handover<T> {
    pub(super) fn new() -> Self {
        let state = State { handed: None, is_busy: false, is_over: false, has_left: false, leave_off: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Each change of it is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Hands it over, and leaves an empty one in its place, if the taker has nothing to do; says whether it had.
    /// Cancelled: the taker has gone.
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

    /// Hands it over, and leaves an empty one in its place, as soon as the taker has nothing to do. Cancelled: as the
    /// caller wished, or the taker has gone.
    pub(super) fn send(&self, thing: &mut T, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Result<(), Cancelled> {
        while !self.offer(thing)? {
            Cancelled::check(go_on())?;
            drop(self.wait(self.state()));
        }
        Ok(())
    }

    /// Hands over the last thing, and waits until the taker has gone. From the time on at which the caller does not
    /// want to go on, the taker is [late](Self::is_late) after a `moment`.
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

    /// The taker's next thing; `None` if there will be none.
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

    /// Whether the taker is to leave off, now or soon.
    pub(super) fn is_ending(&self) -> bool {
        self.state().leave_off.is_some()
    }

    /// Whether the taker is to leave off.
    pub(super) fn is_late(&self) -> bool {
        self.state().leave_off.is_some_and(|end| Instant::now() >= end)
    }

    /// Asks the taker to leave off at once.
    #[cfg(test)]
    pub(super) fn be_late(&self) {
        self.state().leave_off = Some(Instant::now());
    }

    /// For the taker: has gone when this is dropped.
    pub(super) fn taking(&self) -> Taking<'_, T> {
        Taking(self)
    }
}

/// That somebody takes, however it ends.
pub(super) struct Taking<'a, T: Default>(&'a Handover<T>);

impl<T: Default> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        self.0.state().has_left = true;
        self.0.changed.notify_all();
    }
}
