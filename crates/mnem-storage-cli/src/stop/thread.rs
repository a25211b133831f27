//! The signal thread.
//!
//! It never blocks on output: if standard error is not writable at once, it skips its message.

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

/// How long the work may take to reach a safe point. After that the process ends anyway.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long a report that another thread has begun may take.
const PATIENCE_AT_THE_END: Duration = Duration::from_millis(300);

/// The message for work that reached no safe point in time.
const LATE: (&str, &str) = (
    "the command reached no safe point in time; the store is intact and holds everything committed",
    "run the same command again",
);

/// The state of the thread.
pub(super) struct Waiter {
    pub(super) context: Context,
    pub(super) stake: Arc<Mutex<Stake>>,
    /// Closed by the first signal, to wake a blocked read.
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
        // If the process ends here, hold the lock until then: the work must not enter a part that has to complete.
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
            self.context.remark("stopping at the next safe point; signal again to stop immediately");
        }
    }
}

/// Ends the process, after removing its temporary files.
fn end(context: &Context, stake: &MutexGuard<'_, Stake>, signal: Signal, said: Option<(&str, &str)>) -> ! {
    if LAST_WORDS.swap(true, Ordering::AcqRel) {
        // The work has ended, and is reporting.
        thread::sleep(PATIENCE_AT_THE_END);
    } else if let Some((kept, hint)) = said.filter(|_| terminal::takes_a_line_now()) {
        terminal::wipe_line();
        let (kept, hint) = (kept.to_owned(), hint.to_owned());
        report(&Failure::Interrupted { signal, kept, hint }, context);
    }
    stake.leftovers.iter().for_each(|path| remove(path));
    end_by(signal)
}

/// Removes a file or a folder. Retries for a folder: the work may still create files in it.
fn remove(path: &Path) {
    if std::fs::remove_file(path).is_err() {
        let _ = (0..100).find(|_| std::fs::remove_dir_all(path).is_ok() || !path.exists());
    }
}
