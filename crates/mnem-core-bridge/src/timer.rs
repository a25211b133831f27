//! A thread that calls once some time after it was asked to.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The pauses after failures: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));

type Call = dyn Fn() -> bool + Send + Sync;

/// Calls a function `delay` after [`arm`](Self::arm), unless [`disarm`](Self::disarm) comes first. The function says whether it
/// succeeded; if not it is called again, with pauses that double.
///
/// The thread is started by the first `arm`, and is over when `drop` returns.
pub(crate) struct Timer {
    alarm: Arc<Alarm>,
    call: Arc<Call>,
    delay: Duration,
}

#[derive(Default)]
struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    thread: Option<JoinHandle<()>>,
    stopped: bool,
}

impl Alarm {
    // Every change of the state is complete before anything can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer {
    pub(crate) fn new(delay: Duration, call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { alarm: Arc::default(), call: Arc::new(call), delay }
    }

    /// Sees to it that the call comes within `delay`; `false` if it cannot, because the system gives no thread. Whatever the call is to find
    /// must be there before.
    pub(crate) fn arm(&self) -> bool {
        let mut state = self.alarm.lock();
        if state.stopped {
            return true;
        }
        if state.thread.is_none() {
            let (alarm, call) = (Arc::clone(&self.alarm), Arc::clone(&self.call));
            let thread = thread::Builder::new().name("mnem-core-bridge".into());
            match thread.spawn(move || run(&alarm, &*call)) {
                Ok(started) => state.thread = Some(started),
                Err(_) => return false,
            }
        }
        // A moment that the clock does not reach is never due. After failures the next attempt may be farther off than what comes up now can wait.
        let due = Instant::now().checked_add(self.delay);
        if state.due.is_none() || due < state.due {
            state.due = due.or(state.due);
            self.alarm.changed.notify_one();
        }
        true
    }

    /// For who is about to do himself what the call would do, and arms again if he fails. What comes up meanwhile arms for itself.
    pub(crate) fn disarm(&self) {
        self.alarm.lock().due = None;
    }
}

fn run(alarm: &Alarm, call: &Call) {
    let mut pause = PAUSES.0;
    let mut state = alarm.lock();
    while !state.stopped {
        let now = Instant::now();
        state = match state.due {
            None => alarm.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(due) if now < due => {
                alarm.changed.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                // Before the call: what comes up during it needs another one.
                state.due = None;
                drop(state);
                // A call that panicked failed: the promise to call again outlives it.
                let succeeded = panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or(false);
                let mut state = alarm.lock();
                if succeeded {
                    pause = PAUSES.0;
                } else {
                    state.due.get_or_insert(Instant::now() + pause);
                    pause = PAUSES.1.min(pause * 2);
                }
                state
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let thread = {
            let mut state = self.alarm.lock();
            state.stopped = true;
            self.alarm.changed.notify_one();
            state.thread.take()
        };
        if let Some(thread) = thread {
            // It holds nothing that a panic could have left half done.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("delay", &self.delay).finish_non_exhaustive()
    }
}
