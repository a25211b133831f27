//! Ctrl-C, and the polite `kill`: SIGINT and SIGTERM.
//!
//! A store is whole whenever a process dies, so a command that leaves nothing behind needs nothing from here: the signal ends it. The others say
//! what they have at stake. Work that can tell what it kept is asked to end ([`Stop::when_asked`]); work that has changed nothing yet ends
//! where it is, with a word ([`Stop::at_once`]). Whoever asks twice is obeyed at once. In the end the process dies by the signal that it
//! got, so that a script that called it stops too; its shell sees status 130 or 143. What was ignored when the program began stays ignored.

#[cfg(unix)]
mod inherited;
pub(crate) mod input;

use std::{
    fmt, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{
    context::Context,
    error::{self, Exit, Failure, Result},
    terminal,
};

/// The signals that are heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// That somebody asked for the end. What an input fails with that is waited for.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Asked;

/// What the first signal does.
#[derive(Debug)]
enum First {
    /// Ends the process: this is what has been kept, and how to go on. A temporary folder goes with it.
    Ends { kept: &'static str, hint: &'static str, folder: Option<PathBuf> },
    /// Asks the work to end.
    Asks,
}

/// The first signal that asked for the end: of the process, whatever it is doing.
static ASKED: OnceLock<Signal> = OnceLock::new();

/// Which signal asked for the end, if any.
pub(crate) fn asked() -> Option<Signal> {
    ASKED.get().copied()
}

/// What the work and the thread that waits for signals know of each other.
#[derive(Debug)]
pub(crate) struct Stop {
    first: Arc<Mutex<First>>,
    /// Closed by the first signal, to wake who waits for something else.
    #[cfg(unix)]
    woken: io::PipeReader,
}

impl Stop {
    /// From here on a signal asks the work to end. It is to look at [`flow`](Self::flow) often.
    pub(crate) fn when_asked(context: &Context) -> Result<Self> {
        Self::new(context, First::Asks)
    }

    /// From here on a signal ends the process, which says what has been kept and how to go on.
    pub(crate) fn at_once(context: &Context, kept: &'static str, hint: &'static str) -> Result<Self> {
        Self::new(context, First::Ends { kept, hint, folder: None })
    }

    /// As [`at_once`](Self::at_once), and this temporary folder is removed.
    pub(crate) fn at_once_without(
        context: &Context,
        kept: &'static str,
        hint: &'static str,
        folder: &Path,
    ) -> Result<Self> {
        Self::new(context, First::Ends { kept, hint, folder: Some(folder.to_owned()) })
    }

    /// What was to end at once is finished first from here on: it is short, and better whole.
    pub(crate) fn finish_first(&self) {
        *locked(&self.first) = First::Asks;
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
        let signal = asked().unwrap_or(Signal::Interrupt);
        Failure::Interrupted { signal, kept: kept.to_string(), hint }
    }

    #[cfg(not(unix))]
    fn new(_: &Context, first: First) -> Result<Self> {
        Ok(Self { first: Arc::new(Mutex::new(first)) })
    }

    #[cfg(unix)]
    fn new(context: &Context, first: First) -> Result<Self> {
        let failed = |source| Failure::Io { what: "wait for signals".into(), source };
        let signals = inherited::heeded(&[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]);
        obey_the_second(&signals).map_err(failed)?;
        let mut signals = signal_hook::iterator::Signals::new(signals).map_err(failed)?;
        let (woken, wakes) = io::pipe().map_err(failed)?;
        let first = Arc::new(Mutex::new(first));
        let (context, shared) = (context.clone(), Arc::clone(&first));
        let mut wakes = Some(wakes);
        let wait = move || {
            // Whatever comes later ends the process before it gets here.
            if let Some(number) = signals.forever().next() {
                let signal = Signal::of(number);
                terminal::wipe_line();
                // Held to the end of the process where that ends here: the work cannot go on to what is to be finished.
                let first = locked(&shared);
                match &*first {
                    First::Ends { kept, hint, folder } => {
                        if let Some(folder) = folder {
                            remove(folder);
                        }
                        let (kept, hint) = ((*kept).to_owned(), (*hint).to_owned());
                        error::report(&Failure::Interrupted { signal, kept, hint }, &context);
                        end_by(signal);
                    }
                    First::Asks => {
                        let _ = ASKED.set(signal);
                        drop(wakes.take());
                        context.remark("stopping at the next place where nothing is lost; once more ends at once");
                    }
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map_err(failed)?;
        Ok(Self { first, woken })
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
    pub(crate) fn wait_for<T>(&self, _: &T) -> io::Result<()> {
        Ok(())
    }
}

/// The second signal, whichever it is, does what it does where nobody heeds it: in the handler itself, since the thread that waits may be stuck, as in
/// writing to a terminal that nobody reads.
#[cfg(unix)]
fn obey_the_second(signals: &[i32]) -> io::Result<()> {
    let one_came = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for &signal in signals {
        // In this order: the first one finds that none came.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&one_came))?;
        signal_hook::flag::register(signal, Arc::clone(&one_came))?;
    }
    Ok(())
}

/// Removes a folder in which the work still makes files, which may get in the way a few times.
#[cfg(unix)]
fn remove(folder: &Path) {
    let _ = (0..100).find(|_| std::fs::remove_dir_all(folder).is_ok() || !folder.exists());
}

fn locked(first: &Mutex<First>) -> MutexGuard<'_, First> {
    first.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
impl Signal {
    fn of(number: i32) -> Self {
        if number == signal_hook::consts::SIGTERM { Self::Terminate } else { Self::Interrupt }
    }
}

/// Ends the process as the signal does where nobody heeds it.
pub(crate) fn end_by(signal: Signal) -> ! {
    #[cfg(unix)]
    {
        let number = match signal {
            Signal::Interrupt => signal_hook::consts::SIGINT,
            Signal::Terminate => signal_hook::consts::SIGTERM,
        };
        // Comes back only from a system that does not know the signal.
        let _ = signal_hook::low_level::emulate_default_handler(number);
    }
    let status = match signal {
        Signal::Interrupt => Exit::Interrupted,
        Signal::Terminate => Exit::Terminated,
    };
    std::process::exit(status as i32)
}
