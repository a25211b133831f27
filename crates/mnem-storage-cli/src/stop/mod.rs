//! Stopping on a signal: Ctrl-C, `kill`, a closed terminal, a limit of processor time.
//!
//! A killed process leaves the store intact, so most commands install no handler and die by the signal. Two kinds of
//! commands install one:
//!
//! - A command that can report what it kept stops at its next safe point ([`Stop::when_asked`]). If it finds none in
//!   time, the process ends anyway.
//! - A command that has changed nothing yet ends immediately, with a message ([`Stop::at_once`]).
//!
//! A second signal ends either kind immediately. Temporary files are removed in every case.
//!
//! An incomplete command dies by the first signal, so that a calling script stops too; a shell reports 128 plus the
//! number of the signal. A command that completes in spite of the signal exits with its own status. Signals that were
//! ignored at the start stay ignored.
//!
//! The kernel does not kill the first process of a container by a signal without a handler. There every command
//! installs one, and exits with the same status.

pub(crate) mod input;
#[cfg(unix)]
mod thread;

#[cfg(unix)]
use std::io;
use std::{
    fmt,
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    context::Context,
    error::{Failure, Result},
    signal::Signal,
};

/// A signal asked the command to stop. The error of an interrupted input.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Asked;

/// Where a signal stops the work.
#[derive(Debug)]
enum At {
    /// Immediately. The message says what was kept, and how to continue.
    Once { kept: &'static str, hint: &'static str },
    /// At the next check.
    NextLook,
}

/// What to do on a signal.
#[derive(Debug)]
struct Stake {
    at: At,
    /// Files and folders to remove.
    leftovers: Vec<PathBuf>,
}

/// The first signal that asked this process to stop.
static ASKED: OnceLock<Signal> = OnceLock::new();

/// Whether a thread is reporting and ending the process.
static LAST_WORDS: AtomicBool = AtomicBool::new(false);

/// Whether a signal ends the first process of a container immediately: no command has created a [`Stop`].
#[cfg(unix)]
static NOTHING_AT_STAKE: AtomicBool = AtomicBool::new(true);

/// The signal that asked this process to stop, if any.
pub(crate) fn asked() -> Option<Signal> {
    ASKED.get().copied()
}

/// Marks the end of the work. Does not return if another thread is ending the process.
pub(crate) fn last_words() {
    while LAST_WORDS.swap(true, Ordering::AcqRel) {
        std::thread::park();
    }
}

/// Prepares signal handling at the start of the program: the file size limit fails writes, and signals end the first
/// process of a container too.
pub(crate) fn prepare() {
    #[cfg(unix)]
    crate::signal::let_large_writes_fail();
    #[cfg(unix)]
    if crate::signal::is_first_process() {
        for number in crate::signal::all() {
            let status = i32::from(Signal::of(number).status());
            // A signal that the system does not know cannot arrive.
            let _ = signal_hook::flag::register_conditional_shutdown(number, status, &NOTHING_AT_STAKE);
        }
    }
}

/// The state shared between the work and the signal thread.
#[derive(Debug)]
pub(crate) struct Stop {
    stake: Arc<Mutex<Stake>>,
    /// Closed by the first signal, to wake a blocked read.
    #[cfg(unix)]
    woken: io::PipeReader,
}

impl Stop {
    /// From now on, a signal asks the work to stop. The work must check [`flow`](Self::flow) often.
    pub(crate) fn when_asked(context: &Context) -> Result<Self> {
        Self::new(context, At::NextLook)
    }

    /// From now on, a signal ends the process with a message: what was kept, and how to continue.
    pub(crate) fn at_once(context: &Context, kept: &'static str, hint: &'static str) -> Result<Self> {
        Self::new(context, At::Once { kept, hint })
    }

    /// Switches from [`when_asked`](Self::when_asked) to [`at_once`](Self::at_once).
    ///
    /// # Errors
    /// [`Failure::Interrupted`] if a signal has arrived already.
    pub(crate) fn at_once_from_here(&self, kept: &'static str, hint: &'static str) -> Result<()> {
        let mut stake = locked(&self.stake);
        if asked().is_some() {
            return Err(self.interrupted(kept, hint.to_owned()));
        }
        stake.at = At::Once { kept, hint };
        Ok(())
    }

    /// Switches from [`at_once`](Self::at_once) to [`when_asked`](Self::when_asked): the rest is short and must complete.
    pub(crate) fn finish_first(&self) {
        locked(&self.stake).at = At::NextLook;
    }

    /// Removes this file or folder if a signal ends the process. Otherwise the work must remove it.
    pub(crate) fn without(&self, leftover: impl Into<PathBuf>) {
        locked(&self.stake).leftovers.push(leftover.into());
    }

    /// Whether to continue, for a progress callback.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Fails if a signal has arrived.
    pub(crate) fn check(&self) -> std::result::Result<(), Asked> {
        asked().map_or(Ok(()), |_| Err(Asked))
    }

    /// The failure of interrupted work: what it kept, and how to continue.
    pub(crate) fn interrupted(&self, kept: impl fmt::Display, hint: String) -> Failure {
        let signal = asked().unwrap_or(Signal::INTERRUPT);
        Failure::Interrupted { signal, kept: kept.to_string(), hint }
    }

    #[cfg(not(unix))]
    fn new(_: &Context, at: At) -> Result<Self> {
        Ok(Self { stake: Arc::new(Mutex::new(Stake { at, leftovers: Vec::new() })) })
    }

    #[cfg(unix)]
    fn new(context: &Context, at: At) -> Result<Self> {
        let failed = |source| Failure::Io { what: "wait for signals".into(), source };
        let none: [i32; 0] = [];
        let signals = signal_hook::iterator::Signals::new(none).map_err(failed)?;
        for number in crate::signal::all() {
            // A signal that the system does not know cannot arrive.
            let _ = signals.handle().add_signal(number);
        }
        NOTHING_AT_STAKE.store(false, Ordering::SeqCst);
        let (woken, wakes) = io::pipe().map_err(failed)?;
        let stake = Arc::new(Mutex::new(Stake { at, leftovers: Vec::new() }));
        let waiter = thread::Waiter { context: context.clone(), stake: Arc::clone(&stake), wakes: Some(wakes) };
        let spawned = std::thread::Builder::new().name("signals".into()).spawn(move || waiter.run(signals));
        spawned.map_err(|source| Failure::Io { what: "start a thread for signals (clone3)".into(), source })?;
        Ok(Self { stake, woken })
    }

    /// Waits until `input` is readable or a signal arrives.
    #[cfg(unix)]
    pub(crate) fn wait_for(&self, input: &impl std::os::fd::AsFd) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut both = [PollFd::new(input, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        loop {
            match poll(&mut both, None) {
                Err(rustix::io::Errno::INTR) => {}
                polled => return polled.map(drop).map_err(io::Error::from),
            }
        }
    }

    /// Without signal handling, the read itself waits.
    #[cfg(not(unix))]
    pub(crate) fn wait_for<T>(&self, _: &T) -> std::io::Result<()> {
        Ok(())
    }
}

fn locked(stake: &Mutex<Stake>) -> MutexGuard<'_, Stake> {
    stake.lock().unwrap_or_else(PoisonError::into_inner)
}
