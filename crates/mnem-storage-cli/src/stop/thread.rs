//! The thread that waits for signals.
//!
//! It waits for nothing else: what it says is left out where nobody takes it at once.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
    thread,
    time::Duration,
};

use signal_hook::iterator::Signals;

use super::{ASKED, At, LAST_WORDS, Stake, locked};
use crate::{
    context::Context,
    error::Failure,
    report::report,
    signal::{Signal, end_by},
    terminal,
};

/// How long work may take to come to a place where it stops by itself. Then it is ended where it is.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long the last words may take that were begun by then.
const PATIENCE_AT_THE_END: Duration = Duration::from_millis(300);

/// What is said of work that did not stop by itself in time.
const LATE: (&str, &str) = (
    "it found no place to stop in time; a store is whole all the same, and holds what was committed",
    "run the same command again",
);

/// What the thread knows.
pub(super) struct Waiter {
    pub(super) context: Context,
    pub(super) stake: Arc<Mutex<Stake>>,
    /// Closed by the first signal, to wake who waits for something else.
    pub(super) wakes: Option<io::PipeWriter>,
}

impl Waiter {
    pub(super) fn run(mut self, mut signals: Signals) {
        for number in signals.forever() {
            let signal = Signal::of(number);
            if self.wakes.is_some() {
                self.first(signal);
            } else if signal.is_asked_by_hand() {
                end(&self.context, &locked(&self.stake), signal, None);
            }
        }
    }

    fn first(&mut self, signal: Signal) {
        // Held to the end of the process where that ends here: the work cannot go on to what is to be finished.
        let stake = locked(&self.stake);
        if let At::Once { kept, hint } = stake.at {
            end(&self.context, &stake, signal, Some((kept, hint)));
        }
        let _ = ASKED.set(signal);
        let (context, shared) = (self.context.clone(), Arc::clone(&self.stake));
        let late = thread::Builder::new().name("deadline".into()).spawn(move || {
            thread::sleep(PATIENCE);
            end(&context, &locked(&shared), signal, Some(LATE));
        });
        if late.is_err() {
            end(&self.context, &stake, signal, Some(LATE));
        }
        drop(stake);
        drop(self.wakes.take());
        if terminal::takes_a_line_now() {
            terminal::wipe_line();
            self.context.remark("stopping at the next place where nothing is lost; once more ends at once");
        }
    }
}

/// Ends the process where it is, without what it would leave behind.
fn end(context: &Context, stake: &MutexGuard<'_, Stake>, signal: Signal, said: Option<(&str, &str)>) -> ! {
    if LAST_WORDS.swap(true, Ordering::AcqRel) {
        // The work has ended, and says how.
        thread::sleep(PATIENCE_AT_THE_END);
    } else if let Some((kept, hint)) = said.filter(|_| terminal::takes_a_line_now()) {
        terminal::wipe_line();
        let (kept, hint) = (kept.to_owned(), hint.to_owned());
        report(&Failure::Interrupted { signal, kept, hint }, context);
    }
    stake.leftovers.iter().for_each(|path| remove(path));
    end_by(signal)
}

/// Removes a file, or a folder in which the work still makes files, which may get in the way a few times.
fn remove(path: &Path) {
    if std::fs::remove_file(path).is_err() {
        let _ = (0..100).find(|_| std::fs::remove_dir_all(path).is_ok() || !path.exists());
    }
}
