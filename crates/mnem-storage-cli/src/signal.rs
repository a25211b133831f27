//! Which signals are heeded, and how a process ends by one.

/// A signal, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(u8);

impl Signal {
    /// SIGINT, which has this number everywhere.
    pub(crate) const INTERRUPT: Self = Self(2);

    #[cfg(unix)]
    pub(crate) fn of(number: i32) -> Self {
        u8::try_from(number).map_or(Self::INTERRUPT, Self)
    }

    /// As a shell counts it.
    pub(crate) fn status(self) -> u8 {
        self.0.saturating_add(128)
    }

    /// Whether a second one means that somebody is out of patience. Timers and limits send theirs again and again.
    #[cfg(unix)]
    pub(crate) fn is_asked_by_hand(self) -> bool {
        use signal_hook::consts::{SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU};
        ![SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU].contains(&i32::from(self.0))
    }
}

/// Every signal that ends a process which does not heed it, and may be heeded. Not those that a fault of the program itself raises (SIGILL,
/// SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS): work that went wrong is not to go on. Nor
/// those of a write: SIGPIPE is ignored and SIGXFSZ passed over ([`let_large_writes_fail`]), so that the write fails instead.
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
        // SIGSTKFLT and SIGPWR, where the architecture has them, and those for real time.
        signals.extend(if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) { &[16, 30][..] } else { &[] });
        signals.extend(34..=64);
    }
    crate::inherited::heeded(&signals)
}

/// From here on a write beyond the limit of file sizes is an error, of which the program says what to do, and no end without a word.
#[cfg(unix)]
pub(crate) fn let_large_writes_fail() {
    // Heeded and not ignored, which the standard library has no call for. Nobody looks at the flag. Where it cannot be, the limit ends the program.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

/// Whether this is the first process of its system or container: the kernel ends it by no signal that it does not heed, not even by its own.
#[cfg(unix)]
pub(crate) fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Ends the process as the signal does where nobody heeds it.
pub(crate) fn end_by(signal: Signal) -> ! {
    #[cfg(unix)]
    {
        use signal_hook::{consts::SIGIO, low_level};
        let number = i32::from(signal.0);
        // That one is for others to ignore.
        if !is_first_process() && number != SIGIO {
            // Comes back only from a signal that has no name.
            let _ = low_level::emulate_default_handler(number);
        }
        // Nothing that other threads hold is waited for.
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
