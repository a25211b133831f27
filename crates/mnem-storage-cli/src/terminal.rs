//! What standard error is, and how to write to it without ever failing.

use std::{
    env,
    ffi::OsStr,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

/// Whether a person is looking at standard error.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard error takes colours: it is a terminal that can, and NO_COLOR is unset or empty.
pub(crate) fn stderr_has_colour() -> bool {
    takes_colour(stderr_is_terminal(), env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
}

fn takes_colour(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

/// Writes a line to standard error. There is nowhere to report a failure of that.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let text = |text| Some(OsStr::new(text));
        assert!(takes_colour(true, None, text("xterm")));
        assert!(takes_colour(true, text(""), None));
        assert!(!takes_colour(true, text("1"), text("xterm")));
        assert!(!takes_colour(true, None, text("dumb")));
        assert!(!takes_colour(false, None, text("xterm")));
    }
}
