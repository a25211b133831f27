//! The signals that the program handles, and ending the process by one.

/// A signal, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(u8);

impl Signal {
    /// SIGINT, which has the same number on every system.
    pub(crate) const INTERRUPT: Self = Self(2);

    #[cfg(unix)]
    pub(crate) fn of(number: i32) -> Self {
        u8::try_from(number).map_or(Self::INTERRUPT, Self)
    }

    /// The exit status that a shell reports: 128 plus the number.
    pub(crate) fn status(self) -> u8 {
        self.0.saturating_add(128)
    }

    /// Whether a second signal comes from an impatient user. Timers and limits repeat theirs on their own.
    #[cfg(unix)]
    pub(crate) fn is_asked_by_hand(self) -> bool {
        use signal_hook::consts::{SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU};
        ![SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU].contains(&i32::from(self.0))
    }
}

/// Every signal that kills a process by default and can be handled.
///
/// Except signals of a fault in the program itself (SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS): faulty work must
/// not continue. Except signals of a write too: SIGPIPE is ignored and SIGXFSZ has a handler
/// ([`let_large_writes_fail`]), so that the write fails instead.
#[cfg(unix)]
pub(crate) fn all() -> Vec<i32> {
    use signal_hook::consts as named;
    let mut signals = vec![
        named::SIGHUP,
        named::SIGINT,
        named::SIGQUIT,
        named::SIGABRT,
        named::SIGUSR1,
        named::SIGUSR2,
        named::SIGALRM,
        named::SIGTERM,
        named::SIGXCPU,
        named::SIGVTALRM,
        named::SIGPROF,
    ];
    if cfg!(target_os = "linux") {
        signals.push(named::SIGIO);
        // SIGSTKFLT and SIGPWR, if the architecture has them, and the real-time signals.
        signals.extend(if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) { &[16, 30][..] } else { &[] });
        signals.extend(34..=64);
    }
    crate::inherited::heeded(&signals)
}

/// Makes a write beyond the file size limit fail with an error, instead of killing the process.
#[cfg(unix)]
pub(crate) fn let_large_writes_fail() {
    // A handler that does nothing: the standard library has no call to ignore a signal. If registering it fails, the
    // limit kills the process, as it would without this call.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

/// Whether this is the first process of its system or container. The kernel does not deliver it any signal without a
/// handler, not even its own.
#[cfg(unix)]
pub(crate) fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Ends the process as the unhandled signal does.
pub(crate) fn end_by(signal: Signal) -> ! {
    #[cfg(unix)]
    {
        use signal_hook::{consts::SIGIO, low_level};
        let number = i32::from(signal.0);
        // signal-hook would ignore SIGIO, the default action on other systems.
        if !is_first_process() && number != SIGIO {
            // Returns only for a signal that the library does not know.
            let _ = low_level::emulate_default_handler(number);
        }
        // Exits without running destructors or waiting for other threads.
        low_level::exit(i32::from(signal.status()))
    }
    #[cfg(not(unix))]
    std::process::exit(i32::from(signal.status()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn a_shell_counts_from_128() {
        assert_eq!(Exit::Signal(Signal::INTERRUPT).code(), 130);
        assert_eq!(Signal(15).status(), 143);
        assert_eq!(Signal(u8::MAX).status(), u8::MAX);
    }
}
