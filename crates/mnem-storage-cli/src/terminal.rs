//! What standard error is, and how to write to it without ever failing.

use std::{
    env,
    ffi::OsStr,
    fmt::{self, Display, Write as _},
    io::{self, IsTerminal as _, Write as _},
    panic,
};

use mnem_storage::driver::is_contained;

use crate::streams::{ErrorOutput, Output};

/// Whether a person is looking at standard error.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard error takes colours: NO_COLOR is unset or empty, and it is a terminal that can, or CLICOLOR_FORCE is set.
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

/// Whether a drawing on standard error can be drawn over: it is a terminal that can move its cursor.
pub(crate) fn stderr_can_be_drawn_on() -> bool {
    draws(stderr_is_terminal(), env::var_os("TERM").as_deref())
}

fn draws(is_terminal: bool, term: Option<&OsStr>) -> bool {
    is_terminal && term.is_none_or(|term| term != "dumb")
}

/// Whether standard error takes a few lines without being waited for.
#[cfg(unix)]
pub(crate) fn takes_a_line_now() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stderr = io::stderr();
    let mut stream = [PollFd::new(&stderr, PollFlags::OUT)];
    let polled = poll(&mut stream, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && stream[0].revents().contains(PollFlags::OUT)
}

/// Wipes what may have been drawn on the line where the cursor is, by whoever draws there.
pub(crate) fn wipe_line() {
    if stderr_can_be_drawn_on() {
        let _ = ErrorOutput.write_all(b"\r\x1b[2K");
    }
}

/// A text in which every control character is escaped: names of files and bytes of archives must not give orders to a terminal.
pub(crate) struct Printable<T>(pub(crate) T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Writes a line to standard error, in one piece. There is nowhere to report a failure of that.
pub(crate) fn say(line: impl Display) {
    let _ = ErrorOutput.write_all(format!("{line}\n").as_bytes());
}

/// Prints what the parser of the command line says: help and versions to standard output, errors to standard error.
pub(crate) fn print(said: &clap::Error) -> io::Result<()> {
    // The parser's own way of printing knows how to colour consoles that do not do so by themselves.
    if cfg!(not(unix)) {
        return said.print();
    }
    let (text, to_stderr) = (said.render(), said.use_stderr());
    let coloured = if to_stderr { stderr_has_colour() } else { has_colour(io::stdout().is_terminal()) };
    let text = if coloured { text.ansi().to_string() } else { text.to_string() };
    if to_stderr { ErrorOutput.write_all(text.as_bytes()) } else { Output.write_all(text.as_bytes()) }
}

/// A backend may run into a panic of its engine at a damaged file, and reports it as damage. On the terminal that panic would look like a
/// crash.
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
