//! A thread that makes a call once its users pause.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The first and the longest pause between retries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(300));

type Call = dyn Fn() -> bool + Send + Sync;

/// Calls a function once [`arm`](Self::arm) has not been called for the pause that it names, or `longest` after the
/// first `arm`, unless [`disarm`](Self::disarm) comes first. The function returns whether it succeeded. If not, it is
/// called again, with doubling delays.
///
/// The first `arm` starts the thread; it has ended when `drop` returns.
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
    /// The pause that set `due`: only one that is at least as short moves it later.
    pause: Duration,
    /// The latest possible `due`, however often it is deferred.
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

    /// Schedules the call. Returns `false` if that is impossible because the system cannot start a thread. Everything
    /// that the call needs must be in place before.
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
        // A time beyond the range of the clock is never due.
        let now = Instant::now();
        state.deadline = state.deadline.or(now.checked_add(self.longest));
        let due = now.checked_add(pause).into_iter().chain(state.deadline).min();
        let sooner = due.is_some_and(|due| state.due.is_none_or(|before| due < before));
        if sooner || pause <= state.pause {
            (state.due, state.pause) = (due, pause);
        }
        // A later due time needs no wake-up: the thread finds it when it wakes.
        if sooner {
            self.alarm.changed.notify_one();
        }
        true
    }

    /// For a caller that is about to do the work itself, and arms again if it fails. Work that arrives meanwhile arms
    /// for itself.
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
                // Clear before the call: work that arrives during it needs another call.
                state.clear();
                drop(state);
                // A panic counts as a failure, so the call is retried.
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
            // A panic cannot have left anything half done.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("longest", &self.longest).finish_non_exhaustive()
    }
}
