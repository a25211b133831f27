//! Standard error: whether it is a terminal, its colours, and writing to it without errors.

use std::{
    env,
    ffi::OsStr,
    fmt::{self, Display, Write as _},
    io::{self, IsTerminal as _, Write as _},
    panic,
};

use mnem_storage::driver::is_contained;

use crate::streams::{ErrorOutput, Output};

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether to use colours on standard error: `NO_COLOR` is unset or empty, and either the terminal supports them or
/// `CLICOLOR_FORCE` is set.
pub(crate) fn stderr_has_colour() -> bool {
    has_colour(stderr_is_terminal())
}

fn has_colour(is_terminal: bool) -> bool {
    let [no_color, force, term] = ["NO_COLOR", "CLICOLOR_FORCE", "TERM"].map(env::var_os);
    takes_colour(is_terminal, no_color.as_deref(), force.as_deref(), term.as_deref())
}

fn takes_colour(is_terminal: bool, no_color: Option<&OsStr>, force: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    let forced = force.is_some_and(|force| !force.is_empty() && force != "0");
    no_color.is_none_or(OsStr::is_empty) && (forced || draws(is_terminal, term))
}

/// Whether standard error is a terminal that can redraw a line.
pub(crate) fn stderr_can_be_drawn_on() -> bool {
    draws(stderr_is_terminal(), env::var_os("TERM").as_deref())
}

fn draws(is_terminal: bool, term: Option<&OsStr>) -> bool {
    is_terminal && term.is_none_or(|term| term != "dumb")
}

/// Whether a write of a few lines to standard error would not block.
#[cfg(unix)]
pub(crate) fn takes_a_line_now() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stderr = io::stderr();
    let mut stream = [PollFd::new(&stderr, PollFlags::OUT)];
    let polled = poll(&mut stream, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && stream[0].revents().contains(PollFlags::OUT)
}

/// Clears the current line, on which a progress bar may be.
pub(crate) fn wipe_line() {
    if stderr_can_be_drawn_on() {
        let _ = ErrorOutput.write_all(b"\r\x1b[2K");
    }
}

/// A text with control characters escaped, so that file names and archive contents cannot control the terminal.
pub(crate) struct Printable<T>(pub(crate) T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Writes a line to standard error in one call. Ignores errors: there is nowhere to report them.
pub(crate) fn say(line: impl Display) {
    let _ = ErrorOutput.write_all(format!("{line}\n").as_bytes());
}

/// Prints a message of clap: help and version to standard output, errors to standard error.
pub(crate) fn print(said: &clap::Error) -> io::Result<()> {
    // Clap can colour consoles without escape sequences.
    if cfg!(not(unix)) {
        return said.print();
    }
    let (text, to_stderr) = (said.render(), said.use_stderr());
    let coloured = if to_stderr { stderr_has_colour() } else { has_colour(io::stdout().is_terminal()) };
    let text = if coloured { text.ansi().to_string() } else { text.to_string() };
    if to_stderr { ErrorOutput.write_all(text.as_bytes()) } else { Output.write_all(text.as_bytes()) }
}

/// Suppresses the output of panics that a backend catches: a damaged file can make a storage engine panic, and the
/// backend reports that as damage.
pub(crate) fn quiet_about_contained_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_contained() {
            print(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let text = |text| Some(OsStr::new(text));
        assert!(takes_colour(true, None, None, text("xterm")));
        assert!(takes_colour(true, text(""), text(""), None));
        assert!(!takes_colour(true, text("1"), text("1"), text("xterm")));
        assert!(!takes_colour(true, None, text("0"), text("dumb")));
        assert!(!takes_colour(false, None, text("0"), text("xterm")));
        assert!(takes_colour(false, None, text("1"), text("dumb")));
    }

    #[test]
    fn only_a_terminal_that_can_is_drawn_on() {
        let text = |text| Some(OsStr::new(text));
        assert!(draws(true, text("xterm")) && draws(true, None));
        assert!(!draws(true, text("dumb")) && !draws(false, text("xterm")));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Printable("a\x1b[2J\u{9b}é\n").to_string(), "a\\u{1b}[2J\\u{9b}é\\n");
    }
}
