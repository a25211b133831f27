//! Ctrl-C, the polite `kill`, a terminal that goes away, a limit of processor time: every signal that ends a process.
//!
//! A store is whole whenever a process dies, so a command that leaves nothing behind needs nothing from here: the signal ends it. The others say
//! what they have at stake. Work that can tell what it kept is asked to end ([`Stop::when_asked`]), and has a moment for it. Work that has
//! changed nothing yet ends where it is, with a word ([`Stop::at_once`]). A second request ends either at once. What would be left behind goes
//! in every case. Work that was not completed ends by the first signal that came, so that a script that called it stops too; its shell sees status 128
//! and the number of the signal. Work that was complete by then exits with its own status. What was ignored when the program began stays ignored.
//!
//! The first process of a container is ended by no signal that it does not heed: there, every command heeds them, and exits with that status.

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

/// That somebody asked for the end. What an input fails with that is waited for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Asked;

/// Where a signal ends the work.
#[derive(Debug)]
enum At {
    /// Wherever it is: this is what has been kept, and how to go on.
    Once { kept: &'static str, hint: &'static str },
    /// Where the work sees that it was asked.
    NextLook,
}

/// What the work has at stake.
#[derive(Debug)]
struct Stake {
    at: At,
    /// Files and folders that are not to outlive the process.
    leftovers: Vec<PathBuf>,
}

/// The first signal that asked for the end: of the process, whatever it is doing.
static ASKED: OnceLock<Signal> = OnceLock::new();

/// Whether some thread ends the process by now, and says why.
static LAST_WORDS: AtomicBool = AtomicBool::new(false);

/// Whether the first process of a container ends at once, since no command has said what it has at stake.
#[cfg(unix)]
static NOTHING_AT_STAKE: AtomicBool = AtomicBool::new(true);

/// Which signal asked for the end, if any.
pub(crate) fn asked() -> Option<Signal> {
    ASKED.get().copied()
}

/// The work is over. Comes back unless another thread ends the process by now.
pub(crate) fn last_words() {
    while LAST_WORDS.swap(true, Ordering::AcqRel) {
        std::thread::park();
    }
}

/// Lets the limit of file sizes fail writes, and sees to it that signals end the first process of a container too. For the beginning of the program.
pub(crate) fn prepare() {
    #[cfg(unix)]
    crate::signal::let_large_writes_fail();
    #[cfg(unix)]
    if crate::signal::is_first_process() {
        for number in crate::signal::all() {
            let status = i32::from(Signal::of(number).status());
            // One that the system does not know cannot come.
            let _ = signal_hook::flag::register_conditional_shutdown(number, status, &NOTHING_AT_STAKE);
        }
    }
}

/// What the work and the thread that waits for signals know of each other.
#[derive(Debug)]
pub(crate) struct Stop {
    stake: Arc<Mutex<Stake>>,
    /// Closed by the first signal, to wake who waits for something else.
    #[cfg(unix)]
    woken: io::PipeReader,
}

impl Stop {
    /// From here on a signal asks the work to end. It is to look at [`flow`](Self::flow) often.
    pub(crate) fn when_asked(context: &Context) -> Result<Self> {
        Self::new(context, At::NextLook)
    }

    /// From here on a signal ends the process, which says what has been kept and how to go on.
    pub(crate) fn at_once(context: &Context, kept: &'static str, hint: &'static str) -> Result<Self> {
        Self::new(context, At::Once { kept, hint })
    }

    /// As [`at_once`](Self::at_once), of work that was to see by itself that it was asked.
    ///
    /// # Errors
    /// It was asked by now.
    pub(crate) fn at_once_from_here(&self, kept: &'static str, hint: &'static str) -> Result<()> {
        let mut stake = locked(&self.stake);
        if asked().is_some() {
            return Err(self.interrupted(kept, hint.to_owned()));
        }
        stake.at = At::Once { kept, hint };
        Ok(())
    }

    /// What was to end at once is finished first from here on: it is short, and better whole.
    pub(crate) fn finish_first(&self) {
        locked(&self.stake).at = At::NextLook;
    }

    /// This file or folder goes where the process is ended. Where it ends by itself, the work is to remove it.
    pub(crate) fn without(&self, leftover: impl Into<PathBuf>) {
        locked(&self.stake).leftovers.push(leftover.into());
    }

    /// What the work is to do next, for its callback.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Fails if somebody asked for the end.
    pub(crate) fn check(&self) -> std::result::Result<(), Asked> {
        asked().map_or(Ok(()), |_| Err(Asked))
    }

    /// The failure of work that was asked to end: what it kept, and how to go on.
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
            // One that the system does not know cannot come.
            let _ = signals.handle().add_signal(number);
        }
        NOTHING_AT_STAKE.store(false, Ordering::SeqCst);
        let (woken, wakes) = io::pipe().map_err(failed)?;
        let stake = Arc::new(Mutex::new(Stake { at, leftovers: Vec::new() }));
        let waiter = thread::Waiter { context: context.clone(), stake: Arc::clone(&stake), wakes: Some(wakes) };
        let spawned = std::thread::Builder::new().name("signals".into()).spawn(move || waiter.run(signals));
        spawned
            .map_err(|source| Failure::Io { what: "start a thread (clone3) that waits for signals".into(), source })?;
        Ok(Self { stake, woken })
    }

    /// Waits until there is something to read from `input`, or somebody asks for the end.
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

    /// Where no signal is heeded, there is nothing else to wait for than what reading waits for.
    #[cfg(not(unix))]
    pub(crate) fn wait_for<T>(&self, _: &T) -> std::io::Result<()> {
        Ok(())
    }
}

fn locked(stake: &Mutex<Stake>) -> MutexGuard<'_, Stake> {
    stake.lock().unwrap_or_else(PoisonError::into_inner)
}
