//! A thread that calls once its callers pause.

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

/// Calls a function once nobody has called [`arm`](Self::arm) for the pause that it names, or `longest` after the
/// first call, unless [`disarm`](Self::disarm) comes first. The function says whether it succeeded; if not it is called again, after delays
/// that double.
///
/// The thread is started by the first `arm`, and is over when `drop` returns.
pub(crate) struct Timer {
    alarm: Arc<Alarm>,
    call: Arc<Call>,
    longest: Duration,
}

#[derive(Default)]
struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    /// What `due` was set by: only as short a pause moves it later.
    pause: Duration,
    /// Where `due` may not move beyond, however often it is put off.
    deadline: Option<Instant>,
    thread: Option<JoinHandle<()>>,
    stopped: bool,
}

impl State {
    fn clear(&mut self) {
        self.due = None;
        self.deadline = None;
    }
}

impl Alarm {
    // Every change of the state is complete before anything can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer {
    pub(crate) fn new(longest: Duration, call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { alarm: Arc::default(), call: Arc::new(call), longest }
    }

    /// Sees to it that the call comes in time; `false` if it cannot, because the system gives no thread. Whatever the call is to find
    /// must be there before.
    pub(crate) fn arm(&self, pause: Duration) -> bool {
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
        // A moment that the clock does not reach is never due.
        let now = Instant::now();
        state.deadline = state.deadline.or(now.checked_add(self.longest));
        let due = now.checked_add(pause).into_iter().chain(state.deadline).min();
        let sooner = due.is_some_and(|due| state.due.is_none_or(|before| due < before));
        if sooner || pause <= state.pause {
            (state.due, state.pause) = (due, pause);
        }
        // A due time that moves later needs no notice: the thread finds out when it wakes.
        if sooner {
            self.alarm.changed.notify_one();
        }
        true
    }

    /// For who is about to do himself what the call would do, and arms again if he fails. What comes up meanwhile arms for itself.
    pub(crate) fn disarm(&self) {
        self.alarm.lock().clear();
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
                state.clear();
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
        f.debug_struct("Timer").field("longest", &self.longest).finish_non_exhaustive()
    }
}
